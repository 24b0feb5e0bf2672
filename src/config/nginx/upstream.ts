// An upstream block, http's or stream's, as a pool: its targets, its balancer, what of nginx-upsync-module and
// nginx_upstream_check_module stands in it. On the change's way. Which servers use it is not known here.

import { formatSocketAddress } from "../../core/address.ts";
import type { Adaptation } from "./adaptation.ts";
import type { Directive, Scope } from "./directive.ts";
import { effective, own } from "./directive.ts";
import type { PoolBook, Realm } from "./pools.ts";
import { putCheck } from "./upstream-check.ts";
import { nameServersOf, readServer, type UpstreamServer } from "./upstream-server.ts";
import { putUpsync } from "./upsync.ts";
import { durationText, parseTime } from "./values.ts";

export function putUpstream(adaptation: Adaptation, pools: PoolBook, realm: Realm, scope: Scope): void {
  const { directive } = scope;
  const name = pools.add(realm, directive);
  if (name === undefined) return;
  const path = ["pools", name];
  adaptation.mark(path, directive.place);
  const balance = balanceOf(adaptation, scope, realm);
  if (balance !== undefined) adaptation.put([...path, "balance"], balance.value, balance.place);
  putKeepAlive(adaptation, scope, name);
  putCheck(adaptation, scope, [...path, "healthCheck"]);
  const [upsync] = own(scope, "upsync");
  if (upsync === undefined) {
    const single = putServers(adaptation, scope, { path, realm });
    pools.setSingle(realm, directive, single);
  } else putUpsync(adaptation, scope, upsync, path);
}

type Place = { readonly path: readonly string[]; readonly realm: Realm };

/** Puts the targets, or the name that they come from; true for one target alone. */
function putServers(adaptation: Adaptation, scope: Scope, { path, realm }: Place): boolean {
  for (const lost of own(scope, "include")) {
    adaptation.refuse(lost.place, { code: "nginx.include", message: lost.args[1] ?? "" });
  }
  const lines = own(scope, "server");
  if (lines.length === 0) {
    adaptation.wrong(scope.directive, `no servers are inside upstream`);
    return false;
  }
  const servers = lines.flatMap((line) => readServer(adaptation, line, realm === "http" ? 80 : undefined) ?? []);
  const named = servers.filter(({ address }) => address.kind === "name");
  const [only] = named;
  if (only === undefined) return putTargets(adaptation, servers, path);
  if (servers.length === 1) putName(adaptation, scope, only, path);
  else {
    for (const { directive, address } of named) {
      const instead = "the addresses behind it, or an upstream with this name alone";
      adaptation.unserved(directive, `"${address.host}" is a name, and stands beside other servers`, instead);
    }
  }
  return false;
}

function putTargets(adaptation: Adaptation, servers: readonly UpstreamServer[], path: readonly string[]): boolean {
  const weights = new Map<string, number>();
  for (const { directive, address, settings } of servers) {
    const key = formatSocketAddress(address);
    const weight = Number(settings["weight"] ?? 1);
    const before = weights.get(key);
    weights.set(key, (before ?? 0) + weight);
    if (before === undefined) {
      adaptation.put([...path, "targets", key], Object.create(null), directive.place);
      for (const [name, value] of Object.entries(settings)) {
        adaptation.put([...path, "targets", key, name], value, directive.place);
      }
      continue;
    }
    adaptation.put([...path, "targets", key, "weight"], before + weight, directive.place);
    adaptation.note(directive, `"${key}" stands here again: one target, with the weights together`);
  }
  const [only] = servers;
  if (only === undefined || weights.size > 1) return false;
  // Nobody else could take its work: nginx does not count the failures of a server that stands alone.
  const { directive, address } = only;
  adaptation.put([...path, "targets", formatSocketAddress(address), "maxFails"], 0, directive.place);
  if (Object.hasOwn(only.settings, "maxFails") && only.settings["maxFails"] !== 0) {
    adaptation.note(directive, "max_fails of the only server means nothing, as in nginx");
  }
  return true;
}

