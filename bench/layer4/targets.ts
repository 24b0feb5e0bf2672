// The targets that all layer-4 balancers share, on one machine: an nginx that answers small requests from memory and large
// ones from a file, and an echo server for datagrams. Each balancer's network has its own addresses for them.

import { mkdirSync, writeFileSync } from "node:fs";
import { userInfo } from "node:os";
import { join } from "node:path";
import type { Stage } from "../stage.ts";
import { nginxProgram, temporaryPaths } from "../systems/nginx.ts";
import { paths, quote, seededBytes, smallBody } from "../systems/targets.ts";
import { waitForLine } from "./lines.ts";
import type { Addresses } from "./network.ts";

export const ports = {
  tcp: 9000,
  udp: 9001,
  /** On balancers only: flows that end with their answer; the targets answer on `udp`. */
  freshUdp: 9002,
} as const;

/** A path that answers with the address of the target. */
export const whoAmI = "/whoami";
const LARGE_BYTES = 100 * 1024 * 1024;
const START_DEADLINE_MS = 10_000;

/** One nginx for the addresses of every network, those to come too. Throws what the file system throws. */
export function startHttpTarget(stage: Stage, terms: { readonly namespace: string; readonly cores: string }): void {
  const { namespace, cores } = terms;
  const directory = stage.path("targets");
  const root = stage.path("content");
  mkdirSync(directory);
  mkdirSync(root);
  writeFileSync(`${root}${paths.body100m}`, seededBytes(LARGE_BYTES));
  writeFileSync(`${directory}/nginx.conf`, config(directory, root));
  const argv = [nginxProgram, "-p", directory, "-c", `${directory}/nginx.conf`];
  stage.start({ name: "targets", argv, cores, namespace });
}

export type EchoTerms = Pick<Addresses, "targets"> & {
  /** The namespace of this process by default. */
  readonly namespace?: string;
  readonly cores: string;
};

/** The echo servers of one network, once they are there; gives their port. Throws with their words when they do not start. */
export async function startEcho(stage: Stage, { namespace, cores, targets }: EchoTerms): Promise<number> {
  const argv = [process.execPath, join(import.meta.dirname, "echo-server.ts")];
  argv.push("--hosts", targets.join(","), "--port", String(ports.udp));
  const name = `echo-${targets[0]}`;
  const started = stage.start(namespace === undefined ? { name, argv, cores } : { name, argv, cores, namespace });
  await waitForLine(stage, started, { index: 0, withinMs: START_DEADLINE_MS });
  return ports.udp;
}

function config(directory: string, root: string): string {
  return `worker_processes 1;
daemon off;
user ${userInfo().username};
pid ${directory}/nginx.pid;
error_log ${directory}/error.log warn;
events { worker_connections 8192; }
http {
${temporaryPaths(directory)}
  access_log off;
  keepalive_timeout 600s;
  keepalive_requests 1000000000;
  sendfile on;
  server {
    listen 0.0.0.0:${ports.tcp} backlog=4096;
    root ${root};
    default_type text/plain;
    location = ${paths.small} { return 200 ${quote(smallBody)}; }
    location = ${whoAmI} { return 200 "$server_addr"; }
  }
}
`;
}
