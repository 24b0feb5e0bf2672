import assert from "node:assert/strict";
import { test } from "node:test";
import type { Milliseconds } from "../../core/clock.ts";
import { seededRandom } from "../../core/random.ts";
import type { BoardAnswer, BoardOrder } from "./board.ts";
import {
  type EntryInput,
  type EntryRules,
  type EntryState,
  initialEntry,
  isSettled,
  lookInterval,
  retryMost,
  retrySlow,
  stepEntry,
  type Wanted,
} from "./board-entry.ts";

const rules: EntryRules = { ttl: 9_000, looks: true, drainFor: 500 };
const done: BoardAnswer = { type: "done" };
const failed: BoardAnswer = { type: "failed", detail: "no answer" };
const lost: BoardAnswer = { type: "lost", detail: "gone" };

/** An entry with a board that the test plays. Without chance, unless some is given. */
function world(changes: Partial<EntryRules> = {}, chance = () => 0) {
  const own = { ...rules, ...changes };
  let state: EntryState = initialEntry;
  let now: Milliseconds = 0;
  const asked: BoardOrder[] = [];
  const told: string[] = [];
  const step = (input: EntryInput) => {
    const result = stepEntry(own, state, input, { now, chance: chance() });
    state = result.state;
    for (const effect of result.effects) {
      if (effect.type === "ask") asked.push(effect.order);
      else told.push(effect.text);
    }
  };
  return {
    asked,
    told,
    state: () => state,
    now: () => now,
    want: (wanted: Wanted) => step({ type: "want", wanted }),
    answer: (answer: BoardAnswer) => step({ type: "answer", answer }),
    /** Turns time to the entry's timer. */
    ring() {
      assert.notEqual(state.timer, undefined, "a timer is set");
      now = state.timer ?? now;
      step({ type: "tick" });
    },
    last: () => asked.at(-1),
  };
}

test("it is put up once it is wanted, renewed at a third of its time, and removed", () => {
  const { want, answer, ring, last, now, state, asked } = world();
  assert.ok(isSettled(state()), "nothing is wanted and nothing is there");
  want("up");
  assert.deepEqual(last(), { type: "put" });
  assert.ok(!isSettled(state()));
  answer(done);
  assert.ok(isSettled(state()));
  ring();
  assert.deepEqual([last(), now()], [{ type: "renew" }, 3_000]);
  answer(done);
  ring();
  assert.deepEqual([last(), now()], [{ type: "renew" }, 6_000]);
  answer(done);
  want("out");
  assert.deepEqual(last(), { type: "remove" });
  answer(done);
  assert.ok(isSettled(state()));
  assert.equal(state().timer, undefined);
  assert.equal(asked.length, 4);
});

test("chance makes a renewal sooner, never later", () => {
  const { want, answer, ring, now } = world({}, () => 0.999);
  want("up");
  answer(done);
  ring();
  assert.ok(now() < 3_000 && now() >= 2_400, `${now()}`);
});

test("what was lost is put up again at once while it is to take work, and left away otherwise", () => {
  const { want, answer, ring, last, state, asked } = world();
  want("up");
  answer(done);
  ring();
  answer(lost);
  assert.deepEqual(last(), { type: "put" });
  answer(done);
  want("down");
  answer(lost);
  assert.equal(state().timer, undefined);
  assert.ok(isSettled(state()));
  const before = asked.length;
  want("drain");
  assert.equal(asked.length, before, "nobody has to be told");
  assert.ok(isSettled(state()));
  want("up");
  assert.deepEqual(last(), { type: "put" });
});

test("a board that is silent is asked again and again, ever more slowly, and told of once", () => {
  const { want, answer, ring, last, now, told } = world();
  want("up");
  const waits: number[] = [];
  for (let turn = 0; turn < 8; turn++) {
    const before = now();
    answer(failed);
    ring();
    waits.push(now() - before);
    assert.deepEqual(last(), { type: "put" });
  }
  assert.deepEqual(waits.slice(0, 4), [100, 200, 400, 800]);
  assert.ok(Math.max(...waits) <= Math.min(retryMost, rules.ttl / 3));
  answer(done);
  assert.deepEqual(told, ["no answer", "answers again", "has it"]);
});

