// Each kind of track through the whole program: what it watches fails, the address is at the other node, and back when it works
// again. Prints how long each took.

import assert from "node:assert/strict";
import { rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { type Program, temporaryDirectory, until } from "./kit.ts";
import { echoTarget } from "./netns-kit.ts";
import { hasAddress, needsKeepalived, routerText, type SharedNode, site, startEvenkeel, vip4 } from "./vrrp-kit.ts";

const limit = { timeout: 180_000, skip: needsKeepalived };
const targetPort = 9_001;
const fast = { version: 3, interval: "100ms" } as const;

type Failing = { readonly name: string; fail(): unknown; mend(): unknown };

async function at(t: TestContext, node: SharedNode, what: string): Promise<void> {
  await until(what, () => hasAddress(t, node), { timeoutMs: 20_000 });
}

test("every kind of track moves the address when it fails, and lets it come back", limit, async (t) => {
  const folder = temporaryDirectory(t);
  const lan = await site(t);
  const [one, other] = lan.nodes;
  assert.ok(one !== undefined && other !== undefined);
  // The router of the network is the client's machine.
  const gateway = "10.46.0.200";
  const path = (name: string) => join(folder, name);
  writeFileSync(path("ok"), "");
  let target = (await echoTarget(t, one.machine, targetPort)).program;
  let sleeper: Program = one.machine.start(t, "sleep", ["777"]);
  const tracks = `
    command: { command: [/usr/bin/test, -e, ${path("ok")}], interval: 100ms }
    process: { process: sleep, match: "777", interval: 100ms }
    file: { file: ${path("broken")}, upWhen: absent, interval: 100ms }
    router: { gateway: ${gateway}, interface: eth0, interval: 200ms, timeout: 150ms, fall: 2 }
    check: { address: "127.0.0.1:${targetPort}", healthCheck: { type: tcp, interval: 100ms, fall: 2, rise: 1 } }`;
  const text = `${routerText({
    priority: 100,
    ...fast,
    more: "track: [command, process, file, router, check, balancer:app, interface:eth0]",
  })
    .replace("ha: {", "")
    .replace(/ \}$/, "")}`;
  const body = `pools:
  app: { targets: { "127.0.0.1:${targetPort}": {} }, healthCheck: { type: tcp, interval: 100ms, fall: 2, rise: 1 } }
listeners:
  web: { bind: "0.0.0.0:8080", protocol: tcp, pool: app }
ha:
  tracks:${tracks}
 ${text}`;
  const node = await startEvenkeel(t, one, body);
  await node.mode("active");
  await startEvenkeel(t, other, routerText({ priority: 90, ...fast }));
  const restart = async () => {
    target = (await echoTarget(t, one.machine, targetPort)).program;
  };
  const failings: readonly Failing[] = [
    { name: "command", fail: () => rmSync(path("ok")), mend: () => writeFileSync(path("ok"), "") },
    {
      name: "process",
      fail: () => sleeper.signal("SIGKILL"),
      mend: () => (sleeper = one.machine.start(t, "sleep", ["777"])),
    },
    { name: "file", fail: () => writeFileSync(path("broken"), ""), mend: () => rmSync(path("broken")) },
    {
      name: "gateway",
      fail: () => lan.clientMachine.sysctl({ "net.ipv4.conf.eth0.arp_ignore": 8 }),
      mend: () => lan.clientMachine.sysctl({ "net.ipv4.conf.eth0.arp_ignore": 0 }),
    },
    { name: "tcp check and the balancer's pool", fail: () => target.signal("SIGKILL"), mend: restart },
    { name: "interface", fail: () => lan.link(0, "down"), mend: () => lan.link(0, "up") },
  ];
  for (const { name, fail, mend } of failings) {
    const began = performance.now();
    await fail();
    await at(t, other, `${name}: the address at the other node`);
    const moved = performance.now() - began;
    await until("none here", async () => !(await hasAddress(t, one, vip4)));
    if (name.startsWith("tcp")) {
      const { degraded } = await node.status();
      assert.ok(
        degraded.some((sentence) => /track (check|balancer:app) is down/.test(sentence)),
        degraded.join("\n"),
      );
    }
    await mend();
    await at(t, one, `${name}: the address back`);
    t.diagnostic(`${name}: moved ${moved.toFixed(0)} ms after it failed`);
  }
});
