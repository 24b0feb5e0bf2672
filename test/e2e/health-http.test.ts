// Active health checks with the real program: targets killed and brought back, workers, reloads, and what people are told.

import assert from "node:assert/strict";
import { chmodSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { performance } from "node:perf_hooks";
import { type TestContext, test } from "node:test";
import {
  type Balancer,
  listener,
  pool,
  startBalancer,
  startEcho,
  startEchoes,
  startRecordingTarget,
} from "./http-kit.ts";
import { ask, evenkeel, freePort, pause, type Ran, runProgram, temporaryDirectory, until } from "./kit.ts";

const intervalMs = 300;
const timeoutMs = 400;
/** What a busy machine may add. */
const slackMs = 2_000;
const check = {
  type: "http",
  path: "/ping",
  expect: ["2xx"],
  interval: `${intervalMs}ms`,
  timeout: `${timeoutMs}ms`,
  rise: 2,
  fall: 2,
};

type Explained = {
  readonly eligible: boolean;
  readonly health: string;
  readonly by?: string;
  readonly since: string;
  readonly code?: string;
  readonly sentence: string;
  readonly check: { readonly standing: string; readonly probes: number; readonly last?: { readonly text: string } };
};

async function explained(balancer: Balancer, port: number, name = "app"): Promise<Explained> {
  const path = `/v1/pools/${name}/targets/127.0.0.1:${port}`;
  const answer = await ask({ socketPath: balancer.socket, path });
  assert.equal(answer.status, 200, answer.body);
  return JSON.parse(answer.body);
}

function explain(t: TestContext, balancer: Balancer, port: number): Promise<Ran> {
  return runProgram(t, evenkeel, ["explain", "target", `app/127.0.0.1:${port}`, "--socket", balancer.socket]);
}

/** Requests one after the other until stopped; who answered how often, and what was not 200. */
function load(port: number) {
  const names = new Map<string, number>();
  const bad: string[] = [];
  let stop = false;
  const running = (async () => {
    while (!stop) {
      try {
        const { status, body } = await ask({ port });
        if (status === 200) names.set(body.trim(), (names.get(body.trim()) ?? 0) + 1);
        else bad.push(String(status));
      } catch (error) {
        bad.push(String(error));
      }
    }
  })();
  return {
    names,
    bad,
    async end() {
      stop = true;
      await running;
    },
  };
}

test("a target killed with SIGKILL is out within fall intervals and a timeout, back within rise intervals, and no request fails", async (t) => {
  const [steady, victim] = await startEchoes(t, ["steady", "victim"]);
  assert.ok(steady !== undefined && victim !== undefined);
  const port = await freePort();
  const balancer = await startBalancer(t, {
    workers: 2,
    listeners: { web: listener(port, [{ pool: "app" }]) },
    pools: { app: pool([steady.port, victim.port], { failTimeout: "60s" }, { healthCheck: check }) },
  });
  await until("both are found healthy", async () => {
    const all = await Promise.all([steady, victim].map((echo) => explained(balancer, echo.port)));
    return all.every(({ check: { standing } }) => standing === "healthy");
  });
  const running = load(port);
  await until("requests at both", () => running.names.size === 2);

  const killedAt = performance.now();
  victim.program.signal("SIGKILL");
  await until(
    "it is out by probes",
    async () => (await explained(balancer, victim.port)).check.standing === "unhealthy",
  );
  const outMs = performance.now() - killedAt;
  assert.ok(outMs < 2 * intervalMs + timeoutMs + slackMs, `out after ${outMs} ms`);
  await until("log line", () => balancer.lines().some((line) => line["message"] === "target unhealthy"));
  const told = await explain(t, balancer, victim.port);
  assert.equal(told.code, 2);
  assert.match(told.stdout, /is out since .* by (its health check: probe\.connect\.refused|live traffic)/);
  assert.match(told.stdout, /last probe: failed at .*connection refused/);

  const back = await startEcho(t, "victim", victim.port);
  const startedAt = performance.now();
  const before = running.names.get("victim") ?? 0;
  await until("requests at it again", () => (running.names.get("victim") ?? 0) > before + 5);
  const backMs = performance.now() - startedAt;
  // Its failTimeout is a minute: the probes' word ends what live traffic held against it.
  assert.ok(backMs < 2 * intervalMs + timeoutMs + slackMs, `back after ${backMs} ms`);
  await running.end();
  assert.deepEqual(running.bad, []);
  assert.equal(back.program.exit(), undefined);
  assert.equal((await explain(t, balancer, victim.port)).code, 0);
  const { pools } = await balancer.status();
  assert.deepEqual(
    pools[0]?.targets.map(({ health }) => health),
    ["healthy", "healthy"],
  );
  t.diagnostic(`out after ${Math.round(outMs)} ms, back after ${Math.round(backMs)} ms`);
});

test("a target that accepts and says nothing is out by its probes alone, in both workers, and each change is logged once", async (t) => {
  const [steady] = await startEchoes(t, ["steady"]);
  let silent = false;
  const target = await startRecordingTarget(t, (connection) => {
    if (!silent) connection.socket.write("HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\nelusive\n");
    connection.received = "";
  });
  assert.ok(steady !== undefined);
  const port = await freePort();
  const balancer = await startBalancer(t, {
    workers: 2,
    listeners: { web: listener(port, [{ pool: "app" }]) },
    pools: { app: pool([steady.port, target.port], {}, { healthCheck: check }) },
  });
  await until("it is healthy", async () => (await explained(balancer, target.port)).check.standing === "healthy");
  silent = true;
  await until("it is out", async () => !(await explained(balancer, target.port)).eligible);
  const asked = await Promise.all(Array.from({ length: 40 }, () => ask({ port })));
  assert.ok(
    asked.every(({ body }) => body === "steady\n"),
    "neither worker sends it anything",
  );
  const { code, by, check: checked } = await explained(balancer, target.port);
  assert.deepEqual([code, by], ["probe.timeout", "probes"]);
  assert.match(checked.last?.text ?? "", /no answer within 400 ms: waiting for the answer/);
  silent = false;
  await until("it is back", async () => (await explained(balancer, target.port)).eligible);
  await until("requests at it", async () => (await ask({ port })).body === "elusive\n");
  const changes = balancer.lines().filter(({ message }) => /^target (un)?healthy$/.test(String(message)));
  assert.deepEqual(
    changes.map(({ message, by: who }) => `${message} ${who}`),
    ["target unhealthy probes", "target healthy probes"],
  );
});

test("a worker that starts while a target is out knows it from its first request", async (t) => {
  const [steady, victim] = await startEchoes(t, ["steady", "victim"]);
  assert.ok(steady !== undefined && victim !== undefined);
  const port = await freePort();
  // The check asks at a port where nobody is: live traffic has nothing against the target.
  const nobody = await freePort();
  const balancer = await startBalancer(t, {
    listeners: { web: listener(port, [{ pool: "app" }]), other: listener(await freePort(), [{ pool: "sick" }]) },
    pools: {
      app: pool([steady.port]),
      sick: pool([victim.port], {}, { healthCheck: { type: "tcp", port: nobody, interval: "200ms", fall: 1 } }),
    },
  });
  const sickPort = (await balancerPort(balancer, "other")) ?? 0;
  await until("it is out", async () => !(await explained(balancer, victim.port, "sick")).eligible);
  assert.equal((await ask({ port: sickPort })).status, 503);
  const [worker] = (await balancer.status()).workers;
  process.kill(worker?.pid ?? -1, "SIGKILL");
  await balancer.logged("worker serving", 2);
  assert.equal((await ask({ port: sickPort })).status, 503);
  assert.equal((await ask({ port })).body, "steady\n");
});

async function balancerPort(balancer: Balancer, name: string): Promise<number | undefined> {
  const status = JSON.parse((await ask({ socketPath: balancer.socket, path: "/v1/status" })).body);
  const found: { name: string; address: string } | undefined = status.listeners.find(
    (one: { name: string }) => one.name === name,
  );
  return Number(found?.address.split(":")[1]);
}

test("a reload keeps the health of targets that stay, and a new target begins as `initial` says", async (t) => {
  const [steady, fresh] = await startEchoes(t, ["steady", "fresh"]);
  assert.ok(steady !== undefined && fresh !== undefined);
  const port = await freePort();
  const dead = await freePort();
  const doubting = { ...check, initial: "unhealthy" };
  const file = (ports: readonly number[], settings: object, healthCheck: object = doubting) => ({
    listeners: { web: listener(port, [{ pool: "app" }]) },
    pools: { app: pool(ports, { ...settings }, { healthCheck }) },
  });
  const balancer = await startBalancer(t, file([steady.port, dead], {}));
  await until("the living one is in", async () => (await explained(balancer, steady.port)).eligible);
  await until("the dead one is judged", async () => (await explained(balancer, dead)).check.standing === "unhealthy");
  const [livingBefore, deadBefore] = [await explained(balancer, steady.port), await explained(balancer, dead)];

  balancer.write(file([steady.port, dead, fresh.port], { weight: 3 }));
  assert.equal((await balancer.reload()).code, 0);
  const [living, stillDead] = [await explained(balancer, steady.port), await explained(balancer, dead)];
  assert.deepEqual([living.health, living.since.slice(0, 19)], ["healthy", livingBefore.since.slice(0, 19)]);
  assert.deepEqual([stillDead.by, stillDead.since.slice(0, 19)], ["probes", deadBefore.since.slice(0, 19)]);
  assert.ok(living.check.probes >= livingBefore.check.probes, "its record goes on");
  await until("the new one is in", async () => (await explained(balancer, fresh.port)).eligible);

  balancer.write(file([steady.port, dead, fresh.port], {}, { ...doubting, path: "/status/200", rise: 3 }));
  assert.equal((await balancer.reload()).code, 0);
  assert.equal((await explained(balancer, steady.port)).eligible, true, "another check is no reason to be taken out");
  assert.equal((await explained(balancer, dead)).eligible, false, "nor to be let in");
  assert.equal((await ask({ port })).status, 200);
  const unknown = await runProgram(t, evenkeel, ["explain", "target", "app/127.0.0.1:1", "--socket", balancer.socket]);
  assert.deepEqual([unknown.code, unknown.stderr], [1, "evenkeel: pool app has no target 127.0.0.1:1\n"]);
});

test("a command decides over a target, and the operator's intent stays the operator's", async (t) => {
  const [a, b] = await startEchoes(t, ["a", "b"]);
  assert.ok(a !== undefined && b !== undefined);
  const directory = temporaryDirectory(t);
  const script = join(directory, "check.sh");
  const ill = join(directory, `ill-${a.port}`);
  writeFileSync(
    script,
    `#!/bin/sh\nif [ -e ${directory}/ill-$EVENKEEL_PORT ]; then echo "$EVENKEEL_TARGET is ill"; exit 1; fi\n`,
  );
  chmodSync(script, 0o755);
  const port = await freePort();
  const healthCheck = { type: "command", command: [script], interval: "200ms", timeout: "5s", rise: 1, fall: 1 };
  const app = pool([a.port, b.port], {}, { healthCheck });
  const balancer = await startBalancer(t, { listeners: { web: listener(port, [{ pool: "app" }]) }, pools: { app } });
  await until("both are healthy", async () => {
    const all = await Promise.all([a, b].map((echo) => explained(balancer, echo.port)));
    return all.every(({ health }) => health === "healthy");
  });
  writeFileSync(ill, "");
  await until("it is out", async () => !(await explained(balancer, a.port)).eligible);
  const told = await explain(t, balancer, a.port);
  assert.match(told.stdout, new RegExp(`probe\\.command\\.exit \\(exit 1: 127\\.0\\.0\\.1:${a.port} is ill\\)`));
  const answers = await Promise.all(Array.from({ length: 10 }, () => ask({ port })));
  assert.ok(answers.every(({ body }) => body === "b\n"));
  const status = await runProgram(t, evenkeel, ["status", "--socket", balancer.socket]);
  assert.equal(status.code, 2);
  assert.match(status.stdout, /unhealthy by probes .*is ill/);
  rmSync(ill);
  await until("it is back", async () => (await explained(balancer, a.port)).eligible);
  balancer.write({
    listeners: { web: listener(port, [{ pool: "app" }]) },
    pools: { app: { ...app, targets: { [`127.0.0.1:${a.port}`]: { intent: "drain" }, [`127.0.0.1:${b.port}`]: {} } } },
  });
  assert.equal((await balancer.reload()).code, 0);
  const drained = await explained(balancer, a.port);
  assert.deepEqual([drained.eligible, drained.health], [false, "healthy"]);
  assert.match(drained.sentence, /its intent is drain/);
});

test("a supervisor that stood still for longer than every timeout takes nobody out", async (t) => {
  const [a] = await startEchoes(t, ["a"]);
  assert.ok(a !== undefined);
  const port = await freePort();
  const strict = { ...check, interval: "100ms", timeout: "100ms", rise: 1, fall: 1 };
  const balancer = await startBalancer(t, {
    listeners: { web: listener(port, [{ pool: "app" }]) },
    pools: { app: pool([a.port], {}, { healthCheck: strict }) },
  });
  await until("it is healthy", async () => (await explained(balancer, a.port)).health === "healthy");
  for (let round = 0; round < 3; round++) {
    balancer.program.signal("SIGSTOP");
    await pause(700);
    balancer.program.signal("SIGCONT");
    const before = (await explained(balancer, a.port)).check.probes;
    await until("probes go on", async () => (await explained(balancer, a.port)).check.probes > before + 2);
  }
  assert.deepEqual(
    balancer.lines().filter(({ message }) => message === "target unhealthy"),
    [],
  );
});
