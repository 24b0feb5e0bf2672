// A Consul cluster on the loopback address for end-to-end tests: each server with ports and a directory of its own, killed,
// stopped and started again by its own process id, wiped to begin anew on the same ports. Everything is bound to a scope
// (kit.ts). It needs Debian's package `consul`, which the setup brings from the release that has it.

import { execFileSync } from "node:child_process";
import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import { Agent, request } from "node:http";
import { join } from "node:path";
import { atEnd, freePort, type Program, pause, type Scope, startProgram, temporaryDirectory, until } from "./kit.ts";

/** Why there is no Consul, for a test's `skip`; false when there is. */
export const consulMissing: string | false = missing();

function missing(): string | false {
  try {
    execFileSync("consul", ["version"], { stdio: "ignore" });
    return false;
  } catch {
    // Not installed, or not for this machine: either way there is nothing to test with.
    return "consul is not installed (sh tools/setup.sh --tests brings it)";
  }
}

export type ConsulAnswer = { readonly status: number; readonly body: string };

/** A server of a cluster, whether it runs or not. */
export type ConsulServer = {
  readonly name: string;
  readonly endpoint: string;
  isRunning(): boolean;
  start(): void;
  /** SIGKILL, and waits for its end. */
  kill(): Promise<void>;
  /** SIGSTOP: it keeps its sockets and says nothing. */
  stop(): void;
  resume(): void;
  /** One request to it; rejects without an answer. */
  ask(method: string, path: string, body?: string, headers?: Readonly<Record<string, string>>): Promise<ConsulAnswer>;
};

export type ConsulCluster = {
  readonly servers: readonly ConsulServer[];
  readonly endpoints: readonly string[];
  /** Waits until there is a leader that takes writes. */
  ready(): Promise<void>;
  /** The server that leads, as one that runs says. */
  leader(): Promise<ConsulServer>;
  /** Writes a key to whichever server takes it, with patience. */
  put(key: string, value: string): Promise<void>;
  delete(key: string): Promise<void>;
  /** Kills all, forgets all they knew, and starts a new cluster on the same ports. */
  beginAnew(): Promise<void>;
};

export type ConsulOptions = {
  /** 3 by default. */
  readonly servers?: number;
  /** Laid over the configuration file of each. */
  readonly config?: Readonly<Record<string, unknown>>;
  /** Sent with the kit's own requests. */
  readonly token?: string;
};

/** Elections take seconds when the machine is busy. */
const clusterPatienceMs = 40_000;

type Ports = { readonly http: number; readonly server: number; readonly serfLan: number };

/** Starts a cluster and waits until it takes writes. */
export async function startConsul(scope: Scope, options: ConsulOptions = {}): Promise<ConsulCluster> {
  const { servers: count = 3, config = {}, token } = options;
  const directory = temporaryDirectory(scope);
  const ports: Ports[] = [];
  for (let number = 0; number < count; number++) {
    ports.push({ http: await freePort(), server: await freePort(), serfLan: await freePort() });
  }
  const agent = new Agent({ keepAlive: true });
  atEnd(scope, () => agent.destroy());
  const servers = ports.map((own, index) => {
    const folder = join(directory, `n${index + 1}`);
    mkdirSync(folder);
    const file = join(folder, "consul.json");
    const whole = { ...configOf(`n${index + 1}`, own, ports, join(folder, "data")), ...config };
    writeFileSync(file, JSON.stringify(whole));
    return createServer(scope, { name: `n${index + 1}`, port: own.http, file, agent, token });
  });
  const cluster = createCluster(servers, directory);
  for (const server of servers) server.start();
  await cluster.ready();
  return cluster;
}

