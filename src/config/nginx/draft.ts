// A route on its way: what it matches and the native keys it has, before it is known for which hosts of which listener it is
// written. On the change's way, between the locations of a server and its listeners.

import type { ForeignPlace } from "../foreign/adapted.ts";
import type { Path } from "../problem.ts";
import type { Adaptation } from "./adaptation.ts";
import { type Directive, own, type Scope } from "./directive.ts";
import type { PoolBook } from "./pools.ts";
import type { VariableContext } from "./variables.ts";

/** A key below the route, in the order in which it is printed. */
export type Field = readonly [path: Path, value: unknown, place: ForeignPlace];

export type PathMatch = { readonly kind: "exact" | "prefix" | "regex"; readonly text: string };

export type RouteDraft = {
  readonly match: PathMatch;
  readonly fields: readonly Field[];
  readonly place: ForeignPlace;
};

/** What the parts that make routes of a server's locations know of their surroundings. */
export type ServerContext = {
  readonly adaptation: Adaptation;
  readonly pools: PoolBook;
  readonly scope: Scope;
  /** `$server_name`. */
  readonly serverName: string;
  /** Of the listener. */
  readonly port: number;
  /** The listener believes some proxies. */
  readonly trusting: boolean;
  /** Variables that a map makes of `$http_upgrade` for a Connection line. */
  readonly upgradeVariables: ReadonlySet<string>;
  /** What the listener says already, so that a route need not. */
  readonly listener: ListenerSettings;
};

/** Milliseconds and bytes. */
export type ListenerSettings = {
  readonly timeouts: Readonly<Record<string, number>>;
  readonly bodyLimit: number;
};

export const everyPath: PathMatch = { kind: "prefix", text: "/" };

/** Constants that hold within a block: the server's own, and what `set` gives a text without variables. */
export function variablesOf(
  context: ServerContext,
  scope: Scope,
  more: readonly (readonly [string, string])[] = [],
): VariableContext {
  const constants = new Map<string, string>([["server_name", context.serverName], ...more]);
  const scopes: Scope[] = [];
  for (let at: Scope | undefined = scope; at !== undefined; at = at.outer) scopes.unshift(at);
  for (const one of scopes) {
    for (const { args } of own(one, "set")) {
      const [name = "", value = ""] = args;
      const key = name.replace(/^\$/, "");
      const again = own(one, "set").filter((other) => other.args[0] === name).length > 1;
      if (value.includes("$") || again) constants.delete(key);
      else constants.set(key, value);
    }
  }
  return { constants, trusting: context.trusting };
}

/** A variable of which nothing here has the value. */
export function refuseVariable(context: ServerContext, directive: Directive, variable: string): void {
  const instead = "what does not vary, or one of $host, $http_host, $remote_addr, $request_uri, $scheme and their like";
  const isCapture = /^\d$/.test(variable);
  const what = isCapture
    ? `the captured \`$${variable}\` is not served here`
    : `the variable \`$${variable}\` has no equal here`;
  context.adaptation.unserved(directive, what, isCapture ? "a path without captures" : instead);
}
