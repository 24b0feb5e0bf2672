// A pool, its targets and its balancer as the rest of the program reads them. Plain JSON data.

import type { Milliseconds } from "../core/clock.ts";
import type { HealthCheck } from "./health-check.ts";
import type { Source } from "./source.ts";

/** What the operator wants of a target: all work, no new work, none at all. */
export type Intent = "up" | "drain" | "down";

export type Target = {
  /** `10.0.4.20:8080` or `[2001:db8::1]:8080`: the identity of a target in its pool. */
  readonly address: string;
  readonly host: string;
  readonly port: number;
  /** Integer share of new work; 0 takes none. */
  readonly weight: number;
  /** This many failed reports within failTimeout take the target out for failTimeout; 0 switches it off. As nginx's max_fails. */
  readonly maxFails: number;
  readonly failTimeout: Milliseconds;
  /** Exchanges at a time on this node, divided among its workers; 0 is no limit. */
  readonly connectionsMax: number;
  /** Takes work only while no other target of the pool does. */
  readonly backup: boolean;
  readonly intent: Intent;
  /** A new or recovered target's share of work grows to its whole weight in this time; 0: has it at once. As nginx's slow_start. */
  readonly slowStart: Milliseconds;
};

/** Of a target that says nothing else. */
export const targetDefaults = {
  weight: 1,
  maxFails: 1,
  failTimeout: 10_000,
  connectionsMax: 0,
  backup: false,
  intent: "up",
} as const;

export type HashKey =
  | { readonly kind: "clientAddress" }
  | { readonly kind: "path" }
  | { readonly kind: "host" }
  | { readonly kind: "header"; readonly name: string }; // lower case

export type Balance =
  | { readonly policy: "roundRobin" }
  | { readonly policy: "leastConnections" }
  | { readonly policy: "random" }
  | { readonly policy: "twoChoices" }
  | { readonly policy: "ipHash" }
  | { readonly policy: "consistentHash"; readonly key: HashKey };

export type Pool = {
  readonly name: string;
  readonly balance: Balance;
  /** Those of the file; in what the data plane reads, those of the API and the source as well. */
  readonly targets: readonly Target[];
  /** undefined: the file and the API say it all. */
  readonly source: Source | undefined;
  /** Of targets that don't say it themselves. */
  readonly slowStart: Milliseconds;
  /** undefined: only live traffic tells. */
  readonly healthCheck: HealthCheck | undefined;
  /** Kept idle connections per target and worker. */
  readonly idleConnectionsMax: number;
  /** An idle connection older than this is closed. */
  readonly idleTimeout: Milliseconds;
};
