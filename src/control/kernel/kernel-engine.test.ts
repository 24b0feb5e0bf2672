// The driver over a machine that remembers what it was asked and fails when told to. Whether the kernel does what the texts
// say is seen in test/e2e/kernel-*.test.ts.

import assert from "node:assert/strict";
import { test } from "node:test";
import { bad, type Failure, good, type Result } from "../../core/failure.ts";
import type { Log } from "../../core/log.ts";
import type { ConnectionFilter, CounterValue, ElementChange } from "../../io/netfilter.ts";
import type { Layer4Listener } from "../../model/listener.ts";
import type { Target } from "../../model/pool.ts";
import type { Machine } from "./choose-engine.ts";
import { KernelEngine } from "./kernel-engine.ts";
import { configOf, poolOf, targetOf, tcpOf, udpOf } from "./test-kit.ts";

const able: Machine = {
  obstacles: [],
  sysctls: {
    ipv4Forwarding: 1,
    ipv6Forwarding: 1,
    conntrackMax: 1,
    conntrackTcpLoose: 1,
    conntrackTcpBeLiberal: 0,
    routeLocalnet: new Map(),
    reversePathFilter: new Map(),
  },
};

const refusal: Failure = { code: "nft.refused", origin: "self", retrySafe: false, detail: "no" };

/** A world in which everything succeeds, until a queue holds a failure. */
function world() {
  const done: string[] = [];
  const failing: { nft: Failure | undefined; elements: Failure | undefined } = { nft: undefined, elements: undefined };
  const unhealthy = new Set<string>();
  const logged: string[] = [];
  let listing: string | undefined;
  let taken: Failure | undefined;
  const note = (level: string) => (message: string) => {
    logged.push(`${level} ${message}`);
  };
  const log: Log = { debug: () => {}, info: note("info"), warn: note("warn"), error: note("error") };
  const engine = new KernelEngine({
    log,
    isHealthy: (_, address) => !unhealthy.has(address),
    ports: {
      readMachine: () => able,
      openNetfilter: () =>
        good({
          changeElements: (_: string, changes: readonly ElementChange[]): Result<true> => {
            if (failing.elements !== undefined) return bad(failing.elements);
            done.push(`elements ${changes.map(({ remove, add }) => `-${remove.length}+${add.length}`).join(" ")}`);
            return good(true);
          },
          readCounters: (): Result<ReadonlyMap<string, CounterValue>> => good(new Map()),
          deleteConnections: (filter: ConnectionFilter): Result<number> => {
            const { target, called, direct } = filter;
            done.push(`delete ${direct ? "direct " : ""}${called?.host ?? ""}:${called?.port ?? ""} ${target.host}`);
            return good(0);
          },
          deleteEach: (filters: readonly ConnectionFilter[]): Result<number> => {
            done.push(`delete each ${filters.map(({ target, direct }) => `${direct ? "direct " : ""}${target.host}`)}`);
            return good(0);
          },
          countConnections: (): Result<number> => good(0),
          countEach: (filters: readonly ConnectionFilter[]): Result<readonly number[]> => good(filters.map(() => 0)),
          close: () => {
            done.push("close");
          },
        }),
      applyRuleset: async (text): Promise<Result<true>> => {
        if (failing.nft !== undefined) return bad(failing.nft);
        done.push(kindOf(text));
        return good(true);
      },
      listTable: async () => good(listing),
      probeAddress: () => (taken === undefined ? good(true) : bad(taken)),
      localAddresses: () => ["10.0.0.9", "127.0.0.1"],
    },
  });
  return {
    engine,
    done,
    failing,
    unhealthy,
    logged,
    setListing: (text: string | undefined) => {
      listing = text;
    },
    setTaken: (failure: Failure | undefined) => {
      taken = failure;
    },
  };
}

/** What a transaction is for, by what stands in it. */
function kindOf(text: string): string {
  if (/^delete table/m.test(text)) return /^table/m.test(text) ? "replace" : "remove";
  if (/^table/m.test(text)) return "base";
  if (/(?:add|delete) element inet evenkeel (?:bind|any)/.test(text)) return "switch";
  return /^add|^flush (?:map|set)/m.test(text) ? "prepare" : "clean";
}

type World = ReturnType<typeof world>;

async function takeUp({ engine }: World, listeners: readonly Layer4Listener[], targets: readonly Target[]) {
  const judged = engine.judge(configOf(listeners, [poolOf("app", targets)]), new Set());
  assert.ok(judged.ok);
  const prepared = await engine.prepare(judged.value);
  if (!prepared.ok) return prepared.failure;
  await engine.commit(prepared.value);
  return undefined;
}

/** Behind whatever was put off to the next turns of the event loop. */
async function settled(): Promise<void> {
  for (let turn = 0; turn < 20; turn++) await new Promise((resolve) => setImmediate(resolve));
}

const echo = tcpOf("echo", "10.0.0.9", 80);
const first = targetOf("10.1.0.1:80");
const second = targetOf("10.1.0.2:80");

