import assert from "node:assert/strict";
import { mock, test } from "node:test";
import type { WorkerStatus } from "../../state/worker-protocol.ts";
import { StatusQuestions } from "./status-questions.ts";

function status(pid: number): WorkerStatus {
  return { pid, generation: 1, draining: false, listeners: [], targets: [] };
}

test("a round ends with the last answer, each under its slot", async () => {
  const questions = new StatusQuestions();
  const ids = new Map<number, number>();
  const round = questions.ask([0, 2], (slot, id) => ids.set(slot, id), 60_000);
  questions.take(ids.get(2) ?? -1, status(12));
  questions.take(ids.get(0) ?? -1, status(10));
  const answers = await round;
  assert.deepEqual([answers.get(0)?.pid, answers.get(2)?.pid], [10, 12]);
});

test("a round ends with its time when one keeps silent, and its late answer is nobody's", async () => {
  mock.timers.enable({ apis: ["setTimeout"] });
  const questions = new StatusQuestions();
  const ids: number[] = [];
  const round = questions.ask([0, 1], (_slot, id) => ids.push(id), 1_000);
  questions.take(ids[0] ?? -1, status(10));
  mock.timers.tick(1_000);
  mock.timers.reset();
  const answers = await round;
  assert.deepEqual([...answers.keys()], [0]);
  questions.take(ids[1] ?? -1, status(11));
  assert.equal(answers.size, 1);
});

test("nobody to ask is no wait", async () => {
  assert.equal((await new StatusQuestions().ask([], () => assert.fail("nobody"), 60_000)).size, 0);
});
