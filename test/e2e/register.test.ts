// `evenkeel register` with real balancers and real services: a target is there when its check passes and for as long as
// somebody renews it, it leaves without a failed request, and nothing is left of a service whose registration was killed.

import assert from "node:assert/strict";
import { existsSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { listener, pool, startBalancer, startEcho } from "./http-kit.ts";
import { ask, evenkeel, freePort, isAlive, temporaryDirectory, until } from "./kit.ts";
import { startLoad } from "./load-kit.ts";
import {
  intentOf,
  isGone,
  isUp,
  type Node,
  servicePid,
  shown,
  sockets,
  startNode,
  startRegister,
} from "./register-kit.ts";

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
    // What is desired is shown a moment before every worker has it.
    await until("an answer of it", async () => (await ask({ port: node.port })).body.trim() === `s${port}`);
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

test("a registration that stood still keeps its service, and puts it up again", async (t) => {
  const node = await startNode(t);
  const port = await freePort();
  const register = startRegister(t, port, [...sockets([node]), "--ttl", "1s"]);
  const pid = await servicePid(register);
  await until("the target", () => isUp([node], port), { onTimeout: register.stderr });
  const stoppedAt = performance.now();
  register.signal("SIGSTOP");
  t.after(() => register.signal("SIGCONT"));
  await until("the end of its lease", () => isGone([node], port));
  // Longer than services of a role may go on without word of their supervisor.
  await until("more than five seconds", () => performance.now() - stoppedAt > 6_000);
  register.signal("SIGCONT");
  await until("the target being back", () => isUp([node], port), { onTimeout: register.stderr });
  assert.ok(isAlive(pid));
});

test("signals other than the ones to stop are the service's, and so is what it prints", async (t) => {
  const node = await startNode(t);
  const script =
    "trap 'echo hup' HUP; trap 'echo usr1' USR1; trap 'exit 5' USR2; echo ready; while :; do sleep 0.1; done";
  const command = ["/bin/sh", "-c", script];
  const register = startRegister(t, await freePort(), [...sockets([node]), "--check", "command:false"], command);
  for (const [signal, printed] of [
    ["SIGHUP", "ready\n"],
    ["SIGUSR1", "ready\nhup\n"],
    ["SIGUSR2", "ready\nhup\nusr1\n"],
  ] as const) {
    await until(printed, () => register.stdout() === printed, { onTimeout: register.stderr });
    register.signal(signal);
  }
  assert.equal((await register.exited()).code, 5, register.stderr());
});

test("a command that does not exist is an error at once", async (t) => {
  const node = await startNode(t);
  const register = startRegister(t, await freePort(), [...sockets([node]), "--restart"], ["/nowhere/server"]);
  assert.equal((await register.exited()).code, 1);
  assert.match(register.stderr(), /could not be run: ENOENT/);
});
