// The file system's part is played by a real one where that can be (rotation, /dev/full), by a scripted one where it must
// misbehave on order: slow, full after some bytes, refusing to open.

import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, renameSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, type TestContext, test } from "node:test";
import fc from "fast-check";
import { seededRandom } from "../core/random.ts";
import {
  closingTriesMax,
  dropReportDelay,
  type LogCalls,
  type LogFile,
  type LogFileOptions,
  openLogFile,
  pipeRetryDelay,
  writeRetryDelay,
} from "./log-file.ts";

const seed = Date.now() & 0x7fffffff;
console.log(`seed ${seed}`);

function directoryOf(t: TestContext): string {
  const directory = mkdtempSync(join(tmpdir(), "evenkeel-log-"));
  t.after(() => rmSync(directory, { recursive: true, force: true }));
  return directory;
}

type Problem = { readonly code: string; readonly detail: string; readonly lines: number };

function open(
  path: string,
  more: Partial<LogFileOptions> = {},
): { readonly log: LogFile; readonly problems: Problem[] } {
  const problems: Problem[] = [];
  const opened = openLogFile({
    path,
    bufferBytesMax: 4096,
    flushInterval: 1000,
    onProblem: ({ code, detail }, lines) => problems.push({ code, detail, lines }),
    ...more,
  });
  assert.ok(opened.ok);
  return { log: opened.value, problems };
}

function numbered(from: number, to: number): string[] {
  return Array.from({ length: to - from }, (_, n) => `line ${from + n} ${"x".repeat((from + n) % 97)}\n`);
}

/** Timers that fire when told to. */
class FakeTimers {
  nowMs = 0;
  readonly #due: { atMs: number; then: () => void }[] = [];

  later = (delay: number, then: () => void): (() => void) => {
    const timer = { atMs: this.nowMs + delay, then };
    this.#due.push(timer);
    return () => {
      const at = this.#due.indexOf(timer);
      if (at >= 0) this.#due.splice(at, 1);
    };
  };

  advance(ms: number): void {
    const end = this.nowMs + ms;
    for (;;) {
      const next = this.#due.filter(({ atMs }) => atMs <= end).sort((a, b) => a.atMs - b.atMs)[0];
      if (next === undefined) break;
      this.#due.splice(this.#due.indexOf(next), 1);
      this.nowMs = next.atMs;
      next.then();
    }
    this.nowMs = end;
  }
}

type Outcome = number | "ENOSPC" | "EAGAIN" | "all";

/** A file system that answers a write when told to, with what it is told. Files are known by descriptor. */
class FakeFiles {
  readonly contents = new Map<number, string>([[10, ""]]);
  readonly closed: number[] = [];
  readonly pending: (() => void)[] = [];
  outcome: () => Outcome = () => "all";
  openFails = false;
  #nextFd = 11;

  readonly calls: LogCalls = {
    openSync: () => 10,
    open: (_path, done) => {
      this.pending.push(() => {
        if (this.openFails) return done(new Error("EACCES: permission denied"), -1);
        const fd = this.#nextFd++;
        this.contents.set(fd, "");
        done(null, fd);
      });
    },
    write: (fd, bytes, start, length, done) => {
      // The bytes are taken when the answer is due: whoever reuses them earlier is caught.
      this.pending.push(() => {
        assert.ok(!this.closed.includes(fd), "no write to a closed file");
        const outcome = this.outcome();
        if (typeof outcome === "string" && outcome !== "all") {
          return done(Object.assign(new Error(`${outcome}: no`), { code: outcome }), 0);
        }
        const written = outcome === "all" ? length : Math.min(outcome, length);
        const text = Buffer.from(bytes.subarray(start, start + written)).toString("latin1");
        this.contents.set(fd, (this.contents.get(fd) ?? "") + text);
        done(null, written);
      });
    },
    close: (fd, done) => {
      this.pending.push(() => {
        assert.ok(!this.closed.includes(fd), "a file is closed once");
        this.closed.push(fd);
        done(null);
      });
    },
  };

  /** Answers what is pending, and what follows from it. */
  answerAll(): void {
    for (let answers = 0; this.pending.length > 0; answers++) {
      assert.ok(answers < 100_000, "calls come to an end");
      this.pending.shift()?.();
    }
  }
}

function fake(more: Partial<LogFileOptions> = {}) {
  const files = new FakeFiles();
  const timers = new FakeTimers();
  return { files, timers, ...open("/var/log/x", { calls: files.calls, later: timers.later, ...more }) };
}

