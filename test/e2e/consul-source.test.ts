// Sources against a real Consul: a cluster of three servers on the loopback address that loses its leader, most of its
// servers and all of them, hangs, begins anew; and the lists that arrive.

import assert from "node:assert/strict";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { performance } from "node:perf_hooks";
import { after, before, describe, test } from "node:test";
import { SourceWatches } from "../../src/control/targets/source-watches.ts";
import type { Failure } from "../../src/core/failure.ts";
import type { LogFields } from "../../src/core/log.ts";
import type { Pool } from "../../src/model/pool.ts";
import type { ConsulKvSource, ConsulServiceSource, Source } from "../../src/model/source.ts";
import type { SourceReading } from "../../src/sources/source.ts";
import { type ConsulCluster, consulMissing, startConsul } from "./consul-kit.ts";
import { atEnd, type Scope, temporaryDirectory, until } from "./kit.ts";

const folder = "upstreams/app/";

function rules(endpoints: readonly string[]) {
  return {
    endpoints,
    tokenFile: undefined,
    datacenter: undefined,
    tls: undefined,
    // Short, so that a server that hangs is noticed in a test's time.
    wait: 2_000,
    required: false,
    startTimeout: 10_000,
    requestTimeout: 1_000,
    retry: { first: 100, most: 1_000 },
    dump: { path: undefined, format: "json" },
  } as const;
}

function kv(endpoints: readonly string[], changes: Partial<ConsulKvSource> = {}): ConsulKvSource {
  return { type: "consul", prefix: folder, ...rules(endpoints), ...changes };
}

function poolOf(source: Source): Pool {
  const balance = { policy: "roundRobin" as const };
  return {
    name: "app",
    balance,
    targets: [],
    source,
    slowStart: 0,
    healthCheck: undefined,
    idleConnectionsMax: 1,
    idleTimeout: 1_000,
  };
}

/** The targets as text: `10.0.0.1:80`, with `*3` for a weight and `!` for one that is down. */
function shown(reading: SourceReading | undefined): string {
  const texts = reading?.targets.map(
    ({ address, weight, intent }) => `${address}${weight === 1 ? "" : `*${weight}`}${intent === "up" ? "" : "!"}`,
  );
  return texts?.join(" ") ?? "nothing";
}

type Watched = {
  readonly failures: readonly Failure[];
  readonly watches: SourceWatches;
  readonly lines: readonly string[];
  /** When each reading was told, by performance.now. */
  readonly told: readonly { readonly atMs: number; readonly text: string }[];
  readonly last: () => string;
  arrives(text: string, timeoutMs?: number): Promise<void>;
};

async function watch(scope: Scope, source: Source, stateDirectory = temporaryDirectory(scope)): Promise<Watched> {
  const told: { readonly atMs: number; readonly text: string }[] = [];
  const lines: string[] = [];
  const line = (message: string, fields: LogFields = {}) => lines.push(`${message} ${JSON.stringify(fields)}`);
  const watches = new SourceWatches({
    log: { debug: line, info: line, warn: line, error: line },
    clock: () => performance.now(),
    wallClock: () => Date.now(),
    random: Math.random,
    tell: (_, reading) => told.push({ atMs: performance.now(), text: shown(reading) }),
  });
  atEnd(scope, () => watches.close());
  const failures = await watches.prepare([poolOf(source)], stateDirectory);
  if (failures.length === 0) watches.commit();
  const last = () => told.at(-1)?.text ?? "nothing";
  return {
    failures,
    watches,
    lines,
    told,
    last,
    arrives: async (text, timeoutMs = 30_000) => {
      await until(`the list "${text}"`, () => last() === text, {
        timeoutMs,
        everyMs: 2,
        onTimeout: () => `last: "${last()}"\n${lines.join("\n")}`,
      });
    },
  };
}

const key = (address: string) => `${folder}${address}`;

