// What a layer-4 balancer under test is: a configuration for a machine of its own and a command. Plain routing is one of
// them, without a process: what it takes is what any balancer's figure is reduced by. The others listen on the
// machine's virtual address: TCP, UDP with flows that stay, UDP with flows that end with their answer.

import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { runLoad } from "../load/program.ts";
import type { Stage, Started } from "../stage.ts";
import type { CheckReport } from "./check-client.ts";
import { type Network, type Place, targetCount } from "./network.ts";
import { ports, startEcho, whoAmI } from "./targets.ts";

export type Instance = {
  readonly name: string;
  /** A directory of this instance alone. */
  readonly directory: string;
  readonly place: Place;
  readonly cores: string;
  /** Client connections, and flows, that it must be able to hold. */
  readonly connectionsMax: number;
};

export type Layer4System = {
  readonly name: string;
  /** What was chosen for it where it differs from its own defaults, for the report. */
  readonly settings: string;
  readonly udp: boolean;
  /** Runs only where bodies are moved: the size of its buffers does not matter elsewhere. */
  readonly bulkOnly: boolean;
  /** The kernel tracks its connections: they are forgotten before each round. */
  readonly tracked: boolean;
  /** Writes the configuration and gives the command; undefined for plain routing. */
  readonly plan: ((instance: Instance) => readonly string[]) | undefined;
};

export type Running = {
  readonly system: Layer4System;
  readonly place: Place;
  readonly started: Started | undefined;
  /** What clients call: the virtual address, or without a balancer the targets themselves. */
  readonly called: readonly string[];
  readonly freshPort: number;
  /** Why it is not on equal terms; such a system's figures are never compared. */
  readonly unequal: readonly string[];
};

export type StartTerms = {
  readonly network: Network;
  readonly proxyCores: string;
  readonly loadCores: string;
  readonly connectionsMax: number;
};

/** Starts a system on a machine of its own and checks what it does. Throws when the check itself cannot be run. */
export async function startLayer4(stage: Stage, system: Layer4System, terms: StartTerms): Promise<Running> {
  const { network, loadCores } = terms;
  const place = network.addBalancer(system.name);
  const { addresses, namespace } = place;
  await startEcho(stage, { namespace: network.targets, cores: loadCores, targets: addresses.targets });
  let started: Started | undefined;
  if (system.plan !== undefined) {
    const directory = stage.path(system.name);
    mkdirSync(directory);
    const { proxyCores: cores, connectionsMax } = terms;
    const argv = system.plan({ name: system.name, directory, place, cores, connectionsMax });
    started = stage.start({ name: `${system.name}-run`, argv, cores, namespace });
  }
  const called = started === undefined ? addresses.targets : [addresses.virtual];
  const freshPort = started === undefined ? ports.udp : ports.freshUdp;
  const unequal = await check(stage, { system, terms, called: called[0] ?? "", balanced: started !== undefined });
  const complaint = unequal.length > 0 ? started?.complaint() : undefined;
  const told = complaint === undefined || complaint === "" ? unequal : [...unequal, complaint];
  return { system, place, started, called, freshPort, unequal: told };
}

type Checked = {
  readonly system: Layer4System;
  readonly terms: StartTerms;
  readonly called: string;
  readonly balanced: boolean;
};

async function check(stage: Stage, { system, terms, called, balanced }: Checked): Promise<readonly string[]> {
  const argv = [process.execPath, join(import.meta.dirname, "check-client.ts"), "--host", called];
  argv.push("--url", `http://${called}:${ports.tcp}${whoAmI}`, "--targets", String(balanced ? targetCount : 1));
  const udpPorts = balanced ? [ports.udp, ports.freshUdp] : [ports.udp];
  if (system.udp) for (const port of udpPorts) argv.push("--udp", String(port));
  const { network, loadCores: cores } = terms;
  const output = await runLoad(stage, { name: `check-${system.name}`, argv, cores, namespace: network.clients });
  return parseCheck(output).problems;
}

/** Throws when the line is not what check-client.ts prints. */
export function parseCheck(output: string): CheckReport {
  const value: unknown = JSON.parse(output);
  if (typeof value === "object" && value !== null && "problems" in value && Array.isArray(value.problems)) {
    return { problems: value.problems.map(String) };
  }
  throw new Error(`the check printed ${output.slice(0, 200)}`);
}
