// The supervisor is killed with -9 and its family lives on: new clients are served while the process that speaks VRRP gives
// the addresses up in order, and the program can be started again at once, or when a service manager has ended what is left.

import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { isAlive, type Program, temporaryDirectory, until } from "./kit.ts";
import {
  answeredBy,
  familyOf,
  type Heard,
  hasAddress,
  longestSilence,
  needsKeepalived,
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
const webPort = 8080;
/** What a busy machine adds; whoever is refused or loses the address waits a skew time, 648 ms, at least. */
const noiseMs = 400;

function webText(name: string, priority: number): string {
  const route = `{ respond: { status: 200, body: ${name} } }`;
  const listeners = `listeners: { web: { bind: "0.0.0.0:${webPort}", protocol: http, routes: [ ${route} ] } }`;
  return `${routerText({ priority })}\n${listeners}`;
}

type Pair = { readonly lan: Site; readonly one: SharedNode; readonly other: SharedNode };

/** keepalived with a web server on the second node, and a client that opens a connection every 2 ms. */
async function pair(t: TestContext, start: (one: SharedNode) => Promise<unknown>): Promise<Pair> {
  const lan = await site(t);
  const [one, other] = lan.nodes;
  assert.ok(one !== undefined && other !== undefined);
  await start(one);
  startKeepalived(t, other, { priority: 90 });
  await other.service.ask("serveTcp", { name: "node2", port: webPort });
  await lan.client.ask("callTcp", { address: vip4, port: webPort });
  await answeredBy(lan.client, "node1");
  await lan.client.ask("forget");
  return { lan, one, other };
}

type Felt = { readonly silence: number; readonly refused: number };

async function felt(t: TestContext, what: string, { lan }: Pair): Promise<Felt> {
  const silence = longestSilence(await lan.client.ask<readonly Heard[]>("answers"));
  const refusals = await lan.client.ask<readonly { readonly error: string }[]>("refusals");
  const kinds = [...new Set(refusals.map(({ error }) => error))].join(", ");
  t.diagnostic(`${what}: longest silence ${silence.toFixed(1)} ms, ${refusals.length} failed ${kinds}`.trimEnd());
  // One that is under way when the address moves meets a node that does not know it: that resets it, and is no refusal.
  return { silence, refused: refusals.filter(({ error }) => error === "ECONNREFUSED").length };
}

test("kill -9 of the supervisor: new clients are served until the successor has the address", limit, async (t) => {
  // Beside it keepalived, whose parent is killed; the service behind it is not touched.
  let rival: Program | undefined;
  const theirs = await pair(t, async (one) => {
    await one.service.ask("serveTcp", { name: "node1", port: webPort });
    rival = startKeepalived(t, one, { priority: 100 });
    await until("its address", () => hasAddress(t, one));
  });
  rival?.signal("SIGKILL");
  await answeredBy(theirs.lan.client, "node2");
  const reference = await felt(t, "keepalived", theirs);
  let node: VrrpNodeProgram | undefined;
  const ours = await pair(t, async (one) => {
    node = await startEvenkeel(t, one, webText("node1", 100));
    await node.mode("active");
  });
  assert.ok(node !== undefined);
  const family = familyOf(node.program.pid);
  node.program.signal("SIGKILL");
  await answeredBy(ours.lan.client, "node2");
  const gap = await felt(t, "evenkeel", ours);
  await until("the end of all of it", () => family.every((pid) => !isAlive(pid)), { timeoutMs: 20_000 });
  assert.ok(gap.silence < reference.silence, "no longer than keepalived's");
  assert.ok(gap.silence < noiseMs, "and not felt");
  assert.equal(gap.refused, 0);
});

async function running(t: TestContext): Promise<Pair & { readonly directory: string; readonly node: VrrpNodeProgram }> {
  const directory = temporaryDirectory(t);
  let node: VrrpNodeProgram | undefined;
  const made = await pair(t, async (one) => {
    node = await startEvenkeel(t, one, webText("node1", 100), { directory });
    await node.mode("active");
  });
  assert.ok(node !== undefined);
  return { ...made, directory, node };
}

test(
  "started again at once, it binds beside those that are left and takes the address back unfelt",
  limit,
  async (t) => {
    const made = await running(t);
    const { lan, one, node, directory } = made;
    const family = familyOf(node.program.pid);
    node.program.signal("SIGKILL");
    await node.program.exited();
    const again = await startEvenkeel(t, one, webText("node1", 100), { directory });
    await answeredBy(lan.client, "node2");
    await again.mode("active");
    await answeredBy(lan.client, "node1");
    await until("the end of the old ones", () => family.every((pid) => !isAlive(pid)), { timeoutMs: 20_000 });
    const gap = await felt(t, "killed and started again at once", made);
    assert.ok(gap.silence < noiseMs, "not felt");
  },
);

test("a service manager that ends what is left before it starts anew is done within seconds", limit, async (t) => {
  const made = await running(t);
  const { lan, one, node, directory } = made;
  const family = familyOf(node.program.pid);
  const began = performance.now();
  node.program.signal("SIGKILL");
  await node.program.exited();
  for (const pid of family) if (isAlive(pid)) process.kill(pid, "SIGTERM");
  await until("the end of all of it", () => family.every((pid) => !isAlive(pid)), { timeoutMs: 20_000 });
  const ended = performance.now() - began;
  const again = await startEvenkeel(t, one, webText("node1", 100), { directory });
  await again.mode("active");
  await answeredBy(lan.client, "node1");
  const gap = await felt(t, `killed, ended within ${(ended / 1000).toFixed(1)} s, started anew`, made);
  assert.ok(gap.silence < noiseMs, "not felt");
  assert.ok(ended < 10_000, `the last of it ended after ${ended} ms`);
});
