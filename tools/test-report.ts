// Turns the events of node:test into lines for a person and into counts that can be trusted: every test once, a suite
// only when something of its own broke, a file that crashed, hung or held no test as one failure. Knows no processes
// and no files; the runner feeds it.

export type Failure = {
  /** `file:line` of the test, from the root. */
  readonly where: string;
  readonly name: string;
  /** Message and stack, without the lines inside Node. */
  readonly detail: string;
};

export type Skip = { readonly where: string; readonly name: string; readonly reason: string };

export type FileReport = {
  readonly name: string;
  passed: number;
  readonly failures: Failure[];
  readonly skips: Skip[];
};

/** The part of an event's data that is read here. Node's types name less than Node sends. */
export type TestEvent = {
  readonly type: string;
  readonly name: string;
  readonly file: string;
  readonly line: number;
  readonly testId: number;
  readonly parentId: number;
  readonly message: string;
  readonly skip: string | boolean;
  readonly todo: string | boolean;
  readonly suite: boolean;
  readonly durationMs: number;
  readonly error: unknown;
};

/** Reads what it can of an event; what is missing or of another type becomes empty. */
export function decodeEvent(event: { readonly type: string; readonly data: unknown }): TestEvent {
  const data = fields(event.data);
  const details = fields(data["details"]);
  return {
    type: event.type,
    name: text(data["name"]),
    file: text(data["file"]),
    line: count(data["line"]),
    testId: count(data["testId"]),
    parentId: count(data["parentId"]),
    message: text(data["message"]),
    skip: flag(data["skip"]),
    todo: flag(data["todo"]),
    suite: details["type"] === "suite",
    durationMs: count(details["duration_ms"]),
    error: details["error"],
  };
}

const printedMax = 40;

/** Collects one file's events. `emit` gets each line as it is known. */
export class FileReporter {
  readonly report: FileReport;
  readonly #path: string;
  readonly #root: string;
  readonly #emit: (line: string) => void;
  readonly #names = new Map<number, string>();
  readonly #unfinished = new Set<number>();
  /** The end of what the file printed: the only trace of a crash at import. */
  readonly #printed: string[] = [];

  /** `path` is the absolute path of the file, `root` that of the checkout. */
  constructor(
    file: { readonly name: string; readonly path: string; readonly root: string },
    emit: (line: string) => void,
  ) {
    this.report = { name: file.name, passed: 0, failures: [], skips: [] };
    this.#path = file.path;
    this.#root = file.root;
    this.#emit = emit;
  }

  take(event: TestEvent): void {
    if (event.type === "test:dequeue") this.#takeStart(event);
    else if (event.type === "test:stdout" || event.type === "test:stderr") this.#takePrinted(event.message);
    // Without a file it is Node's own count of everything.
    else if (event.type === "test:diagnostic" && event.file !== "") this.#takePrinted(event.message);
    else if (event.type === "test:pass" || event.type === "test:fail") this.#takeOutcome(event);
  }

  /** A failure that node:test knows nothing of: a time limit, processes left behind. */
  fail(what: string, detail: string): void {
    this.report.failures.push({ where: this.report.name, name: what, detail });
    this.#emit(`  ✖ ${what}`);
  }

  /** To be called when no more events come: a file must have shown at least one test, or why there is none. */
  end(): void {
    if (this.report.passed + this.report.failures.length + this.report.skips.length === 0) {
      this.fail("the file holds no test", "Every *.test.ts must run at least one test.");
    }
  }

  /** The tests that have started and not ended: of a file that hangs, the suspects. */
  unfinished(): readonly string[] {
    return [...this.#unfinished].map((id) => this.#names.get(id) ?? "").filter((name) => name !== "");
  }

  #takeStart(event: TestEvent): void {
    // The file itself comes as a test too, with a number from another count.
    if (event.name === this.#path) return;
    this.#names.set(event.testId, this.#nameOf(event));
    this.#unfinished.add(event.testId);
  }

  #nameOf(event: TestEvent): string {
    const parent = this.#names.get(event.parentId);
    return parent === undefined ? event.name : `${parent} › ${event.name}`;
  }

