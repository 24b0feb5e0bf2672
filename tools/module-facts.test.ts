import assert from "node:assert/strict";
import { test } from "node:test";
import { readModule } from "./module-facts.ts";

const specifiers = (text: string): readonly string[] => readModule(text).imports.map((one) => one.specifier);

test("every form of import is seen, with its line", () => {
  const text = `#!/usr/bin/env node
import "./a.ts";
import b, { type B, c as d } from "./b.ts";
import * as e from './e.ts';
import type { F } from "./f.ts";
import {
  g,
  h,
} from "./g.ts";
export { i } from "./i.ts";
export type { J } from "./j.ts";
export * from "./k.ts";
const l = await import("./l.ts");
type M = import("./m.ts").M;
const n = require("./n.ts");
import json from "./o.json" with { type: "json" };
import type from "./p.ts";
`;
  assert.deepEqual(
    readModule(text).imports.map((one) => `${one.line} ${one.specifier}${one.typeOnly ? " type" : ""}`),
    [
      "2 ./a.ts",
      "3 ./b.ts",
      "4 ./e.ts",
      "5 ./f.ts type",
      "9 ./g.ts",
      "10 ./i.ts",
      "11 ./j.ts type",
      "12 ./k.ts",
      "13 ./l.ts",
      "14 ./m.ts",
      "15 ./n.ts",
      "16 ./o.json",
      "17 ./p.ts",
    ],
  );
});

test("what only looks like an import is none", () => {
  const text = `
// import a from "a"
/* import b from "b" */
const c = 'import c from "c"';
const d = "import d from 'd'";
const e = \`import e from "e" \${\`\${"import"} \${{ f: "from" }.f} import g from "g"\`} import h from "h"\`;
const i = /import j from "j"/;
const k = x / 2; const l = "/"; const m = y! / 3; const n = [1][0] / 4 / 5; let o = p++ / 2;
const q = import.meta.url;
const r = { import: 1, from: "r" };
s.import("t");
if (/[/"'\`]/.test(u)) v();
`;
  assert.deepEqual(specifiers(text), []);
  assert.deepEqual(readModule(text).unreadable, []);
});

test("an import inside a template's expression is one", () => {
  assert.deepEqual(specifiers(`const a = \`\${await import("./a.ts")} \${/"/.test(b)}\`; import "./c.ts";`), [
    "./a.ts",
    "./c.ts",
  ]);
});

test("what hides an import is named", () => {
  const unreadable = (text: string): readonly string[] => readModule(text).unreadable.map((one) => one.what);
  assert.deepEqual(unreadable("await import(name)"), ["an import whose path is computed"]);
  assert.deepEqual(unreadable('await import("./a" + ".ts")'), ["an import whose path is computed"]);
  assert.deepEqual(unreadable("require(name)"), ["an import whose path is computed"]);
  assert.deepEqual(unreadable('import a = require("b")'), ["an import of a form that is not used here"]);
  assert.deepEqual(unreadable('process.getBuiltinModule("fs")'), ["getBuiltinModule"]);
});

test("a file that cannot be split into tokens is named, not passed over", () => {
  for (const [text, what] of [
    ['const a = "', "a string without an end"],
    ["const a = `", "a template without an end"],
    ["const a = `${b", "a template without an end"],
    ["/* a", "a comment without an end"],
    ["const a = /b", "a regular expression without an end"],
  ] as const) {
    assert.deepEqual(readModule(`\n${text}`).unreadable, [{ line: 2, what }], text);
  }
});

test("default exports are seen in every form", () => {
  for (const text of ["export default 1;", "export { a as default };", 'export { default } from "./a.ts";']) {
    assert.equal(readModule(`\n${text}`).defaultExport, 2, text);
  }
  assert.equal(readModule("export const a = { default: 1 }; switch (b) { default: c(); }").defaultExport, undefined);
});

test("star exports and barrels are told from files with something of their own", () => {
  assert.equal(readModule('export * as a from "./a.ts";').starExport, 1);
  assert.equal(readModule('export type * from "./a.ts";').starExport, 1);
  assert.equal(readModule("export const a = b * c;").starExport, undefined);
  assert.equal(readModule('export { a } from "./a.ts";\nexport type { B } from "./b.ts";').barrel, true);
  assert.equal(readModule('export { a } from "./a.ts";\nconst b = 1;').barrel, false);
  assert.equal(readModule("const b = 1;\nexport { b };").barrel, false);
  assert.equal(readModule('import "./a.ts";').barrel, false);
});
