// The sources of a node with stores that the test answers for: what is prepared, made current, told, logged and dumped.

import assert from "node:assert/strict";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { performance } from "node:perf_hooks";
import { type TestContext, test } from "node:test";
import type { Failure } from "../../core/failure.ts";
import type { LogFields } from "../../core/log.ts";
import type { Pool } from "../../model/pool.ts";
import type { ConsulKvSource } from "../../model/source.ts";
import type { DamagedEntry, SourceDeps, SourceListener, SourceReading } from "../../sources/source.ts";
import { addresses, target, until } from "../../sources/test-kit.ts";
import type { Happening } from "../event-log.ts";
import { linesPerMinuteMax } from "./source-log.ts";
import { SourceWatches } from "./source-watches.ts";

function pool(name: string, changes: Partial<ConsulKvSource> = {}): Pool {
  return {
    name,
    balance: { policy: "roundRobin" },
    targets: [],
    slowStart: 0,
    healthCheck: undefined,
    idleConnectionsMax: 1,
    idleTimeout: 1_000,
    source: {
      type: "consul",
      endpoints: ["http://127.0.0.1:8500"],
      prefix: `upstreams/${name}/`,
      tokenFile: undefined,
      datacenter: undefined,
      tls: undefined,
      wait: 10_000,
      required: false,
      startTimeout: 10_000,
      requestTimeout: 5_000,
      retry: { first: 100, most: 5_000 },
      dump: { path: undefined, format: "json" },
      ...changes,
    },
  };
}

function reading(...list: readonly string[]): SourceReading {
  return { targets: list.map((address) => target(address)), damaged: [], revision: "1" };
}

const refused: Failure = {
  code: "source.connect.refused",
  origin: "target",
  retrySafe: true,
  detail: "nobody listens",
};

/** One watch that was opened. */
type Opened = { readonly pool: string; readonly listener: SourceListener; readonly deps: SourceDeps; closed: boolean };

function world(t: TestContext, stateDirectory?: string) {
  const directory = stateDirectory ?? mkdtempSync(join(tmpdir(), "evenkeel-sources-"));
  const opened: Opened[] = [];
  const told: (readonly [pool: string, addresses: string])[] = [];
  const lines: { readonly level: string; readonly message: string; readonly fields: LogFields }[] = [];
  const events: Happening[] = [];
  let now = 0;
  const line =
    (level: string) =>
    (message: string, fields: LogFields = {}) =>
      lines.push({ level, message, fields });
  const watches = new SourceWatches({
    log: { debug: line("debug"), info: line("info"), warn: line("warn"), error: line("error") },
    clock: () => now,
    wallClock: () => Date.parse("2026-11-21T10:00:00Z") + now,
    random: () => 0.5,
    tell: (name, of) => told.push([name, addresses(of).join(" ")]),
    tellEvent: (happening) => events.push(happening),
    open: (_source, { name }, listener, deps) => {
      const watch: Opened = { pool: name, listener, deps, closed: false };
      opened.push(watch);
      return {
        status: () => ({
          endpoint: "http://127.0.0.1:8500",
          connected: true,
          answeredAgoMs: 0,
          answers: 1,
          failures: 0,
          lastFailure: undefined,
        }),
        close: () => {
          watch.closed = true;
        },
      };
    },
  });
  t.after(async () => {
    // What is still to be dumped is dumped by this, so the directory goes after it.
    await watches.close();
    rmSync(directory, { recursive: true, force: true });
  });
  return {
    directory,
    watches,
    opened,
    told,
    lines,
    events,
    pass: (span: number) => {
      now += span;
    },
    /** Prepares, lets each new watch read a list, and makes it current. */
    async start(pools: readonly Pool[], first: SourceReading): Promise<Opened> {
      const before = opened.length;
      const prepared = watches.prepare(pools, directory);
      await until("the watches", () => opened.length === before + pools.length);
      for (const watch of opened.slice(before)) watch.listener.read(first);
      assert.deepEqual(await prepared, []);
      watches.commit();
      const last = opened.at(-1);
      assert.ok(last !== undefined);
      return last;
    },
    dump: (name: string) => readFileSync(join(directory, "sources", name), "utf8"),
  };
}

