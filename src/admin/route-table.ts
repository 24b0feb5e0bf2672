// How the admin API finds what answers a request: a table of path templates, each with its methods, and each method with
// what is told of it in the OpenAPI document. One table for both, so that neither can know a route that the other does not.
// Pure; the change's way.

import type { JsonSchema } from "../config/leaf.ts";
import type { AdminAnswer } from "./answer.ts";
import type { Controlled } from "./controlled.ts";
import type { EventFollowers } from "./event-stream.ts";

/** Header lines that mean something here; undefined where the request has none. */
export type RequestHeaders = {
  readonly accept: string | undefined;
  readonly contentEncoding: string | undefined;
  readonly contentType: string | undefined;
  readonly ifMatch: string | undefined;
  readonly ifNoneMatch: string | undefined;
  readonly lastEventId: string | undefined;
};

export type AdminRequest = {
  readonly method: string;
  /** Without the query, as it was sent. */
  readonly path: string;
  /** Without its question mark; empty for none. */
  readonly query: string;
  readonly headers: RequestHeaders;
  readonly body: Uint8Array;
  /** `unix:root`, `token:deploy`. */
  readonly who: string;
};

/** What an endpoint has to answer with. */
export type AdminContext = { readonly controlled: Controlled; readonly followers: EventFollowers };

export type Call = AdminContext & {
  readonly request: AdminRequest;
  /** By the template's names, decoded. */
  readonly params: Readonly<Record<string, string>>;
  readonly query: URLSearchParams;
};

export type Endpoint = (call: Call) => AdminAnswer | Promise<AdminAnswer>;

export type Operation = {
  readonly endpoint: Endpoint;
  readonly summary: string;
  /** What may stand in the query, with a meaning each; another name is refused. `any`: whatever a script sends. */
  readonly query?: Readonly<Record<string, string>> | "any";
  /** Header lines that change what happens. */
  readonly headers?: Readonly<Record<string, string>>;
  /** Media types and what they hold. */
  readonly body?: { readonly types: readonly string[]; readonly schema: () => JsonSchema };
  /** By status: what it means, and the media type of its body where there is one. */
  readonly answers: Readonly<Record<number, readonly [meaning: string, type?: string]>>;
  /** Answered over TCP to whoever asks, without a token. */
  readonly open?: true;
};

export type Method = "GET" | "PUT" | "PATCH" | "POST" | "DELETE";

export type Route = {
  /** `/v1/pools/{pool}/targets/{target}:renew`; `{key*}` at the end takes slashes as well. */
  readonly path: string;
  readonly operations: Readonly<Partial<Record<Method, Operation>>>;
};

export type FoundRoute = { readonly route: Route; readonly params: Readonly<Record<string, string>> };

/** The first route whose template fits; an undecodable percent sign fits none. */
export type FindRoute = (path: string) => FoundRoute | undefined;

/** Compiles the templates once. */
export function createFinder(routes: readonly Route[]): FindRoute {
  const compiled = routes.map((route) => ({ route, form: compileTemplate(route.path) }));
  return (path) => {
    for (const { route, form } of compiled) {
      const match = form.exec(path);
      const params = match === null ? undefined : decodeParams(match.groups ?? {});
      if (params !== undefined) return { route, params };
    }
    return undefined;
  };
}

function compileTemplate(template: string): RegExp {
  const source = template
    .split(/(\{[a-z]+\*?\})/)
    .map((part) => {
      const name = /^\{([a-z]+)(\*?)\}$/.exec(part);
      if (name === null) return part.replaceAll(/[.*+?^${}()|[\]\\]/g, "\\$&");
      return `(?<${name[1]}>${name[2] === "*" ? ".*" : "[^/]+"})`;
    })
    .join("");
  return new RegExp(`^${source}$`);
}

function decodeParams(groups: Readonly<Record<string, string>>): Readonly<Record<string, string>> | undefined {
  const params: Record<string, string> = Object.create(null);
  try {
    for (const [name, raw] of Object.entries(groups)) params[name] = decodeURIComponent(raw);
  } catch {
    // A percent sign that encodes nothing: no name of anything here.
    return undefined;
  }
  return params;
}

/** What a path takes, HEAD wherever there is GET, as the `allow` header lists it. */
export function allowedMethods(route: Route): string {
  const methods = Object.keys(route.operations).flatMap((method) => (method === "GET" ? ["GET", "HEAD"] : [method]));
  return methods.join(", ");
}

/** The method's operation; HEAD is GET's. Undefined when the route does not take it. */
export function findOperation(route: Route, method: string): Operation | undefined {
  const wanted = method === "HEAD" ? "GET" : method;
  // By entries: a method may be any word, and `constructor` must not find what every object inherits.
  return Object.entries(route.operations).find(([name]) => name === wanted)?.[1];
}
