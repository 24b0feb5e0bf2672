import assert from "node:assert/strict";
import { test } from "node:test";
import { burstMax, idleCost, requestsPerSecondMax, startPace, takePace } from "./pace.ts";

test("a burst is not held back, and what lasts comes down to the rate", () => {
  let pace = startPace(0);
  let now = 0;
  let delayed = 0;
  for (let request = 0; request < burstMax; request++) {
    const taken = takePace(pace, now, 1);
    pace = taken.pace;
    delayed += taken.delay;
  }
  assert.equal(delayed, 0);
  for (let request = 0; request < 500; request++) {
    const taken = takePace(pace, now, 1);
    pace = taken.pace;
    now += taken.delay;
  }
  assert.ok(Math.abs(now - (500 * 1_000) / requestsPerSecondMax) < 1, `${now}`);
});

test("after a quiet time a burst is free again, and not more than a burst", () => {
  let pace = takePace(startPace(0), 0, burstMax).pace;
  pace = takePace(pace, 3_600_000, 0).pace;
  assert.equal(pace.left, burstMax);
});

test("a store that does not hold queries open is asked a few times a second", () => {
  let pace = startPace(0);
  let now = 0;
  let requests = 0;
  while (now < 60_000) {
    const taken = takePace(pace, now, idleCost);
    pace = taken.pace;
    now += Math.max(1, taken.delay);
    requests++;
  }
  assert.ok(requests < (60 * requestsPerSecondMax) / idleCost + burstMax, `${requests}`);
});