describe("a log file on a real file system", () => {
  test("keeps every line whole and in order", async (t) => {
    const path = join(directoryOf(t), "log");
    const { log, problems } = open(path);
    const lines = numbered(0, 50_000);
    for (const [index, line] of lines.entries()) {
      log.append(line);
      if (index % 500 === 0) await new Promise(setImmediate);
    }
    await log.close();
    assert.equal(readFileSync(path, "latin1"), lines.join(""));
    assert.deepEqual(problems, []);
  });

  test("loses no line when the file is moved away and reopened while lines go on", async (t) => {
    const directory = directoryOf(t);
    const path = join(directory, "log");
    const { log, problems } = open(path);
    const lines = numbered(0, 20_000);
    const reopened: Promise<void>[] = [];
    for (const [index, line] of lines.entries()) {
      log.append(line);
      if (index % 4000 === 3999) {
        renameSync(path, join(directory, `log.${index}`));
        const again = log.reopen();
        reopened.push(again);
        // The next rotation needs the new file to be there.
        await again;
      } else if (index % 100 === 0) await new Promise(setImmediate);
    }
    await log.close();
    await Promise.all(reopened);
    const names = [3999, 7999, 11999, 15999, 19999].map((index) => `log.${index}`);
    const texts = [...names, "log"].map((name) => readFileSync(join(directory, name), "latin1"));
    assert.equal(texts.join(""), lines.join(""));
    for (const text of texts) assert.ok(text === "" || text.endsWith("\n"));
    assert.deepEqual(problems, []);
  });

  test("two that append to one file never mix their lines", async (t) => {
    const path = join(directoryOf(t), "log");
    const [a, b] = [open(path).log, open(path).log];
    const lines = numbered(0, 10_000);
    for (const [index, line] of lines.entries()) {
      a.append(`a ${line}`);
      b.append(`b ${line}`);
      if (index % 300 === 0) await new Promise(setImmediate);
    }
    await Promise.all([a.close(), b.close()]);
    const written = readFileSync(path, "latin1").split(/(?<=\n)/);
    assert.deepEqual(
      written.filter((line) => line.startsWith("a ")),
      lines.map((line) => `a ${line}`),
    );
    assert.deepEqual(
      written.filter((line) => line.startsWith("b ")),
      lines.map((line) => `b ${line}`),
    );
    assert.equal(written.length, 2 * lines.length);
  });

  test("says that a device is full, drops what it cannot hold and still closes", async () => {
    const { log, problems } = open("/dev/full", { bytesHeldMax: 16_384 });
    for (const line of numbered(0, 5000)) log.append(line);
    await log.close();
    assert.equal(problems[0]?.code, "log.write.failed");
    assert.match(problems[0]?.detail ?? "", /^\/dev\/full: ENOSPC/);
    assert.deepEqual(
      problems.slice(1).map(({ code, lines }) => ({ code, lines })),
      [{ code: "log.lines.dropped", lines: 5000 }],
    );
    assert.equal(log.linesDropped, 5000);
  });

  test("a directory that is missing is a failure with the path", () => {
    const opened = openLogFile({ path: "/nowhere/log", bufferBytesMax: 1, flushInterval: 1, onProblem: () => {} });
    assert.ok(!opened.ok);
    assert.equal(opened.failure.code, "log.open.failed");
    assert.match(opened.failure.detail, /^\/nowhere\/log: ENOENT/);
  });
});

describe("a log file's buffer", () => {
  test("is written when it is full, or when its oldest line has waited the interval", () => {
    const { log, files, timers } = fake();
    log.append("a\n");
    timers.advance(999);
    assert.equal(files.pending.length, 0);
    timers.advance(1);
    files.answerAll();
    assert.equal(files.contents.get(10), "a\n");
    log.append(`${"b".repeat(4095)}\n`);
    assert.equal(files.pending.length, 1);
    files.answerAll();
    assert.equal(files.contents.get(10), `a\n${"b".repeat(4095)}\n`);
    timers.advance(10_000);
    assert.equal(files.pending.length, 0);
  });

  test("takes lines longer than itself", () => {
    const { log, files } = fake();
    const lines = ["a\n", `${"b".repeat(100_000)}\n`, "c\n", `${"d".repeat(5000)}\n`];
    for (const line of lines) log.append(line);
    log.flush();
    files.answerAll();
    assert.equal(files.contents.get(10), lines.join(""));
  });

  test("has one write under way at a time and begins each at a line", () => {
    const { log, files } = fake();
    for (const line of numbered(0, 500)) {
      log.append(line);
      assert.ok(files.pending.length <= 1);
    }
    log.flush();
    let before = "";
    while (files.pending.length > 0) {
      files.pending.shift()?.();
      const now = files.contents.get(10) ?? "";
      assert.ok(now.endsWith("\n"));
      assert.notEqual(now, before);
      before = now;
    }
    assert.equal(before, numbered(0, 500).join(""));
  });

  test("writes what came during a write as soon as that is done, when it was asked to", () => {
    const { log, files } = fake();
    log.append("a\n");
    log.flush();
    log.append("b\n");
    log.flush();
    files.answerAll();
    assert.equal(files.contents.get(10), "a\nb\n");
  });
});