  #takePrinted(message: string): void {
    for (const line of message.replace(/\n$/, "").split("\n")) {
      this.#printed.push(line);
      if (this.#printed.length > printedMax) this.#printed.shift();
      this.#emit(`  │ ${line}`);
    }
  }

  #takeOutcome(event: TestEvent): void {
    if (event.name === this.#path) {
      this.#takeFileOutcome(event);
      return;
    }
    this.#unfinished.delete(event.testId);
    const name = this.#nameOf(event);
    const where = `${relativePath(event.file || this.#path, this.#root)}:${event.line}`;
    if (event.skip !== false || event.todo !== false) {
      const reason = event.skip === false ? ["todo", event.todo] : [event.skip];
      const said = reason.filter((part) => typeof part === "string" && part !== "").join(": ");
      this.report.skips.push({ where, name, reason: said === "" ? "no reason given" : said });
      this.#emit(`  ﹣ ${name} # ${said === "" ? "skipped, no reason given" : said}`);
    } else if (event.type === "test:pass") {
      if (event.suite) return;
      this.report.passed++;
      this.#emit(`  ✔ ${name}${event.durationMs >= 100 ? ` (${Math.round(event.durationMs)} ms)` : ""}`);
    } else if (failureType(event.error) !== "subtestsFailed") {
      // Of a test or suite that failed because of its subtests, the subtests are what failed.
      this.report.failures.push({ where, name, detail: detailOf(event.error, this.#root) });
      this.#emit(`  ✖ ${name}`);
    }
  }

  /** Node reports the file itself as a test when it held none, when its process ended badly, or when it was cut off. */
  #takeFileOutcome(event: TestEvent): void {
    if (event.type === "test:pass" || failureType(event.error) === "testAborted") return;
    const printed = this.#printed.length === 0 ? "" : `; the last it printed:\n${this.#printed.join("\n")}`;
    this.fail("the file's process ended badly", `${detailOf(event.error, this.#root)}${printed}`);
  }
}

export type Totals = { readonly passed: number; readonly failed: number; readonly skipped: number };

export function totalsOf(reports: readonly FileReport[]): Totals {
  let passed = 0;
  let failed = 0;
  let skipped = 0;
  for (const report of reports) {
    passed += report.passed;
    failed += report.failures.length;
    skipped += report.skips.length;
  }
  return { passed, failed, skipped };
}

/** What is said after the last file: the skipped tests with their reasons, then every failure again. */
export function closingLines(reports: readonly FileReport[]): readonly string[] {
  const lines: string[] = [];
  const skips = reports.flatMap((report) => report.skips);
  if (skips.length > 0) lines.push("", "Skipped:");
  for (const skip of skips) lines.push(`  ${skip.where} ${skip.name}: ${skip.reason}`);
  const failures = reports.flatMap((report) => report.failures);
  if (failures.length > 0) lines.push("", "Failed:");
  for (const failure of failures) {
    lines.push(`  ${failure.where} ${failure.name}`, ...failure.detail.split("\n").map((line) => `    ${line}`), "");
  }
  return lines;
}

function detailOf(error: unknown, root: string): string {
  // Node wraps what the test threw; the wrapper says nothing of its own.
  const cause = error instanceof Error && error.cause !== undefined ? error.cause : error;
  if (!(cause instanceof Error)) return String(cause);
  const stack = cause.stack ?? `${cause.name}: ${cause.message}`;
  return stack
    .split("\n")
    .filter((line) => !/^\s+at .*\(?node:/.test(line))
    .join("\n")
    .replaceAll(`file://${root}/`, "")
    .replaceAll(`${root}/`, "");
}

function failureType(error: unknown): string {
  return error instanceof Error && "failureType" in error ? text(error.failureType) : "";
}

function relativePath(path: string, root: string): string {
  return path.startsWith(`${root}/`) ? path.slice(root.length + 1) : path;
}

function fields(value: unknown): Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null ? { ...value } : {};
}

function text(value: unknown): string {
  return typeof value === "string" ? value : "";
}

function count(value: unknown): number {
  return typeof value === "number" ? value : 0;
}

function flag(value: unknown): string | boolean {
  return typeof value === "string" || typeof value === "boolean" ? value : false;
}
