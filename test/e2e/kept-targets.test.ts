// What the API said, kept on a real disk: a program that is killed at any moment of its writing, and one whose disk is full.

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdirSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { env } from "node:process";
import { type TestContext, test } from "node:test";
import { KeptTargets } from "../../src/control/targets/kept-targets.ts";
import { numberOf, stateOf } from "../../src/control/targets/test-entries.ts";
import type { LogFields } from "../../src/core/log.ts";
import { seededRandom } from "../../src/core/random.ts";
import { root, runProgram, startProgram, temporaryDirectory, until } from "./kit.ts";

const killRounds = Number(env["EVENKEEL_ROUNDS"] ?? 60);
/** As fixtures/save-loop.ts has them under way. */
const savesAtOnce = 4;

const fixture = (name: string) => join(root, "test/e2e/fixtures", name);

/** Starts the loop, waits for some confirmations and a little more, kills it; the last number that it confirmed. */
async function killWhileSaving(t: TestContext, directory: string, random: () => number): Promise<number | undefined> {
  const program = startProgram(t, process.execPath, [fixture("save-loop.ts"), directory]);
  const confirmed = () => program.stdout().split("\n").slice(0, -1);
  const wanted = Math.floor(random() * 12);
  await until("confirmations", () => confirmed().length >= wanted || program.exit() !== undefined, { everyMs: 1 });
  // Where in a write it is hit: some turns of the loop later.
  for (let turns = Math.floor(random() * 400); turns > 0; turns--) await new Promise((next) => setImmediate(next));
  program.signal("SIGKILL");
  const { signal } = await program.exited();
  assert.equal(signal, "SIGKILL", program.stderr());
  const last = confirmed().at(-1);
  return last === undefined ? undefined : Number(last);
}

test("killed at any moment of its writing, the program finds what was confirmed or what was under way, whole", async (t) => {
  const seed = Number(env["EVENKEEL_SEED"] ?? Math.floor(Math.random() * 2 ** 31));
  t.diagnostic(`seed ${seed}`);
  const random = seededRandom(seed);
  const directory = temporaryDirectory(t);
  let [before, drafts, beyond] = [0, 0, 0];
  for (let round = 0; round < killRounds; round++) {
    const confirmed = (await killWhileSaving(t, directory, random)) ?? before;
    if (readdirSync(directory).some((name) => name.includes("draft"))) drafts++;
    const alarms: string[] = [];
    const alarm = (message: string, fields?: LogFields) => alarms.push(`${message} ${JSON.stringify(fields)}`);
    const ignore = () => undefined;
    const loaded = await new KeptTargets(directory, { debug: ignore, info: ignore, warn: alarm, error: alarm }).load();
    assert.ok(loaded.ok);
    const found = numberOf(loaded.value);
    const where = `round ${round}: ${confirmed} was confirmed, ${found} is there`;
    assert.ok(found >= confirmed && found <= confirmed + savesAtOnce, where);
    assert.deepEqual(loaded.value, stateOf(found), where);
    assert.deepEqual(alarms, [], where);
    if (found > confirmed) beyond++;
    before = found;
  }
  t.diagnostic(
    `${before} states kept; of ${killRounds} kills ${drafts} left a draft, ${beyond} a state not yet confirmed`,
  );
});

function noMounts(): string | false {
  if (process.getuid?.() !== 0) return "a file system of its own needs root";
  const ran = spawnSync("unshare", ["--mount", "true"]);
  return ran.status === 0 ? false : "this kernel or container makes no mount namespaces";
}

test("a disk that is full or read-only refuses what is new and keeps what is old", { skip: noMounts() }, async (t) => {
  const directory = join(temporaryDirectory(t), "small");
  mkdirSync(directory);
  const script = 'mount -t tmpfs -o size=64k evenkeel-test "$2" && exec "$0" "$1" "$2"';
  const args = ["--mount", "sh", "-c", script, process.execPath, fixture("full-disk.ts"), directory];
  const ran = await runProgram(t, "unshare", args);
  assert.equal(ran.code, 0, ran.stderr);
  const told = ran.stdout
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line));
  const both = ["targets.json", "targets.json.last"];
  assert.deepEqual(
    told.map(({ what, code, found, names }) => [what, code, found, names.sort()]),
    [
      ["room", undefined, 1, ["targets.json"]],
      ["room", undefined, 2, both],
      ["full", "state.unwritable", 2, both],
      ["room again", undefined, 4, both],
      ["read-only", "state.unwritable", 4, both],
    ],
  );
  assert.match(
    told[2].detail,
    /ENOSPC: no space left on device.*: free space on the file system of .*; what was there stays$/,
  );
  assert.match(told[4].detail, /EROFS: read-only file system.*mount it writable/);
});
