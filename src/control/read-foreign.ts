// The files that a foreign configuration includes, read for its adapter: paths beside the main file, with wildcards as glob(3)
// has them. An edge on the change's way. Reads at once and not later, for adapters are plain functions; only at a start, a
// reload or on the command line.

import { readdirSync, readFileSync, statSync } from "node:fs";
import { basename, dirname, isAbsolute, join, resolve } from "node:path";
import type { ForeignFile, ReadForeign } from "../config/foreign/adapted.ts";
import { fileBytesMax } from "../config/limits.ts";
import { bad, good, type Result } from "../core/failure.ts";

/** Files of one pattern. */
const matchesMax = 10_000;

/** Relative patterns begin where the main file lies, as in nginx and, for what keepalived reads, in the file that includes. */
export function readerFor(mainFile: string, base: "main file" | "including file"): ReadForeign {
  const home = dirname(resolve(mainFile));
  return (pattern, from) => {
    const start = base === "main file" ? home : dirname(resolve(from.file));
    const whole = isAbsolute(pattern) ? pattern : join(start, pattern);
    // Files are called as the operator would call them from where the main file was named.
    const called = (path: string) =>
      isAbsolute(pattern) || isAbsolute(mainFile) ? path : join(dirname(mainFile), path.slice(home.length + 1));
    if (!/[*?[]/.test(whole)) return readOne(whole, called(whole));
    const files: ForeignFile[] = [];
    for (const path of expand(whole)) {
      const file = readOne(path, called(path));
      if (!file.ok) return file;
      files.push(...file.value);
    }
    return good(files);
  };
}

function readOne(path: string, called: string): Result<readonly ForeignFile[]> {
  try {
    if (statSync(path).size > fileBytesMax) return refused(`"${path}" has more than ${fileBytesMax} bytes`);
    return good([{ path: called, text: readFileSync(path, "utf8") }]);
  } catch (error) {
    return refused(`open() "${path}" failed (${reasonOf(error)})`);
  }
}

function refused(detail: string) {
  return bad({ code: "foreign.read", origin: "self", retrySafe: false, detail });
}

/** `2: No such file or directory`, as nginx says it. */
function reasonOf(error: unknown): string {
  const { errno, code } = error instanceof Error ? (error as NodeJS.ErrnoException) : {};
  const names: Readonly<Record<string, string>> = {
    ENOENT: "No such file or directory",
    EACCES: "Permission denied",
    EISDIR: "Is a directory",
  };
  return errno === undefined ? String(error) : `${-errno}: ${names[code ?? ""] ?? code}`;
}

/** Paths of a pattern in the order of their bytes; a wildcard matches no leading dot and no slash. */
function expand(pattern: string): string[] {
  let found = ["/"];
  const parts = pattern.split("/").filter((part) => part !== "");
  for (const [index, part] of parts.entries()) {
    const isLast = index === parts.length - 1;
    found = found.flatMap((folder) => matches(folder, part, isLast)).slice(0, matchesMax);
  }
  return found.toSorted((left, right) => Buffer.compare(Buffer.from(left), Buffer.from(right)));
}

function matches(folder: string, part: string, isLast: boolean): string[] {
  if (!/[*?[]/.test(part)) return exists(join(folder, part)) ? [join(folder, part)] : [];
  const wanted = globRegex(part);
  if (wanted === undefined) return [];
  let names: string[];
  try {
    names = readdirSync(folder);
  } catch {
    // No folder, or none that we may read: glob(3) finds nothing there.
    return [];
  }
  return names
    .filter((name) => wanted.test(name) && (part.startsWith(".") || !name.startsWith(".")))
    .map((name) => join(folder, name))
    .filter((path) => isLast || exists(path));
}

function exists(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false }) !== undefined;
}

function globRegex(part: string): RegExp | undefined {
  const source = part.replaceAll(
    /\[(!?)([^\]]+)\]|[\\^$.|+(){}*?[\]]/g,
    (whole, not: string | undefined, set?: string) => {
      if (set !== undefined) return `[${not === "!" ? "^" : ""}${set.replaceAll(/[\\^[]/g, "\\$&")}]`;
      if (whole === "*") return ".*";
      return whole === "?" ? "." : `\\${whole}`;
    },
  );
  try {
    return new RegExp(`^${source}$`, "s");
  } catch {
    // `[z-a]` and the like match nothing.
    return undefined;
  }
}

export const adapterNames = ["native", "nginx", "keepalived"] as const;
export type AdapterName = (typeof adapterNames)[number];

/** By the file's name, else by the folder that it lies in; native where neither tells. */
export function adapterFor(file: string): AdapterName {
  const path = resolve(file).toLowerCase();
  const name = basename(path);
  if (/\.(?:ya?ml|json)$/.test(name)) return "native";
  const named = (["keepalived", "nginx"] as const).find((program) => name.includes(program));
  return (
    named ??
    (["keepalived", "nginx"] as const).find((program) => dirname(path).split("/").includes(program)) ??
    "native"
  );
}