test("a pool is told its list when its watch becomes current, and then each change once", async (t) => {
  const { watches, told, start } = world(t);
  const first = reading("10.0.0.1:80");
  const { listener } = await start([pool("app")], first);
  assert.deepEqual(told, [["app", "10.0.0.1:80"]]);
  // The same reading, the same list in other words, and a change.
  listener.read(first);
  listener.read({ ...reading("10.0.0.1:80"), revision: "2" });
  assert.equal(watches.status()[0]?.revision, "2");
  listener.read(reading("10.0.0.1:80", "10.0.0.2:80"));
  listener.read(reading());
  assert.deepEqual(told.slice(1), [
    ["app", "10.0.0.1:80 10.0.0.2:80"],
    ["app", ""],
  ]);
});

test("pools without a source have no watch", async (t) => {
  const { watches, opened, directory } = world(t);
  assert.deepEqual(await watches.prepare([{ ...pool("app"), source: undefined }], directory), []);
  watches.commit();
  assert.deepEqual([opened.length, watches.status()], [0, []]);
});

test("a reload leaves an unchanged source alone, and opens a changed one beside it until it is current", async (t) => {
  const { watches, opened, told, directory, start } = world(t);
  const other = await start([pool("web"), pool("app")], reading("10.0.0.1:80"));
  const [web, app] = [opened[0], other];
  const prepared = watches.prepare([pool("web"), pool("app", { wait: 5_000 })], directory);
  await until("the new watch", () => opened.length === 3);
  app.listener.read(reading("10.0.0.2:80"));
  assert.deepEqual(told.at(-1), ["app", "10.0.0.2:80"]);
  opened[2]?.listener.read(reading("10.0.0.3:80"));
  await prepared;
  assert.equal(told.length, 3, "what is prepared must tell nothing");
  watches.commit();
  assert.deepEqual(told.at(-1), ["app", "10.0.0.3:80"]);
  assert.deepEqual([web?.closed, app.closed, opened[2]?.closed], [false, true, false]);
  app.listener.read(reading("10.0.0.9:80"));
  assert.deepEqual(told.at(-1), ["app", "10.0.0.3:80"], "a closed watch tells nothing");
});

test("an abandoned reload changes nothing", async (t) => {
  const { watches, opened, told, directory, start } = world(t);
  const app = await start([pool("app")], reading("10.0.0.1:80"));
  const prepared = watches.prepare([pool("app", { prefix: "other/" })], directory);
  await until("the new watch", () => opened.length === 2);
  watches.abandon();
  await prepared;
  assert.deepEqual([app.closed, opened[1]?.closed], [false, true]);
  app.listener.read(reading("10.0.0.2:80"));
  assert.deepEqual(told.at(-1), ["app", "10.0.0.2:80"]);
  assert.deepEqual(await watches.prepare([pool("app")], directory), []);
  watches.commit();
  assert.equal(opened.length, 2);
});

test("a pool that is gone has its watch closed", async (t) => {
  const { watches, directory, start } = world(t);
  const app = await start([pool("app")], reading("10.0.0.1:80"));
  await watches.prepare([], directory);
  watches.commit();
  assert.deepEqual([app.closed, watches.status()], [true, []]);
});

test("required sources that do not answer are failures, all at once, each with its last failure", async (t) => {
  const { watches, opened, directory } = world(t);
  const pools = [
    pool("app", { required: true, startTimeout: 30 }),
    pool("web", { required: true, startTimeout: 30 }),
    pool("api", { required: false, startTimeout: 30 }),
  ];
  const prepared = watches.prepare(pools, directory);
  await until("the watches", () => opened.length === 3);
  opened[0]?.listener.failed(refused);
  const failures = await prepared;
  assert.deepEqual(
    failures.map(({ code, detail }) => `${code}: ${detail}`),
    [
      "source.required: pool app: its source consul upstreams/app/ is required and has not answered within 30 ms: nobody listens (source.connect.refused)",
      "source.required: pool web: its source consul upstreams/web/ is required and has not answered within 30 ms: it has said nothing",
    ],
  );
  watches.abandon();
  assert.equal(
    opened.every(({ closed }) => closed),
    true,
  );
});

