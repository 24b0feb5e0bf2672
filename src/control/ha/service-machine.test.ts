// The machine of a singleton service, as scripts of inputs.

import assert from "node:assert/strict";
import { test } from "node:test";
import { seededRandom } from "../../core/random.ts";
import type { Service } from "../../model/ha.ts";
import {
  initialService,
  type ServiceEffect,
  type ServiceInput,
  type ServiceState,
  stepService,
} from "./service-machine.ts";

const pump: Service = {
  name: "pump",
  command: ["/bin/pump"],
  follow: { kind: "virtualRouter", name: "VI_1" },
  user: undefined,
  directory: undefined,
  environment: [],
  stopTimeout: 5_000,
  restartDelay: 100,
  restartDelayMax: 1_000,
};

function world() {
  let state: ServiceState = initialService(pump);
  let now = 0;
  let nextRun = 1;
  const words = (effect: ServiceEffect): string => {
    switch (effect.type) {
      case "start":
        nextRun++;
        return `start ${effect.run} token ${effect.token}`;
      case "signal":
        return `${effect.signal} ${effect.run}`;
      case "failed":
        return `failed, again in ${effect.restartIn}`;
      default:
        return effect satisfies never;
    }
  };
  return {
    give(input: ServiceInput): readonly string[] {
      const step = stepService(pump, state, input, { now, nextRun });
      state = step.state;
      return step.effects.map(words);
    },
    pass(span: number): readonly string[] {
      now += span;
      return this.give({ type: "tick" });
    },
    ended: (run: number): ServiceInput => ({ type: "ended", run, reason: "exit 1" }),
    state: () => state,
  };
}

test("a service is started once for a takeover, with its token", () => {
  const run = world();
  assert.deepEqual(run.give({ type: "activate", token: 7 }), ["start 1 token 7"]);
  assert.deepEqual(run.give({ type: "activate", token: 7 }), []);
});

test("a release asks it to end and kills it at the deadline, once", () => {
  const run = world();
  run.give({ type: "activate", token: 7 });
  assert.deepEqual(run.give({ type: "release" }), ["SIGTERM 1"]);
  assert.deepEqual(run.pass(4_999), []);
  assert.deepEqual(run.give({ type: "release" }), [], "it gets no more time");
  assert.deepEqual(run.pass(1), ["SIGKILL 1"]);
  assert.deepEqual(run.pass(10_000), []);
  assert.deepEqual(run.give(run.ended(1)), []);
  assert.equal(run.state().phase, "idle");
});

test("a role that is lost kills it at once, also when it had been asked to end", () => {
  const run = world();
  run.give({ type: "activate", token: 7 });
  run.give({ type: "release" });
  assert.deepEqual(run.give({ type: "lose" }), ["SIGKILL 1"]);
  assert.deepEqual(run.give({ type: "lose" }), ["SIGKILL 1"]);
});

test("a role that comes back starts it when the old one has ended, with the new token and without a wait", () => {
  const run = world();
  run.give({ type: "activate", token: 7 });
  run.give({ type: "lose" });
  assert.deepEqual(run.give({ type: "activate", token: 9 }), []);
  assert.deepEqual(run.give(run.ended(1)), ["start 2 token 9"]);
  assert.deepEqual(run.give(run.ended(1)), [], "the end of an old run says nothing of this one");
});

test("after its own end it is started again, each time after twice the wait, up to the maximum", () => {
  const run = world();
  run.give({ type: "activate", token: 7 });
  const waits: number[] = [];
  for (let number = 1; number <= 6; number++) {
    const [said = ""] = run.give(run.ended(number));
    const wait = Number(/\d+$/.exec(said)?.[0]);
    waits.push(wait);
    assert.deepEqual(run.pass(wait - 1), []);
    assert.deepEqual(run.pass(1), [`start ${number + 1} token 7`]);
  }
  assert.deepEqual(waits, [100, 200, 400, 800, 1_000, 1_000]);
  run.pass(1_000);
  assert.deepEqual(run.give(run.ended(7)), ["failed, again in 100"], "it had run for long");
});

test("a release while it waits for its restart ends that", () => {
  const run = world();
  run.give({ type: "activate", token: 7 });
  run.give(run.ended(1));
  assert.deepEqual(run.give({ type: "release" }), []);
  assert.deepEqual([run.state().phase, run.pass(10_000)], ["idle", []]);
  assert.deepEqual(run.give({ type: "activate", token: 8 }), ["start 2 token 8"]);
});

test("whatever happens, two runs never overlap and nothing starts without the role", () => {
  const seed = 20_261_121;
  console.log(`seed ${seed}`);
  const random = seededRandom(seed);
  const pick = <T>(list: readonly T[]): T | undefined => list[Math.floor(random() * list.length)];
  for (let round = 0; round < 300; round++) {
    const run = world();
    let running: number | undefined;
    let token: number | undefined;
    let tokens = 0;
    for (let count = 0; count < 60; count++) {
      const what = pick(["activate", "release", "lose", "ended", "tick"] as const);
      if (what === "activate") token ??= ++tokens;
      if (what === "release" || what === "lose") token = undefined;
      let said: readonly string[] = [];
      if (what === "activate") said = run.give({ type: what, token: token ?? 0 });
      else if (what === "ended") {
        const over = running ?? 0;
        running = undefined;
        said = run.give(run.ended(over));
      } else said = what === "tick" ? run.pass(Math.floor(random() * 900)) : run.give({ type: what ?? "lose" });
      for (const words of said) {
        const started = /^start (\d+) token (\d+)$/.exec(words);
        if (started === null) continue;
        assert.equal(running, undefined, "the one before has ended");
        assert.equal(Number(started[2]), token, "of this takeover");
        running = Number(started[1]);
      }
    }
    if (token === undefined) continue;
    run.give(run.ended(running ?? 0));
    run.pass(10_000);
    assert.equal(run.state().phase, "running", "with the role it runs in the end");
  }
});
