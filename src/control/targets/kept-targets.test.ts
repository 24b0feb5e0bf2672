// What happens when the program is killed or the disk is full is in test/e2e/kept-targets.test.ts.

import assert from "node:assert/strict";
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import * as fs from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { good } from "../../core/failure.ts";
import type { Log, LogFields, LogLevel } from "../../core/log.ts";
import { encodeKept, type KeptFileCalls } from "../../io/kept-file.ts";
import type { KeptEntry } from "../../state/desired.ts";
import { entryOf } from "../../state/test-pools.ts";
import { encodeEntry } from "./kept-entry.ts";
import { badLinesToldMax, KeptTargets } from "./kept-targets.ts";
import { numberOf, stateOf } from "./test-entries.ts";

/** For several in one process: each would find the other's lock. */
const unlocked = { lock: () => good(true as const) };
const wallClock = () => Date.UTC(2026, 2, 4, 5, 6, 7, 89);

function place(t: TestContext): string {
  const directory = mkdtempSync(join(tmpdir(), "evenkeel-targets-"));
  t.after(() => rmSync(directory, { recursive: true, force: true }));
  return directory;
}

type Told = { readonly level: LogLevel; readonly message: string; readonly fields: LogFields };

function recordingLog(): Log & { readonly told: Told[] } {
  const told: Told[] = [];
  const tell =
    (level: LogLevel) =>
    (message: string, fields: LogFields = {}) => {
      told.push({ level, message, fields });
    };
  return { told, debug: tell("debug"), info: tell("info"), warn: tell("warn"), error: tell("error") };
}

async function load(kept: KeptTargets): Promise<readonly KeptEntry[]> {
  const loaded = await kept.load();
  assert.ok(loaded.ok, loaded.ok ? "" : loaded.failure.detail);
  return loaded.value;
}

async function save(kept: KeptTargets, entries: readonly KeptEntry[]): Promise<void> {
  const saved = await kept.save(entries);
  assert.ok(saved.ok, saved.ok ? "" : saved.failure.detail);
}

/** The system's calls; each save waits at its rename until it is let on, or is failed. */
function gatedCalls() {
  const waiting: { readonly letOn: () => void; readonly fail: () => void }[] = [];
  let saves = 0;
  const calls: KeptFileCalls = {
    ...fs,
    rename: async (from, to) => {
      if (to.endsWith(".json")) {
        saves++;
        await new Promise<void>((resolve, reject) => {
          waiting.push({ letOn: resolve, fail: () => reject(Object.assign(new Error("EIO: bad"), { code: "EIO" })) });
        });
      }
      await fs.rename(from, to);
    },
  };
  const next = async () => {
    for (;;) {
      const first = waiting.shift();
      if (first !== undefined) return first;
      await new Promise((resolve) => setImmediate(resolve));
    }
  };
  return { calls, next, saves: () => saves };
}

test("entries are kept one a line and loaded as they were", async (t) => {
  const directory = place(t);
  const log = recordingLog();
  const kept = new KeptTargets(join(directory, "state"), log, unlocked);
  assert.deepEqual(await load(kept), []);
  await save(kept, stateOf(7));
  assert.deepEqual(await load(new KeptTargets(join(directory, "state"), log, unlocked)), stateOf(7));
  const lines = readFileSync(kept.path, "utf8").trimEnd().split("\n");
  assert.deepEqual(lines.slice(1), stateOf(7).map(encodeEntry));
  for (const line of lines) JSON.parse(line);
  assert.deepEqual(log.told, []);
});

test("while a write is under way all others wait together, and one write with the last of them serves them", async (t) => {
  const { calls, next, saves } = gatedCalls();
  const kept = new KeptTargets(place(t), recordingLog(), { calls, ...unlocked });
  const done: number[] = [];
  const saving = [1, 2, 3, 4, 5].map((n) => save(kept, stateOf(n)).then(() => done.push(n)));
  (await next()).letOn();
  await saving[0];
  assert.deepEqual(done, [1]);
  assert.deepEqual(numberOf(await load(kept)), 1);
  (await next()).letOn();
  await Promise.all(saving);
  assert.deepEqual(done, [1, 2, 3, 4, 5]);
  assert.equal(saves(), 2);
  assert.deepEqual(await load(kept), stateOf(5));
});