describe("a slow or full disk", () => {
  test("bounds the memory: later lines are dropped, counted and reported together, earlier ones written", () => {
    const { log, files, timers, problems } = fake({ bytesHeldMax: 20_000 });
    const lines = numbered(0, 2000);
    for (const line of lines) log.append(line);
    const kept = 2000 - log.linesDropped;
    assert.ok(kept > 200 && kept < 500, `${kept} kept`);
    assert.deepEqual(problems, []);
    timers.advance(dropReportDelay);
    assert.deepEqual(
      problems.map(({ code, lines: dropped }) => [code, dropped]),
      [["log.lines.dropped", 2000 - kept]],
    );
    log.flush();
    files.answerAll();
    log.append("next\n");
    log.flush();
    files.answerAll();
    // A short line may still fit where a longer one did not.
    const written = (files.contents.get(10) ?? "").split(/(?<=\n)/);
    assert.equal(written.pop(), "next\n");
    assert.equal(written.length, kept);
    assert.deepEqual(
      written,
      lines.filter((line) => written.includes(line)),
    );
    timers.advance(10 * dropReportDelay);
    assert.equal(problems.length, 1);
  });

  test("a write that failed is tried again until it succeeds, and reported once", () => {
    const { log, files, timers, problems } = fake();
    files.outcome = () => "ENOSPC";
    log.append("a\n");
    log.flush();
    files.answerAll();
    for (let tries = 0; tries < 5; tries++) {
      log.flush();
      assert.equal(files.pending.length, 0, "nothing is tried before its time");
      timers.advance(writeRetryDelay);
      files.answerAll();
    }
    assert.deepEqual(
      problems.map(({ code }) => code),
      ["log.write.failed"],
    );
    files.outcome = () => "all";
    timers.advance(writeRetryDelay);
    files.answerAll();
    assert.equal(files.contents.get(10), "a\n");
    files.outcome = () => "ENOSPC";
    log.append("b\n");
    log.flush();
    files.answerAll();
    assert.equal(problems.length, 2);
  });

  test("a line that was cut stands whole behind its piece", () => {
    const { log, files, timers } = fake();
    for (const line of ["first\n", "second\n", "third\n"]) log.append(line);
    const outcomes: Outcome[] = [9, "ENOSPC", "ENOSPC"];
    files.outcome = () => outcomes.shift() ?? "all";
    log.flush();
    files.answerAll();
    assert.equal(files.contents.get(10), "first\nsec");
    timers.advance(2 * writeRetryDelay);
    files.answerAll();
    timers.advance(2 * writeRetryDelay);
    files.answerAll();
    assert.equal(files.contents.get(10), "first\nsec\nsecond\nthird\n");
  });

  test("a pipe that is full is waited for shortly and is no problem", () => {
    const { log, files, timers, problems } = fake();
    const outcomes: Outcome[] = [3, "EAGAIN", 2];
    files.outcome = () => outcomes.shift() ?? "all";
    log.append("abcdefgh\n");
    log.flush();
    files.answerAll();
    assert.equal(files.contents.get(10), "abc");
    timers.advance(pipeRetryDelay);
    files.answerAll();
    assert.equal(files.contents.get(10), "abcdefgh\n");
    assert.deepEqual(problems, []);
  });

  test("whatever fails and whenever it is rotated, every line that was not dropped is there once, whole and in order", () => {
    fc.assert(
      fc.property(fc.integer(), (scenario) => {
        const random = seededRandom(scenario);
        const { log, files, timers } = fake({ bytesHeldMax: 12_288 });
        files.outcome = () => {
          const chance = random();
          if (chance < 0.15) return "ENOSPC";
          return chance < 0.3 ? "EAGAIN" : chance < 0.6 ? 1 + Math.floor(random() * 300) : "all";
        };
        const appended: string[] = [];
        for (let n = 0; n < 400; n++) {
          const before = log.linesDropped;
          const line = `<${n}:${"x".repeat(Math.floor(random() ** 8 * 6000))}>\n`;
          log.append(line);
          if (log.linesDropped === before) appended.push(line);
          const chance = random();
          if (chance < 0.05) void log.reopen();
          if (chance < 0.3) log.flush();
          if (chance < 0.6) files.pending.shift()?.();
          if (chance > 0.7) timers.advance(random() * writeRetryDelay);
        }
        const lost = log.linesDropped;
        files.outcome = () => "all";
        void log.close();
        for (let turn = 0; turn < 3; turn++) {
          files.answerAll();
          timers.advance(2 * writeRetryDelay);
        }
        assert.equal(log.linesDropped, lost);
        const contents = Array.from(files.contents.values());
        assert.equal(files.closed.length, contents.length, "every file is closed");
        // A piece of a line ends in a line feed, or with the file when a reopen replaced that.
        const written = contents.flatMap((text) => text.split(/(?<=\n)/));
        const whole = written.filter((line) => /^<\d+:x*>\n$/.test(line));
        const wrong = appended.findIndex((line, at) => line !== whole[at]);
        assert.equal(wrong < 0 ? "" : `${appended[wrong]?.slice(0, 9)} ${whole[wrong]?.slice(0, 9)}`, "");
        assert.equal(whole.length, appended.length);
        for (const piece of written) assert.match(piece, /^(<(\d+(:(x*>?)?)?)?)?\n?$/);
      }),
      { seed, numRuns: 150 },
    );
  });
});

