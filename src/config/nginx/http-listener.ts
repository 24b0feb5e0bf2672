// One address on which servers of http listen, as a listener with routes: those of every server under its names, in the order in
// which nginx picks a server. On the change's way. Must not look into locations.

import { formatSocketAddress } from "../../core/address.ts";
import type { HostMatch, PathMatch as NativePath } from "../../model/listener.ts";
import type { Path } from "../problem.ts";
import { coversHost, coversPath } from "../validate-routes.ts";
import type { Adaptation } from "./adaptation.ts";
import type { Bind } from "./address.ts";
import { effective, inherited, own, type Scope } from "./directive.ts";
import { everyPath, type Field, type ListenerSettings, type RouteDraft, type ServerContext } from "./draft.ts";
import type { Listen } from "./listen.ts";
import { entryDrafts, refuseRoot } from "./location-route.ts";
import { readLocations } from "./location-tree.ts";
import { orderLocations } from "./locations.ts";
import { type HostDraft, readPhase } from "./phase.ts";
import type { PoolBook } from "./pools.ts";
import { bodyFor, respondFields } from "./respond.ts";
import { pickServer, type ServerNames } from "./server-name.ts";
import { bodyLimitFields, bodyLimitOf, limitFields, timeoutFields, timeoutsOf } from "./settings.ts";

export type HttpServer = {
  readonly scope: Scope;
  readonly names: ServerNames;
  /** On this address. */
  readonly listen: Listen;
};

export type HttpListener = {
  readonly name: string;
  readonly bind: Bind;
  /** In the order of the file; at least one. */
  readonly servers: readonly HttpServer[];
};

export type HttpSurroundings = {
  readonly adaptation: Adaptation;
  readonly pools: PoolBook;
  readonly upgradeVariables: ReadonlySet<string>;
};

export function putHttpListener(around: HttpSurroundings, listener: HttpListener): void {
  const { adaptation } = around;
  const { name, bind, servers } = listener;
  const [first] = servers;
  if (first === undefined) return;
  const fallback = servers.find(({ listen }) => listen.isDefault) ?? first;
  for (const again of servers) {
    if (!again.listen.isDefault || again === fallback) continue;
    adaptation.wrong(listenOf(again), `a duplicate default server for ${formatSocketAddress(bind)}`);
  }
  tellConflicts(adaptation, listener);
  const path: Path = ["listeners", name];
  const { place } = fallback.listen;
  const trusted = trustedOf(adaptation, servers);
  adaptation.put([...path, "bind"], formatSocketAddress(bind), place);
  adaptation.put([...path, "protocol"], "http", place);
  if (trusted.length > 0) adaptation.put([...path, "trustedProxies"], trusted, first.scope.directive.place);
  // What nginx.conf says of X-Forwarded lines is all that is done about them.
  adaptation.put([...path, "forwarded"], false, place);
  const settings: Field[] = [
    ...timeoutFields(adaptation, fallback.scope),
    ...limitFields(adaptation, fallback.scope),
    ...bodyLimitFields(adaptation, fallback.scope),
  ];
  const backlog = servers.find(({ listen }) => listen.backlog !== undefined)?.listen;
  if (backlog !== undefined) settings.push([["backlog"], backlog.backlog, backlog.place]);
  for (const [key, value, from] of settings) adaptation.put([...path, ...key], value, from);
  putRoutes(around, listener, fallback, trusted.length > 0);
}

function listenOf(server: HttpServer) {
  const found = own(server.scope, "listen").find(({ place }) => place === server.listen.place);
  return found ?? server.scope.directive;
}

/** A name belongs to the first server that has it. */
function tellConflicts(adaptation: Adaptation, { servers, bind }: HttpListener): void {
  const seen = new Set<string>();
  for (const { names, scope } of servers) {
    const [directive] = own(scope, "server_name");
    for (const name of [...names.exact, ...names.suffixes.map((suffix) => `*${suffix}`)]) {
      if (seen.has(name) && directive !== undefined) {
        const message = `conflicting server name "${name}" on ${formatSocketAddress(bind)}, ignored`;
        adaptation.warn(directive.place, { code: "nginx.serverName", message });
      }
      seen.add(name);
    }
  }
}

/** Proxies that say who the client is; all servers of an address must agree, for a listener believes them before the host is known. */
function trustedOf(adaptation: Adaptation, servers: readonly HttpServer[]): string[] {
  const lists = servers.map(({ scope }) => inherited(scope, "set_real_ip_from").map(({ args }) => args[0] ?? ""));
  const [first = []] = lists;
  for (const [index, list] of lists.entries()) {
    if (list.join() === first.join()) continue;
    const [directive] = inherited((servers[index] ?? servers[0])!.scope, "set_real_ip_from");
    const at = directive ?? (servers[index] ?? servers[0])!.scope.directive;
    adaptation.unserved(
      at,
      "servers of one address believe different proxies",
      "the same `set_real_ip_from` for all of them",
    );
  }
  const [server] = servers;
  if (first.length === 0 || server === undefined) return [];
  const header = effective(server.scope, "real_ip_header");
  if (header?.args[0]?.toLowerCase() !== "x-forwarded-for") {
    const at = header ?? inherited(server.scope, "set_real_ip_from")[0] ?? server.scope.directive;
    adaptation.unserved(
      at,
      `the client's address is not taken from ${header?.args[0] ?? "X-Real-IP"}`,
      "`real_ip_header X-Forwarded-For;`",
    );
    return [];
  }
  if (effective(server.scope, "real_ip_recursive")?.args[0]?.toLowerCase() !== "on") {
    adaptation.note(header, "as with real_ip_recursive on: trusted proxies in the line are passed over");
  }
  return first;
}

