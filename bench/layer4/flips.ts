// Flips: one target of a pool is taken out and put back, in the quickest way that each program has for it. evenkeel's kernel
// engine follows a target's health by itself; nginx has to be given another file; HAProxy is told through its socket; a
// file with another intent is shown for evenkeel as well, since that is what compares with nginx.

import { mkdirSync, writeFileSync } from "node:fs";
import { request } from "node:http";
import { connect } from "node:net";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { runLoad } from "../load/program.ts";
import { listTree, readTreeCpuMs } from "../measure/processes.ts";
import type { Round, SystemRounds } from "../rounds.ts";
import type { Stage, Started } from "../stage.ts";
import { median } from "../statistics.ts";
import { haproxyProgram } from "../systems/haproxy.ts";
import { nginxProgram } from "../systems/nginx.ts";
import { poolOfTargets } from "./flip-pool.ts";
import type { KernelFlips } from "./kernel-flips.ts";
import type { Place } from "./network.ts";
import type { Layer4Bench, Layer4Rounds } from "./rounds.ts";
import { nginxStreamModule } from "./systems.ts";
import type { FlipWorkload } from "./workloads.ts";

const KERNEL_FLIPS = 100;
const FLIPS = 10;
const READY_DEADLINE_MS = 15_000;
const FLIP_DEADLINE_MS = 10_000;
const PORT = 9000;
const root = join(import.meta.dirname, "..", "..");

/** Programs whose flips are measured, and by what they are done. */
export const flipSettings: Readonly<Record<string, string>> = {
  nginx:
    "another file and SIGHUP, until the new worker is there and the old one is gone (its master pauses 100 ms in between)",
  "nginx-again": "the same once more",
  haproxy: "`set server ... state` through its socket, until it has answered",
  "evenkeel-proxy": "another intent in the file and a reload, until all workers have taken it up",
  "evenkeel-kernel-reload": "the same for the kernel engine",
  "evenkeel-kernel": "the health of a target changes (roundRobin), until the kernel has answered",
  "evenkeel-kernel-hash": "the same with consistentHash",
};

/** Something that can be flipped; ended with `end`. */
type Flippable = {
  readonly started: Started;
  /** Takes the target with that number out, or puts it back. Throws when the program refuses or does not follow. */
  flip(target: number, out: boolean): Promise<void>;
};

type Opener = (stage: Stage, setting: FlipSetting) => Promise<Flippable>;

type FlipSetting = {
  readonly directory: string;
  readonly name: string;
  readonly place: Place;
  readonly cores: string;
  readonly targets: readonly string[];
};

const openers: Readonly<Record<string, Opener>> = {
  nginx: openNginx,
  "nginx-again": openNginx,
  haproxy: openHaproxy,
  "evenkeel-proxy": (stage, setting) => openEvenkeel(stage, setting, "proxy"),
  "evenkeel-kernel-reload": (stage, setting) => openEvenkeel(stage, setting, "kernel"),
};

export type FlipTerms = { readonly place: Place; readonly proxyCores: string; readonly names: readonly string[] };

/** Throws when the benchmark itself fails; a program that does not flip is a problem of its round. */
export async function runFlips(bench: Layer4Bench, workload: FlipWorkload, terms: FlipTerms): Promise<Layer4Rounds> {
  const rows = new Map(terms.names.map((name): [string, Round[]] => [name, []]));
  for (let index = 0; index < bench.rounds; index++) {
    for (const [name, rounds] of rows) rounds.push(await flipRound(bench.stage, { name, workload, terms }));
  }
  const systems = [...rows].map(([system, rounds]): SystemRounds => ({ system, rounds, problems: [] }));
  return { workload, systems };
}

type FlipRound = { readonly name: string; readonly workload: FlipWorkload; readonly terms: FlipTerms };

let serial = 0;

async function flipRound(stage: Stage, { name, workload, terms }: FlipRound): Promise<Round> {
  try {
    return await flipAll(stage, { name, workload, terms });
  } catch (cause) {
    if (!(cause instanceof Error)) throw cause;
    return { figures: {}, problems: [cause.message] };
  }
}