test("a start without an answer uses the dump of an earlier run, and says so until there is one", async (t) => {
  const first = world(t);
  await first.start([pool("app")], reading("10.0.0.1:80", "10.0.0.2:80"));
  await first.watches.close();

  const { watches, opened, told, lines, directory, pass } = world(t, first.directory);
  pass(3_600_000);
  assert.deepEqual(await watches.prepare([pool("app", { startTimeout: 20 })], directory), []);
  watches.commit();
  assert.deepEqual(told, [["app", "10.0.0.1:80 10.0.0.2:80"]]);
  const status = watches.status()[0];
  assert.deepEqual(
    [status?.fromDump, status?.dumpWrittenAt, status?.targets, status?.readAt],
    [true, "2026-11-21T10:00:00.000Z", 2, undefined],
  );
  assert.ok(lines.some(({ level, message }) => level === "warn" && message.includes("its dump of 2026-11-21T10:00")));
  // It is also what a damaged entry goes on with.
  assert.deepEqual(
    opened[0]?.deps.known.map(({ address }) => address),
    ["10.0.0.1:80", "10.0.0.2:80"],
  );
  opened[0]?.listener.read(reading("10.0.0.1:80"));
  assert.deepEqual(told.at(-1), ["app", "10.0.0.1:80"]);
  assert.deepEqual([watches.status()[0]?.fromDump, watches.status()[0]?.targets], [false, 1]);
});

test("an answer after the start's time is used like any other, also before the reload is decided", async (t) => {
  const { watches, opened, told, directory } = world(t);
  await watches.prepare([pool("app", { startTimeout: 10 })], directory);
  opened[0]?.listener.read(reading("10.0.0.1:80"));
  assert.deepEqual(told, []);
  watches.commit();
  assert.deepEqual(told, [["app", "10.0.0.1:80"]]);
});

test("a dump that is damaged or another source's is told and not used", async (t) => {
  const { watches, told, lines, directory } = world(t);
  const folder = join(directory, "sources");
  mkdirSync(folder);
  writeFileSync(join(folder, "app.json"), "{");
  await watches.prepare([pool("app", { startTimeout: 10 })], directory);
  watches.commit();
  assert.deepEqual(told, []);
  const line = lines.find(({ message }) => message === "dump of the source is of no use");
  assert.deepEqual(
    [line?.fields["code"], line?.fields["pool"], line?.fields["path"]],
    ["source.dump.damaged", "app", join(folder, "app.json")],
  );
});

test("a changed way to the same list goes on with the last list while the new way does not answer", async (t) => {
  const { watches, opened, told, directory, start } = world(t);
  const app = await start([pool("app")], reading("10.0.0.1:80"));
  const prepared = watches.prepare(
    [{ ...pool("app", { startTimeout: 20, tokenFile: "/wrong" }), slowStart: 5_000 }],
    directory,
  );
  await until("the new watch", () => opened.length === 2);
  app.listener.read(reading("10.0.0.2:80"));
  await prepared;
  watches.commit();
  assert.deepEqual(told.at(-1), ["app", "10.0.0.2:80"]);
  assert.deepEqual([watches.status()[0]?.targets, watches.status()[0]?.fromDump], [1, false]);
});

test("changes are dumped together, in our form and in upsync's", async (t) => {
  const { start, dump, directory } = world(t);
  const path = join(directory, "nginx", "app.conf");
  const { listener } = await start([pool("app", { dump: { path, format: "upsync" } })], reading("10.0.0.1:80"));
  for (let last = 2; last < 100; last++) listener.read(reading("10.0.0.1:80", `10.0.0.${last}:80`));
  await until("the dump", () => existsSync(path) && readFileSync(path, "utf8").includes("10.0.0.99"));
  assert.match(readFileSync(path, "utf8"), /\nserver 10\.0\.0\.99:80 weight=1 max_fails=1 fail_timeout=10s;\n$/);
  assert.match(dump("app.json"), /"10\.0\.0\.99:80"/);
});

