import assert from "node:assert/strict";
import type { ServerResponse } from "node:http";
import { type TestContext, test } from "node:test";
import type { EtcdSource } from "../model/source.ts";
import { openEtcd } from "./etcd-source.ts";
import type { SourceWatch } from "./source.ts";
import { type Asked, header, pair, refuse, say, startGateway } from "./test-etcd.ts";

type Told = { readonly line: string; readonly atMs: number };

/** A watch whose words can be waited for: `read 10.0.0.1:80 @5` or `failed etcd.foreign`. */
function follow(t: TestContext, endpoints: readonly string[], more: Partial<EtcdSource> = {}) {
  const told: Told[] = [];
  const waiting: { readonly wants: (lines: readonly string[]) => boolean; readonly go: () => void }[] = [];
  const add = (line: string) => {
    told.push({ line, atMs: performance.now() });
    for (const { wants, go } of waiting) if (wants(told.map((one) => one.line))) go();
  };
  const source: EtcdSource = {
    type: "etcd",
    endpoints,
    prefix: "up",
    user: undefined,
    passwordFile: undefined,
    tls: undefined,
    required: false,
    startTimeout: 1_000,
    requestTimeout: 10_000,
    retry: { first: 10, most: 20 },
    dump: { path: undefined, format: "json" },
    ...more,
  };
  const watch: SourceWatch = openEtcd(
    source,
    { name: "app", slowStart: 0 },
    {
      read: ({ targets, revision }) => add(`read ${targets.map(({ address }) => address).join()} @${revision}`),
      failed: ({ code }) => add(`failed ${code}`),
    },
    { clock: () => performance.now(), random: () => 0, known: [] },
  );
  t.after(() => watch.close());
  const lines = () => told.map((one) => one.line);
  const until = (wants: (lines: readonly string[]) => boolean) =>
    new Promise<void>((resolve) => {
      if (wants(lines())) resolve();
      else waiting.push({ wants, go: resolve });
    });
  return { watch, lines, until, has: (line: string) => until((all) => all.includes(line)) };
}

const one = "up/10.0.0.1:80";
const two = "up/10.0.0.2:80";
const write = (answer: ServerResponse, message: unknown) => answer.write(`${JSON.stringify(message)}\n`);
const created = { result: { header: header(5), created: true } };
const event = (key: string, revision: number, value = "") => ({
  result: { header: header(revision), events: [{ kv: pair(key, revision, value) }] },
});

/** A gateway whose list is `one` at revision 5; `watched` says what a watch hears. */
const gatewayOf = (t: TestContext, watched: (answer: ServerResponse, count: number, asked: Asked) => void) => {
  let watches = 0;
  return startGateway(t, (asked, answer) => {
    if (asked.path === "/watch") watched(answer, ++watches, asked);
    else say(answer, 200, { header: header(5), kvs: [pair(one, 5)], count: "1" });
  });
};

test("the list is read, and every change from the next revision on is told", async (t) => {
  const { endpoint, asked } = await gatewayOf(t, (answer) => {
    write(answer, created);
    write(answer, event(two, 6));
  });
  const { has, lines, watch } = follow(t, [endpoint]);
  await has("read 10.0.0.1:80,10.0.0.2:80 @6");
  assert.deepEqual(lines(), ["read 10.0.0.1:80 @5", "read 10.0.0.1:80,10.0.0.2:80 @6"]);
  assert.equal(JSON.parse(asked[1]?.body ?? "").create_request.start_revision, "6");
  assert.deepEqual(JSON.parse(asked[0]?.body ?? ""), { key: "dXAv", range_end: "dXAw" }, "the prefix is a folder");
  const { endpoint: asking, connected, answers, failures } = watch.status();
  assert.deepEqual([asking, connected, failures], [endpoint, true, 0]);
  assert.ok(answers >= 2);
});

test("whatever ends a watch, the next endpoint is asked for the whole list", async (t) => {
  const ends: readonly (readonly [code: string, end: (answer: ServerResponse) => void])[] = [
    ["source.answer.cut", (answer) => answer.end()],
    ["source.answer.cut", (answer) => answer.destroy()],
    ["etcd.leader", (answer) => write(answer, { error: { grpc_code: 14, message: "etcdserver: no leader" } })],
    ["etcd.denied", (answer) => write(answer, { result: { canceled: true, cancel_reason: "permission denied" } })],
    ["etcd.foreign", (answer) => answer.write("<html>\n")],
    ["etcd.foreign", (answer) => write(answer, { result: {} })],
  ];
  for (const [code, end] of ends) {
    const ill = await gatewayOf(t, (answer) => {
      write(answer, created);
      end(answer);
    });
    const well = await gatewayOf(t, (answer) => {
      write(answer, created);
      write(answer, event(two, 6));
    });
    const { has, lines, watch } = follow(t, [ill.endpoint, well.endpoint]);
    await has("read 10.0.0.1:80,10.0.0.2:80 @6");
    assert.deepEqual(lines(), ["read 10.0.0.1:80 @5", `failed ${code}`, "read 10.0.0.1:80 @5", lines().at(-1)]);
    assert.equal(watch.status().endpoint, well.endpoint);
    watch.close();
  }
});

