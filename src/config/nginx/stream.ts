// The stream block: its upstreams as pools, each of its servers as TCP and UDP listeners, with routes by TLS server name where
// ssl_preread and a map choose the upstream. On the change's way.

import { formatSocketAddress } from "../../core/address.ts";
import { triesMax } from "../limits.ts";
import type { Path } from "../problem.ts";
import type { Adaptation } from "./adaptation.ts";
import { type Directive, effective, inherited, own, type Scope, scopeOf } from "./directive.ts";
import { listenerName } from "./http.ts";
import { type Listen, readListen } from "./listen.ts";
import type { PoolBook, PoolUse } from "./pools.ts";
import { timeOf } from "./settings.ts";
import { readSniRoutes, type SniRoute } from "./sni-map.ts";
import { putUpstream } from "./upstream.ts";
import { durationText } from "./values.ts";

export function putStream(adaptation: Adaptation, pools: PoolBook, scope: Scope): void {
  for (const directive of own(scope, "upstream")) putUpstream(adaptation, pools, "stream", scopeOf(directive, scope));
  for (const log of own(scope, "access_log")) {
    if (log.args[0] !== "off")
      adaptation.note(log, "connections and flows go to the access log of http, where there is one");
  }
  const seen = new Set<string>();
  for (const directive of own(scope, "server")) {
    const server = scopeOf(directive, scope);
    const listens = own(server, "listen");
    if (listens.length === 0) adaptation.wrong(directive, `no "listen" is defined for server`);
    checkAccess(adaptation, server);
    for (const listen of listens.flatMap((one) => readListen(adaptation, one, undefined))) {
      const key = `${formatSocketAddress(listen.bind)} ${listen.udp}`;
      if (seen.has(key)) {
        adaptation.refuse(listen.place, {
          code: "nginx.value",
          message: `duplicate "${formatSocketAddress(listen.bind)}" address and port pair`,
        });
      } else putListener(adaptation, pools, server, listen);
      seen.add(key);
    }
  }
}

function putListener(adaptation: Adaptation, pools: PoolBook, server: Scope, listen: Listen): void {
  const path: Path = ["listeners", listenerName(listen.udp ? "udp" : "tcp", listen.bind)];
  const proxyPass = own(server, "proxy_pass")[0];
  if (proxyPass === undefined) {
    const isTold = server.block.some(({ name }) => ["", "return", "pass"].includes(name));
    if (!isTold) adaptation.wrong(server.directive, `no handler for server`);
    return;
  }
  const routes = routesOf(adaptation, pools, server, proxyPass);
  if (routes === undefined) return;
  adaptation.put([...path, "bind"], formatSocketAddress(listen.bind), listen.place);
  adaptation.put([...path, "protocol"], listen.udp ? "udp" : "tcp", listen.place);
  if (listen.udp) putUdp(adaptation, server, listen, { path, routes });
  else putTcp(adaptation, server, listen, { path, routes });
}

type Routes = readonly { readonly route: SniRoute; readonly pool: PoolUse }[];
type Listener = { readonly path: Path; readonly routes: Routes };

/** The pool, or one for each server name; undefined when it is refused, which is told. */
function routesOf(adaptation: Adaptation, pools: PoolBook, server: Scope, proxyPass: Directive): Routes | undefined {
  const [text = ""] = proxyPass.args;
  const isVaried = text.includes("$");
  const chosen = isVaried
    ? readSniRoutes(adaptation, server, proxyPass)
    : [{ host: undefined, to: text, place: proxyPass.place }];
  if (chosen === undefined) return undefined;
  const routes = chosen.flatMap((route) => {
    const pool = pools.upstream("stream", route.to);
    const resolver = effective(server, "resolver");
    const use =
      pool ?? pools.address({ ...proxyPass, place: route.place }, route.to, { portDefault: undefined, resolver });
    return use === undefined ? [] : [{ route, pool: use }];
  });
  return routes.length === chosen.length ? routes : undefined;
}

