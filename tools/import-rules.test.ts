import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { checkTree, type Rules } from "./import-rules.ts";
import { allows, readImportTable } from "./import-table.ts";

const markdown = `# Words
| folder | may import | packages | node: | holds |
|---|---|---|---|---|
| \`core\` | nothing | none | none | units |
| \`config\` | core | zod yaml | none | |
| \`proxy\` | core | none | buffer net(net-engine.ts) | |
| \`io\` | core | koffi @scope/name | any | |
| \`worker\` | all but config | none | any | |

after
`;

const rules: Rules = {
  table: readImportTable(markdown),
  workerMain: "src/worker/main.ts",
  workerFree: ["zod"],
  linesMax: 10,
  testLinesMax: 20,
};

const good = {
  "src/core/unit.ts": "export const unit = 1;\n",
  "src/config/schema.ts":
    'import { z } from "zod";\nimport { unit } from "../core/unit.ts";\nexport const s = z.x(unit);\n',
  "src/proxy/net-engine.ts": 'import { connect } from "node:net";\nexport const engine = connect;\n',
  "src/worker/main.ts": 'import { engine } from "../proxy/net-engine.ts";\nengine();\n',
};

/** The problems of the good tree with some files changed or added, as `path:line message`. */
function problemsWith(changed: Readonly<Record<string, string>>): readonly string[] {
  const tree = new Map(Object.entries({ ...good, ...changed }));
  return checkTree(tree, rules).map(({ path, line, message }) => `${path}:${line} ${message}`);
}

test("a tree that keeps the rules has no problem", () => {
  assert.deepEqual(problemsWith({}), []);
});

const cases: readonly (readonly [string, Readonly<Record<string, string>>, readonly string[]])[] = [
  [
    "an import that the table does not allow",
    { "src/core/unit.ts": '\nimport { s } from "../config/schema.ts";\nexport const unit = s;\n' },
    [
      "src/config/schema.ts:1 files that import each other: src/config/schema.ts, src/core/unit.ts",
      "src/core/unit.ts:2 core may not import config ('../config/schema.ts')",
    ],
  ],
  [
    "a type import that the table does not allow",
    { "src/core/a.ts": 'import type { S } from "../config/schema.ts";\nexport type A = S;\n' },
    ["src/core/a.ts:1 core may not import config ('../config/schema.ts')"],
  ],
  [
    "a dynamic import that the table does not allow",
    { "src/core/a.ts": 'export const a = () => import("../config/schema.ts");\n' },
    ["src/core/a.ts:1 core may not import config ('../config/schema.ts')"],
  ],
  [
    "a re-export that the table does not allow",
    { "src/core/a.ts": 'export { s } from "../config/schema.ts";\nexport const a = 1;\n' },
    ["src/core/a.ts:1 core may not import config ('../config/schema.ts')"],
  ],
  [
    "`all but` leaves something out",
    { "src/worker/a.ts": 'import type { S } from "../config/schema.ts";\nexport type A = S;\n' },
    ["src/worker/a.ts:1 worker may not import config ('../config/schema.ts')"],
  ],
  [
    "a folder that is not in the table",
    { "src/attic/a.ts": "export const a = 1;\n" },
    ["src/attic/a.ts:1 the folder 'attic' is not in the import table"],
  ],
  [
    "a file beside the folders",
    { "src/a.ts": "a();\n" },
    ["src/a.ts:1 lies beside the folders of src in the import table"],
  ],
  [
    "src that imports from outside",
    { "src/core/a.ts": 'import { t } from "../../tools/t.ts";\nt();\n', "tools/t.ts": "export const t = 1;\n" },
    ["src/core/a.ts:1 src may not import tools/t.ts"],
  ],
  [
    "a package in a room that has none",
    { "src/core/a.ts": 'import { parse } from "yaml";\nexport const a = parse;\n' },
    ["src/core/a.ts:1 core may not import the package yaml in a.ts"],
  ],
  [
    "koffi outside io, in a test too",
    { "src/proxy/a.test.ts": 'import koffi from "koffi";\nkoffi();\n' },
    ["src/proxy/a.test.ts:1 proxy may not import the package koffi in a.test.ts"],
  ],
  ["a package with a scope and a path", { "src/io/a.ts": 'import { x } from "@scope/name/x";\nx();\n' }, []],
  [
    "a part of Node in a pure room",
    { "src/core/a.ts": 'import { readFileSync } from "node:fs";\nexport const a = readFileSync;\n' },
    ["src/core/a.ts:1 core may not import node:fs in a.ts"],
  ],
  [
    "sockets outside the engine",
    { "src/proxy/exchange.ts": 'import { connect } from "node:net";\nexport const a = connect;\n' },
    ["src/proxy/exchange.ts:1 proxy may not import node:net in exchange.ts"],
  ],
  [
    "a part of Node without its prefix",
    { "src/io/a.ts": 'import { readFileSync } from "fs";\nexport const a = readFileSync;\n' },
    ["src/io/a.ts:1 write 'node:fs'"],
  ],
  [
    "any part of Node and any package in a test",
    { "src/core/a.test.ts": 'import "node:test";\nimport "fast-check";\n' },
    [],
  ],
  [
    "a default export",
    { "src/core/a.ts": "\nexport default 1;\n" },
    ["src/core/a.ts:2 default export: name what you export"],
  ],
  [
    "a star export",
    { "src/core/a.ts": 'export const b = 1;\nexport * from "./unit.ts";\n' },
    ["src/core/a.ts:2 `export *`: export by name, from the file that has it"],
  ],
  [
    "a barrel",
    { "src/core/a.ts": 'export { unit } from "./unit.ts";\n' },
    ["src/core/a.ts:1 a barrel file: it only exports what other files have"],
  ],
  [
    "a specifier without .ts",
    { "src/core/a.ts": 'import { unit } from "./unit";\nexport const a = unit;\n' },
    ["src/core/a.ts:1 './unit' does not end in .ts"],
  ],
  [
    "an import of nothing",
    { "src/core/a.ts": 'import { b } from "./b.ts";\nexport const a = b;\n' },
    ["src/core/a.ts:1 './b.ts' is no file of ours"],
  ],
  [
    "an absolute path",
    { "src/core/a.ts": 'import { b } from "/b.ts";\nexport const a = b;\n' },
    ["src/core/a.ts:1 '/b.ts' is neither a file of ours nor a package"],
  ],
  [
    "a computed import",
    { "src/io/a.ts": "export const a = (b: string) => import(b);\n" },
    ["src/io/a.ts:1 cannot be checked: an import whose path is computed"],
  ],
  [
    "a file that imports a test",
    {
      "src/core/a.ts": 'import { b } from "./b.test.ts";\nexport const a = b;\n',
      "src/core/b.test.ts": "export const b = 1;\n",
    },
    ["src/core/a.ts:1 imports a test: src/core/b.test.ts"],
  ],
  [
    "a file that is too long",
    { "src/core/a.ts": "a();\n".repeat(11) },
    ["src/core/a.ts:11 11 lines, at most 10: find the seam and split it"],
  ],
  ["a test file that is as long as it may be", { "src/core/a.test.ts": "a();\n".repeat(20) }, []],
  [
    "a test file that is too long",
    { "src/core/a.test.ts": "a();\n".repeat(21) },
    ["src/core/a.test.ts:21 21 lines, at most 20: find the seam and split it"],
  ],
  [
    "a ring of three",
    {
      "src/core/a.ts": 'import { b } from "./b.ts";\nexport const a = b;\n',
      "src/core/b.ts": 'import { c } from "./c.ts";\nexport const b = c;\n',
      "src/core/c.ts": 'import { a } from "./a.ts";\nimport { unit } from "./unit.ts";\nexport const c = a + unit;\n',
    },
    ["src/core/a.ts:1 files that import each other: src/core/a.ts, src/core/b.ts, src/core/c.ts"],
  ],
  [
    "a ring that only types close",
    {
      "src/core/a.ts": 'import { b } from "./b.ts";\nexport const a = b;\n',
      "src/core/b.ts": 'import type { A } from "./a.ts";\nexport const b: A = 1;\n',
    },
    [],
  ],
  [
    "a library that reaches the workers through our files",
    {
      "src/worker/main.ts": 'import { a } from "./a.ts";\na();\n',
      "src/worker/a.ts": 'import { s } from "../config/schema.ts";\nexport const a = s;\n',
    },
    [
      "src/config/schema.ts:1 brings zod into the workers: src/worker/main.ts > src/worker/a.ts > src/config/schema.ts",
      "src/worker/a.ts:1 worker may not import config ('../config/schema.ts')",
    ],
  ],
];

