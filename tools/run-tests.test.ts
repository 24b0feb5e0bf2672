import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { type TestContext, test } from "node:test";
import { fileURLToPath } from "node:url";

const runner = fileURLToPath(new URL("./run-tests.ts", import.meta.url));

type Outcome = {
  readonly code: number | null;
  readonly output: string;
  readonly lastLine: string;
  readonly folder: string;
};

/** Runs the runner over a tree of these files. */
async function runOver(
  t: TestContext,
  files: Readonly<Record<string, string>>,
  options: { readonly args?: readonly string[]; readonly ci?: boolean } = {},
): Promise<Outcome> {
  const folder = mkdtempSync(join(tmpdir(), "evenkeel-runner-"));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  for (const [name, text] of Object.entries(files)) {
    mkdirSync(dirname(join(folder, name)), { recursive: true });
    writeFileSync(join(folder, name), `import test from "node:test";\n${text}`);
  }
  const env: NodeJS.ProcessEnv = { ...process.env, CI: options.ci === true ? "true" : "" };
  // Otherwise the inner runner would report to the outer one.
  delete env["NODE_TEST_CONTEXT"];
  const child = spawn(process.execPath, [runner, "--root", folder, ...(options.args ?? [])], { env });
  let output = "";
  child.stdout.setEncoding("utf8").on("data", (text: string) => {
    output += text;
  });
  child.stderr.setEncoding("utf8").on("data", (text: string) => {
    output += text;
  });
  const code = await new Promise<number | null>((resolve) => child.once("close", resolve));
  return { code, output, lastLine: output.trimEnd().split("\n").at(-1) ?? "", folder };
}

test("tests that pass give exit code 0 and the count as the last line", async (t) => {
  const run = await runOver(t, {
    "src/a.test.ts": 'test("one", () => {}); test("two", async (t) => { await t.test("three", () => {}); });',
    "test/e2e/b.test.ts": 'test("four", () => {});',
    "node_modules/c/d.test.ts": 'test("not ours", () => { throw new Error("no"); });',
  });
  assert.equal(run.code, 0, run.output);
  assert.equal(run.lastLine, "4 passed, 0 failed, 0 skipped");
});

test("a failed test gives exit code 1 and is told again at the end, with its place", async (t) => {
  const run = await runOver(t, {
    "src/a.test.ts": 'test.suite("outer", () => { test("breaks", () => { throw new Error("what it said"); }); });',
  });
  assert.equal(run.code, 1, run.output);
  assert.equal(run.lastLine, "0 passed, 1 failed, 0 skipped");
  assert.match(run.output, /Failed:\n {2}src\/a\.test\.ts:2 outer › breaks\n {4}Error: what it said\n/);
});

test("a hook that breaks is a failure although no test failed", async (t) => {
  const run = await runOver(t, {
    "src/a.test.ts": `test.suite("outer", () => { test.after(() => { throw new Error("late"); }); test("fine", () => {}); });`,
  });
  assert.equal(run.code, 1, run.output);
  assert.equal(run.lastLine, "1 passed, 1 failed, 0 skipped");
});

