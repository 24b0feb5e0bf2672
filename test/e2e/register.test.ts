// `evenkeel register` with real balancers, a real Consul and real services: a target is there when its check passes and for as
// long as somebody renews it, it leaves without a failed request, and nothing is left of a service whose registration was killed.

import assert from "node:assert/strict";
import { existsSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { consulMissing, startConsul } from "./consul-kit.ts";
import { type Balancer, listener, pool, startBalancer, startEcho } from "./http-kit.ts";
import {
  ask,
  evenkeel,
  freePort,
  isAlive,
  type Program,
  type Scope,
  startProgram,
  temporaryDirectory,
  until,
} from "./kit.ts";
import { startLoad } from "./load-kit.ts";

type Node = { readonly balancer: Balancer; readonly port: number };

/** A balancer with one pool, which has these targets from its file. */
async function startNode(
  t: Scope,
  more: { readonly targets?: readonly number[]; readonly app?: object } = {},
): Promise<Node> {
  const port = await freePort();
  const app = { ...pool(more.targets ?? []), ...more.app };
  const balancer = await startBalancer(t, { listeners: { web: listener(port, [{ pool: "app" }]) }, pools: { app } });
  return { balancer, port };
}

const sockets = (nodes: readonly Node[]) => nodes.flatMap(({ balancer }) => ["--socket", balancer.socket]);

/** `evenkeel register app/127.0.0.1:PORT`, with a demo server as its service unless there is another. */
function startRegister(t: Scope, port: number, args: readonly string[], command = echo(port)): Program {
  const options = ["--check", "tcp", "--interval", "100ms", ...args];
  return startProgram(t, evenkeel, ["register", `app/127.0.0.1:${port}`, ...options, "--", ...command], {
    graceMs: 15_000,
  });
}

function echo(port: number): readonly string[] {
  return [evenkeel, "echo", "--http", String(port), "--name", `s${port}`];
}

type View = {
  readonly desired: { readonly intent: string; readonly weight: number };
  readonly lease?: { readonly holder: string };
};

/** What a balancer says of the target; undefined: it has none. */
async function shown({ balancer }: Node, port: number): Promise<View | undefined> {
  const { status, body } = await ask({ socketPath: balancer.socket, path: `/v1/pools/app/targets/127.0.0.1:${port}` });
  return status === 404 ? undefined : JSON.parse(body);
}

async function intentOf(node: Node, port: number): Promise<string | undefined> {
  return (await shown(node, port))?.desired.intent;
}

const isUp = async (nodes: readonly Node[], port: number) =>
  (await Promise.all(nodes.map((node) => intentOf(node, port)))).every((intent) => intent === "up");

const isGone = async (nodes: readonly Node[], port: number) =>
  (await Promise.all(nodes.map((node) => shown(node, port)))).every((view) => view === undefined);

async function servicePid(register: Program): Promise<number> {
  const told = await until(
    "the service's process",
    () => /runs as process (\d+)/.exec(register.stderr()) ?? undefined,
    {
      onTimeout: register.stderr,
    },
  );
  return Number(told[1]);
}

test("a service is put up on every balancer when its check passes, and taken out while it fails", async (t) => {
  const nodes = await Promise.all([startNode(t), startNode(t)]);
  const port = await freePort();
  const flag = join(temporaryDirectory(t), "well");
  const check = ["--check", `command:test -e ${flag}`, "--fall", "2", "--weight", "3"];
  const register = startRegister(t, port, [...sockets(nodes), ...check]);
  await until("the service", async () => (await ask({ port })).status === 200, { onTimeout: register.stderr });
  assert.ok(await isGone(nodes, port), "it answers, but its check does not pass");
  writeFileSync(flag, "");
  await until("the target on both", () => isUp(nodes, port), { onTimeout: register.stderr });
  for (const node of nodes) {
    assert.equal((await shown(node, port))?.desired.weight, 3);
    assert.equal((await ask({ port: node.port })).body.trim(), `s${port}`);
  }
  rmSync(flag);
  await until("it being out on both", async () => {
    const intents = await Promise.all(nodes.map((node) => intentOf(node, port)));
    return intents.every((intent) => intent === "down");
  });
  writeFileSync(flag, "");
  await until("it being back on both", () => isUp(nodes, port));
  // What an operator says of it is stronger than the check.
  const [first] = nodes;
  await ask({
    socketPath: first.balancer.socket,
    method: "PATCH",
    path: `/v1/pools/app/targets/127.0.0.1:${port}`,
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ intent: "drain" }),
  });
  rmSync(flag);
  await until("it being left alone", () => register.stderr().includes("leaves it at drain"));
  writeFileSync(flag, "");
  await until("it being back on the other", () => isUp(nodes.slice(1), port));
  assert.equal(await intentOf(first, port), "drain");
});