test("a failed write fails all who wait, leaves what was kept, and the next one starts anew", async (t) => {
  const { calls, next, saves } = gatedCalls();
  const kept = new KeptTargets(place(t), recordingLog(), { calls, ...unlocked });
  const first = save(kept, stateOf(1));
  (await next()).letOn();
  await first;
  const saving = [2, 3, 4].map((n) => kept.save(stateOf(n)));
  (await next()).fail();
  for (const saved of await Promise.all(saving)) {
    assert.equal(saved.ok ? "" : saved.failure.code, "state.unwritable");
  }
  assert.equal(saves(), 2, "those that waited were not tried");
  assert.deepEqual(await load(kept), stateOf(1));
  const again = save(kept, stateOf(5));
  (await next()).letOn();
  await again;
  assert.deepEqual(await load(kept), stateOf(5));
});

test("entries that cannot be read are left out and told, and the file they stood in is kept as a copy", async (t) => {
  const directory = place(t);
  const good = entryOf("app", "10.0.0.1:80");
  const text = `${encodeEntry(good)}\n${'{"pool":"app"}\n'.repeat(badLinesToldMax + 5)}`;
  writeFileSync(join(directory, "targets.json"), encodeKept(text));
  const log = recordingLog();
  const kept = new KeptTargets(directory, log, { wallClock, ...unlocked });
  assert.deepEqual(await load(kept), [good]);
  assert.equal(log.told.length, badLinesToldMax + 1);
  assert.deepEqual(log.told[0]?.fields, { code: "state.entry", path: kept.path, line: 3 });
  const copy = `${kept.path}.damaged-20260304T050607.089Z`;
  assert.deepEqual(log.told.at(-1)?.fields, { code: "state.entry", path: kept.path, count: 25, copy });
  await load(kept);
  await save(kept, [good]);
  await save(kept, []);
  assert.deepEqual(readFileSync(copy), encodeKept(text));
  assert.equal(readdirSync(directory).length, 3, "one copy, the file, the version before");
});

test("what a damaged file held is not written over before it is set aside, also when that works only later", async (t) => {
  const directory = place(t);
  await save(new KeptTargets(directory, recordingLog(), unlocked), stateOf(1));
  await save(new KeptTargets(directory, recordingLog(), unlocked), stateOf(2));
  writeFileSync(join(directory, "targets.json"), "rubbish");
  let isReadOnly = true;
  const calls: KeptFileCalls = {
    ...fs,
    rename: (from, to) =>
      isReadOnly ? Promise.reject(Object.assign(new Error("EROFS: ro"), { code: "EROFS" })) : fs.rename(from, to),
  };
  const log = recordingLog();
  const kept = new KeptTargets(directory, log, { wallClock, calls, ...unlocked });
  assert.deepEqual(await load(kept), stateOf(1));
  assert.deepEqual(
    log.told.map(({ level, fields }) => [level, fields["code"]]),
    [
      ["error", "state.damaged"],
      ["error", "state.last.used"],
    ],
  );
  const refused = await kept.save(stateOf(3));
  assert.equal(refused.ok ? "" : refused.failure.code, "state.unwritable");
  assert.equal(readFileSync(kept.path, "utf8"), "rubbish");
  isReadOnly = false;
  await save(kept, stateOf(3));
  assert.equal(readFileSync(`${kept.path}.damaged-20260304T050607.089Z`, "utf8"), "rubbish");
  assert.deepEqual(await load(kept), stateOf(3));
});

test("a file that may not be read is a failure, never an empty list", async (t) => {
  const calls: KeptFileCalls = {
    ...fs,
    readFile: () => Promise.reject(Object.assign(new Error("EACCES: no"), { code: "EACCES" })),
  };
  const directory = place(t);
  await save(new KeptTargets(directory, recordingLog(), unlocked), stateOf(1));
  const loaded = await new KeptTargets(directory, recordingLog(), { calls, ...unlocked }).load();
  assert.equal(loaded.ok ? "" : loaded.failure.code, "state.unreadable");
});

test("what another program keeps in the same place is not written over", async (t) => {
  const directory = place(t);
  const [one, other] = [1, 2].map(() => new KeptTargets(directory, recordingLog()));
  await save(one as KeptTargets, stateOf(1));
  const refused = await (other as KeptTargets).save(stateOf(2));
  assert.equal(refused.ok, false);
  assert.equal(refused.failure.code, "state.inUse");
  assert.deepEqual(await load(new KeptTargets(directory, recordingLog(), unlocked)), stateOf(1));
});
