// Our balancers and our passive judge against what real nginx picked (nginx-picks.json, see record-nginx-picks.ts).

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { describe, test } from "node:test";
import { cases } from "./cases.ts";
import type { Recording } from "./nginx-case.ts";
import { replay } from "./replay.ts";

const recording = JSON.parse(readFileSync(new URL("nginx-picks.json", import.meta.url), "utf8")) as Recording;

test("the recording is of the cases as they are now", () => {
  assert.deepEqual(
    recording.cases.map(({ picks: _, ...asked }) => asked),
    cases,
  );
});

describe(`we pick what ${recording.program} picked`, () => {
  for (const recorded of recording.cases) {
    test(`${recorded.name}: ${recorded.picks.split(" ").length} picks`, () => {
      assert.equal(replay(recorded), recorded.picks);
    });
  }
});
