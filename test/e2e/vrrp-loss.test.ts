// A network that loses 30% of all advertisements for a minute moves no address, at the intervals that are the default: the
// active node says each advertisement several times. A keepalived that is active says it once, so beside it a backup must
// be more patient. The pairs of nodes lose side by side, in the same minute.

import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { pause, until } from "./kit.ts";
import { noProgram } from "./netns-kit.ts";
import {
  answeredBy,
  call,
  type Heard,
  needsKeepalived,
  routerText,
  type SharedNode,
  site,
  startEvenkeel,
  startKeepalived,
  vip4,
} from "./vrrp-kit.ts";

const limit = { timeout: 200_000, skip: needsKeepalived || noProgram("nft", "nftables") };
const lossyMs = 60_000;

type Start = (t: TestContext, at: SharedNode, priority: number) => Promise<unknown>;

const ours =
  (version: 2 | 3, more = ""): Start =>
  (t, at, priority) =>
    startEvenkeel(t, at, routerText({ priority, version, more }));
const theirs: Start = (t, at, priority) => Promise.resolve(startKeepalived(t, at, { priority }));

const pairs: readonly { readonly name: string; readonly active: Start; readonly backup: Start }[] = [
  { name: "evenkeel, keepalived behind it, version 2", active: ours(2), backup: theirs },
  { name: "evenkeel and evenkeel, version 2", active: ours(2), backup: ours(2) },
  { name: "evenkeel and evenkeel, version 3", active: ours(3), backup: ours(3) },
  {
    name: "keepalived, behind it evenkeel with downAdvertisements 12",
    active: theirs,
    backup: ours(2, "downAdvertisements: 12"),
  },
];

const chain = "add chain ip loss in { type filter hook input priority -300; }";
const counted = "add rule ip loss in ip protocol 112 counter";
const dropped = "add rule ip loss in ip protocol 112 numgen random mod 100 < 30 counter drop";

async function lose(t: TestContext, at: SharedNode): Promise<void> {
  for (const line of ["add table ip loss", chain, counted, dropped]) {
    const done = await at.machine.run(t, "nft", [line]);
    assert.equal(done.code, 0, done.stderr);
  }
}

/** Of how many advertisements how many were lost. */
async function losses(t: TestContext, at: SharedNode): Promise<readonly [number, number]> {
  const shown = await at.machine.run(t, "nft", ["list", "chain", "ip", "loss", "in"]);
  const [all = 0, lost = 0] = [...shown.stdout.matchAll(/counter packets (\d+)/g)].map((match) => Number(match[1]));
  return [lost, all];
}

async function sitOut(t: TestContext, { name, active, backup }: (typeof pairs)[number]): Promise<void> {
  const lan = await site(t);
  const [one, other] = lan.nodes;
  assert.ok(one !== undefined && other !== undefined);
  await active(t, one, 100);
  await call(lan.client, vip4);
  await answeredBy(lan.client, "node1");
  await backup(t, other, 90);
  await Promise.all([lose(t, one), lose(t, other)]);
  await until("the first loss", async () => (await losses(t, other))[0] > 0);
  await lan.client.ask("forget");
  await pause(lossyMs);
  const [lost, all] = await losses(t, other);
  const heard = await lan.client.ask<readonly Heard[]>("answers");
  const others = heard.filter(({ by }) => by !== "node1").length;
  t.diagnostic(
    `${name}: ${lost} of ${all} advertisements lost in 60 s; ${heard.length} answers, ${others} of the backup`,
  );
  // A minute of answers every two milliseconds, less what a busy machine leaves out.
  assert.ok(heard.length > lossyMs / 10, "the client was answered");
  assert.ok(lost / all > 0.1, "the network lost");
  assert.equal(others, 0, name);
}

test("a loss of 30% for 60 s changes no active node", limit, async (t) => {
  await Promise.all(pairs.map((pair) => sitOut(t, pair)));
});
