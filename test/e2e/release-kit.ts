// What the end-to-end tests of releases share: services as processes that the release's own commands stop, deploy and start,
// release files, the command itself, and wrk as the load that must not notice. Everything is bound to a scope; services are
// ended by the process ids that they wrote.

import assert from "node:assert/strict";
import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { decodeWrk } from "./http-kit.ts";
import {
  ask,
  atEnd,
  evenkeel,
  isAlive,
  type Program,
  type Ran,
  root,
  type Scope,
  startProgram,
  temporaryDirectory,
  until,
} from "./kit.ts";

export type Service = { readonly host: string; readonly port: number };

/** Goes in front of a command to run it on a service's machine: `ip netns exec NAME`. */
export type Under = (service: Service) => readonly string[];

export type Fleet = {
  readonly directory: string;
  readonly services: readonly Service[];
  readonly addresses: readonly string[];
  /** Lines of a release file: stop, deploy, start, rollback. */
  readonly commands: Readonly<Record<string, unknown>>;
  /** What the commands have done: `STEP ADDRESS VERSION ATTEMPT`, in order. */
  ran(): readonly string[];
  /** The version that a service was deployed with. */
  versionOf(service: Service): string;
  pidOf(service: Service): number;
};

const stop = `pid="$1/$2.pid"
echo "stop $2 $EVENKEEL_RELEASE_VERSION $EVENKEEL_RELEASE_ATTEMPT" >> "$1/ran"
[ -e "$pid" ] || exit 0
kill "$(cat "$pid")" 2>/dev/null
tries=0
while [ -e "/proc/$(cat "$pid")/status" ] && ! grep -q "^State:.Z" "/proc/$(cat "$pid")/status" && [ $tries -lt 400 ]; do
  tries=$((tries + 1)); sleep 0.02
done
rm -f "$pid"
echo "stopped $2"
`;
const deploy = `echo "$EVENKEEL_RELEASE_STEP $2 $3 $EVENKEEL_RELEASE_ATTEMPT" >> "$1/ran"
[ ! -e "$1/slow" ] || { touch "$1/slow.begun"; sleep "$(cat "$1/slow")"; }
echo "$3" > "$1/$2.version"
echo "deployed $3 to $2"
`;
/** Starts the services with version v1. */
export async function startFleet(scope: Scope, services: readonly Service[], under: Under = () => []): Promise<Fleet> {
  const directory = temporaryDirectory(scope);
  const addresses = services.map(({ host, port }) => `${host}:${port}`);
  writeFileSync(join(directory, "stop.sh"), stop);
  writeFileSync(join(directory, "deploy.sh"), deploy);
  const node = process.execPath;
  const fixture = join(root, "test/e2e/fixtures/release-target.ts");
  const lines = services.map((service, index) => {
    const words = [...under(service), "setsid", node, fixture, service.host, String(service.port)].join(" ");
    return `${addresses[index]}) ${words} "$(cat "$1/$2.version")" "$1/$2.pid" </dev/null >/dev/null 2>&1 & ;;`;
  });
  const script = `PATH="$PATH:/usr/sbin:/sbin"
echo "start $2 $EVENKEEL_RELEASE_VERSION $EVENKEEL_RELEASE_ATTEMPT" >> "$1/ran"
case $2 in
${lines.join("\n").replaceAll(" & ;;", " &\n;;")}
esac
tries=0
while [ ! -e "$1/$2.pid" ] && [ $tries -lt 500 ]; do tries=$((tries + 1)); sleep 0.02; done
`;
  writeFileSync(join(directory, "start.sh"), script);
  const shell = (name: string, ...words: readonly string[]) => [
    "/bin/sh",
    join(directory, name),
    directory,
    "{address}",
    ...words,
  ];
  const pidOf = ({ host, port }: Service) => Number(readFileSync(join(directory, `${host}:${port}.pid`), "utf8"));
  atEnd(scope, async () => {
    const files = readdirSync(directory).filter((name) => name.endsWith(".pid"));
    const pids = files.map((name) => Number(readFileSync(join(directory, name), "utf8")));
    for (const pid of pids.filter(isAlive)) process.kill(pid, "SIGKILL");
    await until("the services' end", () => !pids.some(isAlive));
  });
  for (const [index, address] of addresses.entries()) {
    writeFileSync(join(directory, `${address}.version`), "v1");
    const service = services[index];
    assert.ok(service !== undefined);
    const begun = startProgram(scope, "/bin/sh", [join(directory, "start.sh"), directory, address]);
    await begun.exited();
  }
  await until("the services", () => addresses.every((address) => existsSync(join(directory, `${address}.pid`))));
  writeFileSync(join(directory, "ran"), "");
  return {
    directory,
    services,
    addresses,
    commands: {
      stop: shell("stop.sh"),
      deploy: shell("deploy.sh", "{version}"),
      start: shell("start.sh"),
      rollback: shell("deploy.sh", "v1"),
    },
    ran: () =>
      readFileSync(join(directory, "ran"), "utf8")
        .split("\n")
        .filter((line) => line !== ""),
    versionOf: ({ host, port }) => readFileSync(join(directory, `${host}:${port}.version`), "utf8").trim(),
    pidOf,
  };
}

