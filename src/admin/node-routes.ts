// The admin API's node as a whole: its status, configuration, readiness and metrics, a reload, which target a client meets.
// The change's way.

import type { NodeStatus } from "../control/node-status.ts";
import { type AdminAnswer, failed, json, longText } from "./answer.ts";
import { matchesTag } from "./entity-tag.ts";
import { metricsPieces } from "./metrics.ts";
import type { Call, Route } from "./route-table.ts";
import { viewStatus } from "./status-view.ts";

const problem = "application/problem+json";
const plain = "application/json";
/** Prometheus' text format, exposition formats 0.0.4. */
const metricsType = "text/plain; version=0.0.4; charset=utf-8";

export const nodeRoutes: readonly Route[] = [
  {
    path: "/v1/status",
    operations: {
      GET: {
        endpoint: async ({ controlled }) => json(200, await viewStatus(controlled)),
        summary:
          "What the node does: workers, listeners, pools, sources, virtual routers, and what is not as it should be",
        answers: { 200: ["the status", plain] },
      },
    },
  },
  {
    path: "/v1/config",
    operations: {
      GET: {
        endpoint: showConfig,
        summary: "The configuration that is in force, as the program computes with it; its tag is its generation",
        headers: { "if-none-match": "a tag that the reader has already" },
        answers: { 200: ["the configuration", plain], 304: ["the reader has it already"] },
      },
    },
  },
  {
    path: "/v1/reload",
    operations: {
      POST: {
        endpoint: reload,
        summary: "Reads the configuration file again and takes it up, or refuses it whole",
        answers: {
          200: ["it is in force; `settled` is false when a worker has not confirmed it in time", plain],
          422: ["it was refused; `problems` has every reason", problem],
        },
      },
    },
  },
  {
    path: "/v1/listeners/{listener}/clients/{client}",
    operations: {
      GET: {
        endpoint: showClient,
        summary: "Which target a client meets, where its address decides",
        answers: {
          200: ["a sentence for each pool of the listener", plain],
          400: ["the client is no address", problem],
          404: ["there is no such listener", problem],
        },
      },
    },
  },
  {
    path: "/livez",
    operations: {
      GET: {
        endpoint: () => json(200, { live: true }),
        summary: "The supervisor answers",
        query: "any",
        answers: { 200: ["it lives", plain] },
        open: true,
      },
    },
  },
  {
    path: "/readyz",
    operations: {
      GET: {
        endpoint: ({ controlled }) => showReadiness(controlled.state),
        summary: "Every worker serves on every listener",
        query: "any",
        answers: { 200: ["it serves", plain], 503: ["it starts or drains", problem] },
        open: true,
      },
    },
  },
  {
    path: "/metrics",
    operations: {
      GET: {
        endpoint: async ({ controlled }) => longText(metricsType, metricsPieces(await controlled.metrics())),
        summary: "Counters and gauges as Prometheus reads them",
        query: "any",
        answers: { 200: ["the metrics", metricsType] },
      },
    },
  },
];

function showConfig({ controlled, request }: Call): AdminAnswer {
  const etag = `"${controlled.generation}"`;
  if (matchesTag(request.headers.ifNoneMatch, etag)) return { status: 304, headers: { etag }, body: undefined };
  return json(200, controlled.config, { etag });
}

async function reload({ controlled }: Call): Promise<AdminAnswer> {
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

function showClient({ controlled, params }: Call): AdminAnswer {
  const listener = params["listener"] ?? "";
  const explained = controlled.explainClient(listener, params["client"] ?? "");
  if (explained === undefined) {
    return failed(404, { code: "listener.unknown", detail: `there is no listener ${listener}` });
  }
  return explained.ok ? json(200, explained.value) : failed(400, explained.failure);
}

function showReadiness(state: NodeStatus["state"]): AdminAnswer {
  if (state === "serving") return json(200, { ready: true });
  return failed(503, { code: `node.${state}`, detail: `the node is ${state}` });
}
