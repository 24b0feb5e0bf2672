// The stage against the kernel: real processes, ended by their ids.

import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { test } from "node:test";
import { listTree } from "./measure/processes.ts";
import { Stage, type Started } from "./stage.ts";

async function until(what: string, condition: () => boolean): Promise<void> {
  const deadline = performance.now() + 10_000;
  while (!condition()) {
    assert.ok(performance.now() < deadline, `not in time: ${what}`);
    await new Promise((resolve) => setImmediate(resolve));
  }
}

/** A shell that ignores SIGTERM, with a child. */
async function stubborn(stage: Stage): Promise<{ readonly started: Started; readonly tree: readonly number[] }> {
  const argv = ["sh", "-c", "trap '' TERM; echo up; while :; do sleep 60; done"];
  const started = stage.start({ name: "stubborn", argv, cores: "0" });
  await until("a shell with a child", () => listTree(started.pid).length === 2);
  await until("its trap", () => readFileSync(stage.path("stubborn.out"), "utf8") === "up\n");
  return { started, tree: listTree(started.pid) };
}

test("striking the stage ends whole trees, also what ignores SIGTERM, and removes the directory", async () => {
  const stage = new Stage(200);
  const { started, tree } = await stubborn(stage);
  await stage.strike();
  assert.match(await started.ended, /signal SIGKILL/);
  for (const pid of tree) await until(`the end of ${pid}`, () => !existsSync(`/proc/${pid}`));
  assert.equal(existsSync(stage.directory), false);
});

test("a process runs on the cores it was given and its output is kept", async () => {
  const stage = new Stage();
  try {
    const argv = ["sh", "-c", "grep Cpus_allowed_list /proc/self/status; echo no good >&2; exit 3"];
    const started = stage.start({ name: "pinned", argv, cores: "0" });
    assert.equal(await started.ended, "exit 3");
    assert.equal(started.complaint(), "no good");
    assert.equal(readFileSync(stage.path("pinned.out"), "utf8"), "Cpus_allowed_list:\t0\n");
  } finally {
    await stage.strike();
  }
});

test("ports are given out once, and lie below those of outgoing connections", async () => {
  const stage = new Stage();
  try {
    const ports = new Set<number>();
    for (let index = 0; index < 5; index++) ports.add(await stage.freePort());
    assert.equal(ports.size, 5);
    for (const port of ports) assert.ok(port < 32_768);
  } finally {
    await stage.strike();
  }
});
