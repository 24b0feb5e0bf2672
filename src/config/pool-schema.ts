// The shape of a pool and its targets as an operator writes them. On the change's way, part of schema.ts; how a pool and the
// listeners that use it belong together is validate-pools.ts.

import * as z from "zod";
import { healthCheckFile } from "./health-check-schema.ts";
import { headerName, targetKey } from "./http-leaf.ts";
import { duration, flag, integer, oneOf } from "./leaf.ts";
import { connectionsMax, targetsPerPoolMax, weightMax } from "./limits.ts";
import { sourceFile } from "./source-schema.ts";

const positive = duration({ off: false });
const orOff = duration({ off: true });

export const targetFile = z.strictObject({
  weight: integer(0, weightMax).prefault(1).describe("Share of new work; 0 takes none."),
  maxFails: integer(0, 1_000_000)
    .prefault(1)
    .describe(
      "This many failed reports within failTimeout take the target out for as long; 0 switches it off. As nginx's max_fails.",
    ),
  failTimeout: positive.prefault("10s").describe("As nginx's fail_timeout."),
  maxConnections: integer(0, connectionsMax)
    .prefault(0)
    .describe(
      "Exchanges (HTTP), connections (TCP) or flows (UDP) at a time on this node, divided among its workers; 0 is no limit.",
    ),
  backup: flag().prefault(false).describe("Takes work only while no other target of the pool does."),
  intent: oneOf(["up", "drain", "down"]).prefault("up").describe("All work, no new work, or none at all."),
  slowStart: orOff.optional().describe("What differs from the pool's `slowStart`."),
});

const balance = z
  .union([
    oneOf(["roundRobin", "leastConnections", "random", "twoChoices", "ipHash"]).describe(
      [
        "`roundRobin` is smooth and weighted as nginx's; `leastConnections` counts exchanges under way, by weight;",
        "`random` is weighted; `twoChoices` takes the less loaded and faster of two;",
        "`ipHash` keeps a client's network at its target.",
      ].join(" "),
    ),
    z.strictObject({
      consistentHash: z
        .strictObject({
          key: z
            .union([
              oneOf(["clientAddress", "path", "host"]),
              z.strictObject({
                header: headerName({ rule: false }).describe("Name of the header whose value is hashed."),
              }),
            ])
            .describe("What is hashed."),
        })
        .describe("The same key goes to the same target, and few keys move when targets come and go."),
    }),
  ])
  .describe("How a target is picked.");

const poolFields = {
  balance: balance.prefault("roundRobin"),
  slowStart: orOff
    .prefault(0)
    .describe(
      "A new or recovered target's share of work grows to its whole weight in this time; 0: it has all at once. As nginx's slow_start.",
    ),
  idleConnections: integer(0, connectionsMax)
    .prefault(128)
    .describe("Idle connections kept for each target and worker; 0 opens one for every exchange."),
  idleTimeout: positive
    .prefault("4s")
    .describe(
      [
        "A connection idle for this long is closed. Keep it below what the targets do themselves: Node.js and Apache close",
        "after 5s, and a request that is sent at that moment fails. nginx: 60s.",
      ].join(" "),
    ),
};

/** A pool whose targets, source and health check are read one by one. */
export const poolShell = z.strictObject({
  ...poolFields,
  targets: z.record(z.string(), z.unknown()).prefault({}),
  source: z.unknown().optional(),
  healthCheck: z.unknown().optional(),
});

export const poolFile = z.strictObject({
  ...poolFields,
  healthCheck: healthCheckFile.optional().describe("Asks every target regularly; absent: only live traffic tells."),
  source: sourceFile.optional().describe("A store that says which targets the pool has, beside those of the file."),
  targets: z
    .record(targetKey(), z.union([targetFile, z.null()]))
    .prefault({})
    .meta({ maxProperties: targetsPerPoolMax })
    .describe(
      "By address: `10.0.4.20:8080` or `[2001:db8::1]:8080`. A target without settings may be left empty. A source and the API may add others.",
    ),
});

export type TargetFile = z.output<typeof targetFile>;
export type PoolShell = z.output<typeof poolShell>;
