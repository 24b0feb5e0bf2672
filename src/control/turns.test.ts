import assert from "node:assert/strict";
import { test } from "node:test";
import { Turns } from "./turns.ts";

function counted() {
  const runs: ((value: string) => void)[] = [];
  const turns = new Turns<string>(() => new Promise((resolve) => runs.push(resolve)));
  return { runs, turns };
}

test("those who ask during a run share the next one", async () => {
  const { runs, turns } = counted();
  const first = turns.ask();
  const waiting = [turns.ask(), turns.ask(), turns.ask()];
  assert.equal(runs.length, 1);
  runs[0]?.("first");
  assert.equal(await first, "first");
  // The next run starts in a later microtask.
  await new Promise(setImmediate);
  assert.equal(runs.length, 2);
  const late = turns.ask();
  runs[1]?.("second");
  assert.deepEqual(await Promise.all(waiting), ["second", "second", "second"]);
  await new Promise(setImmediate);
  assert.equal(runs.length, 3);
  runs[2]?.("third");
  assert.equal(await late, "third");
});

test("a run that fails does not stop the next", async () => {
  let count = 0;
  const turns = new Turns<number>(() => (++count === 1 ? Promise.reject(new Error("no")) : Promise.resolve(count)));
  const [first, second] = await Promise.allSettled([turns.ask(), turns.ask()]);
  assert.equal(first.status, "rejected");
  assert.deepEqual(second, { status: "fulfilled", value: 2 });
  assert.equal(await turns.ask(), 3);
});
