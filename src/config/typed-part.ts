// A part of the tree whose `type` says which keys it has, so that it is read before the rest: a health check, a source. On
// the change's way, part of shape.ts. Must not know the meaning of any type.

import type * as z from "zod";
import { type Part, type Reader, readPart, textAt } from "./part.ts";
import type { Path } from "./problem.ts";
import { treeAt } from "./tree.ts";

export type Typed<File> = {
  /** In words, `a health check`. */
  readonly what: string;
  readonly shapes: Readonly<Record<string, z.ZodType<File>>>;
  /** Of a part whose type nobody knows no more is read. */
  readonly unknown: z.ZodType;
};

/** The part at a path; undefined: there is none, or none whose type is known, which is then reported. */
export function readTyped<File>(
  reader: Reader,
  path: Path,
  { what, shapes, unknown }: Typed<File>,
): Part<File> | undefined {
  if (treeAt(reader.source.root, path) === undefined) return undefined;
  const type = textAt(reader, [...path, "type"]);
  const shape = type !== undefined && Object.hasOwn(shapes, type) ? shapes[type] : undefined;
  if (shape === undefined) {
    readPart(reader, unknown, path);
    return undefined;
  }
  const others = Object.entries(shapes).filter(([other]) => other !== type);
  return readPart(reader, shape, path, {
    chosen: `${what} with \`type: ${type}\``,
    others: new Map(others.map(([other, otherShape]) => [`\`type: ${other}\``, otherShape])),
  });
}
