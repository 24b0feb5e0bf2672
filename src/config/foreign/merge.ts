// Several adapted files as one native configuration: nginx.conf with its listeners and pools, keepalived.conf with its virtual
// routers. On the change's way. Sections are joined; what two files name alike is a problem and never overwritten.

import { same } from "../../core/same.ts";
import { addProblem, formatPath, type Path, type Problem } from "../problem.ts";
import type { Adapted, ForeignPlace } from "./adapted.ts";

/** How deep sections are joined: below, a name stands for one thing as a whole. */
const sections: readonly (readonly string[])[] = [
  ["listeners"],
  ["pools"],
  ["ha"],
  ...["tracks", "virtualRouters", "syncGroups", "services", "notify"].map((name) => ["ha", name]),
  ["admin"],
  ["kernel"],
  ["defaults"],
  ["defaults", "timeouts"],
  ["defaults", "limits"],
  ["defaults", "retry"],
];

const rootOrder = [
  ...["node", "admin", "stateDirectory", "workers", "drainTimeout", "accessLog", "kernel", "defaults"],
  ...["listeners", "pools", "ha"],
];

type Merge = {
  readonly value: Record<string, unknown>;
  readonly places: Map<string, ForeignPlace>;
  readonly problems: Problem[];
};

/** One part is given back as it is. */
export function mergeAdapted(parts: readonly Adapted[]): Adapted {
  const [first] = parts;
  if (first !== undefined && parts.length === 1) return first;
  const problems = parts.flatMap((part) => part.problems);
  const merge: Merge = { value: Object.create(null), places: new Map(), problems };
  for (const part of parts) {
    if (isMapping(part.value)) join(merge, merge.value, part.value, { path: [], places: part.places });
    for (const [key, place] of part.places) if (!merge.places.has(key)) merge.places.set(key, place);
  }
  const known = rootOrder.filter((key) => key in merge.value);
  const others = Object.keys(merge.value).filter((key) => !known.includes(key));
  const value: Record<string, unknown> = Object.create(null);
  for (const key of [...known, ...others]) value[key] = merge.value[key];
  return {
    value,
    places: merge.places,
    problems,
    warnings: parts.flatMap(({ warnings }) => warnings),
    noEffect: parts.flatMap(({ noEffect }) => noEffect),
    notes: parts.flatMap(({ notes }) => notes),
  };
}

type Where = { readonly path: Path; readonly places: ReadonlyMap<string, ForeignPlace> };

function join(merge: Merge, into: Record<string, unknown>, from: Record<string, unknown>, where: Where): void {
  for (const [key, value] of Object.entries(from)) {
    const path = [...where.path, key];
    const there = into[key];
    if (there === undefined) into[key] = isMapping(value) && isSection(path) ? { ...value } : value;
    else if (isSection(path) && isMapping(there) && isMapping(value)) join(merge, there, value, { ...where, path });
    else if (where.path.length > 0 && isNamed(where.path)) refuse(merge, path, where);
    else if (!same(there, value)) refuse(merge, path, where);
  }
}

function isSection(path: Path): boolean {
  return sections.some((section) => same(section, path));
}

/** Below these every key is a name that somebody gave. */
function isNamed(path: Path): boolean {
  return path[0] === "listeners" || path[0] === "pools" || (path[0] === "ha" && path.length === 2);
}

function refuse(merge: Merge, path: Path, where: Where): void {
  const key = path.join("\0");
  const before = merge.places.get(key);
  const here = where.places.get(key) ?? { file: "", line: 1, column: 1 };
  const elsewhere = before === undefined ? "another file" : `${before.file}:${before.line}`;
  addProblem(
    merge.problems,
    {
      code: "config.files.twice",
      message: `\`${formatPath(path)}\` is said here and in ${elsewhere}`,
      expected: "it in one of the files",
    },
    { ...here, path },
  );
}

function isMapping(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
