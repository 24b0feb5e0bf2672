// Services with the real keeper and real processes: started with a token, ended in order, killed with their groups, and never
// left behind by a supervisor that was killed or stood still.

import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { appendFileSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { performance } from "node:perf_hooks";
import { type TestContext, test } from "node:test";
import { fileURLToPath } from "node:url";
import type { LogFields } from "../../core/log.ts";
import { createServiceKeeper } from "../../io/service-keeper.ts";
import type { Service } from "../../model/ha.ts";
import { alarm } from "./alarm.ts";
import { type Followed, Services } from "./service-driver.ts";
import { createTokenSource, parseToken } from "./service-token.ts";

const router: Followed = { kind: "virtualRouter", name: "VI_1" };

function service(command: readonly string[], changes: Partial<Service> = {}): Service {
  return {
    name: "pump",
    command,
    follow: router,
    user: undefined,
    directory: undefined,
    environment: [],
    stopTimeout: 2_000,
    restartDelay: 10,
    restartDelayMax: 40,
    ...changes,
  };
}

const sh = (script: string): readonly string[] => ["/bin/sh", "-c", script];

function directory(t: TestContext): string {
  const path = mkdtempSync(join(tmpdir(), "evenkeel-service-"));
  t.after(() => rmSync(path, { recursive: true, force: true }));
  return path;
}

function recorder() {
  const logged: { readonly message: string; readonly fields: LogFields }[] = [];
  const write = (message: string, fields: LogFields = {}) => logged.push({ message, fields });
  return { logged, log: { debug: write, info: write, warn: write, error: write } };
}

function world(t: TestContext) {
  // Before the folder goes, everything that writes there.
  t.after(() => services.stop());
  const folder = directory(t);
  const { log, logged } = recorder();
  const services = new Services({
    log,
    clock: () => performance.now(),
    alarm,
    tokens: createTokenSource({ path: join(folder, "token"), wallClock: Date.now, log }),
    createKeeper: createServiceKeeper,
  });
  return { services, folder, logged, lines: (name: string) => linesOf(join(folder, name)) };
}

function linesOf(path: string): readonly string[] {
  return existsSync(path) ? readFileSync(path, "utf8").split("\n").slice(0, -1) : [];
}

async function until(what: string, look: () => boolean): Promise<void> {
  const deadline = performance.now() + 20_000;
  while (!look()) {
    if (performance.now() > deadline) throw new Error(`not within 20 s: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

function isAlive(pid: number): boolean {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "latin1");
    return stat[stat.lastIndexOf(")") + 2] !== "Z";
  } catch {
    // It is gone: the answer we ask for.
    return false;
  }
}

test("a service runs with its token, folder and environment while the role is here, and ends in order", async (t) => {
  const run = world(t);
  const script = `trap 'echo bye >> ${run.folder}/out; exit 0' TERM
    echo "$EVENKEEL_FENCING_TOKEN $EVENKEEL_SERVICE $EVENKEEL_FOLLOWS $OWN $PWD" >> ${run.folder}/out
    while :; do sleep 0.01; done`;
  const own = { environment: [{ name: "OWN", value: "value" }], directory: run.folder };
  run.services.apply({ services: [service(sh(script), own)] });
  assert.equal(run.services.status()[0]?.phase, "idle");
  const before = Date.now();
  const token = run.services.follow({ ...router, active: true }) ?? 0;
  assert.ok(token >= before);
  assert.equal(run.services.follow({ ...router, active: true }), token);
  await until("its first word", () => run.lines("out").length === 1);
  assert.deepEqual(run.lines("out"), [`${token} pump VI_1 value ${run.folder}`]);
  assert.equal(await run.services.release(router), "ended");
  assert.deepEqual(run.lines("out").slice(1), ["bye"]);
  const second = run.services.follow({ ...router, active: true }) ?? 0;
  assert.ok(second > token);
  await until("its second start", () => run.lines("out").length === 3);
});

test("one that does not end when asked is killed with its group at its deadline", async (t) => {
  const run = world(t);
  const script = `trap '' TERM; sh -c "trap '' TERM; sleep 600" & echo "$$ $!" > ${run.folder}/pids; wait; sleep 600`;
  run.services.apply({ services: [service(sh(script), { stopTimeout: 100 })] });
  run.services.follow({ ...router, active: true });
  await until("its pids", () => run.lines("pids").length === 1);
  const pids = (run.lines("pids")[0] ?? "").split(" ").map(Number);
  assert.equal(await run.services.release(router), "ended");
  await until("the end of its group", () => !pids.some(isAlive));
});

test("a role that comes back while its service ends has it started anew, and the release is answered all the same", async (t) => {
  const run = world(t);
  const script = `trap 'sleep 0.1; echo bye >> ${run.folder}/out; exit' TERM
    echo "$EVENKEEL_FENCING_TOKEN" >> ${run.folder}/out; while :; do sleep 0.01; done`;
  run.services.apply({ services: [service(sh(script))] });
  const first = run.services.follow({ ...router, active: true });
  await until("its first word", () => run.lines("out").length === 1);
  const released = run.services.release(router);
  const second = run.services.follow({ ...router, active: true });
  assert.equal(await released, "ended");
  await until("its second start", () => run.lines("out").length === 3);
  assert.deepEqual(run.lines("out"), [`${first}`, "bye", `${second}`]);
  await run.services.stop();
  assert.equal(run.services.follow({ ...router, active: true }), undefined);
});

test("a role that is lost kills it at once, without a word", async (t) => {
  const run = world(t);
  const script = `trap 'echo bye > ${run.folder}/bye' TERM; echo $$ > ${run.folder}/pid; while :; do sleep 0.01; done`;
  run.services.apply({ services: [service(sh(script), { stopTimeout: 600_000 })] });
  run.services.follow({ ...router, active: true });
  await until("its pid", () => run.lines("pid").length === 1);
  run.services.follow({ ...router, active: false });
  await until("its end", () => run.services.status()[0]?.phase === "idle");
  assert.deepEqual([run.lines("bye"), isAlive(Number(run.lines("pid")[0]))], [[], false]);
});

test("one that ends by itself, or cannot be started, is started again, and the log says why", async (t) => {
  const run = world(t);
  const failing = service(sh(`echo run >> ${run.folder}/out; exit 7`));
  const missing = service(["/no/such/program"], { name: "missing" });
  const nobody = service(["/bin/true"], { name: "nobody", user: "ek-no-such-user" });
  const folder = service(["/etc/passwd/program"], { name: "folder" });
  run.services.apply({ services: [failing, missing, nobody, folder] });
  run.services.follow({ ...router, active: true });
  await until("four runs", () => run.lines("out").length >= 4);
  await until("tries of all", () => run.services.status().every(({ restarts }) => restarts > 1));
  const reasons = run.services.status().map(({ lastEnd }) => lastEnd);
  assert.deepEqual(reasons.slice(0, 2), ["exit 7", "it could not be started: ENOENT"]);
  assert.equal(reasons[3], "it could not be started: ENOTDIR");
  assert.match(reasons[2] ?? "", /there is no user `ek-no-such-user`/);
  assert.equal(await run.services.release(router), "ended");
});

test("a changed service is replaced after the old one has ended; others and other roles are left alone", async (t) => {
  const run = world(t);
  const loop = (word: string) =>
    sh(`trap 'sleep 0.1; echo end-${word} >> ${run.folder}/out; exit' TERM
      echo ${word} >> ${run.folder}/out; while :; do sleep 0.01; done`);
  const other = service(loop("other"), { name: "other" });
  const foreign = service(loop("foreign"), { name: "foreign", follow: { kind: "syncGroup", name: "VI_1" } });
  run.services.apply({ services: [service(loop("old")), other, foreign] });
  const token = run.services.follow({ ...router, active: true });
  await until("both", () => run.lines("out").length === 2);
  run.services.apply({ services: [service(loop("new")), other, foreign] });
  await until("the new one", () => run.lines("out").includes("new"));
  assert.deepEqual(run.lines("out").slice(2), ["end-old", "new"]);
  assert.deepEqual(
    run.services
      .status()
      .map(({ name, phase }) => `${name} ${phase}`)
      .sort(),
    ["foreign idle", "other running", "pump running"],
  );
  assert.ok(run.services.status().every((each) => each.token === undefined || each.token === token));
  run.services.apply({ services: [] });
  await until("nothing left", () => run.services.status().length === 0);
});

test("tokens grow over a restart and over a clock that is set back, and a broken file is told of", (t) => {
  const { log, logged } = recorder();
  const path = join(directory(t), "deep/token");
  let now = 1_000_000;
  const source = () => createTokenSource({ path, wallClock: () => now, log });
  const first = source();
  assert.deepEqual([first.next(), first.next()], [1_000_000, 1_000_001]);
  now = 500_000;
  assert.equal(source().next(), 1_000_002);
  now = 2_000_000;
  assert.equal(source().next(), 2_000_000);
  assert.equal(logged.length, 0);
  writeFileSync(path, "12x");
  assert.equal(source().next(), 2_000_000);
  assert.equal(logged[0]?.fields["code"], "service.token.broken");
  now = 9_000_000_000;
  source().next();
  now = 2_000_000;
  assert.equal(source().next(), 9_000_000_001);
  assert.equal(logged[1]?.fields["code"], "service.token.ahead");
  assert.deepEqual(
    [parseToken("17\n"), parseToken("0"), parseToken("-1"), parseToken("")],
    [17, undefined, undefined, undefined],
  );
});

/** A program of its own that follows a role with one service, which writes its pid. */
function supervisor(t: TestContext, folder: string): ChildProcess {
  const here = (path: string) => JSON.stringify(fileURLToPath(new URL(path, import.meta.url)));
  const script = join(folder, "supervisor.ts");
  const command = JSON.stringify(sh(`echo $$ >> ${folder}/pids; sleep 600 & echo $! >> ${folder}/pids; wait`));
  writeFileSync(
    script,
    `import { createServiceKeeper } from ${here("../../io/service-keeper.ts")};
const keeper = createServiceKeeper((report) => console.log(JSON.stringify(report)));
keeper.start(1, { command: ${command}, environment: {}, directory: undefined, uid: undefined, gid: undefined });
setInterval(() => {}, 1000);
`,
  );
  const child = spawn(process.execPath, [script], { stdio: ["ignore", "pipe", "inherit"] });
  child.stdout?.on("data", (bytes: Buffer) => appendFileSync(join(folder, "reports"), bytes));
  t.after(() => child.kill("SIGKILL"));
  return child;
}

test("a supervisor that is killed takes its services with it, and the keeper", async (t) => {
  const folder = directory(t);
  const parent = supervisor(t, folder);
  await until("both pids", () => linesOf(`${folder}/pids`).length === 2);
  const pids = linesOf(`${folder}/pids`).map(Number);
  const keeper = Number(/^PPid:\s*(\d+)$/m.exec(readFileSync(`/proc/${pids[0]}/status`, "utf8"))?.[1]);
  assert.notEqual(keeper, parent.pid);
  const killedAt = performance.now();
  parent.kill("SIGKILL");
  await until("the end of all", () => ![...pids, keeper].some(isAlive));
  console.log(`killed -9: services gone after ${(performance.now() - killedAt).toFixed(0)} ms`);
});

test("a supervisor that stands still loses its services when the lease is over", async (t) => {
  const folder = directory(t);
  const parent = supervisor(t, folder);
  await until("both pids", () => linesOf(`${folder}/pids`).length === 2);
  const pids = linesOf(`${folder}/pids`).map(Number);
  const stoppedAt = performance.now();
  parent.kill("SIGSTOP");
  await until("the end of the services", () => !pids.some(isAlive));
  console.log(`stopped: services gone after ${(performance.now() - stoppedAt).toFixed(0)} ms`);
  parent.kill("SIGCONT");
  await until("the word of it", () => /leaseOver[\s\S]*ended/.test(linesOf(`${folder}/reports`).join("\n")));
});

test("a keeper that is killed takes the services with it, and another one starts them again", async (t) => {
  const run = world(t);
  run.services.apply({ services: [service(sh(`echo $$ $PPID >> ${run.folder}/pids; sleep 600`))] });
  run.services.follow({ ...router, active: true });
  await until("its pid", () => run.lines("pids").length === 1 && run.services.status()[0]?.pid !== undefined);
  const [pid = 0, keeper = 0] = (run.lines("pids")[0] ?? "").split(" ").map(Number);
  process.kill(keeper, "SIGKILL");
  await until("the next one", () => run.lines("pids").length === 2);
  assert.equal(isAlive(pid), false);
  assert.equal(run.services.status()[0]?.lastEnd, "the keeper of services ended");
});
