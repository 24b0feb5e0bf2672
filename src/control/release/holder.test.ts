import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { test } from "node:test";
import { describeHolder, describeSelf, isGone, thisPlace } from "./holder.ts";

test("a holder is a word without blanks that names its process", () => {
  const self = describeSelf(thisPlace());
  assert.match(self, /^[!-.0-~]+@[!-.0-~]+\/\d+\/\d+\/[0-9a-f]{12}$/);
  assert.ok(self.length <= 128);
  assert.match(describeHolder(self), new RegExp(`@.* \\(process ${process.pid}\\)$`));
  assert.equal(isGone(self, thisPlace()), false);
});

test("a process that has ended is gone, and so is one whose number another has by now", async () => {
  const place = thisPlace();
  const child = spawn("sleep", ["60"]);
  await once(child, "spawn");
  const holder = describeSelf(place, child.pid);
  assert.equal(isGone(holder, place), false);
  assert.equal(isGone(holder.replace(/\/\d+\/([0-9a-f]+)$/, "/1/$1"), place), true);
  child.kill("SIGKILL");
  await once(child, "exit");
  assert.equal(isGone(holder, place), true);
});

test("of a process elsewhere nothing is known", () => {
  assert.equal(isGone("root@other/999999/1/000000000000", thisPlace()), false);
  assert.equal(isGone("anything", thisPlace()), false);
});