describe("reopen", () => {
  test("goes on with the old file when the new one cannot be opened", async () => {
    const { log, files, problems } = fake();
    files.openFails = true;
    const reopened = log.reopen();
    log.append("a\n");
    log.flush();
    files.answerAll();
    await reopened;
    assert.equal(files.contents.get(10), "a\n");
    assert.deepEqual(problems, [
      { code: "log.open.failed", detail: "/var/log/x: EACCES: permission denied", lines: 0 },
    ]);
  });

  test("lets the write under way finish before the old file is closed, and a second call opens once more", async () => {
    const { log, files } = fake();
    log.append("old\n");
    log.flush();
    const reopened = log.reopen();
    const again = log.reopen();
    assert.equal(files.pending.length, 2);
    files.pending.splice(1, 1)[0]?.();
    log.append("new\n");
    log.flush();
    assert.deepEqual(files.closed, []);
    files.answerAll();
    await Promise.all([reopened, again]);
    assert.equal(files.contents.get(10), "old\n");
    assert.equal((files.contents.get(11) ?? "") + (files.contents.get(12) ?? ""), "new\n");
    assert.deepEqual(files.closed, [10, 11]);
  });

  test("is nothing for stdout, and stdout is not closed", async () => {
    const files = new FakeFiles();
    const { log } = open("stdout", { calls: files.calls });
    await log.reopen();
    log.append("a\n");
    const closed = log.close();
    files.answerAll();
    await closed;
    assert.equal(files.contents.get(1), "a\n");
    assert.deepEqual(files.closed, []);
  });
});

describe("close", () => {
  test("writes what is held, closes the file, and counts what comes later as dropped", async () => {
    const { log, files } = fake();
    for (const line of numbered(0, 300)) log.append(line);
    const closed = log.close();
    files.answerAll();
    await closed;
    assert.equal(files.contents.get(10), numbered(0, 300).join(""));
    assert.deepEqual(files.closed, [10]);
    log.append("late\n");
    assert.equal(log.linesDropped, 1);
    await log.close();
  });

  test("gives up a disk that stays full, and tells how many lines that cost", async () => {
    const { log, files, timers, problems } = fake();
    files.outcome = () => "ENOSPC";
    for (const line of numbered(0, 300)) log.append(line);
    const closed = log.close();
    for (let tries = 0; tries < closingTriesMax; tries++) {
      files.answerAll();
      timers.advance(pipeRetryDelay);
    }
    files.answerAll();
    await closed;
    assert.deepEqual(
      problems.map(({ code, lines }) => [code, lines]),
      [
        ["log.write.failed", 0],
        ["log.lines.dropped", 300],
      ],
    );
    assert.deepEqual(files.closed, [10]);
  });

  test("closes a file that a reopen opened too late to be used", async () => {
    const { log, files } = fake();
    const reopened = log.reopen();
    const closed = log.close();
    const opening = files.pending.shift();
    files.answerAll();
    await closed;
    opening?.();
    files.answerAll();
    await reopened;
    assert.deepEqual(files.closed, [10, 11]);
  });
});
