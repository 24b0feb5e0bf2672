// The test runner: `npm test` runs every test file, `npm run test:unit` those that need no root and no Debian package.
// Each file is a process of its own; two run at a time, but for those that measure times (`*.alone.test.ts`). The last line printed is always `N passed, N failed, N skipped`. It must not call a run good that ran
// nothing, left processes behind or, under CI=true, skipped something.

import { dirname, resolve } from "node:path";
import { run } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { findLeftovers, groupMembers, type Leftover, markName } from "./leftovers.ts";
import { findTestFiles, type TestFile, type TestKind } from "./test-files.ts";
import { closingLines, decodeEvent, type FileReport, FileReporter, totalsOf } from "./test-report.ts";

const usage = `usage: node tools/run-tests.ts [--unit] [--timeout SECONDS] [--root FOLDER] [PART OF A FILE'S NAME ...]
  --unit      only the tests that need no root and no Debian package
  --timeout   limit for one file, instead of 60 s (unit) and 300 s (end to end)
  --root      another tree than this checkout`;

const limitMs: Record<TestKind, number> = { unit: 60_000, endToEnd: 300_000, alone: 300_000 };
const filesAtOnce = 2;
/** How long a file's children may take to end after it. */
const leftoverPatienceMs = 2_000;

type Run = {
  readonly root: string;
  readonly timeoutMs: number | undefined;
  /** Marks of the files that are running now. */
  readonly running: Set<string>;
  readonly say: (line: string) => void;
};

async function main(): Promise<number> {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      unit: { type: "boolean", default: false },
      timeout: { type: "string" },
      root: { type: "string" },
      help: { type: "boolean" },
    },
  });
  const say = (line: string): void => {
    process.stdout.write(`${line}\n`);
  };
  if (values.help === true) {
    say(usage);
    return 0;
  }
  // Inside a test of this runner Node would take our run for a nested one and skip it.
  delete process.env["NODE_TEST_CONTEXT"];
  const root = resolve(values.root ?? dirname(dirname(fileURLToPath(import.meta.url))));
  const seconds = Number(values.timeout ?? Number.NaN);
  const timeoutMs = seconds > 0 ? seconds * 1_000 : undefined;
  const todo: Run = { root, timeoutMs, running: new Set(), say };
  endWithSignals(todo.running);

  const files = findTestFiles(root, positionals).filter((file) => !values.unit || file.kind === "unit");
  const reports: FileReport[] = [];
  for (const kind of ["unit", "endToEnd"] as const) {
    reports.push(
      ...(await runTogether(
        files.filter((file) => file.kind === kind),
        todo,
      )),
    );
  }
  reports.push(
    ...(await runAlone(
      files.filter((file) => file.kind === "alone"),
      todo,
    )),
  );

  const totals = totalsOf(reports);
  for (const line of closingLines(reports)) say(line);
  let good = totals.failed === 0;
  if (totals.passed + totals.failed + totals.skipped === 0) {
    say(`No test ran: no *.test.ts${positionals.length > 0 ? ` named like ${positionals.join(", ")}` : ""} in ${root}`);
    good = false;
  }
  if (totals.skipped > 0 && process.env["CI"] === "true") {
    say(`CI=true: ${totals.skipped} skipped, and here every test must run. This run has failed.`);
    good = false;
  }
  say(`${totals.passed} passed, ${totals.failed} failed, ${totals.skipped} skipped`);
  return good ? 0 : 1;
}

/** A few files at a time; each one's lines are kept until it has ended, so that they stay together. */
async function runTogether(files: readonly TestFile[], todo: Run): Promise<readonly FileReport[]> {
  const reports: FileReport[] = [];
  let next = 0;
  const takeTurns = async (): Promise<void> => {
    for (let file = files[next++]; file !== undefined; file = files[next++]) {
      const lines: string[] = [];
      reports.push(await runFile(file, { ...todo, say: (line) => lines.push(line) }, undefined));
      for (const line of lines) todo.say(line);
    }
  };
  await Promise.all(Array.from({ length: filesAtOnce }, takeTurns));
  return reports;
}

async function runAlone(files: readonly TestFile[], todo: Run): Promise<readonly FileReport[]> {
  const reports: FileReport[] = [];
  for (const file of files) reports.push(await runFile(file, todo, groupMembers()));
  return reports;
}

/** `before`: the members of our process group, when no other file runs meanwhile. */
async function runFile(file: TestFile, todo: Run, before: ReadonlySet<number> | undefined): Promise<FileReport> {
  const mark = `${process.pid}:${file.name}`;
  const limit = todo.timeoutMs ?? limitMs[file.kind];
  const startedMs = performance.now();
  todo.say(file.name);
  const reporter = new FileReporter({ name: file.name, path: file.path, root: todo.root }, todo.say);
  todo.running.add(mark);
  const cut = new AbortController();
  const timer = setTimeout(() => cut.abort(), limit);
  const env = { ...process.env, [markName]: mark };
  for await (const event of run({ files: [file.path], concurrency: 1, signal: cut.signal, env })) {
    reporter.take(decodeEvent(event));
  }
  clearTimeout(timer);
  const left = await endLeftovers(mark, before);
  todo.running.delete(mark);
  if (cut.signal.aborted) {
    const tests = reporter.unfinished().map((name) => `\nunfinished: ${name}`);
    const still = left.length === 0 ? "" : `\nstill running then, now ended:\n${listed(left)}`;
    reporter.fail("the file's time limit", `not finished within ${limit / 1_000} s${tests.join("")}${still}`);
  } else if (left.length > 0) {
    reporter.fail("processes were left behind", `still running after the file's end, now ended:\n${listed(left)}`);
  }
  reporter.end();
  const { passed, failed, skipped } = totalsOf([reporter.report]);
  const ms = Math.round(performance.now() - startedMs);
  todo.say(`  ${passed} passed, ${failed} failed, ${skipped} skipped (${ms} ms)`);
  return reporter.report;
}

/** Gives the file's children time to end by themselves, ends the others, and says which they were. */
async function endLeftovers(mark: string, before: ReadonlySet<number> | undefined): Promise<readonly Leftover[]> {
  const deadline = performance.now() + leftoverPatienceMs;
  let left = findLeftovers(mark, before);
  while (left.length > 0 && performance.now() < deadline) {
    await pause(20);
    left = findLeftovers(mark, before);
  }
  killAll(left);
  return left;
}

function killAll(left: readonly Leftover[]): void {
  for (const { pid } of left) {
    try {
      process.kill(pid, "SIGKILL");
    } catch (error) {
      if (!(error instanceof Error && "code" in error && error.code === "ESRCH")) throw error;
      // It ended by itself between the look and the signal: as wanted.
    }
  }
}

function listed(left: readonly Leftover[]): string {
  return left.map(({ pid, command }) => `  ${pid} ${command}`).join("\n");
}

/** An interrupted run takes its test files' processes with it. */
function endWithSignals(running: ReadonlySet<string>): void {
  for (const [signal, code] of [
    ["SIGINT", 130],
    ["SIGTERM", 143],
    ["SIGHUP", 129],
  ] as const) {
    process.once(signal, () => {
      for (const mark of running) killAll(findLeftovers(mark, undefined));
      process.exit(code);
    });
  }
}

process.exitCode = await main();
