// What a proxy under test is: a generated configuration, a command, a port, an access log. Everything they must have in
// common stands in `Terms`, and each of the files beside this one says the same thing in its proxy's own language.

import { mkdirSync } from "node:fs";
import { connect } from "node:net";
import { setTimeout as delay } from "node:timers/promises";
import type { Command, Stage, Started } from "../stage.ts";

const READY_DEADLINE_MS = 15_000;

export type Terms = {
  /** `127.0.0.1:17001`: the targets, each with an equal share, round robin, kept alive. */
  readonly targets: readonly string[];
  /** Client connections a proxy must be able to hold. */
  readonly connectionsMax: number;
  /** What a line of the access log holds. The same facts for all. */
  readonly logFormat: "json" | "combined";
  /** Core list of the proxies. */
  readonly cores: string;
};

export type Place = {
  /** A directory of this instance alone. */
  readonly directory: string;
  readonly port: number;
  /** Names the instance on the stage: `nginx-3`. */
  readonly name: string;
};

export type Plan = { readonly command: Command; readonly logPath: string };

export type System = {
  readonly name: string;
  /** What was chosen for it where it differs from its own defaults, for the report. */
  readonly settings: string;
  /** Runs only where bodies are moved: the size of its buffers does not matter elsewhere. */
  readonly bodiesOnly: boolean;
  /** Writes the configuration into the place and says how to start it. Throws what the file system throws. */
  plan(terms: Terms, place: Place): Plan;
};

export type Running = {
  readonly name: string;
  readonly port: number;
  readonly started: Started;
  readonly logPath: string;
};

let serial = 0;

/** Starts a system with one worker and waits until it accepts connections. Throws with its own words when it does not. */
export async function startSystem(stage: Stage, system: System, terms: Terms): Promise<Running> {
  serial += 1;
  const name = `${system.name}-${serial}`;
  const place: Place = { directory: stage.path(name), port: await stage.freePort(), name };
  mkdirSync(place.directory);
  const plan = system.plan(terms, place);
  const started = stage.start(plan.command);
  await waitUntilAccepting(started, place.port);
  return { name: system.name, port: place.port, started, logPath: plan.logPath };
}

/** Polls the port until it accepts. Throws when the process ends first, or after 15 seconds. */
export async function waitUntilAccepting(started: Started, port: number): Promise<void> {
  let ended: string | undefined;
  started.ended.then((how) => {
    ended = how;
  });
  const deadline = performance.now() + READY_DEADLINE_MS;
  while (!(await accepts(port))) {
    if (ended !== undefined) throw new Error(`${started.name} ended at once (${ended}): ${started.complaint()}`);
    if (performance.now() > deadline) throw new Error(`${started.name} accepts nothing: ${started.complaint()}`);
    await delay(50);
  }
}

function accepts(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ host: "127.0.0.1", port });
    socket.once("connect", () => {
      socket.destroy();
      resolve(true);
    });
    socket.once("error", () => resolve(false));
  });
}
