// What active health checks cost: the supervisor's own driver over 10,000 targets at a probe a second, real sockets over
// loopback (one listening process stands for all of them, at 127.x.y.z). Told are the CPU seconds that a second takes, how
// many probes ended, and how far from start to start they lay: the interval is a promise that must hold however many there
// are. Run with `node bench/health.ts [tcp|http] [targets] [seconds]`.

import { type ChildProcess, fork } from "node:child_process";
import { createServer } from "node:net";
import { monitorEventLoopDelay, performance } from "node:perf_hooks";
import { fileURLToPath } from "node:url";
import { HealthChecks } from "../src/control/targets/health-checks.ts";
import type { Log } from "../src/core/log.ts";
import { seededRandom } from "../src/core/random.ts";
import type { Prober } from "../src/io/probe.ts";
import { createProbers } from "../src/io/prober.ts";
import type { HealthCheck, ProbePlan } from "../src/model/health-check.ts";
import type { Pool, Target } from "../src/model/pool.ts";
import { drawText } from "./table.ts";

const intervalMs = 1_000;
const warmUpMs = 3_000;
const answer = "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nok\n";

const plans: Readonly<Record<string, ProbePlan>> = {
  tcp: { kind: "tcp" },
  http: {
    kind: "http",
    method: "GET",
    path: "/health",
    host: undefined,
    headers: [],
    rawRequest: undefined,
    statuses: [{ first: 200, last: 299 }],
    body: undefined,
    tls: undefined,
    connection: "own",
  },
};

/** The targets' side: accepts, answers what is sent, lets go. */
function serveTargets(): void {
  const server = createServer((socket) => {
    socket.on("error", () => {});
    socket.on("data", () => socket.write(answer));
  });
  server.listen({ port: 0, host: "0.0.0.0", backlog: 65_535 }, () => {
    const address = server.address();
    process.send?.(typeof address === "object" ? address?.port : 0);
  });
  process.on("disconnect", () => process.exit(0));
}

function targetsOf(count: number, port: number): Target[] {
  return Array.from({ length: count }, (_, index) => {
    const host = `127.${1 + (index >> 16)}.${(index >> 8) & 255}.${1 + (index & 127) + ((index >> 7) & 1) * 64}`;
    const shared = { weight: 1, maxFails: 1, failTimeout: 10_000, connectionsMax: 0, backup: false, slowStart: 0 };
    return { address: `${host}#${index}`, host, port, ...shared, intent: "up" };
  });
}

const seen = { started: 0, passed: 0, failed: 0, gaps: [] as number[], problem: "" };

/** The real prober, with its starts and ends noted. */
function noted(prober: Prober): Prober {
  let before = 0;
  return {
    start(timeoutMs, end) {
      const now = performance.now();
      if (before > 0) seen.gaps.push(now - before);
      before = now;
      seen.started++;
      prober.start(timeoutMs, (outcome) => {
        if (outcome.verdict === "passed") seen.passed++;
        else {
          seen.failed++;
          seen.problem = `${outcome.code}: ${outcome.text}`;
        }
        end(outcome);
      });
    },
    close: () => prober.close(),
  };
}

function portOf(child: ChildProcess): Promise<number> {
  return new Promise((resolve) => child.once("message", (port) => resolve(Number(port))));
}

async function measure(kind: string, count: number, seconds: number): Promise<void> {
  const child = fork(fileURLToPath(import.meta.url), ["--targets"]);
  const port = await portOf(child);
  const quiet = (): void => {};
  const log: Log = { debug: quiet, info: quiet, warn: quiet, error: quiet };
  const clock = () => performance.now();
  const createProber = createProbers(clock);
  const checks = new HealthChecks({
    log,
    clock,
    wallClock: Date.now,
    random: seededRandom(1),
    createProber: (plan, target) => noted(createProber(plan, target)),
    publish: quiet,
  });
  const policy = { port: undefined, interval: intervalMs, fastInterval: intervalMs, jitterPercent: 10, timeout: 1_000 };
  const healthCheck: HealthCheck = {
    probe: plans[kind] ?? { kind: "tcp" },
    ...policy,
    rise: 2,
    fall: 3,
    initial: "healthy",
  };
  const targets = targetsOf(count, port);
  const pool: Pool = {
    name: "app",
    balance: { policy: "roundRobin" },
    targets,
    source: undefined,
    slowStart: 0,
    healthCheck,
    idleConnectionsMax: 0,
    idleTimeout: 1_000,
  };
  checks.apply([pool]);
  await new Promise((resolve) => setTimeout(resolve, warmUpMs));
  Object.assign(seen, { started: 0, passed: 0, failed: 0, gaps: [] });
  const delay = monitorEventLoopDelay({ resolution: 1 });
  delay.enable();
  const [startedAt, cpuBefore] = [performance.now(), process.cpuUsage()];
  await new Promise((resolve) => setTimeout(resolve, seconds * 1_000));
  const tookSeconds = (performance.now() - startedAt) / 1_000;
  const cpu = process.cpuUsage(cpuBefore);
  delay.disable();
  const gaps = seen.gaps.sort((one, other) => one - other);
  checks.stop();
  child.kill("SIGKILL");
  const at = (share: number) => (gaps[Math.min(gaps.length - 1, Math.floor(gaps.length * share))] ?? 0).toFixed(0);
  const rows = [
    ["CPU seconds a second", ((cpu.user + cpu.system) / 1e6 / tookSeconds).toFixed(2)],
    ["microseconds of CPU a probe", ((cpu.user + cpu.system) / Math.max(1, seen.passed + seen.failed)).toFixed(0)],
    ["probes ended a second", ((seen.passed + seen.failed) / tookSeconds).toFixed(0)],
    ["of them not passed", String(seen.failed)],
    ["start to start, median ms", at(0.5)],
    ["start to start, 99.9 % ms", at(0.999)],
    ["start to start, longest ms", at(1)],
    ["event loop late, 99 % ms", (delay.percentile(99) / 1e6).toFixed(1)],
    ["event loop late, longest ms", (delay.max / 1e6).toFixed(1)],
  ];
  console.log(drawText({ head: [`${kind}, ${count} targets every ${intervalMs} ms`, "figure"], rows }));
  if (seen.problem !== "") console.log(`the last that did not pass: ${seen.problem}`);
}

const [kind = "tcp", count = "10000", seconds = "5"] = process.argv.slice(2);
if (kind === "--targets") serveTargets();
else await measure(kind, Number(count), Number(seconds));
