import assert from "node:assert/strict";
import {
  chmodSync,
  linkSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import * as fs from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { env } from "node:process";
import { type TestContext, test } from "node:test";
import { seededRandom } from "../core/random.ts";
import {
  asideFilesMax,
  decodeKept,
  encodeKept,
  type KeptFileCalls,
  type KeptReading,
  keepFile,
  keptBytesMax,
  readKept,
  setAside,
} from "./kept-file.ts";
import { TestDisk } from "./test-disk.ts";

const seedCount = Number(env["EVENKEEL_SEEDS"] ?? 400);
const seedFirst = Number(env["EVENKEEL_SEED"] ?? 1);

const atMs = Date.UTC(2026, 2, 4, 5, 6, 7, 89);
const wallClock = () => atMs;
const asideName = "kept.json.damaged-20260304T050607.089Z";

function place(t: TestContext): { directory: string; path: string } {
  const directory = mkdtempSync(join(tmpdir(), "evenkeel-kept-"));
  t.after(() => rmSync(directory, { recursive: true, force: true }));
  return { directory, path: join(directory, "kept.json") };
}

async function keep(path: string, text: string, calls?: KeptFileCalls): Promise<void> {
  const kept = await keepFile(path, text, calls);
  assert.ok(kept.ok, kept.ok ? "" : kept.failure.detail);
}

async function read(path: string, calls?: KeptFileCalls): Promise<KeptReading> {
  const found = await readKept(path, calls === undefined ? { wallClock } : { wallClock, calls });
  assert.ok(found.ok, found.ok ? "" : found.failure.detail);
  return found.value;
}

function codes(reading: KeptReading): readonly string[] {
  return reading.findings.map(({ code }) => code);
}

test("what is kept is read again, readable by its group and nobody else, and the version before stays beside it", async (t) => {
  const { directory } = place(t);
  const umask = process.umask(0o022);
  t.after(() => process.umask(umask));
  const path = join(directory, "a/state/kept.json");
  assert.deepEqual(await read(path), { text: undefined, findings: [], inTheWay: [] });
  await keep(path, "one\n");
  assert.deepEqual(readdirSync(join(directory, "a/state")), ["kept.json"]);
  await keep(path, "two ü\n");
  assert.deepEqual(await read(path), { text: "two ü\n", findings: [], inTheWay: [] });
  assert.equal(statSync(path).mode & 0o777, 0o640);
  assert.equal(statSync(join(directory, "a/state")).mode & 0o777, 0o750);
  assert.deepEqual(readdirSync(join(directory, "a/state")).sort(), ["kept.json", "kept.json.last"]);
  assert.deepEqual(decodeKept(readFileSync(`${path}.last`)), { ok: true, value: "one\n" });
  const [head, ...lines] = readFileSync(path, "utf8").split("\n");
  assert.deepEqual({ ...JSON.parse(head ?? ""), sha256: "" }, { evenkeel: "kept", format: 1, bytes: 7, sha256: "" });
  assert.deepEqual(lines, ["two ü", ""]);
});

test("a file cut off at any byte, or with any byte changed, is never taken for good", () => {
  const bytes = encodeKept("10.0.0.1:80\n10.0.0.2:80\n");
  for (let length = 0; length < bytes.length; length++) {
    const decoded = decodeKept(bytes.subarray(0, length));
    assert.equal(decoded.ok ? "" : decoded.failure.code, "state.damaged", `cut to ${length}`);
  }
  for (let at = 0; at < bytes.length; at++) {
    for (const bit of [1, 32]) {
      const changed = Buffer.from(bytes);
      changed.writeUInt8((changed[at] ?? 0) ^ bit, at);
      const decoded = decodeKept(changed);
      // Format 9 for 1 is one bit: then it is a later one's file, and not used either.
      assert.ok(!decoded.ok && /^state\.(damaged|format)$/.test(decoded.failure.code), `byte ${at}`);
    }
  }
  assert.ok(!decodeKept(Buffer.concat([bytes, Buffer.from("x")])).ok);
});

test("a damaged file is set aside by name and the version before is used", async (t) => {
  const { directory, path } = place(t);
  await keep(path, "one");
  await keep(path, "two");
  writeFileSync(path, readFileSync(path).subarray(0, -1));
  const reading = await read(path);
  assert.equal(reading.text, "one");
  assert.deepEqual(codes(reading), ["state.damaged", "state.last.used"]);
  assert.match(
    reading.findings[0]?.detail ?? "",
    /kept\.json is damaged: it has 2 of 3 bytes; it is now .*\/kept\.json\.d/,
  );
  assert.match(reading.findings[1]?.detail ?? "", /kept\.json\.last, the version before, is used/);
  assert.deepEqual(readdirSync(directory).sort(), [asideName, "kept.json.last"].sort());
  assert.equal((await read(path)).text, "one", "as well when it is started again before anything was kept");
  await keep(path, "three");
  assert.equal((await read(path)).text, "three");
  assert.deepEqual(decodeKept(readFileSync(`${path}.last`)), { ok: true, value: "one" });
});

test("with both versions damaged nothing is used, and nothing is thrown away", async (t) => {
  const { directory, path } = place(t);
  await keep(path, "one");
  await keep(path, "two");
  writeFileSync(path, "");
  writeFileSync(`${path}.last`, "rubbish");
  const reading = await read(path);
  assert.equal(reading.text, undefined);
  assert.deepEqual(codes(reading), ["state.damaged", "state.damaged", "state.lost"]);
  assert.deepEqual(readdirSync(directory).sort(), [asideName, `kept.json.last${asideName.slice(9)}`]);
});

test("a file that a later evenkeel wrote stops the start and stays where it is", async (t) => {
  const { path } = place(t);
  for (const line of [
    `${JSON.stringify({ evenkeel: "kept", format: 2, bytes: 0, sha256: "0".repeat(64) })}\n`,
    `${JSON.stringify({ evenkeel: "kept", format: 12, blake3: "0" })}\n`,
  ]) {
    writeFileSync(path, line);
    const found = await readKept(path, { wallClock });
    assert.equal(found.ok ? "" : found.failure.code, "state.format");
    assert.ok(!found.ok && found.failure.detail.startsWith(`${path}: it has format`));
    assert.equal(readFileSync(path, "utf8"), line);
  }
});

test("what a killed writer left is removed and told; the files of others are left alone", async (t) => {
  const { directory, path } = place(t);
  await keep(path, "one");
  for (const name of [
    "kept.json.draft-0a1b2c3d",
    "kept.json.draft-0a1b2c3d-last",
    "other.json.draft-1",
    "kept.json.old",
  ]) {
    writeFileSync(join(directory, name), "half");
  }
  const reading = await read(path);
  assert.equal(reading.text, "one");
  assert.deepEqual(codes(reading), ["state.draft.removed", "state.draft.removed"]);
  assert.deepEqual(readdirSync(directory).sort(), ["kept.json", "kept.json.old", "other.json.draft-1"]);
});

test("a copy is set aside once, and no more than some files are left lying, the newest", async (t) => {
  const { directory, path } = place(t);
  await keep(path, "one");
  const first = await setAside(path, "copy", { wallClock });
  assert.ok(first.ok);
  assert.equal(first.value.path, join(directory, asideName));
  assert.equal(readFileSync(path, "utf8"), readFileSync(first.value.path, "utf8"));
  assert.deepEqual(await setAside(path, "copy", { wallClock: () => atMs + 1 }), first);
  for (let round = 1; round < 12; round++) {
    await keep(path, `round ${round}`);
    const aside = await setAside(path, "copy", { wallClock: () => atMs + Math.floor(round / 2) });
    assert.ok(aside.ok);
    const removed = aside.value.findings.map((finding) => finding.code);
    assert.deepEqual(removed, round < asideFilesMax ? [] : ["state.aside.removed"]);
  }
  const asides = readdirSync(directory).filter((name) => name.includes("damaged"));
  const texts = asides.sort().map((name) => decodeKept(readFileSync(join(directory, name))));
  assert.deepEqual(
    texts.map((decoded) => (decoded.ok ? decoded.value : "")),
    [7, 8, 9, 10, 11].map((round) => `round ${round}`),
  );
});

const system: KeptFileCalls = fs;

function errno(code: string): Error {
  return Object.assign(new Error(`${code}: as the kernel says it`), { code });
}

/** The system's calls, of which one kind is refused. */
function refusing(call: keyof KeptFileCalls | "write" | "sync", code: string): KeptFileCalls {
  const refuse = () => Promise.reject(errno(code));
  if (call !== "write" && call !== "sync") return { ...system, [call]: refuse };
  return {
    ...system,
    open: async (path, flags, mode) => {
      const file = await fs.open(path, flags, mode);
      return {
        writeFile: call === "write" ? refuse : (bytes) => file.writeFile(bytes),
        sync: call === "sync" ? refuse : () => file.sync(),
        close: () => file.close(),
      };
    },
  };
}

test("what cannot be written is told with the system's words and what to do, and leaves all as it was", async (t) => {
  const { directory, path } = place(t);
  await keep(path, "one");
  await keep(path, "two");
  for (const [call, code, remedy] of [
    ["write", "ENOSPC", /free space on the file system of/],
    ["sync", "ENOSPC", /free space/],
    ["sync", "EIO", /see whether .* and its disk are in order/],
    ["open", "EACCES", /writable for the user that evenkeel runs as/],
    ["open", "EROFS", /mounted read-only/],
    ["mkdir", "ENOTDIR", /no directory/],
    ["write", "EDQUOT", /quota/],
    ["link", "ENOSPC", /free space/],
    ["rename", "EIO", /its disk/],
  ] as const) {
    const kept = await keepFile(path, "three", refusing(call, code));
    assert.ok(!kept.ok);
    assert.equal(kept.failure.code, "state.unwritable");
    assert.match(
      kept.failure.detail,
      new RegExp(`kept\\.json cannot be written: ${code}: as the kernel says it: .*; what was there stays$`),
    );
    assert.match(kept.failure.detail, remedy);
    assert.equal((await read(path)).text, "two", `${call} ${code}`);
    assert.deepEqual(readdirSync(directory).sort(), ["kept.json", "kept.json.last"]);
  }
  await keep(path, "three");
  assert.equal((await read(path)).text, "three");
});

test("a text that could not be read again is not written", async (t) => {
  const { path } = place(t);
  await keep(path, "one");
  const kept = await keepFile(path, "x".repeat(keptBytesMax));
  assert.equal(kept.ok ? "" : kept.failure.code, "state.unwritable");
  assert.equal((await read(path)).text, "one");
});

test("a file system without second names for a file gets copies", async (t) => {
  const { directory, path } = place(t);
  for (const code of ["EPERM", "EOPNOTSUPP"]) {
    const calls = refusing("link", code);
    await keep(path, "one", calls);
    await keep(path, "two", calls);
    assert.deepEqual(decodeKept(readFileSync(`${path}.last`)), { ok: true, value: "one" });
    assert.equal((await read(path, calls)).text, "two");
    const aside = await setAside(path, "copy", { wallClock, calls });
    assert.ok(aside.ok && readFileSync(aside.value.path).equals(readFileSync(path)));
    rmSync(aside.value.path);
  }
  assert.deepEqual(readdirSync(directory).sort(), ["kept.json", "kept.json.last"]);
});

test("a start that finds the present version under its second name already keeps both", async (t) => {
  const { directory, path } = place(t);
  await keep(path, "one");
  linkSync(path, `${path}.last`); // killed between its two renames
  await keep(path, "two");
  assert.deepEqual(readdirSync(directory).sort(), ["kept.json", "kept.json.last"]);
  assert.deepEqual(decodeKept(readFileSync(`${path}.last`)), { ok: true, value: "one" });
});

test("what may not be read is a failure, what the disk cannot read is damage", async (t) => {
  const { path } = place(t);
  await keep(path, "one");
  await keep(path, "two");
  for (const calls of [refusing("readFile", "EACCES"), refusing("readdir", "EACCES"), refusing("stat", "ELOOP")]) {
    const found = await readKept(path, { wallClock, calls });
    assert.equal(found.ok ? "" : found.failure.code, "state.unreadable");
  }
  const once: KeptFileCalls = {
    ...system,
    readFile: (name) => (name === path ? Promise.reject(errno("EIO")) : fs.readFile(name)),
  };
  const reading = await read(path, once);
  assert.equal(reading.text, "one");
  assert.deepEqual(codes(reading), ["state.damaged", "state.last.used"]);
});

test("a damaged file that cannot be set aside is in the way, and the version before is used all the same", async (t) => {
  const { path } = place(t);
  await keep(path, "one");
  await keep(path, "two");
  writeFileSync(path, "rubbish");
  const reading = await read(path, refusing("rename", "EROFS"));
  assert.equal(reading.text, "one");
  assert.deepEqual(reading.inTheWay, [path]);
  assert.deepEqual(codes(reading), ["state.damaged", "state.last.used"]);
  assert.match(reading.findings[0]?.detail ?? "", /until it can be set aside no change is kept: .*mounted read-only/);
});

test("a directory with other rights is taken as it is", async (t) => {
  const { directory } = place(t);
  const state = join(directory, "state");
  mkdirSync(state);
  chmodSync(state, 0o700);
  await keep(join(state, "kept.json"), "one");
  assert.equal(statSync(state).mode & 0o777, 0o700);
});

test("at every call a writer may be stopped or lose the power: the old text is there or the new, and what was confirmed is", async () => {
  const path = "/disk/state/kept.json";
  for (let seed = seedFirst; seed < seedFirst + seedCount; seed++) {
    const random = seededRandom(seed);
    const disk = new TestDisk();
    /** What was confirmed last, and what was tried since. */
    const possible = new Set<string | undefined>([undefined]);
    for (let round = 1; round <= 8; round++) {
      const written = `round ${round}\n`.repeat(1 + Math.floor(random() * 4));
      if (random() < 0.7) disk.stopAfter = Math.floor(random() * 16);
      const kept = await keepFile(path, written, disk.calls);
      if (kept.ok) possible.clear();
      possible.add(written);
      // A process that dies leaves the rest to the kernel, which writes it all in its time; the power does not wait.
      if (random() < 0.6) disk.restart(random);
      disk.stopAfter = random() < 0.2 ? Math.floor(random() * 6) : Number.POSITIVE_INFINITY;
      const found = await readKept(path, { wallClock, calls: disk.calls });
      const isStopped = disk.stopAfter <= 0;
      disk.stopAfter = Number.POSITIVE_INFINITY;
      if (isStopped) continue;
      const where = `seed ${seed}, round ${round}, on disk ${disk.list().join(" ")}`;
      assert.ok(found.ok, where);
      assert.ok(possible.has(found.value.text), `${where}: found ${found.value.text}`);
      const alarms = found.value.findings.filter(({ level }) => level !== "info");
      assert.deepEqual(alarms, [], where);
    }
    await read(path, disk.calls);
    const left = disk.list().filter((name) => !/^kept\.json(\.last)?$/.test(name));
    assert.deepEqual(left, [], `seed ${seed}`);
  }
});