async function flipAll(stage: Stage, { name, workload, terms }: FlipRound): Promise<Round> {
  const opener = openers[name];
  if (opener === undefined) return kernelRound(stage, { name, workload, terms });
  serial += 1;
  const label = `${name}-flips-${serial}`;
  const directory = stage.path(label);
  mkdirSync(directory);
  const targets = poolOfTargets(workload.targets);
  const { place, proxyCores: cores } = terms;
  const flippable = await opener(stage, { directory, name: label, place, cores, targets });
  try {
    await flippable.flip(0, true);
    await flippable.flip(0, false);
    const ms: number[] = [];
    const before = readTreeCpuMs(flippable.started.pid);
    for (let index = 0; index < FLIPS; index++) {
      const startMs = performance.now();
      await flippable.flip(Math.floor(index / 2), index % 2 === 0);
      ms.push(performance.now() - startMs);
    }
    const flipCpuMs = (readTreeCpuMs(flippable.started.pid) - before) / FLIPS;
    return { figures: { flipMs: median(ms), flipCpuMs }, problems: [] };
  } finally {
    await stage.stop(flippable.started);
  }
}

async function kernelRound(stage: Stage, { name, workload, terms }: FlipRound): Promise<Round> {
  const argv = [process.execPath, join(import.meta.dirname, "kernel-flips.ts")];
  argv.push("--bind", `${terms.place.addresses.virtual}:${PORT}`, "--targets", String(workload.targets));
  argv.push("--flips", String(KERNEL_FLIPS), ...(name.endsWith("-hash") ? ["--hash"] : []));
  const { namespace } = terms.place;
  const output = await runLoad(stage, { name, argv, cores: terms.proxyCores, cwd: root, namespace });
  const { ms, cpuMs } = parseKernelFlips(output);
  return { figures: { flipMs: median(ms), flipCpuMs: cpuMs }, problems: [] };
}

/** Throws when the line is not what kernel-flips.ts prints. */
export function parseKernelFlips(output: string): KernelFlips {
  const value: unknown = JSON.parse(output);
  if (typeof value === "object" && value !== null && "ms" in value && "cpuMs" in value) {
    const { ms, cpuMs } = value;
    if (typeof cpuMs === "number" && Array.isArray(ms) && ms.length > 0 && ms.every((one) => typeof one === "number"))
      return { ms, cpuMs };
  }
  throw new Error(`kernel-flips.ts printed ${output.slice(0, 200)}`);
}

async function openNginx(stage: Stage, setting: FlipSetting): Promise<Flippable> {
  const { directory, name, place, cores, targets } = setting;
  const path = join(directory, "nginx.conf");
  const write = (out: number | undefined): void => {
    const servers = targets.map((target, at) => `server ${target}${at === out ? " down" : ""};`).join("\n");
    writeFileSync(
      path,
      `load_module ${nginxStreamModule};
worker_processes 1;
daemon off;
pid ${directory}/nginx.pid;
error_log ${directory}/error.log warn;
events { worker_connections 1024; }
stream {
  upstream flips { ${servers} }
  server { listen ${place.addresses.virtual}:${PORT}; proxy_pass flips; }
}
`,
    );
  };
  write(undefined);
  const argv = [nginxProgram, "-p", directory, "-c", path];
  const started = stage.start({ name, argv, cores, namespace: place.namespace });
  const workers = (): number[] => listTree(started.pid).slice(1);
  await until(started, READY_DEADLINE_MS, () => workers().length === 1);
  const flip = async (target: number, out: boolean): Promise<void> => {
    const old = workers();
    write(out ? target : undefined);
    process.kill(started.pid, "SIGHUP");
    await until(started, FLIP_DEADLINE_MS, () => {
      const now = workers();
      return now.length === 1 && !now.some((pid) => old.includes(pid));
    });
  };
  return { started, flip };
}