test("under load a SIGTERM costs no request: drained, stopped, removed", async (t) => {
  const stays = await startEcho(t, "stays");
  const nodes = await Promise.all([startNode(t, { targets: [stays.port] }), startNode(t, { targets: [stays.port] })]);
  const port = await freePort();
  const register = startRegister(t, port, sockets(nodes));
  const pid = await servicePid(register);
  await until("the target on both", () => isUp(nodes, port), { onTimeout: register.stderr });
  const loads = nodes.map((node) => startLoad(t, node.port, { kept: 3, fresh: 1 }));
  await until("load", () => loads.every((load) => load.served > 100));
  // Of several at once some are with the service that is about to leave, and it must wait for them.
  const slow = Array.from({ length: 6 }, (_, turn) => ask({ port: nodes[turn % 2]?.port ?? 0, path: "/delay/1500" }));
  await until("work on it", async () => {
    const view = JSON.parse(
      (await ask({ socketPath: nodes[0].balancer.socket, path: `/v1/pools/app/targets/127.0.0.1:${port}?work` })).body,
    );
    return view.work.exchanges > 0;
  });
  register.signal("SIGTERM");
  const exit = await register.exited();
  assert.deepEqual(exit, { code: 0, signal: null }, register.stderr());
  assert.ok(await isGone(nodes, port));
  assert.equal(isAlive(pid), false);
  assert.deepEqual(
    (await Promise.all(slow)).map(({ status }) => status),
    [200, 200, 200, 200, 200, 200],
  );
  const served = loads.map((load) => load.served);
  await until("load after it", () => loads.every((load, index) => load.served > (served[index] ?? 0) + 50));
  for (const load of loads) {
    await load.stop();
    assert.deepEqual(load.failures, []);
  }
  const said = register.stderr();
  assert.ok(said.indexOf("no new work (drain)") < said.indexOf("no work is left"), said);
  assert.ok(said.indexOf("no work is left") < said.indexOf("has removed it"), said);
});

test("kill -9 of the registration ends the service, and its lease runs out", async (t) => {
  const node = await startNode(t);
  const port = await freePort();
  const register = startRegister(t, port, [...sockets([node]), "--ttl", "2s"]);
  const pid = await servicePid(register);
  await until("the target", () => isUp([node], port), { onTimeout: register.stderr });
  const first = (await shown(node, port))?.lease?.holder;
  register.signal("SIGKILL");
  await until("the service's end", () => !isAlive(pid));
  // Its successor is another holder, and comes in when the lease of the first is over.
  const successor = startRegister(t, port, [...sockets([node]), "--ttl", "2s"]);
  await until("the successor's lease", async () => {
    const holder = (await shown(node, port))?.lease?.holder;
    return holder !== undefined && holder !== first;
  });
  successor.signal("SIGKILL");
  await until("the end of the lease", () => isGone([node], port));
  const lost = await until("its event", () => node.balancer.lines().find((line) => line["by"] === "lease"));
  assert.equal(lost["message"], "target removed");
});

test("a service that ends by itself is removed at once, and its exit code is passed on", async (t) => {
  const node = await startNode(t);
  const port = await freePort();
  const stop = join(temporaryDirectory(t), "stop");
  const script = `${evenkeel} echo --http ${port} & while [ ! -e ${stop} ]; do sleep 0.1; done; exit 7`;
  const register = startRegister(t, port, [...sockets([node]), "--ttl", "1h"], ["/bin/sh", "-c", script]);
  await until("the target", () => isUp([node], port), { onTimeout: register.stderr });
  writeFileSync(stop, "");
  assert.equal((await register.exited()).code, 7, register.stderr());
  assert.ok(await isGone([node], port), "long before its lease would end");
  await assert.rejects(ask({ port }), "what it left behind has ended too");
});

