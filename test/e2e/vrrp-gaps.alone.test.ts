// How long clients wait at a failover, evenkeel beside keepalived in the same run: pairs of programs, each active one stopped in
// order, cut off, killed, outweighed and taking back, at three speeds; the longest silence between two answers, median and
// range, is printed as a table. Ours must not be longer in any row. The cable is cut as soon as the active has answered, so
// right behind its advertisement: the longest wait that a crash can bring.

import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { isAlive, type Program, temporaryDirectory } from "./kit.ts";
import {
  answeredBy,
  call,
  familyOf,
  type Heard,
  hasAddress,
  longestSilence,
  needsKeepalived,
  type SharedNode,
  type Site,
  site,
  startEvenkeel,
  startKeepalivedWith,
  vip4,
} from "./vrrp-kit.ts";

const limit = { timeout: 400_000, skip: needsKeepalived };

type Kind = "keepalived" | "evenkeel";
type Pairing = { readonly active: Kind; readonly backup: Kind };
type Speed = { readonly name: string; readonly version: 2 | 3; readonly intervalMs: number; readonly rounds: number };

const speeds: readonly Speed[] = [
  { name: "v2 1 s", version: 2, intervalMs: 1_000, rounds: 3 },
  { name: "v3 100 ms", version: 3, intervalMs: 100, rounds: 3 },
  { name: "v3 10 ms", version: 3, intervalMs: 10, rounds: 3 },
];
const pairings: readonly Pairing[] = [
  { active: "keepalived", backup: "keepalived" },
  { active: "evenkeel", backup: "keepalived" },
  { active: "keepalived", backup: "evenkeel" },
  { active: "evenkeel", backup: "evenkeel" },
];
const rows = ["stop in order", "cut off", "failback", "outweighed", "weight back", "kill -9"] as const;
type Row = (typeof rows)[number];
type Gaps = Record<Row, number[]>;

const priorities = { active: 100, backup: 90 } as const;

/** `load`: a file; a 1 in it takes 20 off the priority. */
async function start(
  t: TestContext,
  at: SharedNode,
  what: { readonly kind: Kind; readonly speed: Speed; readonly priority: number; readonly load: string },
): Promise<Program> {
  const { kind, speed, priority, load } = what;
  if (kind === "keepalived") {
    return startKeepalivedWith(
      t,
      at,
      `global_defs { vrrp_version ${speed.version} }
track_file load { file ${load}
  weight -20
}
vrrp_instance VI_1 { state BACKUP
  interface eth0
  virtual_router_id 51
  priority ${priority}
  advert_int ${speed.intervalMs / 1000}
  track_file { load }
  virtual_ipaddress { ${vip4}/32 }
}`,
    );
  }
  const text = `ha:
  tracks: { load: { file: ${load}, upWhen: number, weight: -20, interval: 20ms } }
  virtualRouters:
    VI_1: { interface: eth0, vrid: 51, priority: ${priority}, version: ${speed.version}, advertisementInterval: ${speed.intervalMs}ms, addresses: [${vip4}/32], track: [load] }`;
  return (await startEvenkeel(t, at, text)).program;
}

async function silence(lan: Site): Promise<number> {
  const longest = longestSilence(await lan.client.ask<readonly Heard[]>("answers"));
  await lan.client.ask("forget");
  return longest;
}

async function measure(t: TestContext, speed: Speed, pairing: Pairing): Promise<Gaps> {
  const lan = await site(t);
  const [one, other] = lan.nodes;
  assert.ok(one !== undefined && other !== undefined);
  const folder = temporaryDirectory(t);
  const [load, none] = [join(folder, "load"), join(folder, "none")];
  for (const file of [load, none]) writeFileSync(file, "0\n");
  const gaps: Gaps = {
    "stop in order": [],
    "cut off": [],
    failback: [],
    outweighed: [],
    "weight back": [],
    "kill -9": [],
  };
  const begin = () => start(t, one, { kind: pairing.active, speed, priority: priorities.active, load });
  const note = async (row: Row) => gaps[row].push(await silence(lan));
  let program = await begin();
  const backup = await start(t, other, { kind: pairing.backup, speed, priority: priorities.backup, load: none });
  await call(lan.client, vip4);
  for (let round = 0; round < speed.rounds; round++) {
    await answeredBy(lan.client, "node1");
    await lan.client.ask("forget");
    lan.link(0, "down");
    await answeredBy(lan.client, "node2");
    await note("cut off");
    lan.link(0, "up");
    await answeredBy(lan.client, "node1");
    await note("failback");
    // What takes seconds and is not felt is looked at once.
    if (round === 0 || speed.intervalMs < 1_000) {
      writeFileSync(load, "1\n");
      await answeredBy(lan.client, "node2");
      await note("outweighed");
      writeFileSync(load, "0\n");
      await answeredBy(lan.client, "node1");
      await note("weight back");
    }
    program.signal("SIGTERM");
    await answeredBy(lan.client, "node2");
    await note("stop in order");
    await program.exited();
    program = await begin();
  }
  await answeredBy(lan.client, "node1");
  await lan.client.ask("forget");
  await killed(t, { lan, one, program, kind: pairing.active, gaps });
  backup.signal("SIGTERM");
  await backup.exited();
  return gaps;
}

