// Asks the installed nginx every case of cases.ts and writes what it picked to nginx-picks.json, from where the unit
// test takes it. `node test/oracles/record-nginx-picks.ts` records anew; test/e2e/oracle.test.ts records into memory
// and compares. One nginx with one worker and its own directory, an upstream a case; our own servers stand behind it on
// loopback addresses, so a stopped one refuses at once and nothing depends on timing but the waits that a case spells
// out.

import { existsSync, writeFileSync } from "node:fs";
import {
  Agent,
  createServer,
  type Server as HttpServer,
  type IncomingMessage,
  request,
  type ServerResponse,
} from "node:http";
import { join } from "node:path";
import { performance } from "node:perf_hooks";
import { fileURLToPath } from "node:url";
import { assert } from "../../src/core/assert.ts";
import { ask, freePort, pause, runProgram, type Scope, startProgram, temporaryDirectory, until } from "../e2e/kit.ts";
import { cases } from "./cases.ts";
import { type Case, parseServers, parseSteps, type Recording, type Server, type Step } from "./nginx-case.ts";

export const nginxPath = "/usr/sbin/nginx";
export const recordingPath: string = fileURLToPath(new URL("nginx-picks.json", import.meta.url));

/** Between two waits of a case nginx must see less time pass than any fail_timeout that is not meant to end. */
const phaseMsMax = 1_500;
const repetitionsMax = 5;

/** Starts nginx, asks it all cases, ends it with the scope. Throws when nginx does not start or does not answer. */
export async function recordPicks(scope: Scope): Promise<Recording> {
  const version = /nginx\/[\d.]+/.exec((await runProgram(scope, nginxPath, ["-v"])).stderr)?.[0];
  assert(version !== undefined, "nginx -v tells a version");
  const port = await freePort();
  const targetPort = await freePort();
  // A case with waits is asked again when the machine was too slow for it, each time with an upstream that knows
  // nothing yet.
  const asked = cases.flatMap((of) => Array.from({ length: hasWaits(of) ? repetitionsMax : 1 }, () => of));
  await startNginx(scope, { port, targetPort, asked });

  const recorded = new Map<string, string>();
  const record = async (index: number): Promise<void> => {
    const of = asked[index]!;
    if (recorded.has(of.name)) return;
    const bench = new Bench(index, { port, targetPort, servers: parseServers(of.servers) });
    try {
      const picks = await bench.run(parseSteps(of.steps));
      if (picks !== undefined) recorded.set(of.name, picks);
    } finally {
      await bench.close();
    }
  };
  for (const [index, of] of asked.entries()) if (!hasWaits(of)) await record(index);
  // Those with waits wait at the same time.
  for (let repetition = 0; repetition < repetitionsMax; repetition++) {
    const waiting = cases.filter(hasWaits).map((of) => asked.indexOf(of) + repetition);
    await Promise.all(waiting.map(record));
  }
  return {
    program: version,
    cases: cases.map((of) => {
      const picks = recorded.get(of.name);
      if (picks === undefined) throw new Error(`this machine was ${repetitionsMax} times too slow for: ${of.name}`);
      return { ...of, picks };
    }),
  };
}

function hasWaits(of: Case): boolean {
  return parseSteps(of.steps).some((step) => step.kind === "wait");
}

/** Where server `server` of case `index` listens, without its port. */
function hostOf(index: number, server: number): string {
  return `127.77.${index}.${server + 1}`;
}

async function startNginx(
  scope: Scope,
  of: { readonly port: number; readonly targetPort: number; readonly asked: readonly Case[] },
): Promise<void> {
  const directory = temporaryDirectory(scope);
  const methods = { roundRobin: "", leastConnections: "least_conn;", ipHash: "ip_hash;" };
  const upstreams = of.asked.map((one, index) => {
    const servers = parseServers(one.servers).map(
      (server, place) => `server ${hostOf(index, place)}:${of.targetPort} ${server.parameters};`,
    );
    return `upstream u${index} { ${methods[one.policy]} ${servers.join(" ")} }`;
  });
  const locations = of.asked.map((_, index) => `location /${index}/ { proxy_pass http://u${index}; }`);
  const temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"].map(
    (kind) => `${kind}_temp_path ${join(directory, kind)};`,
  );
  const configuration = `
daemon off; worker_processes 1; pid ${join(directory, "pid")}; error_log stderr error;
events { worker_connections 1024; }
http {
  access_log off; keepalive_requests 100000; keepalive_timeout 600s; proxy_read_timeout 600s;
  ${temporary.join(" ")}
  set_real_ip_from 127.0.0.1; real_ip_header X-Forwarded-For;
  ${upstreams.join("\n  ")}
  server {
    listen 127.0.0.1:${of.port};
    add_header X-Tries $upstream_addr always;
    location = /alive { return 204; }
    ${locations.join("\n    ")}
  }
}
`;
  const file = join(directory, "nginx.conf");
  writeFileSync(file, configuration);
  const nginx = startProgram(scope, nginxPath, ["-e", "stderr", "-p", directory, "-c", file]);
  await until(
    "nginx answers",
    async () => {
      if (nginx.exit() !== undefined) return true;
      return (await ask({ port: of.port, path: "/alive", timeoutMs: 1_000 })).status === 204;
    },
    { onTimeout: () => nginx.stderr() },
  );
  if (nginx.exit() !== undefined) throw new Error(`nginx did not start: ${nginx.stderr()}`);
}

