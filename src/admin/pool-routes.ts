// The admin API's pools and the sources that their targets come from, shown. The change's way.

import { type AdminAnswer, failed, json } from "./answer.ts";
import type { Call, Route } from "./route-table.ts";
import { unknownPool } from "./target-routes.ts";
import { viewPool } from "./target-view.ts";

export const poolRoutes: readonly Route[] = [
  {
    path: "/v1/pools",
    operations: {
      GET: {
        endpoint: ({ controlled }) =>
          json(
            200,
            controlled.config.pools.map((pool) => viewPool(controlled, pool)),
          ),
        summary: "Every pool with its targets",
        answers: { 200: ["a list of pools", "application/json"] },
      },
    },
  },
  {
    path: "/v1/pools/{pool}",
    operations: {
      GET: {
        endpoint: showPool,
        summary: "A pool with its targets",
        answers: {
          200: ["the pool", "application/json"],
          404: ["there is no such pool", "application/problem+json"],
        },
      },
    },
  },
  {
    path: "/v1/sources",
    operations: {
      GET: {
        endpoint: ({ controlled }) => json(200, controlled.sources()),
        summary: "How the watches of the stores stand, and what they could not read",
        answers: { 200: ["a list, an entry for each pool with a source", "application/json"] },
      },
    },
  },
];

function showPool({ controlled, params }: Call): AdminAnswer {
  const name = params["pool"] ?? "";
  const pool = controlled.config.pools.find((one) => one.name === name);
  return pool === undefined ? failed(404, unknownPool(name)) : json(200, viewPool(controlled, pool));
}
