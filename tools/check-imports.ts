// Fails the build when a file breaks the import table of ARCHITECTURE.md or the shape that every file has here (size,
// named exports, `.ts` in specifiers, no ring of imports, workers free of the control plane's libraries). Reads and
// prints; the rules are in import-rules.ts. It must not be content with having checked nothing.

import { readdirSync, readFileSync } from "node:fs";
import { dirname, join, relative, resolve, sep } from "node:path";
import { fileURLToPath } from "node:url";
import { checkTree, type Rules } from "./import-rules.ts";
import { type ImportTable, readImportTable } from "./import-table.ts";

const checkedFolders = ["src", "bench", "fuzz", "test", "tools"];

const root = resolve(process.argv[2] ?? dirname(dirname(fileURLToPath(import.meta.url))));

function rulesFor(table: ImportTable): Rules {
  return {
    table,
    workerMain: "src/worker/main.ts",
    workerFree: ["zod", "yaml", "commander", "pino"],
    linesMax: 600,
    testLinesMax: 900,
  };
}

function readTree(): ReadonlyMap<string, string> {
  const tree = new Map<string, string>();
  const present = readdirSync(root);
  for (const folder of checkedFolders.filter((name) => present.includes(name))) {
    for (const entry of readdirSync(join(root, folder), { recursive: true, withFileTypes: true })) {
      if (!entry.isFile() || !entry.name.endsWith(".ts") || entry.parentPath.includes("node_modules")) continue;
      const path = join(entry.parentPath, entry.name);
      tree.set(relative(root, path).split(sep).join("/"), readFileSync(path, "utf8"));
    }
  }
  return tree;
}

function main(): number {
  const table = readImportTable(readFileSync(join(root, "ARCHITECTURE.md"), "utf8"));
  const tree = readTree();
  const checked = [...tree.keys()].filter((path) => path.startsWith("src/")).length;
  const problems = checkTree(tree, rulesFor(table));
  for (const { path, line, message } of problems) console.log(`${path}:${line} ${message}`);
  if (checked === 0) {
    console.log(`imports: no file under ${join(root, "src")}, so nothing was checked`);
    return 1;
  }
  const verdict =
    problems.length === 0 ? "all in order" : `${problems.length} problem${problems.length === 1 ? "" : "s"}`;
  console.log(`imports: ${tree.size} files against ${table.size} rows of the import table: ${verdict}`);
  return problems.length === 0 ? 0 : 1;
}

process.exitCode = main();