test("a node without layer 4 touches nothing, at start and at its end", async () => {
  const all = world();
  assert.equal(await takeUp(all, [], []), undefined);
  all.engine.drain(0, { keep: false });
  await all.engine.ended();
  assert.deepEqual(all.done, ["close"]);
});

test("start, flips of health within one event as one, end", async () => {
  const all = world();
  await takeUp(all, [echo], [first, second]);
  assert.deepEqual(all.done.splice(0), ["base", "switch"]);
  all.unhealthy.add(first.address);
  all.engine.targetChanged("app");
  all.engine.targetChanged("app");
  all.engine.targetChanged("other");
  await settled();
  assert.deepEqual(all.done.splice(0), ["elements -512+512", "delete 10.0.0.9:80 10.1.0.1"]);
  all.engine.drain(1_000, { keep: false });
  await all.engine.ended();
  assert.deepEqual(all.done, ["switch", "remove", "close"]);
});

test("a target that is back before its connections are looked for keeps them", async () => {
  const all = world();
  await takeUp(all, [echo], [first, second]);
  all.done.length = 0;
  all.unhealthy.add(first.address);
  all.engine.targetChanged("app");
  await new Promise((resolve) => setImmediate(resolve));
  all.unhealthy.delete(first.address);
  all.engine.targetChanged("app");
  await settled();
  assert.ok(all.done.every((what) => what.startsWith("elements") || what.startsWith("delete")));
  all.engine.drain(0, { keep: false });
});

test("rules are kept where that is asked for", async () => {
  const all = world();
  await takeUp(all, [echo], [first]);
  all.done.length = 0;
  all.engine.drain(1_000, { keep: true });
  await all.engine.ended();
  assert.deepEqual(all.done, ["close"]);
});

test("what cannot be prepared is refused, and what was goes on", async () => {
  const all = world();
  await takeUp(all, [echo], [first, second]);
  all.done.length = 0;
  all.failing.nft = refusal;
  assert.equal(await takeUp(all, [echo, udpOf("dns", "10.0.0.9", 53)], [first, second]), refusal);
  all.failing.nft = undefined;
  all.unhealthy.add(second.address);
  all.engine.targetChanged("app");
  await settled();
  assert.equal(all.done[0], "elements -512+512");
  assert.equal(all.engine.status().chosen.length, 1);
  all.engine.drain(0, { keep: false });
});

test("a flip that fails is told in status, and the table written anew", async (t) => {
  t.mock.timers.enable({ apis: ["setInterval"] });
  const all = world();
  await takeUp(all, [echo], [first, second]);
  all.done.length = 0;
  all.failing.elements = { ...refusal, code: "netfilter.notFound", detail: "gone" };
  all.unhealthy.add(first.address);
  all.engine.targetChanged("app");
  await settled();
  assert.equal(all.engine.status().failure, "gone");
  all.failing.elements = undefined;
  t.mock.timers.tick(2_000);
  await settled();
  assert.equal(all.engine.status().failure, undefined);
  assert.deepEqual(all.done.slice(0, 2), ["base", "switch"]);
  assert.ok(all.logged.includes("warn kernel rules restored"));
  all.engine.drain(0, { keep: false });
});

test("a table of another layout is replaced in one transaction", async () => {
  const all = world();
  all.setListing("table inet evenkeel {\n\tchain layout-0 {\n\t}\n}\n");
  await takeUp(all, [echo], [first]);
  assert.deepEqual(all.done.slice(0, 2), ["replace", "switch"]);
  all.engine.drain(0, { keep: false });
});

test("flows that nobody took are forgotten when a UDP listener comes and when its first target does", async () => {
  const all = world();
  await takeUp(all, [udpOf("dns", "0.0.0.0", 53)], [first]);
  await settled();
  assert.deepEqual(all.done.splice(0), ["base", "switch", "delete each direct 10.0.0.9,direct 127.0.0.1"]);
  all.unhealthy.add(first.address);
  all.engine.targetChanged("app");
  await settled();
  assert.deepEqual(all.done.splice(0), ["elements -1024+0", "delete :53 10.1.0.1"]);
  all.unhealthy.clear();
  all.engine.targetChanged("app");
  await settled();
  assert.deepEqual(all.done.splice(0), ["elements -0+1024", "delete each direct 10.0.0.9,direct 127.0.0.1"]);
  all.engine.drain(0, { keep: false });
});

test("an address that another program has is refused with the listener's name; one that is not here is none of it", () => {
  const all = world();
  const config = configOf([echo], [poolOf("app", [first])]);
  all.setTaken({ ...refusal, code: "listener.bind.addressNotAvailable" });
  assert.equal(all.engine.judge(config, new Set()).ok, true);
  all.setTaken({ ...refusal, code: "listener.bind.inUse", detail: "in use" });
  const judged = all.engine.judge(config, new Set());
  assert.ok(!judged.ok);
  assert.equal(judged.failures[0]?.detail, "listener echo: in use");
});
