// Which test files there are. The runner asks; nothing else does. Unit tests stand beside what they test, end-to-end
// tests under test/e2e, and a test file that is in neither place would never run, so every folder is looked into.

import { readdirSync } from "node:fs";
import { join, relative, sep } from "node:path";

/**
 * `unit` needs no root and no Debian package; `endToEnd` starts real programs; `alone` (`*.alone.test.ts`) does so as well
 * and measures times, in which no other file may run.
 */
export type TestKind = "unit" | "endToEnd" | "alone";

export type TestFile = {
  readonly kind: TestKind;
  /** Absolute. */
  readonly path: string;
  /** From the root, with `/`. */
  readonly name: string;
};

const notOurs = new Set(["node_modules", ".git", ".evenkeel"]);

/**
 * All `*.test.ts` under `root`, by kind and then in the order of names. Empty filters take every file;
 * otherwise a file is taken when its name contains one of them.
 */
export function findTestFiles(root: string, filters: readonly string[]): readonly TestFile[] {
  const found: TestFile[] = [];
  const look = (folder: string): void => {
    for (const entry of readdirSync(folder, { withFileTypes: true })) {
      if (notOurs.has(entry.name)) continue;
      const path = join(folder, entry.name);
      if (entry.isDirectory()) look(path);
      else if (entry.isFile() && entry.name.endsWith(".test.ts")) {
        const name = relative(root, path).split(sep).join("/");
        found.push({ kind: kindOf(name), path, name });
      }
    }
  };
  look(root);
  return found
    .filter((file) => filters.length === 0 || filters.some((filter) => file.name.includes(filter)))
    .sort((a, b) => kinds.indexOf(a.kind) - kinds.indexOf(b.kind) || (a.name < b.name ? -1 : 1));
}

/** In the order in which they run. */
const kinds: readonly TestKind[] = ["unit", "endToEnd", "alone"];

function kindOf(name: string): TestKind {
  if (!name.startsWith("test/e2e/")) return "unit";
  return name.endsWith(".alone.test.ts") ? "alone" : "endToEnd";
}