type Held = { readonly pick: string; readonly answer: () => void; readonly answered: Promise<unknown> };

/** One case under way: its servers, the clients' connections and the requests that are held open. */
class Bench {
  readonly #index: number;
  readonly #port: number;
  readonly #targetPort: number;
  readonly #servers: readonly Server[];
  readonly #listening = new Map<number, HttpServer>();
  readonly #agent = new Agent({ keepAlive: true });
  readonly #held: Held[] = [];
  readonly #arrivals = new Map<string, (pick: string, response: ServerResponse) => void>();

  constructor(
    index: number,
    of: { readonly port: number; readonly targetPort: number; readonly servers: readonly Server[] },
  ) {
    this.#index = index;
    this.#port = of.port;
    this.#targetPort = of.targetPort;
    this.#servers = of.servers;
  }

  /** The picks, or undefined when the machine was too slow for the case's fail_timeout. */
  async run(steps: readonly Step[]): Promise<string | undefined> {
    for (const [server, { stopped, down }] of this.#servers.entries()) {
      if (!stopped && !down) await this.#start(server);
    }
    const words: string[] = [];
    const waits = steps.some((step) => step.kind === "wait");
    let phaseStart = performance.now();
    for (const step of steps) {
      if (step.kind === "wait") {
        await pause(step.ms);
        phaseStart = performance.now();
        continue;
      }
      const word = await this.#take(step);
      if (word !== undefined) words.push(word);
      if (waits && performance.now() - phaseStart > phaseMsMax) return undefined;
    }
    return words.join(" ");
  }

  async close(): Promise<void> {
    for (const held of this.#held) held.answer();
    this.#agent.destroy();
    for (const server of [...this.#listening.keys()]) await this.#stop(server);
  }

  async #take(step: Exclude<Step, { kind: "wait" }>): Promise<string | undefined> {
    switch (step.kind) {
      case "get":
        return this.#triesOf(await this.#get(`/${this.#index}/`, step.client));
      case "open": {
        const held = await this.#open();
        this.#held.push(held);
        return held.pick;
      }
      case "close": {
        const held = this.#held[step.request];
        assert(held !== undefined, "a case closes what it has opened");
        held.answer();
        await held.answered;
        return undefined;
      }
      case "start":
        await this.#start(step.server);
        return undefined;
      case "stop":
        await this.#stop(step.server);
        return undefined;
      default:
        return step satisfies never;
    }
  }

  /** `$upstream_addr`: every server tried, and the upstream's own name where none was left to try. */
  #triesOf(response: IncomingMessage): string {
    const tries = String(response.headers["x-tries"]).split(", ");
    const indexes = tries.filter((address) => address !== `u${this.#index}`).map((address) => this.#indexOf(address));
    return indexes.join() || "x";
  }

  #indexOf(address: string): number {
    const index = this.#servers.findIndex(
      (_, place) => address === `${hostOf(this.#index, place)}:${this.#targetPort}`,
    );
    if (index < 0) throw new Error(`nginx named a server that it was not given: ${address}`);
    return index;
  }

  #get(path: string, client: string): Promise<IncomingMessage> {
    return new Promise((resolve, reject) => {
      const outgoing = request(
        { port: this.#port, host: "127.0.0.1", path, agent: this.#agent, headers: { "x-forwarded-for": client } },
        (response) => {
          response.on("error", reject);
          response.on("end", () => resolve(response));
          response.resume();
        },
      );
      outgoing.on("error", reject);
      outgoing.end();
    });
  }

  /** Resolves when a server has the request, or nginx has said that none takes it. */
  async #open(): Promise<Held> {
    const path = `/${this.#index}/hold/${this.#held.length}`;
    const arrived = new Promise<{ pick: string; response: ServerResponse }>((resolve) => {
      this.#arrivals.set(path, (pick, response) => resolve({ pick, response }));
    });
    const answered = this.#get(path, "127.0.0.1");
    const first = await Promise.race([arrived, answered]);
    if (!("pick" in first)) return { pick: this.#triesOf(first), answer: () => {}, answered };
    return { pick: first.pick, answer: () => first.response.end(), answered };
  }

  #start(server: number): Promise<void> {
    const http = createServer((incoming, response) => {
      response.setHeader("content-length", "0");
      const arrival = this.#arrivals.get(incoming.url ?? "");
      if (arrival === undefined) response.end();
      else arrival(String(server), response);
    });
    this.#listening.set(server, http);
    return new Promise((resolve, reject) => {
      http.once("error", reject);
      http.listen({ host: hostOf(this.#index, server), port: this.#targetPort }, resolve);
    });
  }

  #stop(server: number): Promise<void> {
    const http = this.#listening.get(server);
    assert(http !== undefined, "a case stops what it has started");
    this.#listening.delete(server);
    return new Promise((resolve) => {
      http.close(() => resolve());
      http.closeAllConnections();
    });
  }
}

async function main(): Promise<void> {
  if (!existsSync(nginxPath)) throw new Error(`${nginxPath} is missing: apt-get install nginx-light`);
  const ends: (() => void | Promise<void>)[] = [];
  try {
    const recording = await recordPicks({ after: (end) => ends.push(end) });
    writeFileSync(recordingPath, `${JSON.stringify(recording, null, 2)}\n`);
    console.log(`${recording.program}: ${recording.cases.length} cases written to ${recordingPath}`);
  } finally {
    for (const end of ends.reverse()) await end();
  }
}

if (import.meta.main) await main();