describe("a Consul cluster of three", { skip: consulMissing }, () => {
  let consul: ConsulCluster;
  const suite = { after };
  // Here, not within `before`, whose own end it would otherwise be bound to.
  atEnd(suite, () => {});
  before(async () => {
    consul = await startConsul(suite);
  });

  /** Leaves only these below the folder. */
  async function set(entries: Readonly<Record<string, string>>): Promise<void> {
    await consul.delete(`${folder}?recurse`);
    for (const [address, value] of Object.entries(entries)) await consul.put(key(address), value);
  }

  test("entries arrive as upsync means them, damaged ones keep their last good reading, the last one can go", async (t) => {
    await set({ "10.0.0.1:80": "", "10.0.0.2:80": '{"weight":"5","max_fails":2,"fail_timeout":10,"down":1}' });
    const { arrives, watches } = await watch(t, kv(consul.endpoints));
    await arrives("10.0.0.1:80 10.0.0.2:80*5!");
    await consul.put(key("10.0.0.2:80"), '{"weight":7');
    await consul.put(key("canary/10.0.0.9:80"), "");
    await consul.put(key("folder/"), "");
    await until("the damage", () => watches.status()[0]?.damaged.length === 2);
    assert.deepEqual(
      watches.status()[0]?.damaged.map(({ key: damaged, code, kept }) => [damaged, code, kept]),
      [
        [key("10.0.0.2:80"), "source.entry.json", true],
        [key("canary/10.0.0.9:80"), "source.entry.address", false],
      ],
    );
    await consul.put(key("10.0.0.2:80"), '{"weight":7}');
    await arrives("10.0.0.1:80 10.0.0.2:80*7");
    await consul.delete(key("canary/10.0.0.9:80"));
    await consul.delete(key("10.0.0.1:80"));
    await arrives("10.0.0.2:80*7");
    await consul.delete(`${folder}?recurse`);
    await arrives("");
    const status = watches.status()[0];
    assert.deepEqual([status?.targets, status?.damaged, status?.connected], [0, [], true]);
    await consul.put(key("10.0.0.3:80"), "");
    await arrives("10.0.0.3:80");
  });

  test("each change arrives within milliseconds, also the second of two", async (t) => {
    await set({});
    const { arrives, told } = await watch(t, kv(consul.endpoints));
    const first: number[] = [];
    const second: number[] = [];
    for (let round = 1; round <= 40; round++) {
      for (const [weight, times] of [
        [2 * round, first],
        [2 * round + 1, second],
      ] as const) {
        await consul.put(key("10.0.0.1:80"), `{"weight":${weight}}`);
        const putAt = performance.now();
        await arrives(`10.0.0.1:80*${weight}`);
        times.push((told.at(-1)?.atMs ?? 0) - putAt);
      }
    }
    for (const [name, times] of [
      ["a change", first],
      ["the second of two", second],
    ] as const) {
      times.sort((one, other) => one - other);
      const [median, most] = [times[times.length >> 1] ?? 0, times.at(-1) ?? 0];
      t.diagnostic(
        `${name} was told ${median.toFixed(1)} ms after its PUT was answered (median; most ${most.toFixed(1)})`,
      );
    }
  });

  test("of 1,000 changes in a row the last state is the one that holds", async (t) => {
    await set({});
    const { arrives, told } = await watch(t, kv(consul.endpoints));
    const startedAt = performance.now();
    for (let change = 0; change < 1_000; change++) {
      const address = `10.0.0.${1 + (change % 10)}:80`;
      if (change % 7 === 0) await consul.delete(key(address));
      else await consul.put(key(address), `{"weight":${change + 2}}`);
    }
    const tookMs = performance.now() - startedAt;
    // Of each address what was said last; a change whose number is a multiple of 7 took it away.
    const expected: string[] = [];
    for (let change = 990; change < 1_000; change++) {
      if (change % 7 !== 0) expected.push(`10.0.0.${1 + (change % 10)}:80*${change + 2}`);
    }
    await arrives(expected.sort().join(" "));
    t.diagnostic(`${(1_000_000 / tookMs).toFixed(0)} changes a second, told as ${told.length} lists`);
  });

  test("the leader is killed: nothing is lost, and what is changed afterwards arrives", async (t) => {
    await set({ "10.0.0.1:80": "" });
    const { arrives, told } = await watch(t, kv(consul.endpoints));
    await arrives("10.0.0.1:80");
    const leader = await consul.leader();
    await leader.kill();
    await consul.put(key("10.0.0.2:80"), "");
    await arrives("10.0.0.1:80 10.0.0.2:80");
    leader.start();
    await consul.ready();
    assert.deepEqual(
      told.map(({ text }) => text),
      ["10.0.0.1:80", "10.0.0.1:80 10.0.0.2:80"],
    );
  });

  test("two of three are killed: the list stays while nobody can know it, then changes arrive", async (t) => {
    await set({ "10.0.0.1:80": "" });
    const { arrives, told, watches, lines } = await watch(t, kv(consul.endpoints));
    await arrives("10.0.0.1:80");
    const [, ...others] = consul.servers;
    for (const server of others) await server.kill();
    await until("failures at every endpoint", () => (watches.status()[0]?.failures ?? 0) >= 6, { timeoutMs: 30_000 });
    assert.deepEqual([watches.status()[0]?.connected, watches.status()[0]?.targets], [false, 1]);
    for (const server of others) server.start();
    await consul.ready();
    await consul.put(key("10.0.0.2:80"), "");
    await arrives("10.0.0.1:80 10.0.0.2:80");
    assert.equal(told.length, 2);
    // As many as there were outages, not as many as there were failures.
    const failing = lines.filter((line) => line.startsWith("source failed"));
    const again = lines.filter((line) => line.startsWith("source answers again"));
    assert.ok(failing.length - again.length <= 1 && failing.length < 6, lines.join("\n"));
  });

  test("all are killed and come back: a node that starts meanwhile has the dump, and changes arrive", async (t) => {
    await set({ "10.0.0.1:80": '{"weight":3}' });
    const state = temporaryDirectory(t);
    const running = await watch(t, kv(consul.endpoints), state);
    await running.arrives("10.0.0.1:80*3");
    const path = join(state, "sources", "app.json");
    await until("the dump", () => existsSync(path) && readFileSync(path, "utf8").includes('"weight":3'));
    for (const server of consul.servers) await server.kill();

    const started = await watch(t, kv(consul.endpoints, { startTimeout: 300 }), state);
    assert.deepEqual([started.last(), started.watches.status()[0]?.fromDump], ["10.0.0.1:80*3", true]);
    const required = await watch(t, kv(consul.endpoints, { startTimeout: 300, required: true }), state);
    assert.match(
      required.failures[0]?.detail ?? "",
      /is required and has not answered within 300 ms: .*nobody listens/,
    );

    for (const server of consul.servers) server.start();
    await consul.put(key("10.0.0.2:80"), "");
    await running.arrives("10.0.0.1:80*3 10.0.0.2:80");
    await started.arrives("10.0.0.1:80*3 10.0.0.2:80");
    assert.deepEqual(
      [running.told.length, started.watches.status()[0]?.fromDump],
      [2, false],
      JSON.stringify(running.told),
    );
  });

  test("a server that hangs is left for another", async (t) => {
    await consul.ready();
    await set({ "10.0.0.1:80": "" });
    const { arrives, watches } = await watch(t, kv(consul.endpoints));
    await arrives("10.0.0.1:80");
    const asked = consul.servers.find(({ endpoint }) => endpoint === watches.status()[0]?.endpoint);
    asked?.stop();
    try {
      await until("another endpoint", () => watches.status()[0]?.endpoint !== asked?.endpoint);
      for (const other of consul.servers) {
        if (other === asked) continue;
        const answer = await until(
          "a write at another server",
          async () => {
            const { status } = await other.ask("PUT", `/v1/kv/${key("10.0.0.2:80")}`, "");
            return status === 200;
          },
          { timeoutMs: 20_000 },
        );
        assert.equal(answer, true);
        break;
      }
      await arrives("10.0.0.1:80 10.0.0.2:80");
    } finally {
      asked?.resume();
    }
    await consul.ready();
  });

  test("instances of a service arrive by tags and health", async (t) => {
    const [server] = consul.servers;
    assert.ok(server !== undefined);
    const agent = async (path: string, body = "") => {
      const answer = await server.ask("PUT", path, body);
      assert.equal(answer.status, 200, answer.body);
    };
    const register = (id: string, fields: object) =>
      agent("/v1/agent/service/register", JSON.stringify({ ID: id, Name: "web", ...fields }));
    const check = { CheckID: "c1", TTL: "10m", Status: "passing" };
    await register("one", {
      Address: "10.0.1.1",
      Port: 80,
      Tags: ["v1", "blue"],
      Weights: { Passing: 4, Warning: 2 },
      Check: check,
    });
    await register("two", { Address: "10.0.1.2", Port: 80, Tags: ["v1"] });
    await register("three", { Port: 8080, Tags: ["blue", "v1"] });
    const services = (changes: Partial<ConsulServiceSource>): ConsulServiceSource => ({
      type: "consulService",
      service: "web",
      tags: [],
      health: "passing",
      ...rules(consul.endpoints),
      ...changes,
    });
    const passing = await watch(t, services({ tags: ["v1", "blue"] }));
    const warning = await watch(t, services({ health: "warning" }));
    const any = await watch(t, services({ health: "any" }));
    await passing.arrives("10.0.1.1:80*4 127.0.0.1:8080");
    await warning.arrives("10.0.1.1:80*4 10.0.1.2:80 127.0.0.1:8080");
    await agent("/v1/agent/check/warn/c1");
    await passing.arrives("127.0.0.1:8080");
    await warning.arrives("10.0.1.1:80*2 10.0.1.2:80 127.0.0.1:8080");
    await agent("/v1/agent/check/fail/c1");
    await warning.arrives("10.0.1.2:80 127.0.0.1:8080");
    await any.arrives("10.0.1.1:80*4 10.0.1.2:80 127.0.0.1:8080");
    await agent("/v1/agent/check/pass/c1");
    await passing.arrives("10.0.1.1:80*4 127.0.0.1:8080");
    for (const id of ["one", "two", "three"]) await agent(`/v1/agent/service/deregister/${id}`);
    await passing.arrives("");
    await any.arrives("");
  });

  test("a cluster that begins anew on the same ports, its index with it, is followed", async (t) => {
    await set({ "10.0.0.1:80": "" });
    const { arrives, watches } = await watch(t, kv(consul.endpoints));
    await arrives("10.0.0.1:80");
    const revision = () => Number(watches.status()[0]?.revision);
    const indexBefore = revision();
    await consul.beginAnew();
    await consul.put(key("10.0.0.7:80"), "");
    await arrives("10.0.0.7:80");
    assert.ok(revision() < indexBefore, `${revision()} after ${indexBefore}`);
    await consul.put(key("10.0.0.8:80"), "");
    await arrives("10.0.0.7:80 10.0.0.8:80");
  });
});

