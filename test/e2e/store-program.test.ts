// The whole program with a real store of three servers behind it, Consul and etcd, under steady load: servers die, hang and
// come back, and no client notices; what is written to the store afterwards is in force in every worker.

import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { performance } from "node:perf_hooks";
import { after, before, describe, test } from "node:test";
import { type Balancer, type ConfigFile, type Echo, listener, startBalancer, startEchoes } from "./http-kit.ts";
import { ask, evenkeel, freePort, type Scope, startProgram, temporaryDirectory, until } from "./kit.ts";
import { startLoad } from "./load-kit.ts";
import { type Store, type StoreKind, storeKinds } from "./store-kit.ts";

for (const kind of storeKinds) describe(`with ${kind.name}`, { skip: kind.missing }, () => askOf(kind));

function askOf(kind: StoreKind): void {
  let echoes: Echo[] = [];
  let cluster: Store;
  const ends: (() => void | Promise<void>)[] = [];
  const suite: Scope = { after: (end) => void ends.push(end) };

  before(async () => {
    echoes = await startEchoes(suite, ["a", "b", "c"]);
    cluster = await kind.start(suite);
  });

  after(async () => {
    for (const end of ends.reverse()) await end();
  });

  const addressOf = (name: string) => `127.0.0.1:${echoes.find((echo) => echo.name === name)?.port}`;

  function config(port: number, folder: string, source: ConfigFile = {}): ConfigFile {
    return {
      workers: 2,
      listeners: { web: listener(port, [{ pool: "app" }]) },
      pools: { app: { source: { ...cluster.source, prefix: `${folder}/`, ...source } } },
    };
  }

  const put = (folder: string, name: string, value: ConfigFile = {}) =>
    cluster.put(`${folder}/${addressOf(name)}`, JSON.stringify(value));
  const remove = (folder: string, name: string) => cluster.remove(`${folder}/${addressOf(name)}`);

  test("the store loses its leader, most servers, all servers, and no exchange fails; later changes arrive", async (t) => {
    const port = await freePort();
    for (const name of ["a", "b"]) await put("loss", name);
    await startBalancer(t, config(port, "loss"));
    await answers(port, ["a", "b"]);
    const load = startLoad(t, port, { kept: 4, fresh: 2 });
    await until("load", () => load.served > 50);

    const leader = await cluster.leader();
    await leader.kill();
    await put("loss", "c");
    await answers(port, ["a", "b", "c"]);
    leader.start();
    await cluster.ready();

    for (const server of cluster.servers.slice(0, 2)) await server.kill();
    await answers(port, ["a", "b", "c"]);
    for (const server of cluster.servers.slice(0, 2)) server.start();
    await cluster.ready();
    await remove("loss", "a");
    await answers(port, ["b", "c"]);

    for (const server of cluster.servers) await server.kill();
    await answers(port, ["b", "c"]);
    for (const server of cluster.servers) server.start();
    await cluster.ready();
    await put("loss", "a");
    await remove("loss", "b");
    await answers(port, ["a", "c"]);

    // One that hangs keeps its connections and says nothing, as behind a cut network.
    for (const server of cluster.servers) {
      server.stop();
      await put("loss", "b");
      await answers(port, ["a", "b", "c"]);
      server.resume();
      await cluster.ready();
      await remove("loss", "b");
      await answers(port, ["a", "c"]);
    }

    const served = load.served;
    await until("load to go on", () => load.served > served + 50);
    await load.stop();
    t.diagnostic(`${load.served} exchanges, ${load.failures.length} failed`);
    assert.deepEqual(load.failures, []);
  });

  test("with the store gone the program starts again on its dump, and follows the store when it is back", async (t) => {
    const directory = temporaryDirectory(t);
    const port = await freePort();
    for (const name of ["a", "b"]) await put("dump", name);
    const first = await startBalancer(t, config(port, "dump"), directory);
    await answers(port, ["a", "b"]);
    first.program.signal("SIGTERM");
    await first.program.exited();
    for (const server of cluster.servers) await server.kill();
    try {
      const second = await startBalancer(t, config(port, "dump"), directory);
      await answers(port, ["a", "b"]);
      const sources = JSON.parse((await ask({ socketPath: second.socket, path: "/v1/sources" })).body);
      assert.match(JSON.stringify(sources), /"fromDump":true/);
    } finally {
      for (const server of cluster.servers) server.start();
      await cluster.ready();
    }
    await remove("dump", "a");
    await answers(port, ["b"]);
  });

  test("a required source that does not answer refuses the start, in the time it says, with its reason", async (t) => {
    const directory = temporaryDirectory(t);
    const closed = await freePort();
    const source = { endpoints: [`127.0.0.1:${closed}`], required: true, startTimeout: "2s" };
    const file = join(directory, "evenkeel.json");
    const admin = { socket: join(directory, "admin.sock") };
    writeFileSync(
      file,
      JSON.stringify({ admin, stateDirectory: join(directory, "state"), ...config(await freePort(), "none", source) }),
    );
    const startedAt = performance.now();
    const program = startProgram(t, evenkeel, ["run", "-c", file]);
    await program.exited();
    assert.equal(program.exit()?.code, 1, program.stderr());
    assert.match(program.stderr(), /pool app.* is required and has not answered within 2000 ms/);
    t.diagnostic(`refused after ${Math.round(performance.now() - startedAt)} ms`);
  });

  test("1,000 changes in the store leave the last state in every worker", async (t) => {
    const port = await freePort();
    await put("many", "a");
    const balancer = await startBalancer(t, config(port, "many"));
    for (let turn = 0; turn < 1_000; turn++) {
      const name = turn % 2 === 0 ? "b" : "c";
      if (turn % 5 === 4) await remove("many", name);
      else await put("many", name, { weight: 1 + (turn % 7) });
    }
    await put("many", "b", { weight: 2, down: 1 });
    await put("many", "c", { weight: 4 });
    await answers(port, ["a", "c"]);
    assert.equal(await weightOf(balancer, addressOf("c")), 4);
  });

  test("a change is in force in every worker soon after the store has it; the figure is printed", async (t) => {
    const port = await freePort();
    await put("soon", "a");
    const balancer = await startBalancer(t, config(port, "soon"));
    await answers(port, ["a"]);
    const tookMs: number[] = [];
    for (let turn = 0; turn < 20; turn++) {
      const { generation } = await balancer.status();
      const startedAt = performance.now();
      await put("soon", "a", { weight: 2 + turn });
      const storedMs = performance.now() - startedAt;
      await until(
        "every worker has it",
        async () => {
          const status = await balancer.status();
          const generations = status.workers.map((worker) => Number(Object(worker).generation));
          return Math.min(...generations) > generation;
        },
        { everyMs: 1 },
      );
      tookMs.push(performance.now() - startedAt - storedMs);
    }
    tookMs.sort((left, right) => left - right);
    const [least, median, most] = [0, 10, 19].map((at) => tookMs[at]?.toFixed(1));
    t.diagnostic(`in force after the write's answer: median ${median} ms (${least} to ${most})`);
  });
}

/** Waits until exactly these demo servers answer, in many new connections one after the other. */
async function answers(port: number, names: readonly string[]): Promise<void> {
  let seen = new Set<string>();
  const look = async () => {
    seen = new Set();
    for (let turn = 0; turn < 24; turn++) seen.add(await whoAnswers(port));
    return names.length === seen.size && names.every((name) => seen.has(name));
  };
  await until(`answers of ${names}`, look, { timeoutMs: 40_000, onTimeout: () => `answered: ${[...seen]}` });
}

async function whoAnswers(port: number): Promise<string> {
  const { status, body } = await ask({ port, path: "/" });
  return status === 200 ? body.trim() : `status ${status}`;
}

async function weightOf(balancer: Balancer, address: string): Promise<number> {
  const { body } = await ask({ socketPath: balancer.socket, path: `/v1/pools/app/targets/${address}` });
  return JSON.parse(body).weight;
}
