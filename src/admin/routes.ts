// The admin API without its transport: a request in, an answer out. Puts the areas' routes into one table, finds the one that
// answers, and says itself what is wrong with a path, a method or a query. The change's way.

import { nearest } from "../config/nearest.ts";
import { type AdminAnswer, failed, json } from "./answer.ts";
import { eventRoutes } from "./event-routes.ts";
import { kvRoutes } from "./kv-routes.ts";
import { nodeRoutes } from "./node-routes.ts";
import { describeApi } from "./openapi.ts";
import { poolRoutes } from "./pool-routes.ts";
import { releaseRoutes } from "./release-routes.ts";
import {
  type AdminContext,
  type AdminRequest,
  allowedMethods,
  createFinder,
  findOperation,
  type Operation,
  type Route,
} from "./route-table.ts";
import { targetRoutes } from "./target-routes.ts";
import { upstreamPageRoutes } from "./upstream-pages.ts";
import { vipRoutes } from "./vip-routes.ts";

const describedRoutes: readonly Route[] = [
  ...nodeRoutes,
  ...poolRoutes,
  ...targetRoutes,
  ...eventRoutes,
  ...vipRoutes,
  ...releaseRoutes,
  ...upstreamPageRoutes,
  ...kvRoutes,
];

/** Every route there is, in the order in which they are tried. */
export const routes: readonly Route[] = [
  ...describedRoutes,
  {
    path: "/v1/openapi.json",
    operations: {
      GET: {
        endpoint: () => json(200, describeApi(routes)),
        summary: "This document",
        answers: { 200: ["an OpenAPI 3.1 document", "application/json"] },
      },
    },
  },
];

const find = createFinder(routes);

/** Answers a request; 404 and 405 are its own, with `allow` as RFC 9110 section 15.5.6 wants it, and so is a wrong query. */
export async function answer(context: AdminContext, request: AdminRequest): Promise<AdminAnswer> {
  const found = find(request.path);
  if (found === undefined) {
    return failed(404, { code: "admin.path.unknown", detail: `there is no ${request.path} here` });
  }
  const operation = findOperation(found.route, request.method);
  if (operation === undefined) {
    const allow = allowedMethods(found.route);
    const detail = `${request.path} does not take ${request.method}, only ${allow}`;
    return failed(405, { code: "admin.method.unknown", detail }, { allow });
  }
  const query = new URLSearchParams(request.query);
  return judgeQuery(operation, query) ?? operation.endpoint({ ...context, request, params: found.params, query });
}

/** Is this asked of something that answers whoever asks, without a token? */
export function isOpen(method: string, path: string): boolean {
  const route = find(path)?.route;
  return route !== undefined && findOperation(route, method)?.open === true;
}

/** 400 with every parameter that the operation does not know, or has twice. */
function judgeQuery({ query: known = {} }: Operation, query: URLSearchParams): AdminAnswer | undefined {
  if (known === "any") return undefined;
  const names = Object.keys(known);
  const errors = [...new Set(query.keys())].flatMap((name) => {
    if (names.includes(name) && query.getAll(name).length === 1) return [];
    if (names.includes(name)) return [{ field: name, code: "admin.query.twice", detail: `${name} is there twice` }];
    const meant = nearest(name, names);
    const right = names.length === 0 ? "; there is none here" : `; expected one of ${names.join(", ")}`;
    const detail = `unknown parameter \`${name}\`${meant === undefined ? right : `; did you mean \`${meant}\`?`}`;
    return [{ field: name, code: "admin.query.unknown", detail }];
  });
  const [first] = errors;
  return first === undefined ? undefined : failed(400, { code: first.code, detail: first.detail, errors });
}
