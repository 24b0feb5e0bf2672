// The driver of the health checks with probers that the test answers for, and short real timers.

import assert from "node:assert/strict";
import { performance } from "node:perf_hooks";
import { type TestContext, test } from "node:test";
import type { LogFields, LogLevel } from "../../core/log.ts";
import { seededRandom } from "../../core/random.ts";
import type { Prober } from "../../io/probe.ts";
import type { HealthCheck, ProbeOutcome } from "../../model/health-check.ts";
import type { Pool, Target } from "../../model/pool.ts";
import type { TargetHealth } from "../../state/worker-protocol.ts";
import { commandsUnderWayMax, HealthChecks } from "./health-checks.ts";

const check: HealthCheck = {
  probe: { kind: "tcp" },
  port: undefined,
  interval: 10,
  fastInterval: 5,
  jitterPercent: 10,
  timeout: 1_000,
  rise: 2,
  fall: 2,
  initial: "healthy",
};
const passed: ProbeOutcome = { verdict: "passed", code: "probe.passed", text: "good" };
const failed: ProbeOutcome = { verdict: "failed", code: "probe.timeout", text: "silent" };

function target(number: number, changes: Partial<Target> = {}): Target {
  const host = `10.0.0.${number}`;
  const shared = {
    weight: 1,
    maxFails: 1,
    failTimeout: 10_000,
    connectionsMax: 0,
    backup: false,
    intent: "up" as const,
    slowStart: 0,
  };
  return { address: `${host}:80`, host, port: 80, ...shared, ...changes };
}

function pool(targets: readonly Target[], healthCheck: HealthCheck | undefined): Pool {
  const balance = { policy: "roundRobin" as const };
  return {
    name: "app",
    balance,
    targets,
    source: undefined,
    slowStart: 0,
    healthCheck,
    idleConnectionsMax: 1,
    idleTimeout: 1_000,
  };
}

function world(t: TestContext) {
  const outcomes = new Map<string, ProbeOutcome>();
  const asked = new Map<string, number>();
  const closed: string[] = [];
  let underWay = 0;
  let mostUnderWay = 0;
  let hold = false;
  const logged: { readonly level: LogLevel; readonly message: string; readonly fields: LogFields }[] = [];
  const write =
    (level: LogLevel) =>
    (message: string, fields: LogFields = {}) =>
      logged.push({ level, message, fields });
  const published: TargetHealth[][] = [];
  const createProber = (_: unknown, { address }: { readonly address: string }): Prober => ({
    start(_timeoutMs, end) {
      asked.set(address, (asked.get(address) ?? 0) + 1);
      mostUnderWay = Math.max(mostUnderWay, ++underWay);
      const answer = () => {
        if (closed.includes(address)) return;
        if (hold) return void setTimeout(answer, 5);
        underWay--;
        end(outcomes.get(address) ?? passed);
      };
      setImmediate(answer);
    },
    close: () => closed.push(address),
  });
  const checks = new HealthChecks({
    log: { debug: write("debug"), info: write("info"), warn: write("warn"), error: write("error") },
    clock: () => performance.now(),
    wallClock: Date.now,
    random: seededRandom(1),
    createProber,
    publish: (changes) => published.push([...changes]),
  });
  t.after(() => checks.stop());
  return {
    checks,
    outcomes,
    asked,
    closed,
    logged,
    published,
    most: () => mostUnderWay,
    hold: (on: boolean) => {
      hold = on;
    },
  };
}

