// evenkeel and real keepalived as two nodes of one virtual router, in every dialect that both speak: each takes over from the
// other, resigns to it and takes back, as from its own kind.

import assert from "node:assert/strict";
import { test } from "node:test";
import { until } from "./kit.ts";
import {
  answeredBy,
  call,
  type Heard,
  hasAddress,
  type KeepalivedOptions,
  longestSilence,
  needsKeepalived,
  routerText,
  site,
  startEvenkeel,
  startKeepalived,
  vip4,
  vip6,
  watchAdvertisements,
} from "./vrrp-kit.ts";

const limit = { timeout: 120_000, skip: needsKeepalived };

type Dialect = {
  readonly name: string;
  readonly keepalived: Omit<KeepalivedOptions, "priority">;
  readonly evenkeel: Omit<Parameters<typeof routerText>[0], "priority">;
};

const dialects: readonly Dialect[] = [
  { name: "version 2", keepalived: {}, evenkeel: {} },
  { name: "version 2 with PASS", keepalived: { password: "s3cr3t" }, evenkeel: { more: "password: s3cr3t" } },
  {
    name: "version 2, unicast",
    keepalived: { source: "10.46.0.2", peers: ["10.46.0.1"] },
    evenkeel: { more: "unicastPeers: [10.46.0.2]" },
  },
  {
    name: "version 3 at 100 ms",
    keepalived: { version: 3, interval: 0.1 },
    evenkeel: { version: 3, interval: "100ms" },
  },
  {
    name: "version 3 at 10 ms",
    keepalived: { version: 3, interval: 0.01 },
    evenkeel: { version: 3, interval: "10ms" },
  },
  {
    name: "version 3, unicast",
    keepalived: { version: 3, interval: 0.1, source: "10.46.0.2", peers: ["10.46.0.1"] },
    evenkeel: { version: 3, interval: "100ms", more: "unicastPeers: [10.46.0.2]" },
  },
  {
    name: "version 3 over IPv6",
    keepalived: { version: 3, interval: 0.1, family: 6 },
    evenkeel: { version: 3, interval: "100ms", family: 6 },
  },
  {
    name: "version 3 over IPv6, unicast",
    keepalived: { version: 3, interval: 0.1, family: 6, source: "fd46::2", peers: ["fd46::1"] },
    // keepalived sends these with the interface's own hop limit, 64.
    evenkeel: {
      version: 3,
      interval: "100ms",
      family: 6,
      more: 'unicastPeers: [{ address: "fd46::2", ttlMin: 64 }]',
    },
  },
];

/** From where they speak over IPv6: unicast from global addresses, multicast from link-local ones. */
function unicastOr6({ more = "" }: Dialect["evenkeel"]): readonly [string, string] {
  return more.includes("unicastPeers") ? ["fd46::1", "fd46::2"] : ["fe80::1", "fe80::2"];
}

async function silenceOf(heard: Promise<readonly Heard[]>): Promise<string> {
  return `${longestSilence(await heard).toFixed(1)} ms`;
}

for (const { name, keepalived, evenkeel } of dialects) {
  test(`${name}: evenkeel preempts, resigns unfelt, and takes back`, limit, async (t) => {
    const lan = await site(t);
    const [one, other] = lan.nodes;
    assert.ok(one !== undefined && other !== undefined);
    const address = evenkeel.family === 6 ? vip6 : vip4;
    const watch = await watchAdvertisements(t, lan);
    const rival = startKeepalived(t, other, { priority: 90, ...keepalived });
    await call(lan.client, address);
    await answeredBy(lan.client, "node2");
    const text = routerText({ priority: 100, ...evenkeel });
    await lan.client.ask("forget");
    const node = await startEvenkeel(t, one, text);
    await node.mode("active");
    await answeredBy(lan.client, "node1");
    const preempting = await silenceOf(lan.client.ask("answers"));
    const { peers, dropped } = await node.router();
    assert.equal(peers.at(-1)?.priority, 90, `what the other one said last; dropped ${JSON.stringify(dropped)}`);
    assert.equal(await hasAddress(t, other, address), false);
    await lan.client.ask("forget");
    node.program.signal("SIGTERM");
    await node.program.exited();
    await answeredBy(lan.client, "node2");
    const graceful = await silenceOf(lan.client.ask("answers"));
    assert.equal(await hasAddress(t, one, address), false);
    const back = await startEvenkeel(t, one, text);
    await back.mode("active");
    await answeredBy(lan.client, "node1");
    // keepalived found nothing to complain about.
    assert.doesNotMatch(rival.stderr() + rival.stdout(), /invalid|mismatch|incorrect|bad|wrong|ignor|unexpected/i);
    if (watch !== undefined) {
      const [ours, theirs] = evenkeel.family === 6 ? unicastOr6(evenkeel) : ["10.46.0.1", "10.46.0.2"];
      await until("tshark to have seen both", () => watch.seen(ours) > 3 && watch.seen(theirs) > 0);
      assert.deepEqual(watch.complaints(), [], "tshark is content with every packet");
      t.diagnostic(
        `tshark: ${watch.seen(ours)} advertisements of ours, ${watch.seen(theirs)} of keepalived, no complaint`,
      );
    }
    t.diagnostic(`longest silence: preemption ${preempting}, graceful stop ${graceful}`);
  });
}

test("evenkeel as backup takes over when keepalived stops or dies, and yields when it is back", limit, async (t) => {
  const lan = await site(t);
  const [one, other] = lan.nodes;
  assert.ok(one !== undefined && other !== undefined);
  const node = await startEvenkeel(t, one, routerText({ priority: 90, version: 3, interval: "100ms" }));
  const dialect = { priority: 100, version: 3, interval: 0.1 } as const;
  await node.mode("active");
  await call(lan.client, vip4);
  await answeredBy(lan.client, "node1");
  const first = startKeepalived(t, other, dialect);
  await answeredBy(lan.client, "node2");
  assert.equal((await node.mode("backup")).cause, "higherPriority");
  assert.equal(await hasAddress(t, one), false);
  await lan.client.ask("forget");
  first.signal("SIGTERM");
  await answeredBy(lan.client, "node1");
  t.diagnostic(`keepalived stopped: longest silence ${await silenceOf(lan.client.ask("answers"))}`);
  assert.equal((await node.mode("active")).cause, "resignation");
  startKeepalived(t, other, dialect);
  await answeredBy(lan.client, "node2");
  await lan.client.ask("forget");
  lan.link(1, "down");
  await answeredBy(lan.client, "node1");
  t.diagnostic(`keepalived cut off: longest silence ${await silenceOf(lan.client.ask("answers"))}`);
  assert.equal((await node.mode("active")).cause, "silence");
});

test(
  "a keepalived that is configured apart is named by its counter, and in the log once a minute",
  limit,
  async (t) => {
    const lan = await site(t);
    const [one, other] = lan.nodes;
    assert.ok(one !== undefined && other !== undefined);
    startKeepalived(t, other, { priority: 100, password: "theirs" });
    await call(lan.client, vip4);
    await answeredBy(lan.client, "node2");
    const node = await startEvenkeel(t, one, routerText({ priority: 90, more: "password: ours" }));
    await until("dropped advertisements", async () => {
      const { dropped } = await node.router();
      return (dropped["vrrp.authentication.password"] ?? 0) > 1;
    });
    const lines = node.logged("advertisement dropped");
    assert.deepEqual(
      lines.map((line) => [line["code"], line["source"]]),
      [["vrrp.authentication.password", "10.46.0.2"]],
    );
  },
);