test("with --restart a service that crashed comes back, out of the pool meanwhile", async (t) => {
  const node = await startNode(t);
  const port = await freePort();
  const register = startRegister(t, port, [...sockets([node]), "--restart"]);
  const pid = await servicePid(register);
  await until("the target", () => isUp([node], port), { onTimeout: register.stderr });
  process.kill(pid, "SIGKILL");
  await until("its removal", () => isGone([node], port));
  await until("it being back", () => isUp([node], port), { onTimeout: register.stderr });
  assert.match(register.stderr(), /ended by SIGKILL[\s\S]*starting it again/);
  register.signal("SIGINT");
  assert.equal((await register.exited()).code, 0, register.stderr());
  assert.ok(await isGone([node], port));
});

test("a balancer that is down keeps no other from having the target, and has it when it is back", async (t) => {
  const nodes = await Promise.all([startNode(t), startNode(t)]);
  const [stays, restarted] = nodes;
  const { directory } = restarted.balancer;
  const config = { listeners: { web: listener(restarted.port, [{ pool: "app" }]) }, pools: { app: pool([]) } };
  restarted.balancer.program.signal("SIGTERM");
  await restarted.balancer.program.exited();
  const port = await freePort();
  const register = startRegister(t, port, [...sockets(nodes), "--ttl", "3s"]);
  await until("the target on the one that runs", () => isUp([stays], port), { onTimeout: register.stderr });
  const again: Node = { port: restarted.port, balancer: await startBalancer(t, config, directory) };
  await until("the target on the other", () => isUp([again], port), { onTimeout: register.stderr });
  // Its state is gone as well, so that it has lost the target and not only its connection.
  again.balancer.program.signal("SIGKILL");
  await again.balancer.program.exited();
  rmSync(join(directory, "state"), { recursive: true });
  assert.ok(!existsSync(join(directory, "state")));
  const third: Node = { port: restarted.port, balancer: await startBalancer(t, config, directory) };
  await until("the target after the loss", () => isUp([third], port), { onTimeout: register.stderr });
  assert.ok(await isUp([stays], port));
  register.signal("SIGTERM");
  assert.equal((await register.exited()).code, 0, register.stderr());
  assert.ok(await isGone([stays, third], port));
});

test("Consul: an entry for as long as its session is renewed", { skip: consulMissing }, async (t) => {
  const consul = await startConsul(t, { servers: 1 });
  const [server] = consul.servers;
  assert.ok(server !== undefined);
  const prefix = "upstreams/app/";
  const source = { type: "consul", endpoints: consul.endpoints, prefix };
  const node = await startNode(t, { app: { targets: {}, source } });
  const options = ["--consul", server.endpoint, "--drain-for", "300ms"];
  const key = async (port: number) => {
    const { status, body } = await server.ask("GET", `/v1/kv/${prefix}127.0.0.1:${port}`);
    if (status === 404) return undefined;
    const entry = JSON.parse(body)[0];
    return { session: String(entry.Session), value: JSON.parse(Buffer.from(entry.Value, "base64").toString()) };
  };
  const killedPort = await freePort();
  const killed = startRegister(t, killedPort, options);
  const port = await freePort();
  const register = startRegister(t, port, [...options, "--weight", "2"]);
  await until("both targets", async () => (await isUp([node], port)) && (await isUp([node], killedPort)), {
    onTimeout: () => register.stderr() + killed.stderr(),
  });
  killed.signal("SIGKILL");
  const killedAt = performance.now();
  const before = await key(port);
  assert.deepEqual(before?.value, { weight: 2, max_fails: 2, fail_timeout: 10, down: 0, backup: 0 });
  assert.equal((await server.ask("PUT", `/v1/session/destroy/${before.session}`)).status, 200);
  // The next renewal finds that it is lost.
  const after = await until("a new session with the key", async () => {
    const now = await key(port);
    return now !== undefined && now.session !== before.session ? now : undefined;
  });
  assert.equal(after.value.weight, 2);
  await until("the target being back", () => isUp([node], port));
  register.signal("SIGTERM");
  await until("the balancer seeing that it drains", async () => (await intentOf(node, port)) === "down");
  assert.equal((await register.exited()).code, 0, register.stderr());
  assert.equal(await key(port), undefined);
  await until("the balancer seeing it gone", () => isGone([node], port));
  await until("the end of the killed one's session", () => isGone([node], killedPort), { timeoutMs: 30_000 });
  const lastedMs = performance.now() - killedAt;
  assert.ok(lastedMs < 25_000, `${lastedMs} ms: Consul takes up to twice its least TTL`);
});