test("a file that crashes when it is loaded is one failure, told with what it printed", async (t) => {
  const run = await runOver(t, {
    "src/a.test.ts": 'throw new Error("at import");',
    "src/b.test.ts": 'test("fine", () => {});',
  });
  assert.equal(run.code, 1, run.output);
  assert.equal(run.lastLine, "1 passed, 1 failed, 0 skipped");
  assert.match(run.output, /Failed:[\s\S]*src\/a\.test\.ts the file's process ended badly[\s\S]*Error: at import/);
});

test("a test that ends its process is a failure", async (t) => {
  const run = await runOver(t, { "src/a.test.ts": 'test("leaves", () => { process.exit(0); });' });
  assert.equal(run.code, 1, run.output);
});

test("an error thrown after the last test has passed is a failure", async (t) => {
  const run = await runOver(t, {
    "src/a.test.ts": 'test("fine", () => { setTimeout(() => { throw new Error("afterwards"); }, 1); });',
  });
  assert.equal(run.code, 1, run.output);
  assert.match(run.output, /afterwards/);
});

test("a file without a test is a failure", async (t) => {
  const run = await runOver(t, { "src/a.test.ts": "export const a = test;" });
  assert.equal(run.code, 1, run.output);
  assert.equal(run.lastLine, "0 passed, 1 failed, 0 skipped");
});

test("no file at all is a failure", async (t) => {
  const empty = await runOver(t, { "src/a.ts": "" });
  assert.equal(empty.code, 1, empty.output);
  assert.match(empty.output, /^No test ran/m);
  const filtered = await runOver(t, { "src/a.test.ts": 'test("one", () => {});' }, { args: ["nosuch"] });
  assert.equal(filtered.code, 1, filtered.output);
  assert.equal(filtered.lastLine, "0 passed, 0 failed, 0 skipped");
});

test("a skipped test is listed with its reason, and fails the run only in CI", async (t) => {
  const files = {
    "src/a.test.ts": `test("needs root", { skip: "not root" }, () => {});
      test("decides late", (t) => t.skip("no nginx"));
      test.todo("unwritten");
      test("fine", () => {});`,
  };
  const free = await runOver(t, files);
  assert.equal(free.code, 0, free.output);
  assert.equal(free.lastLine, "1 passed, 0 failed, 3 skipped");
  assert.match(
    free.output,
    /Skipped:\n {2}src\/a\.test\.ts:2 needs root: not root\n.* decides late: no nginx\n.* todo\n/,
  );
  const strict = await runOver(t, files, { ci: true });
  assert.equal(strict.code, 1, strict.output);
  assert.equal(strict.lastLine, "1 passed, 0 failed, 3 skipped");
});

test("--unit leaves the end-to-end tests out, and a filter takes what it names", async (t) => {
  const files = {
    "src/a.test.ts": 'test("a", () => {});',
    "bench/b.test.ts": 'test("b", () => {});',
    "test/e2e/c.test.ts": 'test("c", () => {});',
  };
  assert.equal((await runOver(t, files, { args: ["--unit"] })).lastLine, "2 passed, 0 failed, 0 skipped");
  assert.equal((await runOver(t, files, { args: ["b.test", "e2e/"] })).lastLine, "2 passed, 0 failed, 0 skipped");
});

test("a file that hangs is cut off, its unfinished test named, and its processes ended", async (t) => {
  const run = await runOver(
    t,
    {
      "src/a.test.ts": `import { spawn } from "node:child_process";
        import { writeFileSync } from "node:fs";
        process.on("SIGTERM", () => {});
        test("quick", () => {});
        test("hangs", async () => {
          const child = spawn("sleep", ["600"], { detached: true, stdio: "ignore" });
          writeFileSync(new URL("./pid", import.meta.url), String(child.pid));
          await new Promise((resolve) => setTimeout(resolve, 600_000));
        });`,
    },
    { args: ["--timeout", "2"] },
  );
  assert.equal(run.code, 1, run.output);
  assert.match(run.output, /not finished within 2 s\n {4}unfinished: hangs\n/);
  assertEnded(run);
});

test("a process that a file leaves behind is a failure, and is ended", async (t) => {
  const run = await runOver(t, {
    "src/a.test.ts": `import { spawn } from "node:child_process";
      import { writeFileSync } from "node:fs";
      test("leaves one", () => {
        const child = spawn("sleep", ["600"], { detached: true, stdio: "ignore" });
        child.unref();
        writeFileSync(new URL("./pid", import.meta.url), String(child.pid));
      });`,
  });
  assert.equal(run.code, 1, run.output);
  assert.equal(run.lastLine, "1 passed, 1 failed, 0 skipped");
  assert.match(run.output, /processes were left behind[\s\S]*sleep 600/);
  assertEnded(run);
});

function assertEnded(run: Outcome): void {
  const pid = Number(readFileSync(join(run.folder, "src/pid"), "utf8"));
  let state = "gone";
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
    state = stat.slice(stat.lastIndexOf(")") + 2, stat.lastIndexOf(")") + 3);
  } catch (error) {
    assert.equal(error instanceof Error && "code" in error ? error.code : error, "ENOENT");
  }
  // Killed, and perhaps not reaped yet by whoever inherited it.
  assert.ok(state === "gone" || state === "Z" || state === "X", `process ${pid} is in state ${state}`);
}
