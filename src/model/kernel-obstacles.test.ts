import assert from "node:assert/strict";
import { test } from "node:test";
import { findKernelObstacles, type KernelCandidate, type KernelPool, kernelObstacles } from "./kernel-obstacles.ts";
import type { Balance } from "./pool.ts";

const off = { receive: false, trustedProxies: [], send: "off" } as const;
const any = { kind: "any" } as const;

function tcp(change: Partial<Extract<KernelCandidate, { protocol: "tcp" }>> = {}): KernelCandidate {
  const bind = { host: "10.0.4.99", port: 80 };
  return { protocol: "tcp", bind, proxyProtocol: off, routes: [{ host: any, pool: "app" }], ...change };
}

function pool(balance: Balance, hosts: readonly string[] = ["10.0.0.1", "10.0.0.2"], connectionsMax = 0): KernelPool {
  return {
    name: "app",
    balance,
    slowStart: 0,
    targets: hosts.map((host) => ({
      address: host.includes(":") ? `[${host}]:80` : `${host}:80`,
      host,
      connectionsMax,
      slowStart: 0,
    })),
  };
}

const roundRobin: Balance = { policy: "roundRobin" };

test("the kernel carries one pool of the bind's family in turn, at random or by the client's address", () => {
  const byAddress: Balance = { policy: "consistentHash", key: { kind: "clientAddress" } };
  for (const balance of [roundRobin, { policy: "random" }, byAddress] as const) {
    assert.deepEqual(kernelObstacles(tcp(), [pool(balance)]), []);
  }
  const bind = { host: "::", port: 53 };
  const udp: KernelCandidate = { protocol: "udp", bind, pool: "app", responsesMax: undefined };
  assert.deepEqual(kernelObstacles(udp, [pool(roundRobin, ["2001:db8::1"])]), []);
});

test("every policy that needs more than an address is an obstacle", () => {
  const policies = ["leastConnections", "twoChoices", "ipHash"] as const;
  for (const policy of policies) {
    const [reason, ...more] = kernelObstacles(tcp(), [pool({ policy })]);
    assert.match(String(reason), new RegExp(`as \`${policy}\` of pool \`app\` needs$`));
    assert.deepEqual(more, []);
  }
  for (const key of [{ kind: "path" }, { kind: "host" }, { kind: "header", name: "x-user" }] as const) {
    assert.equal(kernelObstacles(tcp(), [pool({ policy: "consistentHash", key })]).length, 1);
  }
});

test("a slow start is an obstacle, the pool's own before a target's, but where the address decides", () => {
  const slow = { ...pool(roundRobin), slowStart: 30_000 };
  const [ofPool, ...more] = findKernelObstacles(tcp(), [slow]);
  assert.deepEqual(ofPool, {
    at: { part: "slowStart", pool: "app", address: undefined },
    reason: "the kernel lets no target's share grow, as `slowStart` of pool `app` wants",
    instead: "no `slowStart`",
  });
  assert.deepEqual(more, []);
  const { targets, ...rest } = pool({ policy: "random" });
  const one = { ...rest, targets: targets.map((target, index) => ({ ...target, slowStart: index * 1_000 })) };
  const [ofTarget] = findKernelObstacles(tcp(), [one]);
  assert.deepEqual(ofTarget?.at, { part: "slowStart", pool: "app", address: "10.0.0.2:80" });
  assert.match(String(ofTarget?.reason), /`slowStart` of target `10\.0\.0\.2:80` of pool `app` wants$/);
  const byAddress: Balance = { policy: "consistentHash", key: { kind: "clientAddress" } };
  assert.deepEqual(kernelObstacles(tcp(), [{ ...slow, balance: byAddress }]), []);
});

test("a pool of another listener is no obstacle, nor is one that is not there", () => {
  const other = { ...pool({ policy: "leastConnections" }, ["::1"], 5), name: "other" };
  assert.deepEqual(kernelObstacles(tcp(), [other]), []);
  assert.deepEqual(kernelObstacles(tcp(), []), []);
});

test("each obstacle names its place, and the first of many targets stands for all", () => {
  const name = { kind: "suffix", suffix: ".example" } as const;
  const listener = tcp({
    bind: { host: "::1", port: 80 },
    proxyProtocol: { ...off, receive: true, send: "v1" },
    routes: [
      { host: any, pool: "app" },
      { host: name, pool: "app" },
    ],
  });
  const found = findKernelObstacles(listener, [pool(roundRobin, ["10.0.0.1", "::1", "10.0.0.2"], 7)]);
  assert.deepEqual(
    found.map(({ at }) => at),
    [
      { part: "route", index: 1 },
      { part: "listener", keys: ["proxyProtocol", "receive"] },
      { part: "listener", keys: ["proxyProtocol", "send"] },
      { part: "listener", keys: ["bind"] },
      { part: "target", pool: "app", address: "10.0.0.1:80" },
      { part: "target", pool: "app", address: "[::1]:80" },
      { part: "target", pool: "app", address: "10.0.0.1:80" },
    ],
  );
  const reasons = kernelObstacles(listener, [pool(roundRobin, ["10.0.0.1", "::1", "10.0.0.2"], 7)]);
  assert.deepEqual(
    reasons,
    found.map(({ reason }) => reason),
  );
  assert.match(String(reasons[4]), /IPv6 clients .* `10\.0\.0\.1:80` of pool `app` \(and 1 more\)$/);
  assert.match(String(reasons[6]), /`maxConnections`: target `10\.0\.0\.1:80` of pool `app` \(and 2 more\)$/);
});

test("counted responses are an obstacle, none expected among them", () => {
  const bind = { host: "0.0.0.0", port: 53 };
  for (const responsesMax of [0, 1]) {
    assert.equal(kernelObstacles({ protocol: "udp", bind, pool: "app", responsesMax }, [pool(roundRobin)]).length, 1);
  }
});
