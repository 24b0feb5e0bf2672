// Runs cases/*.case: an nginx.conf (its first line a comment that says the idea; files that it includes behind `==> NAME <==`),
// a line of dashes, and what the adapter makes of it: problems, warnings, notes, directives without effect, the native
// configuration. That is decoded again, and what `adapt` printed is adapted once more. UPDATE_CASES=1 records anew; read the
// difference afterwards.

import assert from "node:assert/strict";
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { test } from "node:test";
import { bad, good } from "../../core/failure.ts";
import { decodeConfig } from "../decode.ts";
import type { Adapted, ForeignFile, ForeignNote, ReadForeign } from "../foreign/adapted.ts";
import { locateIn } from "../foreign/locate.ts";
import { adaptNative } from "../foreign/native.ts";
import { nativeJson, nativeYaml } from "../foreign/native-text.ts";
import { describeProblems, sortProblems } from "../problem.ts";
import { adaptNginx } from "./adapt.ts";

const folder = new URL("./cases/", import.meta.url);
const dashes = "\n----------\n";
const machine = { hostname: "lb-1", cores: 2 };

/** Files of a case, and who reads them: `conf.d/*` names all of that folder, in the order of their names. */
function filesOf(input: string): { readonly main: ForeignFile; readonly read: ReadForeign } {
  const [text = "", ...parts] = input.split(/^==> (.+) <==\n/m);
  const files: ForeignFile[] = [];
  for (let index = 0; index < parts.length; index += 2) {
    files.push({ path: parts[index] ?? "", text: parts[index + 1] ?? "" });
  }
  const read: ReadForeign = (pattern) => {
    const [start = "", end] = pattern.split("*");
    if (end !== undefined) return good(files.filter(({ path }) => path.startsWith(start) && path.endsWith(end)));
    const file = files.find(({ path }) => path === pattern);
    if (file !== undefined) return good([file]);
    const detail = `open() "${pattern}" failed (2: No such file or directory)`;
    return bad({ code: "foreign.read", origin: "self", retrySafe: false, detail });
  };
  // What most cases would only repeat.
  const main = /^(?:events|http|stream)\b/m.test(text) || text.includes("# whole file") ? text : wrapped(text);
  return { main: { path: "nginx.conf", text: main }, read };
}

/** Servers and upstreams alone are the inside of http, on the same lines. */
function wrapped(text: string): string {
  return text.replace("\n", " \nevents {} http {").replace(/\n?$/, "}\n");
}

function listed(title: string, notes: readonly ForeignNote[]): string {
  return notes
    .map(
      ({ place, directive, text }) => `${title}: ${place.file}:${place.line}:${place.column}: ${directive}: ${text}\n`,
    )
    .join("");
}

function outcome(input: string): string {
  const { main, read } = filesOf(input);
  const adapted: Adapted = adaptNginx(main, read);
  const told = `${listed("note", adapted.notes)}${listed("no effect", adapted.noEffect)}`;
  const warnings = adapted.warnings.length === 0 ? "" : `warnings\n${describeProblems(adapted.warnings)}`;
  if (adapted.problems.length > 0) return `problems\n${describeProblems(sortProblems(adapted.problems))}${warnings}`;
  const locate = locateIn(adapted.places, { file: main.path, line: 1, column: 1 });
  const options = { file: main.path, environment: {}, machine, locate };
  const decoded = decodeConfig(nativeJson(adapted.value), options);
  const native = decoded.warnings.length === 0 ? "" : `native warnings\n${describeProblems(decoded.warnings)}`;
  if (!decoded.ok) return `native problems\n${describeProblems(decoded.problems)}${native}${warnings}${told}`;
  const yaml = nativeYaml(adapted.value);
  const again = adaptNative({ path: "lb.yaml", text: yaml }, {});
  assert.equal(nativeYaml(again.value), yaml, "adapting what was printed changes nothing");
  const printed = decodeConfig(yaml, { file: "lb.yaml", environment: {}, machine });
  assert.ok(printed.ok, "what was printed is valid");
  assert.deepEqual(printed.config, decoded.config, "it means the same");
  return `${native}${warnings}${told}${yaml}`;
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
    const actual = outcome(`${input.trimEnd()}\n`);
    if (process.env["UPDATE_CASES"] === "1") {
      writeFileSync(new URL(name, folder), `${input.trimEnd()}${dashes}${actual}`);
    } else assert.equal(actual, expected);
  });
}