function putTcp(adaptation: Adaptation, server: Scope, listen: Listen, { path, routes }: Listener): void {
  const [first] = routes;
  if (routes.length === 1 && first !== undefined && first.route.host === undefined) {
    adaptation.put([...path, "pool"], first.pool.name, first.route.place);
  } else {
    for (const [index, { route, pool }] of routes.entries()) {
      if (route.host !== undefined) adaptation.put([...path, "routes", index, "host"], route.host, route.place);
      adaptation.put([...path, "routes", index, "pool"], pool.name, route.place);
    }
  }
  putProxyProtocol(adaptation, server, listen, path);
  const put = (keys: Path, value: unknown, name: string) =>
    adaptation.put([...path, ...keys], value, (effective(server, name) ?? server.directive).place);
  const header = Math.max(
    timeOf(adaptation, server, "preread_timeout", 30_000),
    timeOf(adaptation, server, "proxy_protocol_timeout", 30_000),
  );
  put(["timeouts", "clientHeader"], durationText(header), "preread_timeout");
  put(
    ["timeouts", "connect"],
    durationText(timeOf(adaptation, server, "proxy_connect_timeout", 60_000)),
    "proxy_connect_timeout",
  );
  put(["timeouts", "tunnel"], durationText(timeOf(adaptation, server, "proxy_timeout", 600_000)), "proxy_timeout");
  putRetry(adaptation, server, { path, routes });
  if (listen.backlog !== undefined) adaptation.put([...path, "backlog"], listen.backlog, listen.place);
}

function putRetry(adaptation: Adaptation, server: Scope, { path, routes }: Listener): void {
  const next = effective(server, "proxy_next_upstream");
  if (next?.args[0]?.toLowerCase() === "off") {
    adaptation.put([...path, "retry", "tries"], 1, next.place);
    return;
  }
  if (routes.every(({ pool }) => pool.single)) return;
  const tries = effective(server, "proxy_next_upstream_tries");
  const count = Number(tries?.args[0] ?? 0);
  const time = timeOf(adaptation, server, "proxy_next_upstream_timeout", 0);
  const place = (tries ?? next ?? server.directive).place;
  adaptation.put([...path, "retry", "tries"], count === 0 ? triesMax : Math.min(triesMax, count), place);
  adaptation.put([...path, "retry", "time"], durationText(time), place);
}

function putProxyProtocol(adaptation: Adaptation, server: Scope, listen: Listen, path: Path): void {
  const send = effective(server, "proxy_protocol");
  if (listen.proxyProtocol) {
    adaptation.put([...path, "proxyProtocol", "receive"], true, listen.place);
    const trusted = inherited(server, "set_real_ip_from");
    if (trusted.length > 0) {
      const note = "a connection from elsewhere has no header and needs none; nginx wants it of all";
      adaptation.note(trusted[0]!, note);
    }
    for (const [index, directive] of trusted.entries()) {
      adaptation.put([...path, "proxyProtocol", "trustedProxies", index], directive.args[0], directive.place);
    }
  }
  if (send?.args[0]?.toLowerCase() === "on") adaptation.put([...path, "proxyProtocol", "send"], "v1", send.place);
}

function putUdp(adaptation: Adaptation, server: Scope, listen: Listen, { path, routes }: Listener): void {
  const [first, second] = routes;
  if (first === undefined) return;
  if (second !== undefined || first.route.host !== undefined) {
    adaptation.refuse(listen.place, {
      code: "nginx.unserved",
      message: "a datagram has no TLS server name to choose by",
      expected: "one upstream",
    });
  }
  adaptation.put([...path, "pool"], first.pool.name, first.route.place);
  const responses = effective(server, "proxy_responses");
  if (responses !== undefined) adaptation.put([...path, "responses"], Number(responses.args[0]), responses.place);
  const timeout = timeOf(adaptation, server, "proxy_timeout", 600_000);
  const place = (effective(server, "proxy_timeout") ?? server.directive).place;
  adaptation.put([...path, "timeouts", "flow"], durationText(timeout), place);
  const send = effective(server, "proxy_protocol");
  if (listen.proxyProtocol || send?.args[0]?.toLowerCase() === "on") {
    adaptation.unserved(send ?? server.directive, "datagrams carry no PROXY header", "no proxy_protocol");
  }
}

function checkAccess(adaptation: Adaptation, server: Scope): void {
  const [first] = server.block
    .concat(server.outer?.block ?? [])
    .filter(({ name }) => name === "allow" || name === "deny");
  if (first === undefined || (first.name === "allow" && first.args[0] === "all")) return;
  const instead = "a firewall's rules, or `listen` on an address that only they reach";
  adaptation.unserved(first, "who may connect by address is not judged yet", instead);
}
