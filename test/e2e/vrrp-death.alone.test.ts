// However a node dies or stands still, its address answers on one node at most, and on none of its own for long: kill -9 of
// the supervisor, of all that carries the address, of its guardian too, a stop of 12 seconds, a dead data plane.

import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { isAlive, pause, temporaryDirectory, until } from "./kit.ts";
import type { Agent } from "./netns-kit.ts";
import {
  answeredBy,
  call,
  familyOf,
  type Heard,
  hasAddress,
  longestSilence,
  needsKeepalived,
  pinnedClient,
  routerText,
  type SharedNode,
  type Site,
  site,
  startEvenkeel,
  startKeepalived,
  type VrrpNodeProgram,
  vip4,
} from "./vrrp-kit.ts";

const limit = { timeout: 120_000, skip: needsKeepalived };
const listener =
  'listeners: { web: { bind: "0.0.0.0:8080", protocol: http, routes: [ { respond: { status: 200 } } ] } }';

type Pair = {
  readonly lan: Site;
  readonly one: SharedNode;
  readonly other: SharedNode;
  readonly node: VrrpNodeProgram;
};

/** evenkeel active with 100, keepalived behind it with 90, the client calling. */
async function pair(
  t: TestContext,
  dialect: "v2" | "v3",
  more = "",
  env: Readonly<Record<string, string>> = {},
): Promise<Pair> {
  const lan = await site(t);
  const [one, other] = lan.nodes;
  assert.ok(one !== undefined && other !== undefined);
  const fast = dialect === "v3" ? ({ version: 3, interval: "100ms" } as const) : {};
  const node = await startEvenkeel(t, one, `${routerText({ priority: 100, ...fast })}\n${more}`, { env });
  await node.mode("active");
  startKeepalived(t, other, { priority: 90, ...(dialect === "v3" ? { version: 3, interval: 0.1 } : {}) });
  await call(lan.client, vip4);
  await answeredBy(lan.client, "node1");
  await lan.client.ask("forget");
  return { lan, one, other, node };
}

async function tell(t: TestContext, what: string, client: Agent): Promise<void> {
  const heard = await client.ask<readonly Heard[]>("answers");
  t.diagnostic(`${what}: longest silence ${longestSilence(heard).toFixed(1)} ms`);
}

function signalAll(pids: readonly number[], signal: NodeJS.Signals): void {
  for (const pid of pids) if (isAlive(pid)) process.kill(pid, signal);
}

async function gone(t: TestContext, at: SharedNode): Promise<number> {
  const began = performance.now();
  await until("the address is gone", async () => !(await hasAddress(t, at)), { everyMs: 1 });
  return performance.now() - began;
}

test("kill -9 of the supervisor: the address is given up in order", limit, async (t) => {
  const { lan, one, node } = await pair(t, "v3");
  const { supervisor, vrrp, guardian } = await node.pids();
  process.kill(supervisor, "SIGKILL");
  await answeredBy(lan.client, "node2");
  await tell(t, "supervisor killed", lan.client);
  await until("their end", () => !isAlive(vrrp) && !isAlive(guardian));
  assert.equal(await hasAddress(t, one), false);
});

test(
  "kill -9 of all but the guardian: the address is gone within a second, and the successor is called",
  limit,
  async (t) => {
    const { lan, one, node } = await pair(t, "v2");
    const { guardian } = await node.pids();
    const all = familyOf(node.program.pid).filter((pid) => pid !== guardian);
    signalAll(all, "SIGKILL");
    const after = await gone(t, one);
    t.diagnostic(`address gone ${after.toFixed(0)} ms after kill -9`);
    assert.ok(after < 1_000, `within a second: ${after}`);
    await answeredBy(lan.client, "node2");
    await tell(t, "node killed, version 2", lan.client);
    await until("the guardian's end", () => !isAlive(guardian));
  },
);

test("kill -9 of the process that speaks VRRP: its guardian resigns for it, and it comes back", limit, async (t) => {
  const { lan, node } = await pair(t, "v3");
  const before = await node.pids();
  process.kill(before.vrrp, "SIGKILL");
  await answeredBy(lan.client, "node2");
  await tell(t, "the process that speaks VRRP killed", lan.client);
  t.diagnostic(/guardian: .*/.exec(node.program.stderr())?.[0] ?? "the guardian said nothing");
  await node.mode("active");
  await answeredBy(lan.client, "node1");
  const after = await node.pids();
  assert.notEqual(after.vrrp, before.vrrp);
  assert.ok((await node.status()).ha?.restarts === 1);
  // And one whose guardian is killed gets another one.
  process.kill(after.guardian, "SIGKILL");
  await until("another guardian", async () => {
    const { guardian } = await node.pids();
    return guardian !== after.guardian && isAlive(guardian);
  });
  assert.equal((await node.router()).mode, "active");
});

for (const dialect of ["v2", "v3"] as const) {
  test(
    `${dialect}: kill -9 of everything, the guardian too: the kernel ends it, and no two nodes answer`,
    limit,
    async (t) => {
      const { lan, one, other, node } = await pair(t, dialect);
      const pinned = await Promise.all([pinnedClient(t, lan, one), pinnedClient(t, lan, other)] as const);
      for (const client of pinned) await call(client, vip4);
      await answeredBy(pinned[0], "node1");
      signalAll(familyOf(node.program.pid), "SIGKILL");
      const killedAt = await lan.client.ask<number>("now");
      await answeredBy(lan.client, "node2");
      await gone(t, one);
      const [first, second] = await Promise.all(pinned.map((client) => client.ask<readonly Heard[]>("answers")));
      assert.ok(first !== undefined && second !== undefined);
      const last = (first.at(-1)?.at ?? 0) - killedAt;
      t.diagnostic(`last answer of the killed node ${last.toFixed(0)} ms after it`);
      await tell(t, "everything killed", lan.client);
      assert.equal(bothAnswered(first, second), 0);
    },
  );
}