test("a renewal that fails is repeated, for the lease may still run", () => {
  const { want, answer, ring, last, state } = world();
  want("up");
  answer(done);
  ring();
  answer(failed);
  assert.equal(state().has, "up");
  ring();
  assert.deepEqual(last(), { type: "renew" });
});

test("somebody else's lease is said and waited for, slowly", () => {
  const { want, answer, ring, last, now, told } = world({ ttl: 60_000 }, () => 0.5);
  want("up");
  answer({ type: "held", detail: "held by x" });
  ring();
  assert.deepEqual([last(), now()], [{ type: "put" }, retrySlow]);
  answer({ type: "held", detail: "held by x" });
  ring();
  answer(done);
  assert.deepEqual(told, ["held by x", "answers again", "has it"]);
});

test("what is refused for now does not hold back what is wanted next", () => {
  const { want, answer, last, state } = world();
  want("up");
  answer(done);
  want("down");
  answer({ type: "refused", detail: "no" });
  assert.ok((state().timer ?? 0) > 0);
  want("out");
  assert.deepEqual(last(), { type: "remove" });
});

test("an answer that did not come leaves it unsure: what is wanted then is asked for in any case", () => {
  const { want, answer, last, state } = world();
  want("up");
  answer(failed);
  want("out");
  assert.deepEqual(last(), { type: "remove" }, "the put may have been done");
  answer(done);
  want("up");
  answer(done);
  want("down");
  answer(failed);
  want("up");
  assert.deepEqual(last(), { type: "intent", intent: "up" }, "it may be down, and is put no second time");
  answer(done);
  assert.ok(isSettled(state()));
});

test("a drain is over when the board says that nothing is left, and the lease is held meanwhile", () => {
  const { want, answer, ring, last, state, told, asked } = world({ ttl: 1_500 });
  want("up");
  answer(done);
  want("drain");
  assert.deepEqual(last(), { type: "intent", intent: "drain" });
  answer(done);
  for (let turn = 0; turn < 4; turn++) {
    ring();
    answer(last()?.type === "look" ? { type: "work", left: "2 exchanges" } : done);
    assert.ok(!isSettled(state()));
  }
  assert.ok(asked.some(({ type }) => type === "renew"));
  while (last()?.type !== "look" || state().asked === undefined) ring();
  answer({ type: "work", left: undefined });
  assert.ok(isSettled(state()));
  assert.deepEqual(
    told.filter((text) => text.includes("exchanges")),
    ["still has 2 exchanges"],
  );
  assert.ok(lookInterval < 500);
});

test("a drain on a board that cannot tell lasts its time from when the board has it", () => {
  const { want, answer, ring, state, now } = world({ looks: false });
  want("up");
  answer(done);
  want("drain");
  answer(done);
  assert.ok(!isSettled(state()));
  ring();
  assert.equal(now(), rules.drainFor);
  assert.ok(isSettled(state()));
});

test("whatever a board answers and whatever is wanted, one order is under way at a time and the end is reached", () => {
  const seed = Number(process.env["SEED"] ?? Date.now() % 100_000);
  const random = seededRandom(seed);
  const pick = <T>(list: readonly T[]): T => list[Math.floor(random() * list.length)] as T;
  const answers: BoardAnswer[] = [done, failed, lost, { type: "held", detail: "h" }, { type: "refused", detail: "r" }];
  for (let round = 0; round < 300; round++) {
    const { want, answer, ring, state, asked } = world({ looks: random() < 0.5 }, random);
    for (let turn = 0; turn < 40; turn++) {
      const before = asked.length;
      const isAsked = state().asked !== undefined;
      const roll = random();
      if (roll < 0.3) want(pick(["out", "up", "drain", "down"]));
      else if (isAsked) answer(state().asked?.type === "look" ? { type: "work", left: undefined } : pick(answers));
      else if (state().timer !== undefined) ring();
      if (isAsked && roll < 0.3) assert.equal(asked.length, before, `seed ${seed}: a second order`);
    }
    want("out");
    for (let turn = 0; !isSettled(state()); turn++) {
      assert.ok(turn < 10, `seed ${seed}: it does not end: ${JSON.stringify(state())}`);
      if (state().asked === undefined) ring();
      else answer(done);
    }
    assert.equal(state().has, "nothing");
  }
});