/** Routes of one host, or of any. */
type Group = { readonly host: string | undefined; readonly server: HttpServer; readonly drafts: readonly RouteDraft[] };

function putRoutes(around: HttpSurroundings, listener: HttpListener, fallback: HttpServer, trusting: boolean): void {
  const { adaptation } = around;
  const made = new Map<HttpServer, ServerRoutes>();
  for (const server of listener.servers) {
    const settings: ListenerSettings = {
      timeouts: timeoutsOf(adaptation, fallback.scope),
      bodyLimit: bodyLimitOf(adaptation, fallback.scope),
    };
    const context: ServerContext = {
      ...around,
      scope: server.scope,
      serverName: server.names.first,
      port: listener.bind.port,
      trusting,
      listener: settings,
    };
    made.set(server, serverRoutes(context));
  }
  const groups = [...hostGroups(listener.servers, fallback, made), ...nameGroups(listener.servers, fallback, made)];
  const written: { readonly host: HostMatch; readonly path: NativePath }[] = [];
  for (const { host, drafts } of groups) {
    for (const draft of drafts) {
      const found = { host: hostMatch(host), path: nativePath(draft) };
      // A host that is redirected as a whole has its other routes as well, which nobody reaches.
      if (written.some((one) => coversHost(one.host, found.host) && coversPath(one.path, found.path))) continue;
      const path: Path = ["listeners", listener.name, "routes", written.length];
      written.push(found);
      if (host !== undefined) adaptation.put([...path, "host"], host, draft.place);
      putMatch(adaptation, path, draft);
      for (const [key, value, place] of draft.fields) adaptation.put([...path, ...key], value, place);
      adaptation.mark(path, draft.place);
    }
  }
  if (written.length === 0) adaptation.put(["listeners", listener.name, "routes"], [], fallback.scope.directive.place);
}

function hostMatch(host: string | undefined): HostMatch {
  if (host === undefined) return { kind: "any" };
  return host.startsWith("*") ? { kind: "suffix", suffix: host.slice(1) } : { kind: "exact", name: host };
}

function nativePath({ match }: RouteDraft): NativePath {
  return match.kind === "regex" ? { kind: "regex", source: match.text } : { kind: match.kind, path: match.text };
}

function putMatch(adaptation: Adaptation, path: Path, { match, place }: RouteDraft): void {
  if (match.kind === "prefix") adaptation.put([...path, "path"], match.text, place);
  else adaptation.put([...path, "path", match.kind], match.text, place);
}

/** The routes of one server, whatever its host. */
type ServerRoutes = {
  readonly drafts: readonly RouteDraft[];
  readonly hostDrafts: readonly HostDraft[];
  /** For paths that none of the drafts takes, where another server's routes come behind. */
  readonly closing: readonly RouteDraft[];
};

function serverRoutes(context: ServerContext): ServerRoutes {
  const { adaptation, scope } = context;
  const phase = readPhase(context, scope, everyPath, true);
  const drafts = [...phase.drafts];
  if (phase.ended) return { drafts, hostDrafts: phase.hostDrafts, closing: [] };
  const { entries, unreached } = orderLocations(readLocations(adaptation, scope));
  for (const entry of entries) drafts.push(...entryDrafts(context, entry));
  for (const { value } of unreached) adaptation.note(value.directive, "no path leads here");
  if (entries.some(({ path }) => path.kind === "prefix" && path.text === "/")) {
    return { drafts, hostDrafts: phase.hostDrafts, closing: [] };
  }
  refuseRoot(context, scope);
  const { place } = scope.directive;
  const fields = respondFields(context, scope, { status: 404, contentType: "text/plain", body: bodyFor(404), place });
  return { drafts, hostDrafts: phase.hostDrafts, closing: [{ match: everyPath, fields, place }] };
}

type Made = ReadonlyMap<HttpServer, ServerRoutes>;

/** `if ($host = name)`: before all, where that host is this server's. */
function hostGroups(servers: readonly HttpServer[], fallback: HttpServer, made: Made): Group[] {
  return servers.flatMap((server) =>
    (made.get(server)?.hostDrafts ?? []).flatMap(({ host, draft }) =>
      pickServer(servers, fallback, host) === server ? [{ host, server, drafts: [draft] }] : [],
    ),
  );
}

/** Exact names, then `*.names` from long to short, then the default server for any other host. */
function nameGroups(servers: readonly HttpServer[], fallback: HttpServer, made: Made): Group[] {
  const groups: Group[] = [];
  const seen = new Set<string>();
  const suffixes: { readonly suffix: string; readonly server: HttpServer }[] = [];
  const covered = (name: string) =>
    servers.some((other) => other !== fallback && other.names.suffixes.some((suffix) => name.endsWith(suffix)));
  for (const server of servers) {
    const drafts = closed(made, server);
    // The default server needs its names only where another's would take them.
    const needs = (name: string) => (server !== fallback || covered(name)) && name !== "" && !seen.has(name);
    for (const name of server.names.exact) {
      if (needs(name)) groups.push({ host: name, server, drafts });
      seen.add(name);
    }
    for (const suffix of server.names.suffixes) {
      if (needs(suffix)) suffixes.push({ suffix, server });
      seen.add(suffix);
    }
  }
  for (const { suffix, server } of suffixes.toSorted((left, right) => right.suffix.length - left.suffix.length)) {
    groups.push({ host: `*${suffix}`, server, drafts: closed(made, server) });
  }
  return [...groups, { host: undefined, server: fallback, drafts: made.get(fallback)?.drafts ?? [] }];
}

function closed(made: Made, server: HttpServer): readonly RouteDraft[] {
  const routes = made.get(server);
  return routes === undefined ? [] : [...routes.drafts, ...routes.closing];
}
