import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import type { ProbeOutcome } from "../model/health-check.ts";
import { createProcessProber, type ProcessQuestion, parseStat } from "./probe-process.ts";

function proc(t: TestContext) {
  const path = mkdtempSync(join(tmpdir(), "evenkeel-proc-"));
  t.after(() => rmSync(path, { recursive: true, force: true }));
  return {
    path,
    add(
      pid: number,
      name: string,
      { state = "S", words = [name] }: { state?: string; words?: readonly string[] } = {},
    ) {
      mkdirSync(join(path, `${pid}`), { recursive: true });
      writeFileSync(join(path, `${pid}/stat`), `${pid} (${name}) ${state} 1 1 1 0`);
      writeFileSync(join(path, `${pid}/cmdline`), words.map((word) => `${word}\0`).join(""));
    },
    remove: (pid: number) => rmSync(join(path, `${pid}`), { recursive: true }),
  };
}

function asker(question: Partial<ProcessQuestion>, path?: string): () => Promise<ProbeOutcome> {
  const prober = createProcessProber({ process: "nginx", match: undefined, quorum: 1, ...question }, path);
  return () => new Promise((resolve) => prober.start(1_000, resolve));
}

test("the quorum of living processes decides; zombies are dead", async (t) => {
  const { path, add, remove } = proc(t);
  const ask = asker({ quorum: 2 }, path);
  assert.equal((await ask()).text, "0 of 2 processes of the name nginx run");
  add(10, "nginx");
  add(11, "nginx", { state: "Z" });
  add(12, "nginx-other");
  assert.equal((await ask()).text, "1 of 2 processes of the name nginx run");
  add(11, "nginx", { state: "R" });
  assert.equal((await ask()).verdict, "passed");
  // Its number goes to somebody else, and a third one appears.
  add(10, "sleep");
  assert.equal((await ask()).verdict, "failed");
  for (let pid = 1_000; pid < 1_300; pid++) add(pid, "other");
  add(1_299, "nginx");
  assert.equal((await ask()).verdict, "passed");
  remove(11);
  assert.equal((await ask()).verdict, "failed");
});

test("a name is compared as the kernel keeps it, and the command line may have to hold a text", async (t) => {
  const { path, add } = proc(t);
  add(20, "a-rather-long-n", { words: ["/usr/bin/a-rather-long-name", "--site", "blue"] });
  const name = "a-rather-long-name";
  assert.equal((await asker({ process: name }, path)()).verdict, "passed");
  assert.equal((await asker({ process: name, match: "--site blue" }, path)()).verdict, "passed");
  assert.equal((await asker({ process: name, match: "--site green" }, path)()).verdict, "failed");
});

test("a name may hold brackets and spaces", () => {
  assert.deepEqual(parseStat("7 (a) b) (c) S 1"), { name: "a) b) (c", dead: false });
  assert.deepEqual(parseStat("7 (x) Z 1"), { name: "x", dead: true });
  assert.equal(parseStat("nonsense"), undefined);
});

test("a real process is found while it runs", async (t) => {
  const child = spawn("sleep", ["601.25"]);
  t.after(() => child.kill("SIGKILL"));
  await new Promise((resolve) => child.once("spawn", resolve));
  const ask = asker({ process: "sleep", match: "601.25" });
  assert.equal((await ask()).verdict, "passed");
  const gone = new Promise((resolve) => child.once("exit", resolve));
  child.kill("SIGKILL");
  await gone;
  assert.equal((await ask()).verdict, "failed");
});
