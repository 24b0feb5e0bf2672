// Runs cases/*.case: a configuration (its first line a comment that says the idea), a line of dashes, and what decoding
// it must give: problems and warnings as an operator reads them, or the configuration less what is default. To record
// them again after a deliberate change: UPDATE_CASES=1, then read the difference.

import assert from "node:assert/strict";
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { test } from "node:test";
import { formatSocketAddress } from "../core/address.ts";
import type { Config } from "../model/config.ts";
import { decodeConfig } from "./decode.ts";
import { same } from "./diff.ts";
import { describeProblems } from "./problem.ts";

const folder = new URL("./cases/", import.meta.url);
const dashes = "\n----------\n";
const environment = { NODE: "lb", WORKERS: "4", TARGET: "10.0.0.9", EMPTY: "", FALSE: "false", EVIL: "a\nworkers: 9" };
const machine = { hostname: "host-1", cores: 2 };

const minimal = decode(`
listeners: { web: { bind: "0.0.0.0:80", routes: [ { pool: app } ] } }
pools: { app: { targets: { "10.0.0.1:80": {} } } }`);

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

/** The configuration without what equals the minimal one's, a line a thing. */
function summary(config: Config): string {
  assert(minimal.ok);
  const [listener] = minimal.config.listeners;
  const [pool] = minimal.config.pools;
  const [route] = listener?.routes ?? [];
  const lines = [`good${differing(config, minimal.config, ["listeners", "pools"])}`];
  for (const one of config.listeners) {
    lines.push(
      `listener ${one.name} ${formatSocketAddress(one.bind)}${differing(one, listener, ["name", "bind", "routes"])}`,
    );
    for (const inner of one.routes) {
      const rest = differing(inner, route, ["name", "action"]);
      lines.push(`  route ${inner.name}${rest} ->${differing(inner.action, route?.action, [])}`);
    }
  }
  for (const one of config.pools) {
    lines.push(`pool ${one.name}${differing(one, pool, ["name", "targets"])}`);
    for (const target of one.targets) {
      lines.push(`  target ${target.address}${differing(target, pool?.targets[0], ["address", "host", "port"])}`);
    }
  }
  return `${lines.join("\n")}\n`;
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
