// Three Consul servers and a balancer, each on a machine of its own: the cable of one server is drawn, packets to it vanish
// without a word, and no client of the balancer notices; what is written afterwards arrives, also when the cable is back.

import assert from "node:assert/strict";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { consulMissing } from "./consul-kit.ts";
import { evenkeel, type Scope, temporaryDirectory, until } from "./kit.ts";
import { type Machine, machine, noMachines, noProgram, plug, switches } from "./netns-kit.ts";

const skip = noMachines || consulMissing || noProgram("wrk", "wrk") || noProgram("curl", "curl");
const folder = "upstreams/app";

type Server = { readonly at: Machine; readonly host: string };

const consulHosts = ["10.46.1.11", "10.46.1.12", "10.46.1.13"];

function startServers(scope: Scope, holder: Machine): readonly Server[] {
  const directory = temporaryDirectory(scope);
  return consulHosts.map((host, index) => {
    const at = machine(scope, `store${index + 1}`);
    plug(holder, "lan", { machine: at, device: "eth0" });
    at.ip(`addr add ${host}/24 dev eth0`);
    const home = join(directory, at.name);
    mkdirSync(home);
    const file = join(home, "consul.json");
    writeFileSync(
      file,
      JSON.stringify({
        node_name: at.name,
        data_dir: join(home, "data"),
        server: true,
        bootstrap_expect: consulHosts.length,
        bind_addr: host,
        client_addr: "0.0.0.0",
        ports: { serf_wan: -1, dns: -1, grpc: -1 },
        retry_join: consulHosts,
        retry_interval: "1s",
        performance: { raft_multiplier: 1 },
        log_level: "ERR",
        disable_update_check: true,
      }),
    );
    at.start(scope, "consul", ["agent", "-config-file", file], { graceMs: 1_000 });
    return { at, host };
  });
}

/** Writes to the cluster by way of this server, with patience. */
async function put(scope: Scope, { at }: Server, key: string, value: string): Promise<void> {
  await until(
    `${at.name} taking ${key}`,
    async () =>
      (await at.run(scope, "consul", ["kv", "put", `${folder}/${key}`, value], { timeoutMs: 5_000 })).code === 0,
    { timeoutMs: 60_000, everyMs: 100 },
  );
}

test("the network to one store server is cut, and to the next: no exchange fails, later changes arrive", {
  skip,
}, async (t) => {
  const holder = switches(t, ["lan"]);
  const servers = startServers(t, holder);
  const [first, second, third] = servers;
  assert.ok(first !== undefined && second !== undefined && third !== undefined);
  const balancer = machine(t, "balancer");
  plug(holder, "lan", { machine: balancer, device: "eth0" });
  balancer.ip("addr add 10.46.1.1/24 dev eth0");
  for (const [name, port] of [
    ["a", 7001],
    ["b", 7002],
    ["c", 7003],
  ] as const) {
    balancer.start(t, evenkeel, ["echo", "--http", `127.0.0.1:${port}`, "--name", name]);
  }
  await put(t, first, "127.0.0.1:7001", "{}");
  const directory = temporaryDirectory(t);
  const file = join(directory, "evenkeel.json");
  const source = {
    type: "consul",
    endpoints: consulHosts.map((host) => `${host}:8500`),
    prefix: `${folder}/`,
    wait: "2s",
    requestTimeout: "1s",
  };
  writeFileSync(
    file,
    JSON.stringify({
      admin: { socket: join(directory, "admin.sock") },
      stateDirectory: join(directory, "state"),
      workers: 2,
      listeners: { web: { bind: "127.0.0.1:8080", routes: [{ pool: "app" }] } },
      pools: { app: { source } },
    }),
  );
  const program = balancer.start(t, evenkeel, ["run", "-c", file]);
  await until("ready", () => program.stderr().includes('"ready"'), { onTimeout: program.stderr, timeoutMs: 30_000 });

  const answers = async (names: string) => {
    let seen = "";
    const look = async () => {
      const urls = Array.from({ length: 20 }, () => "http://127.0.0.1:8080/");
      const ran = await balancer.run(t, "curl", ["-s", "-H", "Connection: close", ...urls]);
      seen = [...new Set(ran.stdout.trim().split("\n"))].sort().join(" ");
      return seen === names;
    };
    await until(`answers of ${names}`, look, { timeoutMs: 40_000, onTimeout: () => `answered: ${seen}` });
  };
  await answers("a");
  const load = balancer.start(t, "wrk", ["-t1", "-c8", "-d600s", "http://127.0.0.1:8080/ping"]);

  first.at.ip("link set eth0 down");
  await put(t, second, "127.0.0.1:7002", "{}");
  await answers("a b");
  first.at.ip("link set eth0 up");
  second.at.ip("link set eth0 down");
  await put(t, third, "127.0.0.1:7003", "{}");
  await answers("a b c");
  second.at.ip("link set eth0 up");
  // All at once, from the balancer's side: the store is there, and out of reach.
  balancer.ip("link set eth0 down");
  await put(t, first, "127.0.0.1:7001", '{"down":1}');
  await answers("a b c");
  balancer.ip("link set eth0 up");
  await answers("b c");

  load.signal("SIGINT");
  await load.exited();
  const [, count] = /(\d+) requests in/.exec(load.stdout()) ?? [];
  t.diagnostic(`${count} exchanges while cables were drawn`);
  assert.ok(Number(count) > 1_000, load.stdout());
  assert.doesNotMatch(load.stdout(), /Socket errors|Non-2xx/, load.stdout());
});