test("a token that is refused changes nothing, and one that is written later is used", {
  skip: consulMissing,
}, async (t) => {
  const master = "11111111-2222-3333-4444-555555555555";
  const acl = { enabled: true, default_policy: "deny", tokens: { master, agent: master } };
  const consul = await startConsul(t, { servers: 1, config: { acl }, token: master });
  await consul.put(key("10.0.0.1:80"), "");
  const tokenFile = join(temporaryDirectory(t), "token");
  writeFileSync(tokenFile, "99999999-2222-3333-4444-555555555555\n");
  const source = kv(consul.endpoints, { tokenFile, startTimeout: 300, retry: { first: 20, most: 100 } });
  const { arrives, last, lines, watches } = await watch(t, source);
  assert.equal(last(), "nothing");
  assert.match(
    watches.status()[0]?.lastFailure ?? "",
    /403 "ACL not found": write a token to tokenFile whose policy has/,
  );
  writeFileSync(tokenFile, `${master}\n`);
  await arrives("10.0.0.1:80");
  writeFileSync(tokenFile, "99999999-2222-3333-4444-555555555555\n");
  await until("the refusal", () => watches.status()[0]?.connected === false);
  assert.equal(watches.status()[0]?.targets, 1);
  writeFileSync(tokenFile, `${master}\n`);
  await consul.put(key("10.0.0.2:80"), "");
  await arrives("10.0.0.1:80 10.0.0.2:80");
  assert.ok(!lines.some((line) => line.includes(master) || line.includes("99999999")), "the log holds no token");
});
