// Runs cases/*.case: a keepalived.conf (its first line a comment that says the idea; files that it includes behind `==> NAME <==`), a
// line of dashes, and what the adapter makes of it: problems, warnings, words without effect, notes, the native configuration.
// That configuration is decoded again. UPDATE_CASES=1 records anew; read the difference afterwards.

import assert from "node:assert/strict";
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { test } from "node:test";
import { bad, good } from "../../core/failure.ts";
import { decodeConfig } from "../decode.ts";
import type { ForeignFile, ForeignNote, ReadForeign } from "../foreign/adapted.ts";
import { locateIn } from "../foreign/locate.ts";
import { nativeYaml } from "../foreign/native-text.ts";
import { describeProblems } from "../problem.ts";
import { adaptKeepalived } from "./adapt.ts";

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
    const detail = `there is no file \`${pattern}\``;
    return bad({ code: "foreign.missing", origin: "self", retrySafe: false, detail });
  };
  return { main: { path: "keepalived.conf", text }, read };
}

function section(title: string, text: string): string {
  return text === "" ? "" : `${title}\n${text}`;
}

function listed(notes: readonly ForeignNote[]): string {
  return notes
    .map(({ place, directive, text }) => `${place.file}:${place.line}:${place.column}: ${directive}: ${text}\n`)
    .join("");
}

function outcome(input: string): string {
  const { main, read } = filesOf(input);
  const adapted = adaptKeepalived(main, read, { hostname: "lb-1.example.com" });
  const native = nativeYaml(adapted.value);
  const parts = [
    section("problems", describeProblems(adapted.problems)),
    section("warnings", describeProblems(adapted.warnings)),
    section("no effect", listed(adapted.noEffect)),
    section("notes", listed(adapted.notes)),
  ];
  if (adapted.problems.length > 0) return parts.join("");
  const locate = locateIn(adapted.places, { file: "native", line: 1, column: 1 });
  const decoded = decodeConfig(native, { file: "native", environment: {}, machine, locate });
  const own = decoded.ok ? "" : describeProblems(decoded.problems);
  return [...parts, section("problems of the native configuration", own), section("native", native)].join("");
}

const names = readdirSync(folder).filter((name) => name.endsWith(".case"));

test("there are cases to run", () => {
  assert(names.length >= 50, `${names.length} cases found`);
});

for (const name of names) {
  const [input = "", expected] = readFileSync(new URL(name, folder), "utf8").split(dashes);
  const idea = /^[#!] (.*)\.(?:\n|$)/.exec(input)?.[1];
  test(`${name}: ${idea}`, () => {
    assert(idea !== undefined, "a case begins with its idea");
    const actual = outcome(`${input}\n`);
    if (process.env["UPDATE_CASES"] === "1")
      writeFileSync(new URL(name, folder), `${input.trimEnd()}${dashes}${actual}`);
    else assert.equal(actual, expected);
  });
}