/** keepalived's address stays for ever, and answers beside its successor's: there is nothing to measure. */
async function killed(
  t: TestContext,
  what: {
    readonly lan: Site;
    readonly one: SharedNode;
    readonly program: Program;
    readonly kind: Kind;
    readonly gaps: Gaps;
  },
): Promise<void> {
  const { lan, one, program, kind, gaps } = what;
  const family = familyOf(program.pid);
  const guardian = family.find((pid) => commandOf(pid).includes("guardian"));
  const victims = family.filter((pid) => pid !== guardian);
  // Stopped first, so that none of them sees another one go: keepalived's child would give up in order.
  for (const signal of ["SIGSTOP", "SIGKILL"] as const) {
    for (const pid of victims) if (isAlive(pid)) process.kill(pid, signal);
  }
  await answeredBy(lan.client, "node2");
  if (kind === "evenkeel") gaps["kill -9"].push(await silence(lan));
  else assert.ok(await hasAddress(t, one), "keepalived's address is left behind");
}

function commandOf(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, "latin1");
  } catch {
    // It ended while we looked.
    return "";
  }
}

function sorted(values: readonly number[]): readonly number[] {
  return [...values].sort((one, other) => one - other);
}

function median(values: readonly number[]): number {
  return sorted(values)[Math.floor((values.length - 1) / 2)] ?? Number.NaN;
}

function cell(values: readonly number[]): string {
  if (values.length === 0) return "address left behind";
  const range =
    values.length === 1 ? "" : ` (${sorted(values)[0]?.toFixed(0)} to ${sorted(values).at(-1)?.toFixed(0)})`;
  return `${median(values).toFixed(0)}${range}`;
}

function printTable(t: TestContext, speed: Speed, all: readonly Gaps[]): void {
  const heads = pairings.map(({ active, backup }) => `${active} before ${backup}`);
  const lines = rows.map((row) => [row, ...all.map((gaps) => cell(gaps[row]))]);
  const widths = ["", ...heads].map((head, column) =>
    Math.max(head.length, ...lines.map((line) => line[column]?.length ?? 0)),
  );
  t.diagnostic(`${speed.name}: longest silence in ms, median (range)`);
  for (const line of [["", ...heads], ...lines]) {
    t.diagnostic(
      line
        .map((text, column) => text.padEnd(widths[column] ?? 0))
        .join("  ")
        .trimEnd(),
    );
  }
}

/** What a busy machine adds to any measurement here, and, at an interval of 1 s, the span of an advertisement's copies. */
const noiseMs = 60;

for (const speed of speeds) {
  test(
    `${speed.name}: clients wait no longer than with keepalived, and not at all at a stop in order`,
    limit,
    async (t) => {
      // Slow ones hardly use the machine: two at a time.
      const all: Gaps[] = [];
      const atOnce = speed.intervalMs >= 1_000 ? 2 : 1;
      for (let index = 0; index < pairings.length; index += atOnce) {
        const some = pairings.slice(index, index + atOnce);
        all.push(...(await Promise.all(some.map((pair) => measure(t, speed, pair)))));
      }
      printTable(t, speed, all);
      const [theirs] = all;
      for (const [index, gaps] of all.entries()) {
        const { active, backup } = pairings[index] ?? assert.fail("a pairing");
        for (const row of rows) {
          if (row === "kill -9" || theirs === gaps) continue;
          assert.ok(median(gaps[row]) < median(theirs?.[row] ?? []) + noiseMs, `${row}, ${active} before ${backup}`);
        }
        if (active === "evenkeel") assert.ok(median(gaps["stop in order"]) < noiseMs, "a stop in order is not felt");
        if (active === "evenkeel" && backup === "evenkeel") {
          const [crash, killed] = [median(gaps["cut off"]), median(gaps["kill -9"])];
          assert.ok(killed < crash + noiseMs, "kill -9 is no longer than a cut cable");
        }
      }
    },
  );
}
