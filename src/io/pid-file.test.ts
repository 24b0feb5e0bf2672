import assert from "node:assert/strict";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { removePidFile, writePidFile } from "./pid-file.ts";

test("a pid file is written whole, removed by its owner and left to a successor", (t) => {
  const directory = mkdtempSync(join(tmpdir(), "evenkeel-pid-"));
  t.after(() => rmSync(directory, { recursive: true }));
  const path = join(directory, "pid");
  assert.equal(writePidFile(path, 12).ok, true);
  assert.equal(readFileSync(path, "utf8"), "12\n");
  assert.deepEqual(readdirSync(directory), ["pid"]);
  writeFileSync(path, "13\n");
  removePidFile(path, 12);
  assert.equal(existsSync(path), true);
  removePidFile(path, 13);
  assert.equal(existsSync(path), false);
  removePidFile(path, 13);
});

test("a pid file where none can be is a failure that names it", () => {
  const written = writePidFile("/nonexistent/pid", 12);
  assert.equal(written.ok ? "" : written.failure.code, "pidFile.failed");
  assert.ok(!written.ok && written.failure.detail.includes("/nonexistent/pid"));
});
