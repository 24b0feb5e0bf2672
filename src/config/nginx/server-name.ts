// The names of a server (`server_name`), and which server of an address nginx picks for a host (ngx_http_find_virtual_server,
// src/http/ngx_http_request.c): the exact name, the longest `*.name`, else the default server. On the change's way, pure.

import type { Adaptation } from "./adaptation.ts";
import { own, type Scope } from "./directive.ts";

export type ServerNames = {
  /** Lower case; `""` for requests without a host. */
  readonly exact: readonly string[];
  /** `.example.com`: every name below it. */
  readonly suffixes: readonly string[];
  /** As `$server_name` has it. */
  readonly first: string;
};

/** Refuses what no route of ours can match: names that end with `.*`, and expressions. */
export function readServerNames(adaptation: Adaptation, scope: Scope): ServerNames {
  const exact = new Set<string>();
  const suffixes = new Set<string>();
  const directives = own(scope, "server_name");
  const first = directives[0]?.args[0] ?? "";
  if (directives.length === 0) exact.add("");
  for (const directive of directives) {
    for (const text of directive.args) {
      const name = text.toLowerCase();
      if (name.startsWith("~")) {
        const instead = "the names themselves, or `*.example.com` for all below a name";
        adaptation.unserved(directive, `a server name that is an expression, "${text}", is not served`, instead);
      } else if (name === "$hostname") {
        adaptation.unserved(directive, '"$hostname" is not known here', "the name of this machine, written out");
      } else if (name.endsWith(".*")) {
        const instead = "each of the names";
        adaptation.unserved(directive, `a server name with its end open, "${text}", is not served`, instead);
      } else if (name.startsWith("*.") && !name.slice(1).includes("*")) suffixes.add(name.slice(1));
      else if (name.includes("*") || name.includes("/")) {
        adaptation.wrong(directive, `invalid server name or wildcard "${text}"`);
      } else if (name.startsWith(".")) {
        exact.add(name.slice(1));
        suffixes.add(name);
      } else exact.add(name.replace(/\.$/, ""));
    }
  }
  return { exact: [...exact], suffixes: [...suffixes], first: first.replace(/^(?:\*\.|\.)/, "") };
}

type Named = { readonly names: ServerNames };

/** The server that nginx picks for a host, lower case and without port. The first one that has a name keeps it. */
export function pickServer<T extends Named>(servers: readonly T[], fallback: T, host: string): T {
  const exact = servers.find(({ names }) => names.exact.includes(host));
  if (exact !== undefined) return exact;
  for (let dot = host.indexOf(".", 1); dot > 0; dot = host.indexOf(".", dot + 1)) {
    const suffix = host.slice(dot);
    const found = servers.find(({ names }) => names.suffixes.includes(suffix));
    if (found !== undefined) return found;
  }
  return fallback;
}
