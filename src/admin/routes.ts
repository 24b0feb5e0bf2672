// The admin API without its transport: a method and a path in, a status, headers and a JSON value out. The change's way.
// It decides nothing itself; it asks the supervisor.

import type { ClientExplanation } from "../control/client-explanation.ts";
import type { NodeStatus } from "../control/node-status.ts";
import type { ReloadOutcome } from "../control/supervisor.ts";
import type { TargetExplanation } from "../control/target-explanation.ts";
import type { Result } from "../core/failure.ts";
import type { Config } from "../model/config.ts";
import { problemDocument } from "./problem.ts";
import { type ControlledVips, listVips, orderVip, parseVipPath, showVip } from "./vip-routes.ts";

/** What the API needs of the supervisor. */
export type Controlled = ControlledVips & {
  readonly config: Config;
  readonly generation: number;
  readonly state: NodeStatus["state"];
  status(): Promise<NodeStatus>;
  reload(): Promise<ReloadOutcome>;
  /** undefined when there is no such target. */
  explainTarget(pool: string, address: string): TargetExplanation | undefined;
  /** undefined when there is no such listener. */
  explainClient(listener: string, address: string): Result<ClientExplanation> | undefined;
};

export type AdminRequest = {
  readonly method: string;
  /** Without the query. */
  readonly path: string;
  readonly ifNoneMatch: string | undefined;
};

export type AdminAnswer = {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  /** Sent as JSON; undefined sends no body. */
  readonly body: unknown;
};

type Endpoint = (controlled: Controlled, request: AdminRequest) => AdminAnswer | Promise<AdminAnswer>;

type Methods = Readonly<Record<string, Endpoint>>;

const endpoints: Readonly<Record<string, Methods>> = {
  "/v1/status": { GET: async (controlled) => json(200, await controlled.status()) },
  "/v1/config": { GET: showConfig },
  "/v1/reload": { POST: reload },
  "/v1/vips": { GET: async (controlled) => json(200, await listVips(controlled)) },
  "/livez": { GET: () => json(200, { live: true }) },
  "/readyz": { GET: (controlled) => showReadiness(controlled.state) },
};

/** Answers a request; 404 and 405 are its own, with `allow` as RFC 9110 section 15.5.6 wants it. */
export async function answer(controlled: Controlled, request: AdminRequest): Promise<AdminAnswer> {
  const methods = Object.hasOwn(endpoints, request.path) ? endpoints[request.path] : memberMethods(request.path);
  if (methods === undefined) {
    return failed(404, { code: "admin.path.unknown", detail: `there is no ${request.path} here` });
  }
  const wanted = request.method === "HEAD" ? "GET" : request.method;
  const endpoint = Object.hasOwn(methods, wanted) ? methods[wanted] : undefined;
  if (endpoint !== undefined) return endpoint(controlled, request);
  const allowed = Object.keys(methods).flatMap((method) => (method === "GET" ? ["GET", "HEAD"] : [method]));
  const allow = allowed.join(", ");
  const detail = `${request.path} does not take ${request.method}, only ${allow}`;
  const refused = failed(405, { code: "admin.method.unknown", detail });
  return { ...refused, headers: { ...refused.headers, allow } };
}

/** One member of a collection, its names percent-encoded; undefined for a path that names none. */
function memberMethods(path: string): Methods | undefined {
  const vip = parseVipPath(path);
  if (vip !== undefined) return vipMethods(vip);
  const match = /^\/v1\/(pools|listeners)\/([^/]+)\/(targets|clients)\/([^/]+)$/.exec(path);
  const [owner, member] = [decodePart(match?.[2]), decodePart(match?.[4])];
  if (owner === undefined || member === undefined) return undefined;
  switch (`${match?.[1]} ${match?.[3]}`) {
    case "pools targets":
      return { GET: (controlled) => showTarget(controlled, owner, member) };
    case "listeners clients":
      return { GET: (controlled) => showClient(controlled, owner, member) };
    default:
      return undefined;
  }
}

const say = { show: json, refuse: failed } as const;

function vipMethods({ name, order }: NonNullable<ReturnType<typeof parseVipPath>>): Methods {
  if (order === undefined) return { GET: (controlled) => showVip(controlled, name, say) };
  return { POST: (controlled) => orderVip(controlled, { name, order }, say) };
}

function decodePart(part: string | undefined): string | undefined {
  try {
    return part === undefined ? undefined : decodeURIComponent(part);
  } catch {
    // A percent sign that encodes nothing: no name of anything here.
    return undefined;
  }
}

function showTarget(controlled: Controlled, pool: string, address: string): AdminAnswer {
  const explanation = controlled.explainTarget(pool, address);
  if (explanation !== undefined) return json(200, explanation);
  const known = controlled.config.pools.find(({ name }) => name === pool);
  if (known === undefined) return failed(404, { code: "pool.unknown", detail: `there is no pool ${pool}` });
  return failed(404, { code: "target.unknown", detail: `pool ${pool} has no target ${address}` });
}

function showClient(controlled: Controlled, listener: string, address: string): AdminAnswer {
  const explained = controlled.explainClient(listener, address);
  if (explained === undefined) {
    return failed(404, { code: "listener.unknown", detail: `there is no listener ${listener}` });
  }
  return explained.ok ? json(200, explained.value) : failed(400, explained.failure);
}

function showConfig(controlled: Controlled, request: AdminRequest): AdminAnswer {
  const etag = `"${controlled.generation}"`;
  if (matchesTag(request.ifNoneMatch, etag)) return { status: 304, headers: { etag }, body: undefined };
  const shown = json(200, controlled.config);
  return { ...shown, headers: { ...shown.headers, etag } };
}

// RFC 9110 section 13.1.2: a list of tags, weak ones compare equal, `*` is any.
function matchesTag(header: string | undefined, etag: string): boolean {
  if (header === undefined) return false;
  return header.split(",").some((part) => part.trim() === "*" || part.trim().replace(/^W\//, "") === etag);
}

async function reload(controlled: Controlled): Promise<AdminAnswer> {
  const outcome = await controlled.reload();
  if (outcome.ok) {
    const { generation, warnings, settled } = outcome;
    return json(200, { generation, warnings, settled });
  }
  return failed(422, {
    code: "reload.refused",
    detail: "the configuration was refused whole; the one that was running goes on",
    problems: outcome.problems,
  });
}

function showReadiness(state: NodeStatus["state"]): AdminAnswer {
  if (state === "serving") return json(200, { ready: true });
  return failed(503, { code: `node.${state}`, detail: `the node is ${state}` });
}

function json(status: number, body: unknown): AdminAnswer {
  return { status, headers: { "content-type": "application/json" }, body };
}

export function failed(
  status: number,
  what: { readonly code: string; readonly detail: string; readonly problems?: readonly string[] },
): AdminAnswer {
  return { status, headers: { "content-type": "application/problem+json" }, body: problemDocument(status, what) };
}
