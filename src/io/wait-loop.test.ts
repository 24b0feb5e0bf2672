import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { closeDescriptor } from "./libc.ts";
import { neverWait, openPipe } from "./libc-sockets.ts";
import { LINE_BYTES_MAX, lineChannel, readLines, writeLine } from "./line-channel.ts";
import { addSource, removeSource, SOURCES_MAX, waitLoop, waitOnce } from "./wait-loop.ts";

/** A pipe as a channel to ourselves. */
function loopback(t: TestContext) {
  const ends = openPipe();
  assert.ok(ends.ok);
  const open = new Set([ends.readEnd, ends.writeEnd]);
  const close = (fd: number) => {
    if (open.delete(fd)) closeDescriptor(fd);
  };
  t.after(() => [...open].forEach(close));
  neverWait(ends.readEnd);
  neverWait(ends.writeEnd);
  const channel = lineChannel({ readFd: ends.readEnd, writeFd: ends.writeEnd });
  return { channel, closeReader: () => close(ends.readEnd), closeWriter: () => close(ends.writeEnd) };
}

test("a source is called when it has something to read, and at its end", (t) => {
  const { channel, closeWriter } = loopback(t);
  const loop = waitLoop();
  let called = 0;
  addSource(loop, { fd: channel.readFd, onReady: () => called++ });
  assert.deepEqual(waitOnce(loop, 0), { ok: true, value: 0 });
  writeLine(channel, "one");
  assert.deepEqual(waitOnce(loop, undefined), { ok: true, value: 1 });
  assert.deepEqual(readLines(channel), { ok: true, value: { lines: ["one"], ended: false } });
  closeWriter();
  assert.deepEqual(waitOnce(loop, undefined), { ok: true, value: 1 });
  assert.deepEqual(readLines(channel), { ok: true, value: { lines: [], ended: true } });
  assert.equal(called, 2);
});

test("without a source that is ready the wait ends with its time and not before", () => {
  const loop = waitLoop();
  const began = performance.now();
  assert.deepEqual(waitOnce(loop, 3.25), { ok: true, value: 0 });
  assert.ok(performance.now() - began >= 3.25);
  assert.deepEqual(waitOnce(loop, -5), { ok: true, value: 0 });
});

test("a source that an earlier one removes is not called", (t) => {
  const [first, second] = [loopback(t), loopback(t)];
  const loop = waitLoop();
  const calls: string[] = [];
  addSource(loop, {
    fd: first.channel.readFd,
    onReady: () => {
      calls.push("first");
      removeSource(loop, second.channel.readFd);
    },
  });
  addSource(loop, { fd: second.channel.readFd, onReady: () => calls.push("second") });
  writeLine(first.channel, "x");
  writeLine(second.channel, "x");
  assert.deepEqual(waitOnce(loop, undefined), { ok: true, value: 1 });
  assert.deepEqual(calls, ["first"]);
});

test("sources have a limit", () => {
  const loop = waitLoop();
  for (let count = 0; count < SOURCES_MAX; count++) assert.ok(addSource(loop, { fd: 0, onReady: () => undefined }).ok);
  const refused = addSource(loop, { fd: 0, onReady: () => undefined });
  assert.ok(!refused.ok && refused.failure.code === "wait.limit");
});

test("lines longer than a pipe holds arrive whole and in order", (t) => {
  const { channel } = loopback(t);
  const long = "é".repeat(150_000);
  assert.ok(writeLine(channel, long).ok);
  assert.ok(writeLine(channel, "after").ok);
  assert.ok(channel.waiting.length > 0, "the pipe is full");
  const seen: string[] = [];
  for (let turn = 0; seen.length < 2 && turn < 100; turn++) {
    const read = readLines(channel);
    assert.ok(read.ok);
    seen.push(...read.value.lines);
    writeLine(channel, "");
  }
  assert.deepEqual(seen, [long, "after"]);
});

test("a reader that does not read fills the channel up to its limit", (t) => {
  const { channel } = loopback(t);
  const line = "x".repeat(100_000);
  let result = writeLine(channel, line);
  for (let count = 0; result.ok && count * line.length < 2 * LINE_BYTES_MAX; count++) result = writeLine(channel, line);
  assert.ok(!result.ok && result.failure.code === "channel.full");
});

test("a channel whose reader is gone says so", (t) => {
  const { channel, closeReader } = loopback(t);
  closeReader();
  const result = writeLine(channel, "x");
  assert.ok(!result.ok && result.failure.code === "channel.closed");
});