/** Writes a release file; JSON is YAML. */
export function writeRelease(fleet: Fleet, name: string, file: Readonly<Record<string, unknown>>): string {
  const path = join(fleet.directory, `${name}.json`);
  const usual = {
    pool: "app",
    version: "v2",
    minEligible: fleet.services.length - 1,
    drain: { timeout: "10s" },
    healthCheck: { type: "http", path: "/healthz", for: "10s", every: "100ms" },
    ...fleet.commands,
  };
  writeFileSync(path, JSON.stringify({ ...usual, ...file }, undefined, 1));
  return path;
}

export type StartIn = (scope: Scope, command: string, args: readonly string[]) => Program;

/** `evenkeel release ORDER FILE`, started. */
export function startRelease(
  scope: Scope,
  order: string,
  file: string,
  args: readonly string[] = [],
  start: StartIn = startProgram,
): Program {
  return start(scope, evenkeel, ["release", order, file, ...args]);
}

export async function runRelease(
  scope: Scope,
  order: string,
  file: string,
  args: readonly string[] = [],
  start?: StartIn,
): Promise<Ran> {
  const program = startRelease(scope, order, file, args, start);
  const exit = await program.exited(60_000);
  return { ...exit, stdout: program.stdout(), stderr: program.stderr() };
}

/** All that it printed, for a message. */
export function said({ stdout, stderr, code }: Ran): string {
  return `exit ${code}\n${stdout}\n${stderr}`;
}

export type WrkLoad = {
  /** Ends it; the sums over all. */
  stop(): Promise<{ readonly requests: number; readonly failed: number; readonly text: string }>;
};

/** wrk on kept connections, and wrk with a new connection for each request. */
export function startWrk(scope: Scope, url: string, start: StartIn = startProgram): WrkLoad {
  const usual = ["-t1", "-d120s", "--timeout", "10s"];
  // With less right to the processor than what it loads: on two of them nothing else would have its turn.
  const kept = start(scope, "nice", ["-n", "10", "wrk", ...usual, "-c6", url]);
  const fresh = start(scope, "nice", ["-n", "10", "wrk", ...usual, "-c3", "-H", "Connection: close", url]);
  return {
    async stop() {
      const results = [];
      for (const program of [kept, fresh]) program.signal("SIGINT");
      for (const program of [kept, fresh]) {
        await program.exited();
        results.push(decodeWrk(program.stdout()));
      }
      const failed = results.map(({ notGood, socketErrors }) => {
        const { connect, read, write, timeout } = socketErrors;
        return notGood + connect + read + write + timeout;
      });
      return {
        requests: results.reduce((sum, { requests }) => sum + requests, 0),
        failed: failed.reduce((sum, one) => sum + one, 0),
        text: results.map(({ text }) => text).join("\n"),
      };
    },
  };
}

/** Intents at a balancer, by address. */
export async function intentsAt(socketPath: string): Promise<Readonly<Record<string, string>>> {
  const pool = JSON.parse((await ask({ socketPath, path: "/v1/pools/app" })).body);
  const targets: readonly { readonly address: string; readonly intent: string }[] = pool.targets;
  return Object.fromEntries(targets.map(({ address, intent }) => [address, intent]));
}
