// Does the nginx of this machine still pick what nginx-picks.json says? The recorder runs into memory and is compared with
// the file, case by case, so an nginx of another release that behaves otherwise is seen here first.

import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { test } from "node:test";
import type { Recording } from "../oracles/nginx-case.ts";
import { nginxPath, recordingPath, recordPicks } from "../oracles/record-nginx-picks.ts";

const skip = existsSync(nginxPath) ? false : `${nginxPath} is not installed`;

test("the installed nginx picks what was recorded", { skip, timeout: 120_000 }, async (t) => {
  const expected = JSON.parse(readFileSync(recordingPath, "utf8")) as Recording;
  const recorded = await recordPicks(t);
  t.diagnostic(`recorded from ${expected.program}, compared with ${recorded.program}`);
  assert.deepEqual(recorded.cases, expected.cases);
});
