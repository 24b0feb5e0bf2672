// A directive of nginx.conf as the adapter reads it: its words, its place, the block below it, and what it inherits. On the
// change's way, between the parser and the parts that know meanings. Holds no meaning itself.

import type { ForeignPlace } from "../foreign/adapted.ts";

/** Where a directive stands; which directives may stand there is directive-table.ts. */
export type Context =
  | "main"
  | "events"
  | "http"
  | "server"
  | "location"
  | "upstream"
  | "serverIf"
  | "locationIf"
  | "limitExcept"
  | "stream"
  | "streamServer"
  | "streamUpstream"
  /** Lines of a table (map, types), which are no directives. */
  | "table";

export type Directive = {
  readonly name: string;
  readonly args: readonly string[];
  readonly place: ForeignPlace;
  /** Of its words behind the name. */
  readonly argPlaces: readonly ForeignPlace[];
  /** undefined: it ends with `;`. */
  readonly block: readonly Directive[] | undefined;
};

/** A block with those around it. */
export type Scope = {
  readonly directive: Directive;
  readonly block: readonly Directive[];
  readonly outer: Scope | undefined;
};

export function scopeOf(directive: Directive, outer: Scope | undefined): Scope {
  return { directive, block: directive.block ?? [], outer };
}

/** The directives of that name in the block itself. */
export function own(scope: Scope, name: string): readonly Directive[] {
  return scope.block.filter((directive) => directive.name === name);
}

/**
 * Those of the innermost block that has any: a block with one of its own takes none from outside, as nginx merges
 * directives that may be repeated.
 */
export function inherited(scope: Scope, name: string): readonly Directive[] {
  for (let at: Scope | undefined = scope; at !== undefined; at = at.outer) {
    const found = own(at, name);
    if (found.length > 0) return found;
  }
  return [];
}

/** The one that holds for the block. */
export function effective(scope: Scope, name: string): Directive | undefined {
  return inherited(scope, name).at(-1);
}