for (const [name, changed, expected] of cases) {
  test(`the checker judges ${name}`, () => assert.deepEqual(problemsWith(changed), expected));
}

test("a tree without the workers' first file is not in order", () => {
  assert.deepEqual(
    checkTree(new Map([["src/core/unit.ts", good["src/core/unit.ts"]]]), rules).map((problem) => problem.message),
    ["does not exist, so nothing says what a worker loads"],
  );
});

test("a table that cannot be read whole is refused", () => {
  const row = (cells: string): string => markdown.replace("| `io` | core | koffi @scope/name | any | |", cells);
  assert.throws(() => readImportTable("# nothing\n| a | b |\n|---|---|\n"), /no table/);
  assert.throws(() => readImportTable(row("| `io` | cores | none | any | |")), /row 4 \(io\): 'cores' is no folder/);
  assert.throws(() => readImportTable(row("| `io` | core | none | | |")), /cannot read ''/);
  assert.throws(() => readImportTable(row("| `io` | | none | any | |")), /'' is no folder/);
  assert.throws(() => readImportTable(row("| `core` | nothing | none | any | |")), /named twice/);
  assert.throws(() => readImportTable(markdown.split("\n").slice(0, 3).join("\n")), /no rows/);
});

test("the table of ARCHITECTURE.md can be read, and holds the rules the house stands on", () => {
  const table = readImportTable(readFileSync(new URL("../ARCHITECTURE.md", import.meta.url), "utf8"));
  assert.equal(table.get("core")?.folders.size, 0);
  for (const folder of ["cli", "admin", "control", "config"]) {
    assert.equal(table.get("worker")?.folders.has(folder), false, folder);
    assert.equal(table.get("proxy")?.folders.has(folder), false, folder);
  }
  for (const [folder, room] of table) {
    assert.equal(allows(room.packages, "koffi", "libc.ts"), folder === "io", folder);
    assert.equal(allows(room.packages, "zod", "schema.ts"), folder === "config", folder);
  }
  for (const folder of ["core", "model", "wire", "balance", "health", "state", "config"]) {
    assert.equal(allows(table.get(folder)?.builtins ?? { kind: "any" }, "fs", "a.ts"), false, folder);
  }
});
