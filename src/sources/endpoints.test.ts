import assert from "node:assert/strict";
import { test } from "node:test";
import { seededRandom } from "../core/random.ts";
import { firstTurn, turnAnswered, turnFailed } from "./endpoints.ts";

const rules = { count: 3, first: 100, most: 1_000 };

function fail(times: number, count = rules.count, random = () => 1) {
  const told: (readonly [at: number, delay: number])[] = [];
  let turn = firstTurn;
  for (let failure = 0; failure < times; failure++) {
    const next = turnFailed(turn, { ...rules, count }, random);
    turn = next.turn;
    told.push([turn.at, next.delay]);
  }
  return told;
}

test("each endpoint is asked at once after another's failure, and a wait comes before the second round", () => {
  assert.deepEqual(fail(7), [
    [1, 0],
    [2, 0],
    [0, 100],
    [1, 0],
    [2, 0],
    [0, 200],
    [1, 0],
  ]);
});

test("the wait doubles up to the most, however long it lasts", () => {
  const delays = fail(6, 1).map(([, delay]) => delay);
  assert.deepEqual(delays, [100, 200, 400, 800, 1_000, 1_000]);
  assert.deepEqual(fail(5_000, 1).at(-1), [0, 1_000]);
});

test("half of a wait is chance", () => {
  const seed = 20_251;
  const waits = fail(200, 1, seededRandom(seed))
    .slice(10)
    .map(([, delay]) => delay);
  assert.ok(Math.min(...waits) >= 500 && Math.max(...waits) < 1_000, `seed ${seed}: ${waits.join(" ")}`);
  assert.ok(Math.max(...waits) - Math.min(...waits) > 400, `seed ${seed}`);
});

test("an endpoint that answers is stayed with, and the next failure begins with the first wait", () => {
  let { turn } = turnFailed(firstTurn, rules, () => 1);
  turn = turnAnswered(turn);
  assert.deepEqual(turn, { at: 1, failures: 0 });
  assert.equal(turnAnswered(turn), turn);
  assert.deepEqual(
    turnFailed(turn, rules, () => 1),
    { turn: { at: 2, failures: 1 }, delay: 0 },
  );
});