/** As three machines would be configured, but for the ports; elections as fast as Consul allows. */
function configOf(name: string, own: Ports, all: readonly Ports[], dataDirectory: string) {
  return {
    node_name: name,
    datacenter: "es8-dc",
    data_dir: dataDirectory,
    server: true,
    bootstrap_expect: all.length,
    bind_addr: "127.0.0.1",
    client_addr: "127.0.0.1",
    ports: { http: own.http, server: own.server, serf_lan: own.serfLan, serf_wan: -1, dns: -1, grpc: -1 },
    retry_join: all.map(({ serfLan }) => `127.0.0.1:${serfLan}`),
    retry_interval: "1s",
    performance: { raft_multiplier: 1 },
    log_level: "ERR",
    disable_update_check: true,
  };
}

type ServerOptions = {
  readonly name: string;
  readonly port: number;
  readonly file: string;
  readonly agent: Agent;
  readonly token: string | undefined;
};

function createServer(scope: Scope, { name, port, file, agent, token }: ServerOptions): ConsulServer {
  let program: Program | undefined;
  const isRunning = () => program !== undefined && program.exit() === undefined;
  return {
    name,
    endpoint: `http://127.0.0.1:${port}`,
    isRunning,
    start() {
      // A server has nothing to tidy up, and one that was stopped would not hear the hint.
      program = startProgram(scope, "consul", ["agent", "-config-file", file], { graceMs: 1_000 });
    },
    async kill() {
      program?.signal("SIGKILL");
      await program?.exited();
    },
    stop() {
      program?.signal("SIGSTOP");
    },
    resume() {
      program?.signal("SIGCONT");
    },
    ask: (method, path, body, headers) =>
      new Promise((resolve, reject) => {
        const own = token === undefined ? {} : { "x-consul-token": token };
        const outgoing = request(
          {
            agent,
            host: "127.0.0.1",
            port,
            method,
            path,
            headers: { ...own, ...headers, "content-length": Buffer.byteLength(body ?? "") },
            signal: AbortSignal.timeout(5_000),
          },
          (incoming) => {
            let text = "";
            incoming.setEncoding("utf8").on("data", (part: string) => {
              text += part;
            });
            incoming.on("error", reject);
            incoming.on("end", () => resolve({ status: incoming.statusCode ?? 0, body: text }));
          },
        );
        outgoing.on("error", reject);
        outgoing.end(body);
      }),
  };
}

function createCluster(servers: readonly ConsulServer[], directory: string): ConsulCluster {
  const running = () => servers.filter((server) => server.isRunning());
  let preferred = 0;
  const write = (method: string, key: string, value: string) =>
    until(
      `Consul taking ${method} ${key}`,
      async () => {
        const able = running();
        const server = able[preferred % able.length];
        const answer = await server?.ask(method, `/v1/kv/${key}`, value).catch((error: unknown) => String(error));
        if (typeof answer === "object" && answer.status === 200 && answer.body.startsWith("true")) return true;
        preferred++;
        return false;
      },
      { timeoutMs: clusterPatienceMs, everyMs: 20 },
    );
  const cluster: ConsulCluster = {
    servers,
    endpoints: servers.map(({ endpoint }) => endpoint),
    async ready() {
      await write("PUT", "ready", "yes");
      // Every one that runs must know it: a test may ask any.
      for (const server of running()) {
        await until(
          `${server.name} knowing the leader`,
          async () => (await server.ask("GET", "/v1/kv/ready?consistent")).status === 200,
          { timeoutMs: clusterPatienceMs, everyMs: 50 },
        );
      }
    },
    leader: () =>
      until("a leader", async () => {
        for (const server of running()) {
          const answer = await server.ask("GET", "/v1/agent/self");
          if (JSON.parse(answer.body).Stats?.consul?.leader === "true") return server;
        }
        return undefined;
      }),
    async put(key, value) {
      await write("PUT", key, value);
    },
    async delete(key) {
      await write("DELETE", key, "");
    },
    async beginAnew() {
      for (const server of servers) await server.kill();
      for (const { name } of servers) rmSync(join(directory, name, "data"), { recursive: true, force: true });
      await pause(0);
      for (const server of servers) server.start();
      await cluster.ready();
    },
  };
  return cluster;
}
