import assert from "node:assert/strict";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { claimLogPath } from "./log-path.ts";

function inDirectory(look: (directory: string) => void): void {
  const directory = mkdtempSync(join(tmpdir(), "evenkeel-log-"));
  try {
    look(directory);
  } finally {
    rmSync(directory, { recursive: true });
  }
}

test("a log path gets its directory, and a file that is there keeps its lines", () => {
  inDirectory((directory) => {
    const fresh = join(directory, "a/b/access.log");
    assert.ok(claimLogPath(fresh).ok);
    assert.ok(existsSync(fresh));
    const old = join(directory, "old.log");
    writeFileSync(old, "a line\n");
    assert.ok(claimLogPath(old).ok);
    assert.equal(readFileSync(old, "utf8"), "a line\n");
  });
});

test("a log path below a file is refused with path and cause", () => {
  inDirectory((directory) => {
    writeFileSync(join(directory, "file"), "");
    const claimed = claimLogPath(join(directory, "file/access.log"));
    assert.ok(!claimed.ok);
    assert.equal(claimed.failure.code, "log.path.unwritable");
    assert.match(claimed.failure.detail, /file\/access\.log cannot be written/);
  });
});
