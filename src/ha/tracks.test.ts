// Tracks as keepalived counts them: rise and fall with its first-run rule, weights, reverse, the limits of a priority.

import assert from "node:assert/strict";
import { test } from "node:test";
import type { TrackEntry } from "../model/virtual-router.ts";
import { routerOf } from "./test-network.ts";
import { awaitsTracks, effectivePriority, judgeTrack, type Standing, tracksInFault, trackUnknown } from "./tracks.ts";

/** `+` passed, `-` failed; one letter for the standing after each outcome. */
function run(policy: { rise: number; fall: number }, outcomes: string): string {
  let state = trackUnknown;
  let standings = "";
  for (const outcome of outcomes) {
    state = judgeTrack(policy, state, outcome === "+" ? "passed" : "failed");
    standings += state.standing[0];
  }
  return standings;
}

test("the first outcome decides alone, whatever rise and fall say", () => {
  assert.equal(run({ rise: 5, fall: 5 }, "+"), "u");
  assert.equal(run({ rise: 5, fall: 5 }, "-"), "d");
});

test("fall failures in a row bring a track down, and a success between them starts the count anew", () => {
  assert.equal(run({ rise: 2, fall: 3 }, "+--+---"), "uuuuuud");
});

test("rise successes in a row bring a track up, and a failure between them starts the count anew", () => {
  assert.equal(run({ rise: 3, fall: 1 }, "-++-+++"), "ddddddu");
});

test("rise and fall of 1 follow every outcome", () => {
  assert.equal(run({ rise: 1, fall: 1 }, "+-+-"), "udud");
});

const entry = (weight: number, reverse = false): TrackEntry => ({ name: "chk", weight, reverse });
const priorityWith = (track: TrackEntry, standing: Standing, priority = 100) =>
  effectivePriority(routerOf({ priority, tracks: [track] }), { chk: standing });

// [weight, reverse, priority while unknown, up, down]
const weights: readonly (readonly [number, boolean, number, number, number])[] = [
  [20, false, 100, 120, 100],
  [-20, false, 100, 100, 80],
  [20, true, 100, 80, 100],
  [-20, true, 100, 100, 120],
  [0, false, 100, 100, 100],
  [253, false, 100, 254, 100],
  [-253, false, 100, 100, 1],
];

for (const [weight, reverse, unknown, up, down] of weights) {
  test(`weight ${weight}${reverse ? " reverse" : ""} makes 100 into ${unknown} unknown, ${up} up, ${down} down`, () => {
    const seen = (["unknown", "up", "down"] as const).map((standing) => priorityWith(entry(weight, reverse), standing));
    assert.deepEqual(seen, [unknown, up, down]);
  });
}

test("the owner's 255 is moved by no weight", () => {
  assert.equal(priorityWith(entry(-20), "down", 255), 255);
});

test("weights of several tracks add up before the limits are applied", () => {
  const tracks = [
    { name: "a", weight: 200, reverse: false },
    { name: "b", weight: -150, reverse: false },
  ];
  assert.equal(effectivePriority(routerOf({ priority: 100, tracks }), { a: "up", b: "down" }), 150);
});

test("weight 0 is in fault while down, reversed while up, and awaited while unknown", () => {
  const plain = routerOf({ tracks: [entry(0)] });
  const reversed = routerOf({ tracks: [entry(0, true)] });
  assert.deepEqual(tracksInFault(plain, { chk: "down" }), ["chk"]);
  assert.deepEqual(tracksInFault(plain, { chk: "up" }), []);
  assert.deepEqual(tracksInFault(reversed, { chk: "up" }), ["chk"]);
  assert.equal(awaitsTracks(plain, {}), true);
  assert.equal(awaitsTracks(plain, { chk: "down" }), false);
  assert.equal(awaitsTracks(routerOf({ tracks: [entry(5)] }), {}), false);
});

// [weight, reverse, number, priority that 100 becomes, in fault]: seen with keepalived 2.2.7, but for the reversed ones.
const numbers: readonly (readonly [number, boolean, number, number, boolean])[] = [
  [1, false, 5, 105, false],
  [1, false, 0, 100, false],
  [1, false, -20, 80, false],
  [2, false, -20, 60, false],
  [1, false, 400, 254, false],
  [1, false, -253, 1, false],
  [1, false, -400, 1, true],
  [-1, false, 30, 70, false],
  [1, true, 30, 70, false],
  [0, false, 0, 100, false],
  [0, false, 7, 100, true],
  [0, true, 0, 100, true],
];

for (const [weight, reverse, number, priority, fault] of numbers) {
  const what = `${reverse ? "reversed " : ""}weight ${weight}`;
  test(`a file that says ${number} makes 100 with ${what} into ${priority}${fault ? ", and a fault" : ""}`, () => {
    assert.equal(priorityWith(entry(weight, reverse), number), priority);
    const router = routerOf({ tracks: [entry(weight, reverse)] });
    assert.deepEqual(tracksInFault(router, { chk: number }), fault ? ["chk"] : []);
  });
}
