// A source of the tree. On the change's way, part of shape.ts.

import type { Part, Reader } from "./part.ts";
import type { Path } from "./problem.ts";
import { type SourceFile, sourceShapes, unknownSource } from "./source-schema.ts";
import { readTyped, type Typed } from "./typed-part.ts";

const source: Typed<SourceFile> = { what: "a source", shapes: sourceShapes, unknown: unknownSource };

/** The source at a path; undefined: there is none, or none whose type is known, which is then reported. */
export function readSource(reader: Reader, path: Path): Part<SourceFile> | undefined {
  return readTyped(reader, path, source);
}
