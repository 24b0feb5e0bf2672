// More than two nodes, more than one address: who has the addresses when nodes go one after the other, and what speaking every
// ten milliseconds costs.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { pause, until } from "./kit.ts";
import {
  answeredBy,
  call,
  type Heard,
  hasAddress,
  longestSilence,
  needsKeepalived,
  routerText,
  site,
  startEvenkeel,
  startKeepalived,
  vip4,
} from "./vrrp-kit.ts";

const limit = { timeout: 120_000, skip: needsKeepalived };
const fast = { version: 3, interval: "100ms" } as const;
const several = [`${vip4}/32`, "10.46.0.101/32", "10.46.0.102/24"];

test("three nodes hand several addresses down the line, the last of them keepalived", limit, async (t) => {
  const lan = await site(t, 3);
  const [one, two, three] = lan.nodes;
  assert.ok(one !== undefined && two !== undefined && three !== undefined);
  const [first, second] = await Promise.all([
    startEvenkeel(t, one, routerText({ priority: 110, ...fast, addresses: several })),
    startEvenkeel(t, two, routerText({ priority: 100, ...fast, addresses: several })),
  ]);
  startKeepalived(t, three, { priority: 90, version: 3, interval: 0.1, addresses: several });
  await first.mode("active");
  await call(lan.client, vip4);
  await answeredBy(lan.client, "node1");
  await lan.client.ask("forget");
  first.program.signal("SIGTERM");
  await answeredBy(lan.client, "node2");
  await second.mode("active");
  for (const address of [vip4, "10.46.0.101", "10.46.0.102"]) {
    assert.ok(await hasAddress(t, two, address), address);
    await until(`${address} is gone`, async () => !(await hasAddress(t, one, address)));
  }
  second.program.signal("SIGTERM");
  await answeredBy(lan.client, "node3");
  const heard = await lan.client.ask<readonly Heard[]>("answers");
  t.diagnostic(`two stops in order: longest silence ${longestSilence(heard).toFixed(1)} ms`);
  assert.ok(await hasAddress(t, two, "10.46.0.2"), "the machine's own address is untouched");
});

/** User and system time of a process, in milliseconds. */
function cpuMs(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, "latin1");
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return (Number(fields[11]) + Number(fields[12])) * 10;
}

test("a node that says so every 10 ms is alone heard, and costs little", limit, async (t) => {
  const lan = await site(t, 1);
  const [one] = lan.nodes;
  assert.ok(one !== undefined);
  const node = await startEvenkeel(t, one, routerText({ priority: 100, version: 3, interval: "10ms" }));
  await node.mode("active");
  const { vrrp, guardian } = await node.pids();
  const sent = (await node.router()).advertisementsSent;
  const [own, guarding] = [cpuMs(vrrp), cpuMs(guardian)];
  await pause(5_000);
  const count = (await node.router()).advertisementsSent - sent;
  t.diagnostic(
    `5 s at 10 ms: ${count} advertisements, CPU ${cpuMs(vrrp) - own} ms, its guardian ${cpuMs(guardian) - guarding} ms`,
  );
  assert.equal((await node.router()).takeovers, 1);
  assert.ok(count > 450);
});
