// Runs cases/*.case: a configuration (its first line a comment that says the idea), a line of dashes, and what decoding
// it must give: problems and warnings as an operator reads them, or the configuration less what is default. To record
// them again after a deliberate change: UPDATE_CASES=1, then read the difference.

import assert from "node:assert/strict";
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { test } from "node:test";
import { formatSocketAddress } from "../core/address.ts";
import { same } from "../core/same.ts";
import type { Config } from "../model/config.ts";
import { type HaConfig, haNone } from "../model/ha.ts";
import type { Listener, Route, TcpRoute } from "../model/listener.ts";
import { decodeConfig } from "./decode.ts";
import { describeProblems } from "./problem.ts";

const folder = new URL("./cases/", import.meta.url);
const dashes = "\n----------\n";
const environment = { NODE: "lb", WORKERS: "4", TARGET: "10.0.0.9", EMPTY: "", FALSE: "false", EVIL: "a\nworkers: 9" };
const machine = { hostname: "host-1", cores: 2 };

const minimal = decode(`
listeners:
  web: { bind: "0.0.0.0:80", routes: [ { pool: app } ] }
  tcp: { bind: "0.0.0.0:81", protocol: tcp, pool: app }
  udp: { bind: "0.0.0.0:81", protocol: udp, pool: app }
pools: { app: { targets: { "10.0.0.1:80": {} } } }`);

const minimalHa = decode(`
ha:
  virtualRouters: { VI_1: { interface: eth0, vrid: 51, priority: 100, addresses: [10.0.4.99], track: [balancer] } }
  services: { one: { command: [/bin/one], follow: VI_1 } }`);

function decode(text: string) {
  return decodeConfig(text, { file: "lb.yaml", environment, machine });
}

/** What differs from the minimal configuration's, as JSON on one line; empty when nothing does. */
function differing(value: object, base: object | undefined, except: readonly string[]): string {
  const entries = Object.entries(value).filter(
    ([key, one]) => !except.includes(key) && (base === undefined || !same(one, Reflect.get(base, key))),
  );
  return entries.length === 0 ? "" : ` ${JSON.stringify(Object.fromEntries(entries))}`;
}

function describeListener(one: Listener, bases: readonly Listener[]): string[] {
  const base = bases.find(({ protocol }) => protocol === one.protocol);
  const protocol = one.protocol === "http" ? "" : ` ${one.protocol}`;
  const rest = differing(one, base, ["name", "protocol", "bind", "routes"]);
  const lines = [`listener ${one.name} ${formatSocketAddress(one.bind)}${protocol}${rest}`];
  if (one.protocol === "udp" || base === undefined || base.protocol === "udp") return lines;
  for (const route of one.routes) lines.push(describeRoute(route, base.routes[0]));
  return lines;
}

function describeRoute(one: Route | TcpRoute, base: Route | TcpRoute | undefined): string {
  const start = `  route ${one.name}${differing(one, base, ["name", "action", "pool"])} ->`;
  if (!("action" in one)) return `${start} ${one.pool}`;
  return `${start}${differing(one.action, base !== undefined && "action" in base ? base.action : undefined, [])}`;
}

function describeHa(ha: HaConfig): string[] {
  assert(minimalHa.ok);
  const { virtualRouters, services } = minimalHa.config.ha;
  const own = ["virtualRouters", "syncGroups", "tracks", "notify", "services"];
  const rest = differing(ha, haNone, own);
  const lines = rest === "" ? [] : [`ha${rest}`];
  for (const one of ha.virtualRouters) {
    const start = `virtual router ${one.name} ${one.interface} ${one.vrid}`;
    lines.push(`${start}${differing(one, virtualRouters[0], ["name", "interface", "vrid"])}`);
  }
  for (const one of ha.syncGroups) lines.push(`sync group ${one.name} ${one.members.join(", ")}`);
  for (const one of ha.tracks) lines.push(`track ${one.name}${differing(one, { rise: 1, fall: 1 }, ["name"])}`);
  for (const one of ha.notify) {
    const commands = differing(one.commands, { active: [], backup: [], fault: [], stop: [] }, []);
    const others = differing(one, { fifos: [], priorityChanges: false, emails: [], webhooks: [] }, [
      "of",
      "name",
      "commands",
    ]);
    lines.push(`notify ${one.of} ${one.name}${commands}${others}`);
  }
  for (const one of ha.services) lines.push(`service ${one.name}${differing(one, services[0], ["name"])}`);
  return lines;
}

/** The configuration without what equals the minimal one's, a line a thing. */
function summary(config: Config): string {
  assert(minimal.ok);
  const [pool] = minimal.config.pools;
  const lines = [`good${differing(config, minimal.config, ["listeners", "pools", "ha"])}`];
  for (const one of config.listeners) lines.push(...describeListener(one, minimal.config.listeners));
  for (const one of config.pools) {
    lines.push(`pool ${one.name}${differing(one, pool, ["name", "targets"])}`);
    for (const target of one.targets) {
      lines.push(`  target ${target.address}${differing(target, pool?.targets[0], ["address", "host", "port"])}`);
    }
  }
  return `${[...lines, ...describeHa(config.ha)].join("\n")}\n`;
}

function outcome(input: string): string {
  const decoded = decode(input);
  const warnings = decoded.warnings.length === 0 ? "" : `warnings\n${describeProblems(decoded.warnings)}`;
  if (!decoded.ok) return `problems\n${describeProblems(decoded.problems)}${warnings}`;
  return `${warnings}${summary(decoded.config)}`;
}

const names = readdirSync(folder).filter((name) => name.endsWith(".case"));

test("there are cases to run", () => {
  assert(names.length >= 60, `${names.length} cases found`);
});

for (const name of names) {
  const [input = "", expected] = readFileSync(new URL(name, folder), "utf8").split(dashes);
  const idea = /^# (.*)\.(?:\n|$)/.exec(input)?.[1];
  test(`${name}: ${idea}`, () => {
    assert(idea !== undefined, "a case begins with its idea");
    const actual = outcome(`${input}\n`);
    if (process.env["UPDATE_CASES"] === "1")
      writeFileSync(new URL(name, folder), `${input.trimEnd()}${dashes}${actual}`);
    else assert.equal(actual, expected);
  });
}
