// The http block: its upstreams as pools, its servers gathered by the addresses on which they listen. On the change's way.

import { formatSocketAddress } from "../../core/address.ts";
import { putAccessLog } from "./access-log.ts";
import type { Adaptation } from "./adaptation.ts";
import type { Bind } from "./address.ts";
import { own, type Scope, scopeOf } from "./directive.ts";
import { type HttpServer, type HttpSurroundings, putHttpListener } from "./http-listener.ts";
import { type Listen, readListen } from "./listen.ts";
import type { PoolBook } from "./pools.ts";
import { readServerNames } from "./server-name.ts";
import { putUpstream } from "./upstream.ts";

export function putHttp(adaptation: Adaptation, pools: PoolBook, scope: Scope): void {
  putAccessLog(adaptation, scope);
  for (const directive of own(scope, "upstream")) putUpstream(adaptation, pools, "http", scopeOf(directive, scope));
  const around: HttpSurroundings = { adaptation, pools, upgradeVariables: upgradeVariables(scope) };
  const byBind = new Map<string, { readonly bind: Bind; readonly servers: HttpServer[] }>();
  for (const directive of own(scope, "server")) {
    const server = scopeOf(directive, scope);
    const names = readServerNames(adaptation, server);
    for (const listen of listensOf(adaptation, server)) {
      const key = formatSocketAddress(listen.bind);
      const known = byBind.get(key) ?? { bind: listen.bind, servers: [] };
      byBind.set(key, known);
      known.servers.push({ scope: server, names, listen });
    }
  }
  for (const { bind, servers } of byBind.values()) {
    putHttpListener(around, { name: listenerName("http", bind), bind, servers });
  }
}

function listensOf(adaptation: Adaptation, server: Scope): Listen[] {
  const directives = own(server, "listen");
  const place = server.directive.place;
  // nginx takes port 80 when it is root, and it is root wherever port 80 is served.
  const usual = { bind: { host: "0.0.0.0", port: 80 }, isDefault: false, udp: false, proxyProtocol: false };
  if (directives.length === 0) return [{ ...usual, backlog: undefined, place }];
  const seen = new Set<string>();
  return directives.flatMap((directive) =>
    readListen(adaptation, directive, 80).filter((listen) => {
      const key = formatSocketAddress(listen.bind);
      if (seen.has(key)) adaptation.wrong(directive, `a duplicate listen ${key}`);
      const isNew = !seen.has(key);
      seen.add(key);
      if (listen.udp) adaptation.wrong(directive, 'invalid parameter "udp"');
      if (listen.proxyProtocol) {
        const instead = "`listen` without it, and `real_ip_header X-Forwarded-For`, or a stream server";
        adaptation.unserved(directive, "the PROXY header of HTTP clients is not read yet", instead);
      }
      return isNew && !listen.udp && !listen.proxyProtocol;
    }),
  );
}

/** `http-80`, `http-10.0.4.99-80`, `http6-80`: protocol, address where it is one, port. */
export function listenerName(protocol: string, { host, port }: Bind): string {
  if (host === "0.0.0.0") return `${protocol}-${port}`;
  if (host === "::") return `${protocol}6-${port}`;
  return `${protocol}-${host.replaceAll(":", "-")}-${port}`;
}

/** `map $http_upgrade $connection_upgrade { default upgrade; '' close; }`: what WebSocket's idiom calls it. */
function upgradeVariables(scope: Scope): ReadonlySet<string> {
  const found = own(scope, "map").filter(({ args, block = [] }) => {
    const otherwise = block.find(({ name }) => name === "default")?.args[0] ?? "";
    const empty = block.find(({ name }) => name === "")?.args[0] ?? otherwise;
    const others = block.filter(({ name }) => name !== "default" && name !== "");
    const usual = /^upgrade$/i.test(otherwise) && /^(?:close|keep-alive|upgrade)?$/i.test(empty);
    return args[0] === "$http_upgrade" && usual && others.every((line) => /^upgrade$/i.test(line.args[0] ?? ""));
  });
  return new Set(found.map(({ args }) => (args[1] ?? "").replace(/^\$/, "")));
}
