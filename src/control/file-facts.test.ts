// Files of this machine as they are. What the facts mean is judge-machine.test.ts.

import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { gatherFileFacts } from "./file-facts.ts";
import { loadConfig } from "./load-config.ts";

const place = { file: "lb.yaml", line: 1, column: 1, path: [] };

test("a file is there, is missing, or is a folder; what is no file is not looked at", async (t) => {
  const folder = mkdtempSync(join(tmpdir(), "evenkeel-files-"));
  t.after(() => rmSync(folder, { recursive: true }));
  const token = join(folder, "token");
  writeFileSync(token, "secret");
  const facts = await gatherFileFacts([
    ...[token, folder, join(folder, "none"), join(token, "below")].map(
      (path) => ({ kind: "file", path, place }) as const,
    ),
    { kind: "program", program: "/bin/sh", place },
  ]);
  assert.deepEqual([...facts.values()], ["fine", "directory", "missing", "missing"]);
});

test("a file that is not there refuses the configuration with its line, but not one for another machine", async (t) => {
  const folder = mkdtempSync(join(tmpdir(), "evenkeel-files-"));
  t.after(() => rmSync(folder, { recursive: true }));
  const [file, token] = [join(folder, "lb.yaml"), join(folder, "token")];
  writeFileSync(file, `admin:\n  http: 127.0.0.1:9911\n  tokenFile: ${token}\n`);
  const here = await loadConfig(file);
  assert(!here.ok);
  assert.deepEqual(here.problems, [`${file}:3:14: there is no file \`${token}\`; expected a file that exists`]);
  assert.equal((await loadConfig(file, { elsewhere: true })).ok, true);
  writeFileSync(token, "secret");
  assert.equal((await loadConfig(file)).ok, true);
});
