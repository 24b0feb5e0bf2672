// A stand-in for the supervisor in the admin API's tests: pools of a real registry, everything else as the test says. Orders
// are in force at once.

import { EventLog } from "../control/event-log.ts";
import type { NodeStatus, TargetSummary } from "../control/node-status.ts";
import type { TargetExplanation } from "../control/targets/target-explanation.ts";
import { bad, good } from "../core/failure.ts";
import type { Config } from "../model/config.ts";
import { haNone } from "../model/ha.ts";
import { type Pool, type Target, targetDefaults } from "../model/pool.ts";
import { Registry } from "../state/registry.ts";
import type { AdminAnswer } from "./answer.ts";
import type { Controlled, TargetOrdered } from "./controlled.ts";
import { EventFollowers } from "./event-stream.ts";
import type { AdminContext, AdminRequest } from "./route-table.ts";
import { answer } from "./routes.ts";

export const config: Config = {
  node: "lb-1",
  admin: { socket: "/run/x.sock", http: undefined },
  stateDirectory: "/nowhere",
  workers: 1,
  drainTimeout: 1_000,
  accessLog: undefined,
  kernel: { keepOnStop: false, countTraffic: false },
  ha: haNone,
  listeners: [],
  pools: [],
};

export function target(address: string, more: Partial<Target> = {}): Target {
  const colon = address.lastIndexOf(":");
  const [host, port] = [address.slice(0, colon).replace(/^\[(.*)\]$/, "$1"), Number(address.slice(colon + 1))];
  return { address, host, port, ...targetDefaults, slowStart: 0, ...more };
}

export function pool(name: string, targets: readonly Target[], more: Partial<Pool> = {}): Pool {
  return {
    name,
    balance: { policy: "roundRobin" },
    targets,
    source: undefined,
    slowStart: 0,
    healthCheck: undefined,
    idleConnectionsMax: 1,
    idleTimeout: 1_000,
    ...more,
  };
}

/** In, and nothing more to say. */
export function explanation(name: string, one: Target): TargetExplanation {
  const { address, intent, weight, backup } = one;
  return {
    pool: name,
    address,
    intent,
    weight,
    backup,
    eligible: intent === "up",
    health: "healthy",
    by: undefined,
    since: "2026-01-02T03:04:05.678Z",
    code: undefined,
    text: undefined,
    lastOutput: undefined,
    check: undefined,
    reports: { count: 0, last: undefined, outWorkers: [] },
    sentence: `target ${address} of pool ${name} is in`,
  };
}

export function summary(one: Target, more: Partial<TargetSummary> = {}): TargetSummary {
  const { address, intent, weight, backup } = one;
  return {
    address,
    intent,
    weight,
    backup,
    health: "healthy",
    unhealthyWorkers: 0,
    reason: undefined,
    by: undefined,
    since: undefined,
    lastOutput: undefined,
    outForMs: 0,
    active: 0,
    activeTunnels: 0,
    activeFlows: 0,
    effectiveWeight: weight,
    counters: { connectionsOpened: 0, connectionsIdle: 0, exchanges: 0, failures: 0, retries: 0 },
    ...more,
  };
}

export function nodeStatus(more: Partial<NodeStatus> = {}): NodeStatus {
  return {
    node: "lb-1",
    version: "0",
    pid: 1,
    state: "serving",
    generation: 7,
    uptimeSeconds: 1,
    workers: [],
    listeners: [],
    pools: [],
    ha: undefined,
    degraded: [],
    ...more,
  };
}

export type TestNode = Controlled & { readonly registry: Registry; readonly ordered: TargetOrdered[] };

/** Serving, generation 7, with these pools of the file. */
export function testNode(pools: readonly Pool[] = [], more: Partial<Controlled> = {}): TestNode {
  const registry = new Registry();
  registry.applyFile(pools);
  const ordered: TargetOrdered[] = [];
  const nobody = () => Promise.reject(new Error("nobody asked"));
  const now = { nowMs: 1_000, wallMs: 1_000_000 };
  return {
    get config() {
      return { ...config, pools: registry.desiredPools() };
    },
    generation: 7,
    state: "serving",
    events: new EventLog(() => 1_700_000_000_000),
    status: () => Promise.resolve(nodeStatus()),
    settled: () => Promise.resolve({ generation: 7, settled: true }),
    releases: () => [],
    orderRelease: nobody,
    metrics: nobody,
    reload: () => Promise.resolve({ ok: true, generation: 8, warnings: [], settled: true }),
    sources: () => [],
    desired: (name) => registry.desired(name, now.nowMs),
    explainTarget(name, address) {
      const found = registry.desiredTarget(name, address, now.nowMs);
      return found && explanation(name, found.target);
    },
    explainClient: () => undefined,
    vips: () => Promise.resolve(undefined),
    orderVip: nobody,
    orderTarget(what) {
      ordered.push(what);
      const { pool: name, address, order, by, isExpected } = what;
      if (!isExpected(registry.desiredTarget(name, address, now.nowMs))) {
        return Promise.resolve(
          bad({ code: "target.precondition", origin: "client", retrySafe: false, detail: "not as expected" }),
        );
      }
      const step = registry.order({ pool: name, address, order, by, ...now });
      if (!step.ok) return Promise.resolve(step);
      const { before, after } = step.value;
      return Promise.resolve(good({ before, after, generation: 8, settled: true }));
    },
    ...more,
    registry,
    ordered,
  };
}

export function contextOf(controlled: Controlled): AdminContext {
  const followers = new EventFollowers({
    events: controlled.events,
    clock: () => 0,
    run: "run1",
    dropped: () => {},
  });
  return { controlled, followers };
}

export type Asking = {
  readonly headers?: Partial<AdminRequest["headers"]>;
  readonly body?: string | Uint8Array;
  readonly who?: string;
};

/** `path` with its query. A body is JSON by its header unless another content type is given. */
export function ask(of: Controlled, method: string, path: string, asking: Asking = {}): Promise<AdminAnswer> {
  const [place = "", query = ""] = path.split("?");
  const body = typeof asking.body === "string" ? new TextEncoder().encode(asking.body) : asking.body;
  const contentType = body === undefined ? undefined : "application/json";
  return answer(contextOf(of), {
    method,
    path: place,
    query,
    headers: {
      accept: undefined,
      contentEncoding: undefined,
      contentType,
      ifMatch: undefined,
      ifNoneMatch: undefined,
      lastEventId: undefined,
      ...asking.headers,
    },
    body: body ?? new Uint8Array(),
    who: asking.who ?? "unix:root",
  });
}

/** The JSON of an answer as an object of whatever fields. */
export function bodyOf(told: AdminAnswer): Readonly<Record<string, unknown>> {
  return told.body?.kind === "json" ? Object(told.body.value) : {};
}

export function textOf(told: AdminAnswer): string {
  return told.body?.kind === "text" ? told.body.text : "";
}
