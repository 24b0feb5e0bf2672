import assert from "node:assert/strict";
import { test } from "node:test";
import { createWakingClock } from "./waking-clock.ts";

function start(interval: number) {
  const time = { ms: 7_000 };
  return { time, clock: createWakingClock(() => time.ms, interval) };
}

test("turned on time it goes as the clock does", () => {
  const { time, clock } = start(1_000);
  for (let turn = 0; turn < 5; turn++) {
    time.ms += 400;
    assert.equal(clock.now(), turn * 1_000 + 400);
    time.ms += 600;
    clock.turn();
    assert.equal(clock.now(), (turn + 1) * 1_000);
  }
});

test("a turn that comes early loses nothing", () => {
  const { time, clock } = start(1_000);
  time.ms += 250;
  clock.turn();
  time.ms += 900;
  assert.equal(clock.now(), 1_150);
});

test("an hour between two turns counts as one interval", () => {
  const { time, clock } = start(1_000);
  time.ms += 3_600_000;
  assert.equal(clock.now(), 1_000);
  clock.turn();
  assert.equal(clock.now(), 1_000);
  time.ms += 10;
  assert.equal(clock.now(), 1_010);
});

test("turned late every time it goes on, slower", () => {
  const { time, clock } = start(1_000);
  for (let turn = 0; turn < 10; turn++) {
    time.ms += 7_000;
    clock.turn();
  }
  assert.equal(clock.now(), 10_000);
});
