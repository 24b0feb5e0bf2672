import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { lockFile } from "./file-lock.ts";

const modulePath = fileURLToPath(new URL("./file-lock.ts", import.meta.url));

test("a file that another process has locked is refused with its id, until that process ends", async (t) => {
  const directory = mkdtempSync(join(tmpdir(), "evenkeel-lock-"));
  t.after(() => rmSync(directory, { recursive: true, force: true }));
  const path = join(directory, "state", "targets.lock");
  const program = `
    const { lockFile } = await import(${JSON.stringify(modulePath)});
    console.log(JSON.stringify(lockFile(${JSON.stringify(path)})));
    setInterval(() => {}, 1_000);
  `;
  const holder = spawn(process.execPath, ["--input-type=module", "-e", program], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  t.after(() => holder.kill("SIGKILL"));
  const said = await new Promise<string>((resolve) => holder.stdout.once("data", (bytes) => resolve(String(bytes))));
  assert.equal(said, '{"ok":true,"value":true}\n');
  const refused = lockFile(path);
  assert.equal(refused.ok, false);
  assert.equal(refused.failure.code, "state.inUse");
  assert.match(refused.failure.detail, new RegExp(`pid ${holder.pid}\\)`));
  const ended = new Promise((resolve) => holder.once("exit", resolve));
  holder.kill("SIGKILL");
  await ended;
  assert.deepEqual(lockFile(path), { ok: true, value: true });
});

test("a place that cannot be written to is a failure, not a throw", () => {
  const refused = lockFile("/dev/null/state/targets.lock");
  assert.equal(refused.ok, false);
  assert.equal(refused.failure.code, "state.unwritable");
});