test("a watch that is refused by its status says so", async (t) => {
  const { endpoint } = await gatewayOf(t, (answer) => refuse(answer, 403, 7, "etcdserver: permission denied"));
  const { has, watch } = follow(t, [endpoint]);
  await has("failed etcd.denied");
  assert.match(watch.status().lastFailure ?? "", /permission denied.*\(etcd\.denied\)$/);
  assert.equal(watch.status().connected, false);
});

test("a watch that does not begin in time is a failure", async (t) => {
  const { endpoint } = await gatewayOf(t, (answer) => {
    answer.writeHead(200).flushHeaders();
  });
  const { has } = follow(t, [endpoint], { requestTimeout: 100 });
  await has("failed source.timeout");
});

test("compaction and events that don't fit have the list read anew, and are no failures", async (t) => {
  const odd: readonly unknown[] = [
    { result: { header: {}, canceled: true, compact_revision: "9" } },
    event(two, 4),
    { result: { header: header(6, "another"), events: [{ kv: pair(two, 6) }] } },
  ];
  for (const message of odd) {
    const { endpoint, asked } = await gatewayOf(t, (answer, count) => {
      write(answer, created);
      write(answer, count === 1 ? message : event(two, 6));
    });
    const { has, lines, watch } = follow(t, [endpoint]);
    await has("read 10.0.0.1:80,10.0.0.2:80 @6");
    assert.deepEqual(lines().slice(0, 2), ["read 10.0.0.1:80 @5", "read 10.0.0.1:80 @5"]);
    assert.deepEqual(asked.map(({ path }) => path).slice(0, 4), ["/kv/range", "/watch", "/kv/range", "/watch"]);
    assert.equal(watch.status().failures, 0);
    watch.close();
  }
});

test("an answer of 200 that is not etcd's empties nothing", async (t) => {
  let isEtcd = true;
  const { endpoint } = await startGateway(t, ({ path }, answer) => {
    if (path === "/watch") {
      write(answer, created);
      answer.end();
    } else if (isEtcd) say(answer, 200, { header: header(5), kvs: [pair(one, 5)], count: "1" });
    else say(answer, 200, {});
    isEtcd = false;
  });
  const { has, lines } = follow(t, [endpoint]);
  await has("failed etcd.foreign");
  assert.deepEqual(
    lines().filter((line) => line.startsWith("read")),
    ["read 10.0.0.1:80 @5"],
  );
});

test("a silent watch is asked for a sign of life, and left when there is none", async (t) => {
  let reads = 0;
  const { endpoint, asked } = await startGateway(t, ({ path }, answer) => {
    if (path === "/watch") write(answer, created);
    else if (++reads < 4)
      say(answer, 200, { header: header(5), ...(reads === 1 ? { kvs: [pair(one, 5)] } : {}), count: "1" });
    // From the third sign of life on: not a word.
  });
  const { has, lines } = follow(t, [endpoint], { requestTimeout: 60 });
  await has("failed source.timeout");
  assert.equal(lines()[0], "read 10.0.0.1:80 @5");
  assert.deepEqual(
    asked.slice(0, 5).map(({ path }) => path),
    ["/kv/range", "/watch", "/kv/range", "/kv/range", "/kv/range"],
  );
  assert.equal(JSON.parse(asked[2]?.body ?? "").min_mod_revision, "6");
});

test("a long burst is told a few dozen times a second, and its end always", async (t) => {
  const last = 600;
  const { endpoint } = await gatewayOf(t, (answer) => {
    write(answer, created);
    const next = (revision: number) => {
      write(answer, event(two, revision, `{"weight": ${revision}}`));
      if (revision < last) setImmediate(next, revision + 1);
    };
    next(6);
  });
  const { has, lines } = follow(t, [endpoint]);
  await has(`read 10.0.0.1:80,10.0.0.2:80 @${last}`);
  assert.ok(lines().length < 400, `${lines().length} readings of ${last - 5} changes`);
});

test("a closed watch asks and says nothing more, also when it is closed from within", async (t) => {
  const { endpoint, asked } = await gatewayOf(t, (answer) => {
    write(answer, created);
    for (let revision = 6; revision < 20; revision++) write(answer, event(two, revision));
  });
  const { watch, until, lines } = follow(t, [endpoint]);
  await until((all) => {
    if (all.length === 2) watch.close();
    return all.length === 2;
  });
  const count = asked.length;
  // A round trip on another connection: whatever was under way has come by then.
  const other = follow(t, [endpoint]);
  await other.until((all) => all.length >= 2);
  assert.equal(lines().length, 2);
  assert.equal(asked.length, count + 2);
  assert.equal(watch.status().connected, false);
});