async function until(what: string, look: () => boolean): Promise<void> {
  const deadline = performance.now() + 10_000;
  while (!look()) {
    if (performance.now() > deadline) throw new Error(`not within 10 s: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
}

test("a change is logged once, told to watchers at once, and to the workers in one message for many", async (t) => {
  const run = world(t);
  const heard: TargetHealth[] = [];
  run.checks.watch((change) => heard.push(change));
  const targets = [1, 2, 3].map((number) => target(number));
  run.checks.apply([pool(targets, check)]);
  await until("all healthy", () =>
    targets.every(({ address }) => run.checks.judged("app", address)?.health === "healthy"),
  );
  assert.deepEqual([heard, run.published], [[], []], "in they were before");
  run.outcomes.set("10.0.0.2:80", failed);
  await until("it is out", () => run.published.length > 0);
  const out = { pool: "app", target: "10.0.0.2:80", healthy: false, reason: "probe.timeout" };
  assert.deepEqual([heard, run.published, run.checks.unhealthy()], [[out], [[out]], [out]]);
  assert.equal(run.checks.takesWork("app", "10.0.0.2:80"), false);
  const before = run.asked.get("10.0.0.2:80") ?? 0;
  await until("more probes", () => (run.asked.get("10.0.0.2:80") ?? 0) > before + 5);
  run.outcomes.delete("10.0.0.2:80");
  await until("it is back", () => run.published.length > 1);
  assert.deepEqual(run.published[1], [{ ...out, healthy: true, reason: undefined }]);
  assert.deepEqual(
    run.logged
      .filter(({ level }) => level !== "debug")
      .map(({ level, message, fields }) => [level, message, fields["code"]]),
    [
      ["warn", "target unhealthy", "probe.timeout"],
      ["info", "target healthy", undefined],
    ],
  );
});

test("what a new configuration no longer names is asked no more, and what it keeps goes on as it was", async (t) => {
  const run = world(t);
  run.outcomes.set("10.0.0.1:80", failed);
  run.checks.apply([pool([target(1), target(2)], check)]);
  await until("the first is out", () => !run.checks.takesWork("app", "10.0.0.1:80"));
  run.checks.apply([pool([target(1, { weight: 5 })], check)]);
  assert.deepEqual(run.closed, ["10.0.0.2:80"]);
  assert.equal(run.checks.explain("app", "10.0.0.2:80"), undefined);
  assert.deepEqual(
    [run.checks.explain("app", "10.0.0.1:80")?.by, run.checks.explain("app", "10.0.0.1:80")?.weight],
    ["probes", 5],
  );
  const gone = run.asked.get("10.0.0.2:80") ?? 0;
  const kept = run.asked.get("10.0.0.1:80") ?? 0;
  await until("more probes", () => (run.asked.get("10.0.0.1:80") ?? 0) > kept + 5);
  assert.equal(run.asked.get("10.0.0.2:80") ?? 0, gone);
  run.checks.apply([pool([target(1)], undefined)]);
  assert.equal(run.checks.takesWork("app", "10.0.0.1:80"), true);
  assert.deepEqual(run.checks.unhealthy(), []);
});

test("no more commands run at a time than may, and all of them get their turn", async (t) => {
  const run = world(t);
  run.hold(true);
  const count = commandsUnderWayMax * 2;
  const targets = Array.from({ length: count }, (_, index) => target(index));
  run.checks.apply([pool(targets, { ...check, probe: { kind: "command", command: ["x"] } })]);
  await until("as many as may", () => run.most() >= commandsUnderWayMax);
  await until("it is told", () => run.logged.some(({ message }) => message.startsWith("probes held back")));
  run.hold(false);
  await until("everyone's turn", () => run.asked.size === count);
  assert.equal(run.most(), commandsUnderWayMax);
});

test("the workers' passive judges are told of once, and a worker that ends takes its opinion along", (t) => {
  const run = world(t);
  run.checks.apply([pool([target(1)], undefined)]);
  const told = { pool: "app", target: "10.0.0.1:80" };
  run.checks.takeReport(0, { ...told, code: "target.connect.refused" });
  run.checks.takePassive(0, { ...told, out: true });
  run.checks.takePassive(1, { ...told, out: true });
  const explained = run.checks.explain("app", "10.0.0.1:80");
  assert.deepEqual([explained?.eligible, explained?.by, explained?.reports.outWorkers], [false, "reports", [0, 1]]);
  assert.match(explained?.sentence ?? "", /is out since .* by live traffic: target\.connect\.refused/);
  run.checks.workerEnded(0);
  run.checks.takePassive(1, { ...told, out: false });
  assert.equal(run.checks.explain("app", "10.0.0.1:80")?.eligible, true);
  assert.deepEqual(
    run.logged.map(({ level, message, fields }) => `${level} ${message} by ${fields["by"]}`),
    ["warn target unhealthy by reports", "info target healthy by reports"],
  );
  run.checks.takePassive(1, { pool: "app", target: "10.9.9.9:80", out: true });
});
