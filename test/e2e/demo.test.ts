// The demonstration behind `npm start` does what it tells its reader: it alternates, survives a demo server that is
// killed, takes it back, and takes a reload. Its greeting and its clean end are in control-program.test.ts.

import assert from "node:assert/strict";
import { createServer } from "node:net";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { listenOn, startEcho } from "./http-kit.ts";
import { ask, evenkeel, freePort, isAlive, type Program, root, runProgram, startProgram, until } from "./kit.ts";

type Demo = {
  readonly program: Program;
  readonly port: number;
  readonly one: number;
  readonly targets: readonly number[];
};

async function startDemo(t: TestContext, taken?: number): Promise<Demo> {
  const port = taken ?? (await freePort());
  const one = await freePort();
  const two = await freePort();
  const env = { DEMO_PORT: String(port), DEMO_ONE_PORT: String(one), DEMO_TWO_PORT: String(two) };
  const program = startProgram(t, process.execPath, [join(root, "tools/demo.ts")], { env, graceMs: 20_000 });
  return { program, port, one, targets: [one, two] };
}

async function nameOf(port: number): Promise<string> {
  const { status, body } = await ask({ port });
  return status === 200 ? body.trim() : String(status);
}

test("the demonstration alternates, goes on without a killed server, takes it back, and takes a reload", async (t) => {
  const { program: demo, port, one } = await startDemo(t);
  await until("its greeting", () => demo.stdout().includes("Ctrl-C"), { timeoutMs: 30_000, onTimeout: demo.stderr });
  const pids = [...demo.stdout().matchAll(/\(pid (\d+)\)/g)].map((match) => Number(match[1]));
  const socket = /--socket (\S+)/.exec(demo.stdout())?.[1] ?? assert.fail("no socket told");
  const order: string[] = [];
  while (order.length < 20) order.push(await nameOf(port));
  assert.ok(order.filter((name) => name === "one").length >= 8, order.join());
  assert.deepEqual([...new Set(order)].sort(), ["one", "two"]);

  const [victim = -1] = pids;
  process.kill(victim, "SIGTERM");
  await until("its end", () => !isAlive(victim));
  for (let count = 0; count < 10; count++) assert.equal(await nameOf(port), "two");
  await startEcho(t, "one again", one);
  await until("its return", async () => (await nameOf(port)) === "one again", { timeoutMs: 20_000, everyMs: 100 });

  const reloaded = await runProgram(t, evenkeel, ["reload", "--socket", socket]);
  assert.deepEqual([reloaded.code, reloaded.stdout], [0, "generation 2 is in service\n"]);
  const status = await runProgram(t, evenkeel, ["status", "--socket", socket]);
  assert.equal(status.code, 0, status.stdout);
  demo.signal("SIGINT");
  assert.deepEqual(await demo.exited(), { code: 0, signal: null });
  assert.ok(pids.every((pid) => !isAlive(pid)));
  await assert.rejects(ask({ port }), { code: "ECONNREFUSED" });
});

test("a demonstration whose port is taken says who holds it, ends with 1 and leaves nobody behind", async (t) => {
  const port = await listenOn(t, createServer(), () => {});
  const { program: demo, targets } = await startDemo(t, port);
  assert.deepEqual(await demo.exited(), { code: 1, signal: null });
  assert.match(demo.stderr(), new RegExp(`127\\.0\\.0\\.1:${port} is in use by process ${process.pid}`));
  for (const at of targets) await assert.rejects(ask({ port: at }), { code: "ECONNREFUSED" });
});