async function openHaproxy(stage: Stage, setting: FlipSetting): Promise<Flippable> {
  const { directory, name, place, cores, targets } = setting;
  const path = join(directory, "haproxy.cfg");
  const socket = join(directory, "stats.sock");
  const servers = targets.map((target, at) => `  server t${at} ${target}`).join("\n");
  writeFileSync(
    path,
    `global
  nbthread 1
  no strict-limits
  stats socket ${socket} level admin
defaults
  mode tcp
  timeout connect 5s
  timeout client 60s
  timeout server 60s
listen flips
  bind ${place.addresses.virtual}:${PORT}
  balance roundrobin
${servers}
`,
  );
  const started = stage.start({ name, argv: [haproxyProgram, "-db", "-f", path], cores, namespace: place.namespace });
  await until(started, READY_DEADLINE_MS, async () => (await command(socket, "show info\n")) !== undefined);
  const flip = async (target: number, out: boolean): Promise<void> => {
    const answer = await command(socket, `set server flips/t${target} state ${out ? "maint" : "ready"}\n`);
    if (answer?.trim() !== "") throw new Error(`HAProxy answered ${answer ?? "nothing"}`);
  };
  return { started, flip };
}

async function openEvenkeel(stage: Stage, setting: FlipSetting, engine: "proxy" | "kernel"): Promise<Flippable> {
  const { directory, name, place, cores, targets } = setting;
  const path = join(directory, "evenkeel.yaml");
  const socket = join(directory, "admin.sock");
  const write = (out: number | undefined): void => {
    const config = {
      node: "bench",
      admin: { socket },
      stateDirectory: join(directory, "state"),
      workers: 1,
      drainTimeout: "1s",
      listeners: { flips: { bind: `${place.addresses.virtual}:${PORT}`, protocol: "tcp", engine, pool: "flips" } },
      pools: {
        flips: {
          targets: Object.fromEntries(targets.map((target, at) => [target, at === out ? { intent: "down" } : {}])),
        },
      },
    };
    writeFileSync(path, JSON.stringify(config));
  };
  write(undefined);
  const argv = [join(root, "evenkeel"), "run", "-c", path];
  const started = stage.start({ name, argv, cores, cwd: root, namespace: place.namespace });
  await until(started, READY_DEADLINE_MS, async () => (await ask(socket, "GET", "/readyz")) === 200);
  const flip = async (target: number, out: boolean): Promise<void> => {
    write(out ? target : undefined);
    const status = await ask(socket, "POST", "/v1/reload");
    if (status !== 200) throw new Error(`the reload was answered with ${status}: ${started.complaint()}`);
  };
  return { started, flip };
}

/** Looks again every millisecond. Throws when the program ends or the deadline passes. */
async function until(started: Started, withinMs: number, met: () => boolean | Promise<boolean>): Promise<void> {
  let ended: string | undefined;
  started.ended.then((how) => {
    ended = how;
  });
  const deadline = performance.now() + withinMs;
  while (!(await met())) {
    if (ended !== undefined) throw new Error(`${started.name} ended with ${ended}: ${started.complaint()}`);
    if (performance.now() > deadline) throw new Error(`${started.name} does not follow: ${started.complaint()}`);
    await delay(1);
  }
}

/** What a command of HAProxy's socket was answered with; undefined while nobody listens. */
function command(path: string, text: string): Promise<string | undefined> {
  return new Promise((resolve) => {
    let answer = "";
    const socket = connect(path, () => socket.end(text));
    socket.setEncoding("utf8").on("data", (more: string) => {
      answer += more;
    });
    socket.on("end", () => resolve(answer));
    socket.on("error", () => resolve(undefined));
  });
}

/** Status of an answer of evenkeel's admin API; undefined while nobody listens. */
function ask(socketPath: string, method: "GET" | "POST", path: string): Promise<number | undefined> {
  return new Promise((resolve) => {
    const outgoing = request({ socketPath, method, path, agent: false }, (response) => {
      response.resume().on("end", () => resolve(response.statusCode));
    });
    outgoing.on("error", () => resolve(undefined));
    outgoing.end();
  });
}