test("what a killed run left is removed by the next", limit, async (t) => {
  const { one, node } = await pair(t, "v2");
  signalAll(familyOf(node.program.pid), "SIGKILL");
  const next = await startEvenkeel(t, one, routerText({ priority: 50 }));
  await next.mode("backup");
  assert.equal(await hasAddress(t, one), false);
});

/**
 * Never two at once until `takenBack`, when the first takes over by the protocol: the other hears of it by an advertisement,
 * so that for one way through the network both have the address, whoever they are.
 */
async function assertNeverTwo(t: TestContext, pinned: readonly [Agent, Agent], takenBack: number): Promise<void> {
  const [first, second] = await Promise.all(pinned.map((client) => client.ask<readonly Heard[]>("answers")));
  assert.ok(first !== undefined && second !== undefined);
  const early = (heard: readonly Heard[]) => heard.filter(({ at }) => at < takenBack - handoverMs);
  const overlap = bothAnswered(early(first), early(second));
  const whole = bothAnswered(first, second);
  t.diagnostic(
    `answers of node1 ${first.length}, of node2 ${second.length}; both at once for ${overlap.toFixed(1)} ms, and for ${(whole - overlap).toFixed(1)} ms as it is taken back`,
  );
  assert.equal(overlap, 0);
  assert.ok(whole < handoverMs, `a handover is short: ${whole}`);
}

const handoverMs = 50;

/** Time between two answers of one that lie close together, in which the other answered too. */
function bothAnswered(one: readonly Heard[], other: readonly Heard[]): number {
  const closeMs = 50;
  let total = 0;
  let at = 0;
  for (let index = 1; index < one.length; index++) {
    const [from, to] = [one[index - 1]?.at ?? 0, one[index]?.at ?? 0];
    if (to - from > closeMs) continue;
    while (at < other.length && (other[at]?.at ?? 0) < from) at++;
    if (at < other.length && (other[at]?.at ?? 0) < to) total += to - from;
  }
  return total;
}

const stoppedFor = 12_000;

/** A search path on which nft refuses what kernels before 5.16 refuse: rules for what leaves an interface. */
function withoutEgress(t: TestContext): Readonly<Record<string, string>> {
  const folder = temporaryDirectory(t);
  const script = `#!/bin/sh
rules=$(cat)
case "$rules" in *egress*) echo "Error: Could not process rule: Operation not supported" >&2; exit 1;; esac
printf '%s\\n' "$rules" | PATH=/usr/sbin:/sbin:/usr/bin:/bin exec nft "$@"
`;
  writeFileSync(join(folder, "nft"), script, { mode: 0o755 });
  return { PATH: `${folder}:${process.env["PATH"]}:/usr/sbin:/sbin` };
}

const standstills = [
  { dialect: "v2", gate: "renewedByKernel" },
  { dialect: "v3", gate: "renewedByKernel" },
  { dialect: "v3", gate: "renewedByHand" },
] as const;

for (const { dialect, gate } of standstills) {
  test(
    `${dialect}, gate ${gate}: a node that stands still for 12 s never answers beside its successor`,
    limit,
    async (t) => {
      const env = gate === "renewedByHand" ? withoutEgress(t) : {};
      const { lan, one, other, node } = await pair(t, dialect, "", env);
      assert.equal((await node.status()).ha?.vrrp?.gate, gate);
      const pinned = await Promise.all([pinnedClient(t, lan, one), pinnedClient(t, lan, other)] as const);
      for (const client of pinned) await call(client, vip4);
      await answeredBy(pinned[0], "node1");
      const all = familyOf(node.program.pid);
      signalAll(all, "SIGSTOP");
      const began = performance.now();
      t.after(() => signalAll(all, "SIGCONT"));
      await answeredBy(lan.client, "node2");
      await tell(t, "stopped", lan.client);
      // Its successor has the address for a while.
      await pause(stoppedFor - (performance.now() - began));
      signalAll(all, "SIGCONT");
      await lan.client.ask("forget");
      // With the higher priority it takes the address back, in the order of the protocol.
      await answeredBy(lan.client, "node1");
      await tell(t, "taken back", lan.client);
      assert.equal((await node.mode("active")).takeovers, 2);
      const heard = await lan.client.ask<readonly Heard[]>("answers");
      const takenBack = heard.find(({ by }) => by === "node1")?.at;
      assert.ok(takenBack !== undefined);
      await assertNeverTwo(t, pinned, takenBack);
    },
  );
}

test("a node whose workers all die gives the address up while its VRRP lives", limit, async (t) => {
  const { lan, node } = await pair(t, "v3", listener);
  const { supervisor, vrrp, guardian } = await node.pids();
  const spared = [supervisor, vrrp, guardian];
  const kill = () => {
    const workers = familyOf(supervisor).filter((pid) => !spared.includes(pid) && !isBelow(pid, spared));
    signalAll(workers, "SIGKILL");
  };
  const killing = setInterval(kill, 20);
  t.after(() => clearInterval(killing));
  await answeredBy(lan.client, "node2");
  await tell(t, "no worker left", lan.client);
  const router = await node.router();
  assert.equal(router.mode, "fault");
  assert.ok((await node.status()).degraded.some((sentence) => sentence.includes("track balancer is down")));
  clearInterval(killing);
  await node.mode("active", 40_000);
  await answeredBy(lan.client, "node1");
});

function isBelow(pid: number, ancestors: readonly number[]): boolean {
  return ancestors.slice(1).some((ancestor) => familyOf(ancestor).includes(pid));
}
