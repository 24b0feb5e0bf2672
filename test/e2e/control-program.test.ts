// The program as a newcomer gets it, with its real workers and its own demo servers: balancing, a worker killed under
// load, status, drain, and the demonstration of `npm start`.

import assert from "node:assert/strict";
import { existsSync, readdirSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import {
  ask,
  evenkeel,
  freePort,
  isAlive,
  type Program,
  root,
  runProgram,
  type Scope,
  startProgram,
  temporaryDirectory,
  until,
} from "./kit.ts";

type Running = {
  readonly program: Program;
  readonly port: number;
  readonly socket: string;
  readonly configFile: string;
  readonly echoes: readonly Program[];
};

async function start(scope: Scope, workers: number): Promise<Running> {
  const directory = temporaryDirectory(scope);
  const [port, one, two] = [await freePort(), await freePort(), await freePort()];
  const echoes = [one, two].map((at, index) =>
    startProgram(scope, evenkeel, ["echo", "--http", `127.0.0.1:${at}`, "--name", `app-${index + 1}`]),
  );
  for (const echo of echoes) await until("a demo server", () => echo.stdout() !== "", { onTimeout: echo.stderr });
  const socket = join(directory, "admin.sock");
  const configFile = join(directory, "evenkeel.yaml");
  const text = `
admin: { socket: ${socket} }
stateDirectory: ${join(directory, "state")}
workers: ${workers}
listeners: { web: { bind: "127.0.0.1:${port}", routes: [ { pool: app } ] } }
pools: { app: { targets: { "127.0.0.1:${one}": {}, "127.0.0.1:${two}": {} } } }
`;
  writeFileSync(configFile, text);
  const program = startProgram(scope, evenkeel, ["run", "-c", configFile]);
  await until("the node", async () => (await ask({ socketPath: socket, path: "/readyz" })).status === 200, {
    onTimeout: program.stderr,
  });
  return { program, port, socket, configFile, echoes };
}

async function workerPids(socketPath: string): Promise<number[]> {
  const { workers } = JSON.parse((await ask({ socketPath, path: "/v1/status" })).body);
  return workers.map((worker: { pid: number }) => worker.pid);
}

test("it balances, and status counts over all workers and tells a target that is gone", async (t) => {
  const { port, socket, echoes } = await start(t, 2);
  const names = new Set<string>();
  for (let count = 0; count < 20; count++) names.add((await ask({ port })).body);
  assert.deepEqual([...names].sort(), ["app-1\n", "app-2\n"]);
  const good = await runProgram(t, evenkeel, ["status", "--socket", socket, "-o", "json"]);
  const status = JSON.parse(good.stdout);
  assert.equal(good.code, 0);
  assert.equal(status.listeners[0].counters.exchanges, 20);
  const exchanges = status.pools[0].targets.map(
    (target: { counters: { exchanges: number } }) => target.counters.exchanges,
  );
  assert.equal(exchanges[0] + exchanges[1], 20);
  echoes[0]?.signal("SIGTERM");
  await echoes[0]?.exited();
  for (let count = 0; count < 20; count++) assert.equal((await ask({ port })).status, 200);
  const degraded = await runProgram(t, evenkeel, ["status", "--socket", socket]);
  assert.equal(degraded.code, 2, degraded.stdout);
  assert.match(degraded.stdout, /degraded:\n {2}target 127\.0\.0\.1:\d+ of pool app is unhealthy: /);
});

test("a worker killed under load costs its own connections only, and no new client is refused", async (t) => {
  const { port, socket } = await start(t, 2);
  const [victim = -1] = await workerPids(socket);
  let stop = false;
  let served = 0;
  const broken: string[] = [];
  const refused: string[] = [];
  const load = Array.from({ length: 6 }, async () => {
    while (!stop) {
      try {
        assert.equal((await ask({ port, path: "/ping" })).status, 200);
        served++;
      } catch (error) {
        const { code = String(error) } = error as NodeJS.ErrnoException;
        (code === "ECONNREFUSED" ? refused : broken).push(code);
      }
    }
  });
  await until("load", () => served > 100);
  process.kill(victim, "SIGKILL");
  await until("a replacement", async () => {
    const pids = await workerPids(socket);
    return pids.every((pid) => pid !== undefined && pid !== victim);
  });
  const before = served;
  await until("load after it", () => served > before + 200);
  stop = true;
  await Promise.all(load);
  assert.deepEqual(refused, []);
  // At most one connection of each client can have been with the victim.
  assert.ok(broken.length <= 6, broken.join());
  t.diagnostic(`${served} served, ${broken.length} broken with the victim`);
});

test("reloads under load lose no exchange", async (t) => {
  const { port, socket, program } = await start(t, 2);
  let stop = false;
  let served = 0;
  const load = Array.from({ length: 6 }, async () => {
    while (!stop) {
      assert.equal((await ask({ port, path: "/ping" })).status, 200);
      served++;
    }
  });
  const ended = Promise.all(load);
  for (let round = 0; round < 10; round++) {
    if (round % 2 === 0) program.signal("SIGHUP");
    const reload = ask({ socketPath: socket, method: "POST", path: "/v1/reload" });
    const answer = await Promise.race([reload, ended]);
    assert.ok(!Array.isArray(answer) && answer.status === 200);
  }
  const before = served;
  await Promise.race([until("load after it", () => served > before + 100), ended]);
  stop = true;
  await ended;
  t.diagnostic(`${served} exchanges over 10 reloads and more`);
});

test("SIGTERM finishes the exchange under way and ends with 0; SIGKILL leaves no worker behind", async (t) => {
  const { port, program, socket } = await start(t, 2);
  const slow = ask({ port, path: "/delay/1500" });
  await until("the exchange under way", async () => {
    const { pools } = JSON.parse((await ask({ socketPath: socket, path: "/v1/status" })).body);
    return pools[0].targets.some((target: { active: number }) => target.active === 1);
  });
  program.signal("SIGTERM");
  assert.equal((await slow).status, 200);
  assert.deepEqual(await program.exited(), { code: 0, signal: null });

  const second = await start(t, 2);
  const pids = await workerPids(second.socket);
  second.program.signal("SIGKILL");
  await until("the workers' end", () => pids.every((pid) => !isAlive(pid)));
});

test("the demonstration balances, says what to try, and leaves nothing behind", async (t) => {
  const port = await freePort();
  const leftovers = () => readdirSync(tmpdir()).filter((name) => name.startsWith("evenkeel-demo-"));
  const before = leftovers();
  const demo = startProgram(t, process.execPath, [join(root, "tools/demo.ts")], {
    env: { DEMO_PORT: String(port), DEMO_ONE_PORT: String(await freePort()), DEMO_TWO_PORT: String(await freePort()) },
    graceMs: 20_000,
  });
  await until("the end of the greeting", () => demo.stdout().includes("Ctrl-C") || demo.exit() !== undefined, {
    timeoutMs: 30_000,
  });
  assert.equal(demo.exit(), undefined, demo.stderr());
  assert.match(demo.stdout(), /answered by one/);
  assert.match(demo.stdout(), /answered by two/);
  assert.equal((await ask({ port, path: "/ping" })).status, 200);
  const pids = [...demo.stdout().matchAll(/\(pid (\d+)\)/g)].map((match) => Number(match[1]));
  const socket = /--socket (\S+)/.exec(demo.stdout())?.[1] ?? assert.fail("no socket told");
  pids.push(...(await workerPids(socket)));
  demo.signal("SIGINT");
  assert.deepEqual(await demo.exited(), { code: 0, signal: null });
  assert.ok(pids.length >= 3 && pids.every((pid) => !isAlive(pid)));
  assert.equal(existsSync(socket), false);
  assert.deepEqual(leftovers(), before);
});