function putName(adaptation: Adaptation, scope: Scope, server: UpstreamServer, path: readonly string[]): void {
  const { directive, address, settings } = server;
  const source = [...path, "source"];
  adaptation.put([...source, "type"], "dns", directive.place);
  adaptation.put([...source, "name"], address.host, directive.place);
  adaptation.put([...source, "port"], address.port, directive.place);
  const resolver = effective(scope, "resolver");
  const servers = nameServersOf(resolver);
  if (resolver !== undefined && servers.length > 0) adaptation.put([...source, "servers"], servers, resolver.place);
  adaptation.note(
    directive,
    `"${address.host}" is asked for again when its records end; nginx asks once, at its start`,
  );
  if (Object.keys(settings).length === 0) return;
  adaptation.warn(directive.place, {
    code: "nginx.value",
    message: `the parameters of "${address.host}" do not go over to the addresses behind it`,
    expected: "the addresses themselves, where parameters matter",
  });
}

/** Policies of upstreams by their directive; a second one replaces the first, as in nginx, which warns. */
function balanceOf(adaptation: Adaptation, scope: Scope, realm: Realm) {
  const found = scope.block.filter(({ name }) => ["least_conn", "ip_hash", "hash", "random"].includes(name));
  const last = found.at(-1);
  if (last === undefined) return undefined;
  if (found.length > 1)
    adaptation.warn(last.place, { code: "nginx.value", message: "load balancing method redefined" });
  const value = policyOf(adaptation, last, realm);
  return value === undefined ? undefined : { value, place: last.place };
}

function policyOf(adaptation: Adaptation, directive: Directive, realm: Realm): unknown {
  const [first = "", second = ""] = directive.args;
  if (directive.name === "least_conn") return "leastConnections";
  if (directive.name === "ip_hash") return "ipHash";
  if (directive.name === "random") {
    if (first === "") return "random";
    if (
      first === "two" &&
      ["", "least_conn", "least_time", "least_time=header", "least_time=last_byte"].includes(second)
    ) {
      return "twoChoices";
    }
    adaptation.wrong(directive, `invalid parameter "${first === "two" ? second : first}"`);
    return undefined;
  }
  return hashOf(adaptation, directive, realm);
}

const hashKeys: Readonly<Record<string, string>> = {
  remote_addr: "clientAddress",
  binary_remote_addr: "clientAddress",
  uri: "path",
  request_uri: "path",
  host: "host",
  http_host: "host",
};

function hashOf(adaptation: Adaptation, directive: Directive, realm: Realm): unknown {
  const [text = "", consistent] = directive.args;
  if (consistent !== undefined && consistent !== "consistent") {
    adaptation.wrong(directive, `invalid parameter "${consistent}"`);
    return undefined;
  }
  const [, variable = ""] = /^\$\{?([a-z0-9_]+)\}?$/.exec(text) ?? [];
  const header = realm === "http" && variable !== "http_host" ? /^http_(.+)$/.exec(variable)?.[1] : undefined;
  const key = header === undefined ? hashKeys[variable] : { header: header.replaceAll("_", "-") };
  if (key === undefined || (realm === "stream" && key !== "clientAddress")) {
    const instead = "one of $remote_addr, $uri, $host or a header such as $http_x_user";
    adaptation.unserved(directive, `hashing by "${text}" is not served`, realm === "http" ? instead : "$remote_addr");
    return undefined;
  }
  if (variable === "request_uri") adaptation.note(directive, "the path is hashed without its query");
  adaptation.note(directive, "a client may meet another target than at nginx: the hash is another one, as stable");
  return { consistentHash: { key } };
}

/** Idle connections to each target; without `keepalive` ours are kept for a few seconds, which nginx does since 1.29.7. */
function putKeepAlive(adaptation: Adaptation, scope: Scope, name: string): void {
  const [directive] = own(scope, "keepalive");
  if (directive === undefined) return;
  const [count = "", local] = directive.args;
  if (!/^\d{1,9}$/.test(count) || (local !== undefined && local !== "local")) {
    adaptation.wrong(directive, `invalid value "${local ?? count}" in "keepalive" directive`);
    return;
  }
  adaptation.put(["pools", name, "idleConnections"], Number(count), directive.place);
  const [timeout] = own(scope, "keepalive_timeout");
  const time = timeout === undefined ? 60_000 : parseTime(timeout.args[0] ?? "");
  if (timeout !== undefined && (time === undefined || time === 0)) {
    if (time === undefined) adaptation.wrong(timeout, `"keepalive_timeout" directive invalid value`);
    else adaptation.put(["pools", name, "idleConnections"], 0, timeout.place);
  } else if (time !== undefined) {
    adaptation.put(["pools", name, "idleTimeout"], durationText(time), (timeout ?? directive).place);
  }
}
