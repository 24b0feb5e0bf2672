// What one location does, as routes: its own rewrites, who may ask, and then the one thing that answers. On the change's way.
// A location that would serve files is refused: nothing here may answer in its place.

import { type Directive, inherited, own, type Scope } from "./directive.ts";
import type { PathMatch, RouteDraft, ServerContext } from "./draft.ts";
import type { ServerLocation } from "./location-tree.ts";
import type { Entry } from "./locations.ts";
import { readPhase } from "./phase.ts";
import { proxyDrafts } from "./proxy.ts";
import { bodyFor, locationFields, respondFields } from "./respond.ts";

/** The routes of one entry, the last of which takes every path that the entry matches. */
export function entryDrafts(context: ServerContext, entry: Entry<Scope>): RouteDraft[] {
  const { found, path } = entry;
  const { location } = found;
  const scope = location.value;
  if (found.kind === "redirect") {
    const { place } = scope.directive;
    const fields = locationFields(context, scope, { status: 301, template: `${escapeName(location)}$search`, place });
    return [{ match: path, fields, place }];
  }
  return locationDrafts(context, scope, path);
}

/** As it may stand in a Location line. */
function escapeName({ text }: ServerLocation): string {
  return encodeURI(text).replaceAll("$", "$$$$");
}

function locationDrafts(context: ServerContext, scope: Scope, match: PathMatch): RouteDraft[] {
  const phase = readPhase(context, scope, match, false);
  const before = [...phase.drafts];
  if (phase.ended) return before;
  const { directive } = scope;
  const fixed = (status: number, body = bodyFor(status)): RouteDraft[] => {
    const fields = respondFields(context, scope, { status, contentType: "text/plain", body, place: directive.place });
    return [...before, { match, fields, place: directive.place }];
  };
  if (own(scope, "internal").length > 0) return fixed(404);
  // Nothing is told there that anybody might not know, whoever may ask.
  const page = scope.block.find(({ name }) => Object.hasOwn(pages, name));
  if (page !== undefined) return fixed(501, tellPage(context, page));
  const access = readAccess(context, scope);
  if (access !== "open") return access === "closed" ? fixed(403) : before;
  const proxyPass = own(scope, "proxy_pass")[0];
  if (proxyPass !== undefined) {
    return [...before, ...proxyDrafts(context, scope, proxyPass, { match, rewrite: phase.rewrite })];
  }
  if (!scope.block.some(({ name }) => name === "" || otherAnswers.includes(name))) refuseFiles(context, directive);
  return before;
}

/** Pages of nginx's own and the API's pages that stand for them. */
const pages: Readonly<Record<string, string>> = {
  upstream_show: "/upstream_list",
  check_status: "/upstream_status",
  stub_status: "/metrics",
};

function tellPage({ adaptation }: ServerContext, page: Directive): string {
  const path = pages[page.name] ?? "";
  adaptation.warn(page.place, {
    code: "nginx.page",
    message: `"${page.name}" is a page of the admin API and not of this server; clients get 501 here`,
    expected: `GET ${path} at \`admin.socket\` or \`admin.http\``,
  });
  return `This page is at the admin API of evenkeel: GET ${path}\n`;
}

/** Directives that answer, or may, and were refused where they stand. */
const otherAnswers = [
  ...["alias", "try_files", "autoindex", "random_index", "fastcgi_pass", "uwsgi_pass", "scgi_pass", "grpc_pass"],
  ...["memcached_pass", "tunnel_pass", "echo", "rewrite", "if"],
];

function refuseFiles({ adaptation }: ServerContext, directive: Directive): void {
  const name = directive.args.join(" ");
  const instead = "`proxy_pass` or `return` in it; let a web server be the target for files";
  adaptation.unserved(directive, `location ${name} serves files`, instead);
}

/** All are let in, all are kept out, or it depends on who asks, which is refused and told. */
function readAccess({ adaptation }: ServerContext, scope: Scope): "open" | "closed" | "refused" {
  const rules = accessRules(scope);
  const [first] = rules;
  if (first === undefined) return "open";
  if (first.args[0] === "all") return first.name === "deny" ? "closed" : "open";
  const instead = "a firewall's rules, or `listen` on an address that only they reach";
  adaptation.unserved(first, "who may ask by address is not judged yet", instead);
  return "refused";
}

/** allow and deny are one list: a block with any of them takes none from outside. */
function accessRules(scope: Scope): readonly Directive[] {
  for (let at: Scope | undefined = scope; at !== undefined; at = at.outer) {
    const rules = at.block.filter(({ name }) => name === "allow" || name === "deny");
    if (rules.length > 0) return rules;
  }
  return [];
}

/** Where nothing else answers nginx looks for a file; with a `root` there may be some. */
export function refuseRoot(context: ServerContext, scope: Scope): void {
  const [root] = inherited(scope, "root");
  if (root === undefined || scope.block.some(({ name }) => name === "try_files")) return;
  const instead = "a `location /` with `proxy_pass` or `return`; let a web server be the target for files";
  context.adaptation.unserved(root, "paths without a location are files below root, which are not served", instead);
}
