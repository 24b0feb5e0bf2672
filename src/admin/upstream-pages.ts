// Two pages for scripts that read nginx: `/upstream_list` as nginx-upsync-module's upstream_show has it, `/upstream_status`
// with the fields of nginx_upstream_check_module. Pure; the change's way. An upstream is a pool here and a server a target;
// these words stay in this file and in kv-routes.ts. What those pages cannot say is on /v1/pools.

import { nearest } from "../config/nearest.ts";
import { encodeUpsyncServer } from "../config/upsync-entry.ts";
import { type AdminAnswer, failed, json, text } from "./answer.ts";
import type { ControlledTargets } from "./controlled.ts";
import type { Call, Route } from "./route-table.ts";

const plainText = "text/plain; charset=utf-8";
const formats = ["html", "json", "csv"] as const;
const problem = "application/problem+json";

export const upstreamPageRoutes: readonly Route[] = [
  {
    path: "/upstream_list",
    operations: {
      GET: {
        endpoint: listUpstreams,
        summary:
          "Pools and targets as nginx-upsync-module's upstream_show tells them: `?app` or `?pool=app` for one of them",
        query: "any",
        answers: { 200: ["the list", plainText], 404: ["there is no such pool", plainText] },
      },
    },
  },
  {
    path: "/upstream_status",
    operations: {
      GET: {
        endpoint: showStatus,
        summary: "Targets and their health with the fields of nginx_upstream_check_module",
        query: { format: "html (the default), json or csv", status: "`up` or `down`: only those" },
        answers: {
          200: ["the page", "text/html; charset=utf-8"],
          400: ["the format or the status is none", problem],
        },
      },
    },
  },
];

function listUpstreams({ controlled, request, query }: Call): AdminAnswer {
  // The module takes the whole query for the name.
  const wanted = query.get("pool") || decodedName(request.query);
  const pools = controlled.config.pools.filter(({ name }) => wanted === "" || name === wanted);
  if (wanted !== "" && pools.length === 0) return text(404, plainText, `there is no upstream ${wanted}\n`);
  if (pools.length === 0) return text(200, plainText, "No upstreams defined\n");
  return text(200, plainText, pools.map(({ name }) => describeUpstream(controlled, name)).join("\n"));
}

function decodedName(query: string): string {
  const [name = ""] = new URLSearchParams(query).keys();
  return query.includes("=") && name === "pool" ? "" : name;
}

function describeUpstream(controlled: ControlledTargets, name: string): string {
  const desired = controlled.desired(name) ?? [];
  const lines = desired.map(({ target }) => `        ${encodeUpsyncServer(target)}\n`);
  return `Upstream name: ${name}; Backend server count: ${desired.length}\n${lines.join("")}`;
}

type Server = {
  /** Over all pools, so that it stays what it is when only some are shown. */
  readonly index: number;
  readonly upstream: string;
  readonly name: string;
  readonly status: "up" | "down";
  /** Passed and failed probes in a row. */
  readonly rise: number;
  readonly fall: number;
  readonly type: string;
  /** 0: the target's own. */
  readonly port: number;
};

function serversOf(controlled: ControlledTargets): readonly Server[] {
  const found: Server[] = [];
  for (const pool of controlled.config.pools) {
    for (const { target } of controlled.desired(pool.name) ?? []) {
      const told = controlled.explainTarget(pool.name, target.address);
      const isDown = target.intent === "down" || told?.health === "unhealthy";
      found.push({
        index: found.length,
        upstream: pool.name,
        name: target.address,
        status: isDown ? "down" : "up",
        rise: told?.check?.passedInRow ?? 0,
        fall: told?.check?.failedInRow ?? 0,
        // Without a check only live traffic tells: the module does not list such a server, but it is one.
        type: told?.check?.type ?? "passive",
        port: pool.healthCheck?.port ?? 0,
      });
    }
  }
  return found;
}

function showStatus({ controlled, query }: Call): AdminAnswer {
  const format = query.get("format") ?? "html";
  const status = query.get("status")?.toLowerCase();
  if (status !== undefined && status !== "up" && status !== "down") return refuse("status", status, ["up", "down"]);
  const servers = serversOf(controlled).filter((server) => status === undefined || server.status === status);
  const { generation } = controlled;
  switch (format) {
    case "html":
      return {
        ...text(200, "text/html; charset=utf-8", formatPage(servers, generation)),
        headers: {
          "content-type": "text/html; charset=utf-8",
          "content-security-policy": "default-src 'none'; style-src 'unsafe-inline'",
        },
      };
    case "json":
      return json(200, { servers: { total: servers.length, generation, server: servers } });
    case "csv":
      return text(200, plainText, servers.map((server) => `${cellsOf(server).join(",")}\n`).join(""));
    default:
      return refuse("format", format, formats);
  }
}

function refuse(field: string, found: string, known: readonly string[]): AdminAnswer {
  const meant = nearest(found, known);
  const right = meant === undefined ? `; expected one of ${known.join(", ")}` : `; did you mean \`${meant}\`?`;
  const detail = `\`${found.slice(0, 60)}\` is unknown${right}`;
  return failed(400, {
    code: "admin.query.value",
    detail: `${field}: ${detail}`,
    errors: [{ field, code: "admin.query.value", detail }],
  });
}

function cellsOf({ index, upstream, name, status, rise, fall, type, port }: Server): readonly (string | number)[] {
  return [index, upstream, name, status, rise, fall, type, port];
}

const titles = ["Index", "Upstream", "Name", "Status", "Rise counts", "Fall counts", "Check type", "Check port"];

function formatPage(servers: readonly Server[], generation: number): string {
  const down = servers.filter(({ status }) => status === "down").length;
  const rows = servers.map((server) => {
    const cells = cellsOf(server).map((cell) => `<td>${escapeHtml(String(cell))}</td>`);
    return `<tr class="${server.status}">${cells.join("")}</tr>`;
  });
  return `<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<title>Upstream status</title>
<style>
body { font-family: sans-serif }
table { border-collapse: collapse }
th, td { border: 1px solid #888; padding: 0.2em 0.6em; text-align: left }
tr.down td { background: #f88 }
</style>
</head>
<body>
<h1>Upstream status</h1>
<p>${servers.length} servers, ${down} down, generation ${generation}</p>
<table>
<tr>${titles.map((title) => `<th>${title}</th>`).join("")}</tr>
${rows.join("\n")}
</table>
</body>
</html>
`;
}

const entities: Readonly<Record<string, string>> = {
  "&": "&amp;",
  "<": "&lt;",
  ">": "&gt;",
  '"': "&quot;",
  "'": "&#39;",
};

function escapeHtml(content: string): string {
  return content.replaceAll(/[&<>"']/g, (character) => entities[character] ?? "");
}
