// `proxy_pass $name` of a stream server where a map chooses the name by $ssl_preread_server_name: routes by TLS server name. On
// the change's way, below stream.ts. The map's own order is nginx's: exact names, the longest `*.name`, the default.

import type { ForeignPlace } from "../foreign/adapted.ts";
import type { Adaptation } from "./adaptation.ts";
import { type Directive, effective, inherited, type Scope } from "./directive.ts";

export type SniRoute = {
  /** As a native route has it; undefined: any, and clients without TLS. */
  readonly host: string | undefined;
  readonly to: string;
  readonly place: ForeignPlace;
};

/** undefined when it is refused, which is told. */
export function readSniRoutes(adaptation: Adaptation, server: Scope, proxyPass: Directive): SniRoute[] | undefined {
  const [text = ""] = proxyPass.args;
  const [, name, port = ""] = /^\$\{?([A-Za-z0-9_]+)\}?(:\d+)?$/.exec(text) ?? [];
  const map = inherited(server, "map").find(({ args }) => args[1] === `$${name ?? ""}`);
  const instead = "an upstream, or a map of $ssl_preread_server_name";
  if (map === undefined || name === undefined) {
    adaptation.unserved(proxyPass, `what "${text}" is, is not known here`, instead);
    return undefined;
  }
  const [by = ""] = map.args;
  if (by !== "$ssl_preread_server_name") {
    adaptation.unserved(map, `a map by ${by} chooses no upstream here`, instead);
    return undefined;
  }
  if (effective(server, "ssl_preread")?.args[0]?.toLowerCase() !== "on") {
    adaptation.wrong(proxyPass, "ssl_preread is off, so the name is always empty", "`ssl_preread on;`");
    return undefined;
  }
  return routesOf(adaptation, map, port);
}

function routesOf(adaptation: Adaptation, map: Directive, port: string): SniRoute[] | undefined {
  const exact: SniRoute[] = [];
  const suffixes: SniRoute[] = [];
  let otherwise: SniRoute | undefined;
  let refused = false;
  for (const line of map.block ?? []) {
    const [value = ""] = line.args;
    const key = line.name.toLowerCase();
    const route = (host: string | undefined): SniRoute => ({ host, to: `${value}${port}`, place: line.place });
    if (key === "hostnames" || key === "volatile") continue;
    if (value.startsWith("$") || key.startsWith("~") || key.endsWith(".*")) {
      const instead = "names, `*.names` and upstreams";
      adaptation.unserved(line, `"${line.name} ${value}" is not served in a map`, instead);
      refused = true;
    } else if (key === "default") otherwise = route(undefined);
    else if (key === "") {
      adaptation.note(line, "clients without a TLS server name go where the default goes");
    } else if (key.startsWith("*.")) suffixes.push(route(key));
    else if (key.startsWith(".")) {
      exact.push(route(key.slice(1)));
      suffixes.push(route(`*${key}`));
    } else exact.push(route(key));
  }
  if (refused) return undefined;
  const ordered = suffixes.toSorted((left, right) => (right.host ?? "").length - (left.host ?? "").length);
  return [...exact, ...ordered, ...(otherwise === undefined ? [] : [otherwise])];
}
