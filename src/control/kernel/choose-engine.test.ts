import assert from "node:assert/strict";
import { test } from "node:test";
import type { Layer4Listener } from "../../model/listener.ts";
import type { Balance } from "../../model/pool.ts";
import { asksForKernel, chooseEngines, type Machine, proxied } from "./choose-engine.ts";
import { planKernel } from "./plan.ts";
import { configOf, poolOf, targetOf, tcpOf, udpOf } from "./test-kit.ts";

const able: Machine = {
  obstacles: [],
  sysctls: {
    ipv4Forwarding: 1,
    ipv6Forwarding: 0,
    conntrackMax: 1,
    conntrackTcpLoose: 1,
    conntrackTcpBeLiberal: 0,
    routeLocalnet: new Map([["all", 0]]),
    reversePathFilter: new Map(),
  },
};
const denied: Machine = {
  ...able,
  obstacles: [{ code: "kernel.netAdmin", origin: "self", retrySafe: false, detail: "give it CAP_NET_ADMIN" }],
};

function choose(listener: Layer4Listener, machine: Machine | undefined, balance?: Balance, target = "10.1.0.1:80") {
  return chooseEngines(configOf([listener], [poolOf("app", [targetOf(target)], balance)]), machine);
}

test("the proxy is the proxy, and nobody asks the machine for its sake", () => {
  const listener = tcpOf("echo", "10.0.0.9", 80, { engine: "proxy" });
  assert.equal(asksForKernel(configOf([listener], [])), false);
  assert.deepEqual(choose(listener, undefined), {
    ok: true,
    chosen: [{ listener: "echo", engine: "proxy", reason: "asked for", fellBack: false }],
  });
});

test("auto is the kernel where configuration and machine allow it", () => {
  assert.deepEqual(choose(udpOf("dns", "10.0.0.9", 53, { engine: "auto" }), able), {
    ok: true,
    chosen: [{ listener: "dns", engine: "kernel", reason: "the kernel can carry it", fellBack: false }],
  });
});

test("auto is the proxy where one of them does not, and only the machine's lack is a fallback", () => {
  const listener = tcpOf("echo", "10.0.0.9", 80, { engine: "auto" });
  const byConfiguration = choose(listener, able, { policy: "leastConnections" });
  assert.ok(byConfiguration.ok);
  assert.deepEqual([byConfiguration.chosen[0]?.engine, byConfiguration.chosen[0]?.fellBack], ["proxy", false]);
  const byMachine = choose(listener, denied);
  assert.ok(byMachine.ok);
  assert.deepEqual(byMachine.chosen[0], {
    listener: "echo",
    engine: "proxy",
    reason: "give it CAP_NET_ADMIN",
    fellBack: true,
  });
});

test("the kernel asked for and impossible is refused, with every reason", () => {
  const refused = choose(tcpOf("echo", "10.0.0.9", 80), denied, { policy: "twoChoices" });
  assert.ok(!refused.ok);
  assert.equal(refused.failures[0]?.code, "kernel.impossible");
  assert.match(
    refused.failures[0]?.detail ?? "",
    /^listener echo: `engine: kernel` is impossible here: .*twoChoices.*; give it CAP_NET_ADMIN$/,
  );
});

test("a target that the kernel cannot reach is left out of a listener that asked for it, and no obstacle to the others", () => {
  const pools = [poolOf("app", [targetOf("10.1.0.1:80"), targetOf("[2001:db8::7]:80"), targetOf("[::1]:80")])];
  const listener = tcpOf("echo", "10.0.0.9", 80);
  const choices = chooseEngines(configOf([listener], pools), able);
  assert.deepEqual(choices, {
    ok: true,
    chosen: [
      {
        listener: "echo",
        engine: "kernel",
        reason: "asked for",
        fellBack: false,
        leftOut: ["[2001:db8::7]:80", "[::1]:80"],
      },
    ],
  });
  const { carried } = planKernel([listener], pools, { routeLocalnet: false, countTraffic: false });
  assert.deepEqual(
    carried[0]?.targets.map(({ address }) => address),
    ["10.1.0.1:80"],
  );
  const auto = chooseEngines(configOf([tcpOf("echo", "10.0.0.9", 80, { engine: "auto" })], pools), able);
  assert.ok(auto.ok);
  assert.equal(auto.chosen[0]?.engine, "proxy", "who may choose carries all of them");
});

test("what the sysctls forbid is named with the command that allows it, for the family that needs it", () => {
  const detail = (listener: Layer4Listener, machine: Machine, target?: string) => {
    const chosen = choose(listener, machine, undefined, target);
    return chosen.ok ? undefined : chosen.failures[0]?.detail;
  };
  const six = tcpOf("six", "2001:db8::9", 80);
  assert.match(detail(six, able, "[2001:db8::1]:80") ?? "", /sysctl -w net\.ipv6\.conf\.all\.forwarding=1/);
  assert.equal(detail(tcpOf("four", "10.0.0.9", 80), able), undefined);
  const local = /sysctl -w net\.ipv4\.conf\.all\.route_localnet=1/;
  assert.match(detail(tcpOf("here", "127.0.0.1", 80), able) ?? "", local);
  assert.match(detail(tcpOf("there", "10.0.0.9", 80), able, "127.0.0.1:80") ?? "", local);
  const routing: Machine = { ...able, sysctls: { ...able.sysctls, routeLocalnet: new Map([["all", 1]]) } };
  assert.equal(detail(tcpOf("here", "127.0.0.1", 80), routing), undefined);
  assert.match(
    detail(tcpOf("here", "127.0.0.1", 80, { preserveClientAddress: true }), routing) ?? "",
    /needs `preserveClientAddress: false`/,
  );
});

test("the workers carry what the kernel does not", () => {
  const listeners = [
    tcpOf("one", "10.0.0.9", 80, { engine: "auto" }),
    tcpOf("two", "10.0.0.9", 81, { engine: "proxy" }),
  ];
  const config = configOf(listeners, [poolOf("app", [targetOf("10.1.0.1:80")])]);
  const choices = chooseEngines(config, able);
  assert.ok(choices.ok);
  assert.deepEqual(
    proxied(config, choices.chosen).map(({ name }) => name),
    ["two"],
  );
});
