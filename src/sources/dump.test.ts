import assert from "node:assert/strict";
import { chmodSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { type Dump, decodeDump, dumpPaths, encodeDump, encodeUpsyncDump } from "./dump.ts";
import { readDump, writeDump } from "./dump-file.ts";
import { target } from "./test-kit.ts";

const pool = { name: "app", slowStart: 7_000 };

const dump: Dump = {
  pool: "app",
  source: "consul upstreams/app/",
  writtenAt: "2026-11-21T10:00:00.000Z",
  revision: "812",
  targets: [
    target("10.0.0.1:80", { maxFails: 2, slowStart: 7_000 }),
    target("10.0.0.2:80", { weight: 0, failTimeout: 1_500, backup: true, intent: "down", slowStart: 7_000 }),
  ],
};

test("a dump is JSON with a target a line, and is read back as it was", () => {
  const text = encodeDump(dump);
  assert.equal(
    text,
    [
      "{",
      '  "pool": "app",',
      '  "source": "consul upstreams/app/",',
      '  "writtenAt": "2026-11-21T10:00:00.000Z",',
      '  "revision": "812",',
      '  "targets": {',
      '    "10.0.0.1:80": {"weight":1,"maxFails":2,"failTimeout":"10s","backup":false,"intent":"up"},',
      '    "10.0.0.2:80": {"weight":0,"maxFails":1,"failTimeout":"1500ms","backup":true,"intent":"down"}',
      "  }",
      "}",
      "",
    ].join("\n"),
  );
  assert.deepEqual(decodeDump(text, pool, dump.source), { ok: true, value: dump });
});

test("an empty list is a dump as well", () => {
  const empty = { ...dump, targets: [], revision: undefined };
  assert.deepEqual(decodeDump(encodeDump(empty), pool, dump.source), { ok: true, value: empty });
});

test("the list of another pool or source is not used", () => {
  for (const [name, source] of [
    ["app", "consul upstreams/other/"],
    ["web", dump.source],
  ] as const) {
    const read = decodeDump(encodeDump(dump), { ...pool, name }, source);
    assert.match(
      read.ok ? "" : `${read.failure.code}: ${read.failure.detail}`,
      /^source\.dump\.other: it is the list of/,
    );
  }
});

test("a dump that was cut or edited into something else is not used", () => {
  const text = encodeDump(dump);
  for (const wrong of [
    "",
    text.slice(0, -10),
    text.replace('"weight":1', '"weight":-1'),
    text.replace('"weight":1', '"weight":"1"'),
    text.replace('"10s"', '"10"'),
    text.replace('"up"', '"on"'),
    text.replace("10.0.0.1:80", "10.0.0.1"),
    text.replace("10.0.0.1:80", "010.0.0.1:80"),
    text.replace("2026-11-21T10:00:00.000Z", "yesterday"),
    text.replace('"targets"', '"servers"'),
    "null",
  ]) {
    const read = decodeDump(wrong, pool, dump.source);
    assert.equal(read.ok ? "" : read.failure.code, "source.dump.damaged", wrong);
  }
});

test("the form for nginx is what upsync writes, below a comment", () => {
  assert.equal(
    encodeUpsyncDump(dump),
    [
      "# pool app from consul upstreams/app/, 2026-11-21T10:00:00.000Z",
      "server 10.0.0.1:80 weight=1 max_fails=2 fail_timeout=10s;",
      "server 10.0.0.2:80 weight=1 max_fails=1 fail_timeout=2s backup down;",
      "",
    ].join("\n"),
  );
});

test("a path is that of the form that was asked for; ours is always written", () => {
  const paths = (path: string | undefined, format: "json" | "upsync") =>
    dumpPaths({ path, format }, "app", "/var/lib/ek");
  assert.deepEqual(paths(undefined, "json"), { json: "/var/lib/ek/sources/app.json", upsync: undefined });
  assert.deepEqual(paths("/d/app.json", "json"), { json: "/d/app.json", upsync: undefined });
  const usual = { json: "/var/lib/ek/sources/app.json", upsync: "/var/lib/ek/sources/app.conf" };
  assert.deepEqual(paths(undefined, "upsync"), usual);
  assert.deepEqual(paths("/d/app.conf", "upsync"), { ...usual, upsync: "/d/app.conf" });
});

function directory(t: TestContext): string {
  const path = mkdtempSync(join(tmpdir(), "evenkeel-dump-"));
  t.after(() => rmSync(path, { recursive: true, force: true }));
  return path;
}

test("a dump is written whole, into a folder that is made, and leaves no draft", async (t) => {
  const folder = join(directory(t), "sources");
  const path = join(folder, "app.json");
  assert.deepEqual(await readDump(path), { ok: true, value: undefined });
  for (const text of ["one\n", "another\n"]) {
    assert.deepEqual(await writeDump(path, text), { ok: true, value: true });
    assert.deepEqual(await readDump(path), { ok: true, value: text });
  }
  assert.deepEqual(readdirSync(folder), ["app.json"]);
});

test("a dump that cannot be written leaves the old one as it was", async (t) => {
  const folder = directory(t);
  const path = join(folder, "app.json");
  // A folder in the draft's place: root may write anywhere else.
  writeFileSync(path, "old\n");
  mkdirSync(`${path}.${process.pid}.tmp`);
  const written = await writeDump(path, "new\n");
  assert.equal(written.ok ? "" : written.failure.code, "source.dump.write");
  assert.equal(readFileSync(path, "utf8"), "old\n");
  chmodSync(path, 0o644);
  const read = await readDump(folder);
  assert.equal(read.ok ? "" : read.failure.code, "source.dump.read");
});