test("what is still to be written is written before close resolves", async (t) => {
  const { watches, start, dump } = world(t);
  const { listener } = await start([pool("app")], reading("10.0.0.1:80"));
  listener.read(reading("10.0.0.7:80"));
  await watches.close();
  assert.match(dump("app.json"), /"10\.0\.0\.7:80"/);
  assert.deepEqual(watches.status(), []);
});

test("a dump that cannot be written is told, and the list is in force all the same", async (t) => {
  const { watches, told, lines, directory, start } = world(t);
  writeFileSync(join(directory, "sources"), "in the folder's place");
  await start([pool("app")], reading("10.0.0.1:80"));
  await watches.close();
  assert.deepEqual(told, [["app", "10.0.0.1:80"]]);
  assert.ok(lines.some(({ fields }) => fields["code"] === "source.dump.write"));
});

test("a failure is told once, then once a minute while it lasts, and its end once", async (t) => {
  const { start, lines, events, pass } = world(t);
  const { listener } = await start([pool("app")], reading("10.0.0.1:80"));
  lines.length = 0;
  for (let second = 0; second < 150; second++) {
    listener.failed(refused);
    pass(1_000);
  }
  assert.deepEqual(
    lines.map(({ level, fields }) => [level, fields["code"], fields["failures"]]),
    [
      ["warn", "source.connect.refused", 1],
      ["warn", "source.connect.refused", 60],
      ["warn", "source.connect.refused", 60],
    ],
  );
  listener.read(reading("10.0.0.1:80"));
  listener.read(reading("10.0.0.2:80"));
  assert.deepEqual(
    lines.slice(3).map(({ message }) => message),
    ["source answers again"],
  );
  assert.deepEqual(
    events.map(({ type, who, subject }) => [type, who, subject["pool"]]),
    [
      ["source.failed", "consul", "app"],
      ["source.recovered", "consul", "app"],
    ],
  );
});

function damaged(key: string, changes: Partial<DamagedEntry> = {}): DamagedEntry {
  return { key, code: "source.entry.json", detail: "no JSON", kept: true, ...changes };
}

test("a damaged entry is told as it appears, as its damage changes, and as it is gone", async (t) => {
  const { watches, start, lines, events } = world(t);
  const { listener } = await start([pool("app")], reading("10.0.0.1:80"));
  lines.length = 0;
  const hear = (...entries: readonly DamagedEntry[]) => {
    listener.read({ ...reading("10.0.0.1:80"), damaged: entries });
    return lines.splice(0).map(({ level, fields }) => `${level} ${fields["key"]}`);
  };
  assert.deepEqual(hear(damaged("a"), damaged("b")), ["warn a", "warn b"]);
  assert.deepEqual(hear(damaged("a"), damaged("b")), []);
  assert.deepEqual(watches.status()[0]?.damaged.length, 2);
  assert.deepEqual(hear(damaged("a", { detail: "something else" }), damaged("b")), ["warn a"]);
  assert.deepEqual(hear(damaged("b")), ["info a"]);
  assert.deepEqual(hear(), ["info b"]);
  assert.deepEqual(new Set(events.map(({ type }) => type)), new Set(["source.entries"]));
  assert.equal(events.length, 4);
});

test("a store that changes its mind all day does not fill the log", async (t) => {
  const { start, lines, pass } = world(t);
  const { listener } = await start([pool("app")], reading("10.0.0.1:80"));
  lines.length = 0;
  const startedAt = performance.now();
  for (let round = 0; round < 5_000; round++) {
    listener.read({ ...reading("10.0.0.1:80"), damaged: [damaged(`key ${round}`)] });
  }
  assert.ok(lines.length <= linesPerMinuteMax, `${lines.length} lines in ${performance.now() - startedAt} ms`);
  pass(60_000);
  listener.read(reading("10.0.0.1:80"));
  assert.equal(Number(lines.at(-1)?.fields["linesLeftOut"]) > 9_000, true);
});
