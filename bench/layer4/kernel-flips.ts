// A program of its own, run on a balancer's machine: the kernel engine as the supervisor drives it, over a pool of many
// targets, with health that this program decides. Takes targets out and puts them back, and measures from the moment the
// health changes to the kernel's answer that its map is changed. Prints one line. Run by flips.ts.

import { parseArgs } from "node:util";
import { decodeConfig } from "../../src/config/decode.ts";
import { KernelEngine } from "../../src/control/kernel/kernel-engine.ts";
import { type KernelPorts, machinePorts } from "../../src/control/kernel/kernel-ports.ts";
import type { Log, LogFields } from "../../src/core/log.ts";
import { poolOfTargets, secondsOf } from "./flip-pool.ts";

export type KernelFlips = {
  /** One a flip: what passed until the map was changed. */
  readonly ms: readonly number[];
  /** CPU time of this process for one flip, the look for connections of a lost target included. */
  readonly cpuMs: number;
};

const WARM_FLIPS = 20;

type Answers = { readonly answered: () => void; readonly refused: (detail: string) => void };

/** The machine's ports, telling when the kernel has answered a change of elements. */
function watchedPorts(answers: Answers): KernelPorts {
  return {
    ...machinePorts,
    openNetfilter: () => {
      const opened = machinePorts.openNetfilter();
      if (!opened.ok) return opened;
      const netfilter = opened.value;
      const changeElements: typeof netfilter.changeElements = (table, changes) => {
        const changed = netfilter.changeElements(table, changes);
        if (changed.ok) answers.answered();
        else answers.refused(changed.failure.detail);
        return changed;
      };
      return { ok: true, value: { ...netfilter, changeElements } };
    },
  };
}

const quietLog: Log = { debug: () => {}, info: () => {}, warn: complain, error: complain };

function complain(message: string, fields?: LogFields): void {
  process.stderr.write(`${message} ${JSON.stringify(fields ?? {})}\n`);
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      bind: { type: "string", default: "" },
      targets: { type: "string", default: "" },
      flips: { type: "string", default: "" },
      hash: { type: "boolean", default: false },
    },
  });
  const targets = poolOfTargets(Number(values.targets));
  const config = {
    listeners: { flips: { bind: values.bind, protocol: "tcp", engine: "kernel", pool: "flips" } },
    pools: {
      flips: {
        targets: Object.fromEntries(targets.map((target) => [target, {}])),
        ...(values.hash ? { balance: { consistentHash: { key: "clientAddress" } } } : {}),
      },
    },
  };
  const machine = { hostname: "bench", cores: 1 };
  const decoded = decodeConfig(JSON.stringify(config), { file: "flips", environment: {}, machine });
  if (!decoded.ok) throw new Error(decoded.problems.map(({ message }) => message).join("; "));

  const down = new Set<string>();
  let wake = (_refusal: string | undefined): void => {};
  const engine = new KernelEngine({
    log: quietLog,
    isHealthy: (_pool, address) => !down.has(address),
    ports: watchedPorts({ answered: () => wake(undefined), refused: (detail) => wake(detail) }),
  });
  const judged = engine.judge(decoded.config, new Set());
  if (!judged.ok) throw new Error(judged.failures.map(({ detail }) => detail).join("; "));
  const prepared = await engine.prepare(judged.value);
  if (!prepared.ok) throw new Error(prepared.failure.detail);
  await engine.commit(prepared.value);

  const flip = async (index: number): Promise<number> => {
    // A target goes, the same one comes back, then the next: spread over the pool.
    const target = targets[(Math.floor(index / 2) * 7) % targets.length] ?? "";
    const changed = new Promise<string | undefined>((resolve) => {
      wake = resolve;
    });
    const startMs = performance.now();
    if (!down.delete(target)) down.add(target);
    engine.targetChanged("flips");
    const refusal = await changed;
    const tookMs = performance.now() - startMs;
    if (refusal !== undefined) throw new Error(refusal);
    // The look for connections of the lost target comes behind.
    await new Promise((resolve) => setImmediate(() => setImmediate(() => setImmediate(resolve))));
    return tookMs;
  };
  for (let index = 0; index < WARM_FLIPS; index++) await flip(index);
  const ms: number[] = [];
  const before = process.cpuUsage();
  for (let index = 0; index < Number(values.flips); index++) ms.push(await flip(index));
  const cpuMs = (secondsOf(process.cpuUsage(before)) * 1000) / ms.length;
  const report: KernelFlips = { ms, cpuMs };
  process.stdout.write(`${JSON.stringify(report)}\n`);
  engine.drain(0, { keep: false });
  await engine.ended();
}

await main();
