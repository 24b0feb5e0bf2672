import assert from "node:assert/strict";
import { fork } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { fileURLToPath } from "node:url";
import { runKeptCommand } from "./kept-command.ts";

function shell(script: string, more: { readonly timeout?: number; readonly signal?: AbortSignal } = {}) {
  return runKeptCommand({
    words: ["/bin/sh", "-c", script],
    environment: { PATH: process.env["PATH"] ?? "", NAME: "value" },
    directory: "/",
    timeout: more.timeout ?? 20_000,
    signal: more.signal ?? new AbortController().signal,
    outputBytesMax: 64,
  });
}

function directoryOf(t: TestContext): string {
  const directory = mkdtempSync(join(tmpdir(), "ek-command-"));
  t.after(() => rmSync(directory, { recursive: true }));
  return directory;
}

async function appears(path: string): Promise<string> {
  const deadline = performance.now() + 15_000;
  while (!existsSync(path) || readFileSync(path, "utf8") === "") {
    assert.ok(performance.now() < deadline, `${path} does not appear`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  return readFileSync(path, "utf8").trim();
}

async function ends(pid: number): Promise<void> {
  const deadline = performance.now() + 15_000;
  for (;;) {
    const stat = existsSync(`/proc/${pid}/stat`) ? readFileSync(`/proc/${pid}/stat`, "latin1") : "";
    if (stat === "" || stat.includes(") Z ")) return;
    assert.ok(performance.now() < deadline, `${pid} does not end`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

test("its exit code, environment and the end of its output come back", async () => {
  const { end, output } = await shell(
    'echo "$NAME"; i=0; while [ $i -lt 100 ]; do echo line $i; i=$((i+1)); done; echo last >&2; exit 3',
  );
  assert.deepEqual(end, { type: "exit", code: 3 });
  assert.ok(output.endsWith("last"), output);
  assert.ok(Buffer.byteLength(output) <= 64);
  assert.deepEqual(await shell("kill -SEGV $$"), { end: { type: "signal", signal: "SIGSEGV" }, output: "" });
});

test("a program that is not there is told by its errno", async () => {
  const asked = { environment: {}, directory: "/", timeout: 5_000, outputBytesMax: 64 };
  const { signal } = new AbortController();
  const { end } = await runKeptCommand({ ...asked, words: ["/nowhere/program"], signal });
  assert.deepEqual(end, { type: "unstarted", error: "ENOENT" });
});

test("at its deadline it is ended with all that it started", async (t) => {
  const file = join(directoryOf(t), "pid");
  const { end } = await shell(`sleep 60 & echo $! > ${file}; wait`, { timeout: 500 });
  assert.deepEqual(end, { type: "timeout" });
  await ends(Number(await appears(file)));
});

test("given up it is killed at once", async (t) => {
  const file = join(directoryOf(t), "pid");
  const abort = new AbortController();
  const ended = shell(`trap '' TERM; echo $$ > ${file}; sleep 60`, { signal: abort.signal });
  const pid = Number(await appears(file));
  abort.abort();
  assert.deepEqual((await ended).end, { type: "givenUp" });
  await ends(pid);
});

test("what it leaves behind goes on, unless it holds the output", async (t) => {
  const file = join(directoryOf(t), "pid");
  const left = await shell(`sleep 60 >/dev/null 2>&1 & echo $! > ${file}; echo started`);
  assert.deepEqual(left, { end: { type: "exit", code: 0 }, output: "started" });
  const pid = Number(await appears(file));
  process.kill(pid, 0);
  process.kill(pid, "SIGKILL");
  const holding = await shell(`sleep 60 & echo $! > ${file}`);
  assert.deepEqual(holding.end, { type: "held" });
  process.kill(Number(await appears(file)), "SIGKILL");
});

test("it dies with whoever wanted it, kill -9 included", async (t) => {
  const file = join(directoryOf(t), "pid");
  const child = fork(fileURLToPath(import.meta.url), ["run", `echo $$ > ${file}; sleep 60`], { execArgv: [] });
  const pid = Number(await appears(file));
  child.kill("SIGKILL");
  await once(child, "exit");
  await ends(pid);
});

// The process that is killed: this file itself.
if (process.argv[2] === "run") await shell(process.argv[3] ?? "");
