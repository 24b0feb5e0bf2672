// The heartbeat machine in virtual time, by the clock that it goes by in the supervisor.

import assert from "node:assert/strict";
import { test } from "node:test";
import { seededRandom } from "../../core/random.ts";
import { type HeartbeatConfig, heartbeatConfigDefault, initialHeartbeat, stepHeartbeat } from "./heartbeat.ts";
import { createWakingClock } from "./waking-clock.ts";

const config: HeartbeatConfig = heartbeatConfigDefault;
const { interval, silenceMax } = config;

function watch() {
  let now = 5_000;
  let state = initialHeartbeat();
  const clock = createWakingClock(() => now, interval);
  return {
    hear: (slot: number) => {
      const step = stepHeartbeat(config, state, { type: "heard", slot }, clock.now());
      state = step.state;
      assert.deepEqual(step.effects, []);
    },
    end: (slot: number) => {
      state = stepHeartbeat(config, state, { type: "ended", slot }, clock.now()).state;
    },
    pass: (ms: number) => {
      now += ms;
    },
    /** Slots that hang and how long they were silent. */
    look: (): (readonly [slot: number, silentMs: number])[] => {
      clock.turn();
      const step = stepHeartbeat(config, state, { type: "look" }, clock.now());
      state = step.state;
      return step.effects.map(({ slot, silentMs }) => [slot, silentMs]);
    },
    /** Passes an interval and looks, again and again; what came of it. */
    looks(count: number, each = interval) {
      const told: (readonly [slot: number, silentMs: number])[] = [];
      for (let n = 0; n < count; n++) {
        this.pass(each);
        told.push(...this.look());
      }
      return told;
    },
  };
}

test("the limit leaves room for several lost beats", () => {
  assert.ok(silenceMax >= 5 * interval);
});

test("a worker that says something now and then is left alone for ever", () => {
  const run = watch();
  for (let round = 0; round < 100; round++) {
    run.hear(0);
    assert.deepEqual(run.looks(silenceMax / interval - 1), []);
  }
});

test("a worker that falls silent is told once, with the length of its silence", () => {
  const run = watch();
  run.hear(0);
  run.hear(1);
  run.pass(300);
  run.hear(1);
  run.pass(interval - 300);
  assert.deepEqual(run.look(), []);
  assert.deepEqual(run.looks(silenceMax / interval - 2), []);
  assert.deepEqual(run.looks(1), [[0, silenceMax]]);
  assert.deepEqual(run.looks(1), [[1, silenceMax + interval - 300]]);
  assert.deepEqual(run.looks(100), []);
});

test("a worker is not watched before its first word", () => {
  const run = watch();
  assert.deepEqual(run.looks(100), []);
});

test("the replacement of a worker that ended has its own silence", () => {
  const run = watch();
  run.hear(0);
  run.looks(silenceMax / interval - 1);
  run.end(0);
  assert.deepEqual(run.looks(100), []);
  run.hear(0);
  assert.deepEqual(run.looks(silenceMax / interval - 1), []);
  assert.deepEqual(run.looks(1), [[0, silenceMax]]);
});

test("a worker that was told and speaks again before it is gone is watched again", () => {
  const run = watch();
  run.hear(0);
  assert.deepEqual(run.looks(silenceMax / interval), [[0, silenceMax]]);
  run.hear(0);
  assert.deepEqual(run.looks(silenceMax / interval), [[0, silenceMax]]);
});

test("an hour in which the supervisor stood still counts as one interval of silence", () => {
  const run = watch();
  run.hear(0);
  run.pass(3_600_000);
  assert.deepEqual(run.look(), []);
  assert.deepEqual(run.looks(silenceMax / interval - 2), []);
  assert.deepEqual(run.looks(1), [[0, silenceMax]]);
});

test("what is heard first after an hour's stand-still is as good as a beat on time", () => {
  const run = watch();
  run.hear(0);
  run.looks(silenceMax / interval - 1);
  run.pass(3_600_000);
  run.hear(0);
  assert.deepEqual(run.look(), []);
  assert.deepEqual(run.looks(silenceMax / interval - 1), []);
});

test("a supervisor that is always late notices a worker that hangs all the same", () => {
  const run = watch();
  run.hear(0);
  assert.deepEqual(run.looks(silenceMax / interval, 7 * interval), [[0, silenceMax]]);
});

test("however late the looks come, only the worker that hangs is told, within a known number of looks", () => {
  const seed = Date.now() >>> 0;
  console.log(`seed ${seed}`);
  const random = seededRandom(seed);
  for (let round = 0; round < 200; round++) {
    const run = watch();
    const hangsAfter = Math.floor(random() * 20);
    for (let looked = 0; ; looked++) {
      run.hear(0);
      if (looked <= hangsAfter) run.hear(1);
      run.pass(random() < 0.2 ? random() * 60_000 : interval + random() * 5);
      const told = run.look();
      if (told.length === 0) {
        assert.ok(looked < hangsAfter + silenceMax / interval, `round ${round}: nothing told after ${looked} looks`);
        continue;
      }
      assert.deepEqual(told, [[1, told[0]?.[1]]]);
      assert.ok(looked - hangsAfter >= silenceMax / interval - 1, `round ${round}: told too early`);
      break;
    }
  }
});
