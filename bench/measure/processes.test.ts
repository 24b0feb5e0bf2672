// The readers of /proc: fixed texts for the parsers, this very process for the readers.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { test } from "node:test";
import {
  listTree,
  parseCoreTime,
  parseIdleTime,
  parseParent,
  parseRssBytes,
  parseSchedstat,
  parseTicks,
  readCpuNs,
  readOthersCpuMs,
  readTreeCpuMs,
  readUsage,
  sameProcesses,
} from "./processes.ts";

test("a schedstat line gives its first number, nanoseconds on a CPU", () => {
  assert.equal(parseSchedstat("123456789012 4567 89\n"), 123456789012);
});

test("what is no schedstat line is refused, not read as zero", () => {
  assert.throws(() => parseSchedstat(""), /not a schedstat line/);
  assert.throws(() => parseSchedstat("12 x 3\n"), /not a schedstat line/);
});

test("a parent is read behind a name that holds parentheses and blanks", () => {
  assert.equal(parseParent("812 (nginx: (odd) 7 R) S 811 812 812 0 -1 4194560 96 0"), 811);
});

test("a stat line without a parent is refused", () => {
  assert.throws(() => parseParent("812 (x"), /not a stat line/);
});

test("resident memory is in bytes, and zero for a process that has ended", () => {
  assert.equal(parseRssBytes("Name:\tnginx\nVmHWM:\t    9000 kB\nVmRSS:\t    4321 kB\nThreads:\t1\n"), 4321 * 1024);
  assert.equal(parseRssBytes("Name:\tnginx\nState:\tZ (zombie)\n"), 0);
});

test("a core's busy time leaves out idle and iowait, and counts stolen time apart", () => {
  const text = "cpu  9 9 9 9 9 9 9 9 9 9\ncpu0 100 20 30 4000 50 6 7 8 0 0\ncpu1 1 1 1 1 1 1 1 1 0 0\n";
  assert.deepEqual(parseCoreTime(text, 0), { busyTicks: 163, stolenTicks: 8 });
});

test("a core that the machine does not have is refused", () => {
  assert.throws(() => parseCoreTime("cpu0 1 2 3 4 5 6 7 8 0 0\n", 1), /no core 1/);
});

test("idle time is that of all cores, waiting for a disk and time the hypervisor took included", () => {
  const text = "cpu  9 9 9 9 9 9 9 9 9 9\ncpu0 100 20 30 4000 50 6 7 8 0 0\ncpu1 1 1 1 1 1 1 1 1 0 0\nintr 5\n";
  assert.deepEqual(parseIdleTime(text), { ticks: 4061, cores: 2 });
  assert.throws(() => parseIdleTime("intr 5\n"), /names no core/);
});

test("a process's own time and that of its ended children are told apart", () => {
  const text = "812 (nginx: (odd) 7 R) S 811 812 812 0 -1 4194560 96 0 0 0 11 22 33 44 20 0";
  assert.deepEqual(parseTicks(text), { own: 33, ended: 77 });
  assert.throws(() => parseTicks("812 (x) S 1"), /not a stat line/);
});

test("what is ours is not among the others, and a tree has its own time", () => {
  const everyone = readOthersCpuMs([]);
  const init = listTree(1);
  assert.ok(readOthersCpuMs(init) <= everyone);
  assert.ok(readTreeCpuMs(process.pid) >= readCpuNs(process.pid) / 1_000_000 - 1_000);
});

test("the tree below this process holds a child of it, and the child is the worker", async () => {
  const child = spawn("sleep", ["60"]);
  await once(child, "spawn");
  try {
    assert.ok(child.pid !== undefined);
    assert.deepEqual(listTree(child.pid), [child.pid]);
    assert.ok(listTree(process.pid).includes(child.pid));
    const usage = readUsage(child.pid);
    assert.equal(usage.supervisorCpuNs, 0);
    assert.ok(usage.rssBytes > 0);
    assert.ok(sameProcesses(usage, readUsage(child.pid)));
  } finally {
    child.kill("SIGKILL");
    await once(child, "exit");
  }
});

test("CPU time of this process grows as it works", () => {
  const before = readCpuNs(process.pid);
  const deadline = performance.now() + 5_000;
  let after = before;
  while (after === before && performance.now() < deadline) after = readCpuNs(process.pid);
  assert.ok(after > before);
});
