// `evenkeel status`: what the node is doing, for a person or as JSON. Exit 0 when all is well, 2 when something is not as
// it should be (the last paragraph says what), 1 when nobody answers.

import type { Command } from "commander";
import { Option } from "commander";
import type { NodeStatus } from "../control/node-status.ts";
import { adminSocketPath, askAdmin } from "./admin-client.ts";
import { type CliIo, exitCodes } from "./cli-io.ts";
import { formatSpan, formatTable } from "./table.ts";
import { formatVips } from "./vip-table.ts";

export function addStatusCommand(program: Command, io: CliIo): void {
  program
    .command("status")
    .description("show workers, listeners, pools and targets of the evenkeel that runs here")
    .option("--socket <path>", "admin socket (default: $EVENKEEL_SOCKET or /run/evenkeel/admin.sock)")
    .addOption(new Option("-o, --output <format>", "how to print").choices(["table", "json"]).default("table"))
    .action(async (options: { socket?: string; output: string }) => {
      const path = adminSocketPath(options.socket, io);
      const reply = await askAdmin(path, { method: "GET", path: "/v1/status", timeoutMs: 5_000 });
      if (!reply.ok) {
        io.err(`evenkeel: ${reply.failure.detail}\n`);
        return io.setExitCode(exitCodes.error);
      }
      if (!isNodeStatus(reply.value.body)) {
        io.err(`evenkeel: the answer of ${path} is no status: ${JSON.stringify(reply.value.body).slice(0, 200)}\n`);
        return io.setExitCode(exitCodes.error);
      }
      const status = reply.value.body;
      io.out(options.output === "json" ? `${JSON.stringify(status, undefined, 2)}\n` : formatStatus(status));
      io.setExitCode(status.degraded.length === 0 ? exitCodes.good : exitCodes.degraded);
    });
}

function isNodeStatus(body: unknown): body is NodeStatus {
  if (typeof body !== "object" || body === null) return false;
  const lists = ["workers", "listeners", "pools", "degraded"];
  const fields: Readonly<Record<string, unknown>> = { ...body };
  return typeof fields["node"] === "string" && lists.every((name) => Array.isArray(fields[name]));
}

/** The whole status as text. */
export function formatStatus(status: NodeStatus): string {
  const up = formatSpan(status.uptimeSeconds);
  const { node, state, generation, pid, version } = status;
  const head = `node ${node}: ${state}, generation ${generation}, up ${up} (pid ${pid}, version ${version})\n`;
  const parts = [head, formatWorkers(status), formatListeners(status), formatPools(status), ...formatVips(status.ha)];
  if (status.degraded.length > 0) parts.push(`degraded:\n${status.degraded.map((reason) => `  ${reason}\n`).join("")}`);
  return parts.join("\n");
}

function formatWorkers(status: NodeStatus): string {
  return formatTable(
    [
      { title: "WORKER" },
      { title: "PID", align: "right" },
      { title: "STATE" },
      { title: "RESTARTS", align: "right" },
      { title: "GENERATION", align: "right" },
    ],
    status.workers.map(({ worker, pid, state, restarts, generation, answered }) => [
      String(worker),
      pid === undefined ? "-" : String(pid),
      answered || pid === undefined ? state : `${state}, silent`,
      String(restarts),
      String(generation),
    ]),
  );
}

function formatListeners(status: NodeStatus): string {
  const titles = ["OPEN", "ACCEPTED", "EXCHANGES", "2XX", "3XX", "4XX", "5XX"];
  return formatTable(
    [
      { title: "LISTENER" },
      { title: "PROTOCOL" },
      { title: "ADDRESS" },
      { title: "ENGINE" },
      ...titles.map((title) => ({ title, align: "right" as const })),
    ],
    status.listeners.map(({ name, protocol, address, engine, counters }) => [
      name,
      protocol,
      address,
      engine ?? "-",
      String(counters.connectionsOpen),
      String(counters.connectionsAccepted),
      String(counters.exchanges),
      ...[2, 3, 4, 5].map((digit) => String(counters.statusClasses[digit] ?? 0)),
    ]),
  );
}

function formatPools(status: NodeStatus): string {
  const rows = status.pools.flatMap(({ name, balance, targets }) =>
    targets.map((target) => [
      name,
      balance,
      target.address,
      target.backup ? `${target.intent}, backup` : target.intent,
      target.by === undefined ? target.health : `${target.health} by ${target.by}`,
      target.since?.replace(/\.\d+Z$/, "Z") ?? "-",
      String(target.weight),
      String(target.active),
      String(target.counters.exchanges),
      String(target.counters.failures),
      target.lastOutput ?? "-",
    ]),
  );
  const left = ["POOL", "BALANCE", "TARGET", "INTENT", "HEALTH", "SINCE"].map((title) => ({ title }));
  const right = ["WEIGHT", "ACTIVE", "EXCHANGES", "FAILURES"].map((title) => ({ title, align: "right" as const }));
  return formatTable([...left, ...right, { title: "LAST PROBE" }], rows);
}
