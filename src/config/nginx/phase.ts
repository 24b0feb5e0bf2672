// What the rewrite module does with a request before anything else, in the order of the file: return, rewrite, if. For a
// server and for a location. On the change's way. What routes of ours cannot do before they pass a request on is refused.

import { type Directive, own, type Scope, scopeOf } from "./directive.ts";
import type { PathMatch, RouteDraft, ServerContext } from "./draft.ts";
import { returnFields } from "./respond.ts";
import { isRedirect, type PrefixRewrite, prefixRewrite, redirectDraft } from "./rewrite.ts";

/** A route for requests to this host alone. */
export type HostDraft = { readonly host: string; readonly draft: RouteDraft };

export type Phase = {
  /** Before the rest, in order. */
  readonly drafts: readonly RouteDraft[];
  readonly hostDrafts: readonly HostDraft[];
  /** All requests are answered by the last draft: nothing comes behind. */
  readonly ended: boolean;
  readonly rewrite: PrefixRewrite | undefined;
};

/** `match`: the paths that come here. `inServer`: locations come behind, so that paths cannot be rewritten for them. */
export function readPhase(context: ServerContext, scope: Scope, match: PathMatch, inServer: boolean): Phase {
  const drafts: RouteDraft[] = [];
  const hostDrafts: HostDraft[] = [];
  let rewrite: PrefixRewrite | undefined;
  for (const directive of scope.block) {
    if (directive.name === "return") {
      const fields = returnFields(context, scope, directive, match.kind === "exact" ? match.text : "");
      if (fields !== undefined) drafts.push({ match, fields, place: directive.place });
      return { drafts, hostDrafts, ended: true, rewrite };
    }
    if (directive.name === "rewrite") {
      if (isRedirect(directive)) {
        const draft = redirectDraft(context, scope, directive, match);
        if (draft === undefined) continue;
        drafts.push(draft);
        if (draft.match === match) return { drafts, hostDrafts, ended: true, rewrite };
        continue;
      }
      const found = inServer ? undefined : prefixRewrite(directive, match);
      if (found !== undefined && rewrite === undefined) rewrite = found;
      else {
        const instead =
          "proxy_pass with a path, `rewrite ^PREFIX/(.*)$ /$1 break;` in `location PREFIX/`, or a redirect";
        context.adaptation.unserved(directive, "a rewrite of this form is not served", instead);
      }
    }
    if (directive.name === "if") {
      const outcome = readIf(context, scope, directive, { match, inServer });
      if (outcome === undefined) continue;
      if (outcome.host !== undefined) hostDrafts.push({ host: outcome.host, draft: outcome.draft });
      else {
        drafts.push(outcome.draft);
        return { drafts, hostDrafts, ended: true, rewrite };
      }
    }
  }
  return { drafts, hostDrafts, ended: false, rewrite };
}

type Where = { readonly match: PathMatch; readonly inServer: boolean };
type IfOutcome = { readonly host: string | undefined; readonly draft: RouteDraft } | undefined;

/**
 * An `if` whose condition the configuration decides, or that asks for the host, with a return or redirect in it. undefined:
 * it does nothing, or is refused, which is told.
 */
function readIf(context: ServerContext, scope: Scope, directive: Directive, where: Where): IfOutcome {
  const condition = judgeCondition(context, directive);
  if (condition === false) {
    context.adaptation.note(directive, "never so here");
    return undefined;
  }
  if (condition === undefined || (condition !== true && !where.inServer)) {
    const instead = "`if ($host = name)` in a server, or a server or location of its own for the case";
    context.adaptation.unserved(directive, '"if" with this condition is not served', instead);
    return undefined;
  }
  const inner = scopeOf(directive, scope);
  const [only] = inner.block.filter(({ name }) => name !== "access_log" && name !== "add_header");
  const answer = own(inner, "return").concat(own(inner, "rewrite").filter(isRedirect))[0];
  if (answer === undefined || answer !== only) {
    context.adaptation.unserved(directive, '"if" with this inside is not served', "`return` or a redirect alone in it");
    return undefined;
  }
  const { drafts } = readPhase(context, inner, where.match, true);
  const [draft] = drafts;
  if (draft === undefined) return undefined;
  return { host: condition === true ? undefined : condition, draft };
}

/** true, false: so for every request; a host: for requests to it; undefined: none of these. */
function judgeCondition(context: ServerContext, { args }: Directive): boolean | string | undefined {
  const text = args
    .join(" ")
    .replace(/^\(\s*/, "")
    .replace(/\s*\)$/, "");
  const [, variable = "", operator = "", value = ""] = /^\$(\w+) (=|!=) (\S+)$/.exec(text) ?? [];
  const equal = operator === "=";
  if (variable === "scheme") return (value === "http") === equal;
  if (variable === "server_port") return (value === String(context.port)) === equal;
  if (variable === "https" && value === "on") return !equal;
  return variable === "host" && equal ? value.toLowerCase() : undefined;
}
