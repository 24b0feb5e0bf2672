// Starts the datagram client in a process of its own, on the clients' machine, and lets it work between two looks at the
// meter: its start is not part of what is measured.

import { join } from "node:path";
import type { Stage } from "../stage.ts";
import type { ClientOptions, DatagramTotals } from "./datagram-client.ts";
import { waitForLine } from "./lines.ts";

const START_DEADLINE_MS = 10_000;
/** Beyond the length of the round: lost datagrams are waited for, and a loaded machine is slow. */
const TAIL_MS = 20_000;

export type DatagramLoad = ClientOptions & {
  /** The namespace of this process by default. */
  readonly namespace?: string;
  readonly cores: string;
};

let serial = 0;

/** Opens the sockets; `work` sends. Throws when the client itself fails; `end` must be called. */
export async function openDatagrams(
  stage: Stage,
  load: DatagramLoad,
): Promise<{ work(): Promise<DatagramTotals>; end(): Promise<void> }> {
  serial += 1;
  const name = `datagrams-${serial}`;
  const argv = [process.execPath, join(import.meta.dirname, "datagram-client.ts")];
  argv.push("--targets", load.targets.join(","), "--port", String(load.port), "--first", load.first);
  argv.push("--lanes", String(load.lanes), "--flows-max", String(load.flowsMax), "--seconds", String(load.seconds));
  argv.push("--bytes", String(load.bytes), ...(load.fresh ? ["--fresh"] : []));
  const { cores, namespace } = load;
  const command = namespace === undefined ? { name, argv, cores } : { name, argv, cores, namespace };
  const client = stage.start(command, "pipe");
  await waitForLine(stage, client, { index: 0, withinMs: START_DEADLINE_MS });
  const work = async (): Promise<DatagramTotals> => {
    client.child.stdin?.write("\n");
    const withinMs = load.seconds * 1000 + TAIL_MS;
    return parseDatagrams(await waitForLine(stage, client, { index: 1, withinMs }));
  };
  const end = async (): Promise<void> => {
    client.child.stdin?.end();
    await client.ended;
  };
  return { work, end };
}

/** Throws when the line is not what datagram-client.ts prints. */
export function parseDatagrams(line: string): DatagramTotals {
  const value: unknown = JSON.parse(line);
  if (!isTotals(value)) throw new Error(`the datagram client printed ${line.slice(0, 200)}`);
  return value;
}

function isTotals(value: unknown): value is DatagramTotals {
  if (typeof value !== "object" || value === null) return false;
  const candidate = value as Record<string, unknown>; // an object: every property may be looked at
  const numbers = ["answered", "durationUs", "lost", "stray", "wrongSize"].map((name) => candidate[name]);
  const { shares } = candidate;
  return Array.isArray(shares) && [...numbers, ...shares].every((figure) => typeof figure === "number");
}

/** What was wrong with a round, one sentence each; empty when every datagram came back once and whole. */
export function datagramProblems(totals: DatagramTotals): string[] {
  const problems: string[] = [];
  const sent = totals.answered + totals.lost;
  if (totals.lost > 0) problems.push(`${totals.lost} of ${sent} datagrams lost`);
  if (totals.stray > 0) problems.push(`${totals.stray} answers doubled or later than a second`);
  if (totals.wrongSize > 0) problems.push(`${totals.wrongSize} answers of another size`);
  if (totals.answered === 0) problems.push("no answer");
  return problems;
}

/** Fresh flows in turns: no target may have more than one flow in a hundred beside its share. */
export function shareProblems(totals: DatagramTotals, targets: number): string[] {
  const share = totals.answered / targets;
  const worst = Math.max(...Array.from({ length: targets }, (_, at) => Math.abs((totals.shares[at] ?? 0) - share)));
  return worst <= share / 100 + 1
    ? []
    : [`targets got ${totals.shares.join(", ")} flows, not ${Math.round(share)} each`];
}
