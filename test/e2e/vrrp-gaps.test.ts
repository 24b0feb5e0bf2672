// How long clients wait at a failover, evenkeel beside keepalived in the same run: each pair of programs stops in order, is
// cut off and takes back, and the longest silence between two answers is printed. Ours must not be longer.

import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import type { Program } from "./kit.ts";
import {
  answeredBy,
  call,
  type Heard,
  longestSilence,
  needsKeepalived,
  routerText,
  type SharedNode,
  type Site,
  site,
  startEvenkeel,
  startKeepalived,
  vip4,
} from "./vrrp-kit.ts";

const limit = { timeout: 280_000, skip: needsKeepalived };

type Kind = "keepalived" | "evenkeel";
type Speed = {
  readonly name: string;
  readonly keepalived: { readonly version: 2 | 3; readonly interval: number };
  readonly evenkeel: { readonly version: 2 | 3; readonly interval: string };
  readonly rounds: number;
};

const speeds: readonly Speed[] = [
  {
    name: "v2 1 s",
    keepalived: { version: 2, interval: 1 },
    evenkeel: { version: 2, interval: "1s" },
    rounds: 1,
  },
  {
    name: "v3 100 ms",
    keepalived: { version: 3, interval: 0.1 },
    evenkeel: { version: 3, interval: "100ms" },
    rounds: 3,
  },
  {
    name: "v3 10 ms",
    keepalived: { version: 3, interval: 0.01 },
    evenkeel: { version: 3, interval: "10ms" },
    rounds: 3,
  },
];

async function start(t: TestContext, at: SharedNode, kind: Kind, speed: Speed, priority: number): Promise<Program> {
  if (kind === "keepalived") return startKeepalived(t, at, { priority, ...speed.keepalived });
  return (await startEvenkeel(t, at, routerText({ priority, ...speed.evenkeel }))).program;
}

async function silence(lan: Site): Promise<number> {
  const longest = longestSilence(await lan.client.ask<readonly Heard[]>("answers"));
  await lan.client.ask("forget");
  return longest;
}

type Gaps = { readonly graceful: number[]; readonly crash: number[]; readonly failback: number[] };

async function measure(t: TestContext, speed: Speed, kinds: readonly [Kind, Kind]): Promise<Gaps> {
  const lan = await site(t);
  const [one, other] = lan.nodes;
  assert.ok(one !== undefined && other !== undefined);
  const gaps: Gaps = { graceful: [], crash: [], failback: [] };
  let program = await start(t, one, kinds[0], speed, 100);
  const backup = await start(t, other, kinds[1], speed, 90);
  await call(lan.client, vip4);
  await answeredBy(lan.client, "node1");
  for (let round = 0; round < speed.rounds; round++) {
    await lan.client.ask("forget");
    lan.link(0, "down");
    await answeredBy(lan.client, "node2");
    gaps.crash.push(await silence(lan));
    lan.link(0, "up");
    await answeredBy(lan.client, "node1");
    gaps.failback.push(await silence(lan));
    program.signal("SIGTERM");
    await answeredBy(lan.client, "node2");
    gaps.graceful.push(await silence(lan));
    await program.exited();
    if (round + 1 === speed.rounds) break;
    program = await start(t, one, kinds[0], speed, 100);
    await answeredBy(lan.client, "node1");
  }
  backup.signal("SIGTERM");
  await backup.exited();
  const line = Object.entries(gaps).map(([what, values]) => `${what} ${spread(values)}`);
  t.diagnostic(`${speed.name}, ${kinds.join(" then ")}: ${line.join("; ")}`);
  return gaps;
}

function spread(values: readonly number[]): string {
  const sorted = [...values].sort((x, y) => x - y);
  const at = (share: number) => (sorted[Math.floor((sorted.length - 1) * share)] ?? 0).toFixed(1);
  return sorted.length === 1 ? `${at(0)} ms` : `median ${at(0.5)} ms, ${at(0)} to ${at(1)}`;
}

function median(values: readonly number[]): number {
  return [...values].sort((x, y) => x - y)[Math.floor((values.length - 1) / 2)] ?? 0;
}

/** What a busy machine adds to any measurement here. */
const noiseMs = 60;

for (const speed of speeds) {
  test(
    `${speed.name}: clients wait no longer than with keepalived, and not at all at a stop in order`,
    limit,
    async (t) => {
      const theirs = await measure(t, speed, ["keepalived", "keepalived"]);
      const mixed = await measure(t, speed, ["evenkeel", "keepalived"]);
      const ours = await measure(t, speed, ["evenkeel", "evenkeel"]);
      for (const gaps of [mixed, ours]) {
        assert.ok(median(gaps.crash) < median(theirs.crash) + noiseMs, "a crash");
        assert.ok(median(gaps.graceful) < noiseMs, "a stop in order is not felt");
      }
    },
  );
}
