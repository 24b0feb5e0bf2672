import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { test } from "node:test";
import { describeProblems } from "./problem.ts";
import { decodeReleaseFile } from "./release-file.ts";

const folder = new URL("../../examples/release/", import.meta.url);
const files = readdirSync(folder).filter((name) => name.endsWith(".yaml"));

test("there is an example of a release file", () => assert.ok(files.length > 0));

for (const file of files) {
  test(`examples/release/${file} is valid as it stands`, () => {
    const options = { file, environment: {}, socketDefault: "/run/evenkeel/admin.sock" };
    const read = decodeReleaseFile(readFileSync(new URL(file, folder), "utf8"), options);
    assert.ok(read.ok, read.ok ? "" : describeProblems(read.problems));
  });
}
