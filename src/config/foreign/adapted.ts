// What an adapter makes of a foreign configuration (nginx.conf, keepalived.conf): the native configuration as plain data, where
// each part of it came from, and everything it has to say about the file. On the change's way, before decoding. Adapters
// are pure: files named by the foreign file are read by the caller. Must not know any foreign word.

import type { Result } from "../../core/failure.ts";
import type { Problem } from "../problem.ts";

export type ForeignFile = { readonly path: string; readonly text: string };

/** Both from 1; the column counts UTF-16 units. */
export type ForeignPlace = { readonly file: string; readonly line: number; readonly column: number };

/**
 * The files that an include names, in the order in which they are read. A pattern with wildcards that match nothing is an
 * empty list; a plain path that cannot be read is a failure. `from` is where the pattern stands.
 */
export type ReadForeign = (pattern: string, from: ForeignPlace) => Result<readonly ForeignFile[]>;

/** One thing to tell about a directive that is no reason to refuse or warn. */
export type ForeignNote = { readonly place: ForeignPlace; readonly directive: string; readonly text: string };

export type Adapted = {
  /** The native configuration as JSON data, its keys in the order in which they are printed. */
  readonly value: unknown;
  /** A native path, its parts joined by NUL, to where it was said, so that problems of our own validation point there. */
  readonly places: ReadonlyMap<string, ForeignPlace>;
  readonly problems: readonly Problem[];
  readonly warnings: readonly Problem[];
  /** Accepted, and without a meaning here: tuning of another program. */
  readonly noEffect: readonly ForeignNote[];
  /** What was taken over, but differs in a way that an operator should know. */
  readonly notes: readonly ForeignNote[];
};
