// A native file beside foreign ones: read as data with the places of its parts, so that it can be merged with what adapters made
// of the others. On the change's way. A native file alone is decoded as it is and never comes here.

import type { Environment } from "../environment.ts";
import { createReport, type Path } from "../problem.ts";
import { parseTree, plainOf, positionAt, type Source, type Tree } from "../tree.ts";
import type { Adapted, ForeignFile, ForeignPlace } from "./adapted.ts";

/** References to the environment are replaced already; what they hold is meant as it is. */
export function adaptNative(file: ForeignFile, environment: Environment): Adapted {
  const report = createReport(file.path);
  const source = parseTree(file.text, environment, report);
  const places = new Map<string, ForeignPlace>();
  if (source !== undefined) markPlaces(places, { source, file: file.path }, [], source.root);
  const value = source === undefined ? Object.create(null) : plainOf(source.root, new Map());
  const { problems, warnings } = report;
  return { value, places, problems, warnings, noEffect: [], notes: [] };
}

type Origin = { readonly source: Source; readonly file: string };

function markPlaces(places: Map<string, ForeignPlace>, origin: Origin, path: Path, tree: Tree): void {
  if (tree.kind === "map") {
    for (const [key, entry] of tree.entries) {
      const inner = [...path, key];
      places.set(inner.join("\0"), { file: origin.file, ...positionAt(origin.source.lines, entry.keyAt) });
      markPlaces(places, origin, inner, entry.value);
    }
  } else if (tree.kind === "list") {
    for (const [index, item] of tree.items.entries()) {
      const inner = [...path, index];
      places.set(inner.join("\0"), { file: origin.file, ...positionAt(origin.source.lines, item.at) });
      markPlaces(places, origin, inner, item);
    }
  }
}
