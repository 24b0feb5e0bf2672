// The node's status as text for a person at a terminal: tables of workers, of listeners by what they speak, of pools, sources
// and virtual routers, and last what is not as it should be. Pure.

import type { PoolStatusView, StatusView, TargetStatusView } from "../admin/status-view.ts";
import { type Column, formatSpan, formatTable } from "./table.ts";
import { formatVips } from "./vip-table.ts";

type ListenerView = StatusView["listeners"][number];

/** The whole status as text. */
export function formatStatus(status: StatusView): string {
  const up = formatSpan(status.uptimeSeconds);
  const { node, state, generation, pid, version } = status;
  const parts = [
    `node ${node}: ${state}, generation ${generation}, up ${up} (pid ${pid}, version ${version})\n`,
    formatWorkers(status),
    ...formatListeners(status.listeners),
    formatPools(status.pools),
    ...formatSources(status),
    ...formatVips(status.ha),
  ];
  if (status.degraded.length > 0) parts.push(`degraded:\n${status.degraded.map((reason) => `  ${reason}\n`).join("")}`);
  return parts.join("\n");
}

function left(...titles: readonly string[]): Column[] {
  return titles.map((title) => ({ title }));
}

function right(...titles: readonly string[]): Column[] {
  return titles.map((title) => ({ title, align: "right" }));
}

/** What is not counted is not 0. */
function number(count: number | undefined): string {
  return count === undefined ? "-" : String(count);
}

function formatWorkers(status: StatusView): string {
  return formatTable(
    [...left("WORKER"), ...right("PID"), ...left("STATE"), ...right("RESTARTS", "GENERATION")],
    status.workers.map(({ worker, pid, state, restarts, generation, answered }) => [
      String(worker),
      number(pid),
      answered || pid === undefined ? state : `${state}, silent`,
      String(restarts),
      String(generation),
    ]),
  );
}

/** A table for each protocol that there is: what one counts, another has no word for. */
function formatListeners(listeners: readonly ListenerView[]): string[] {
  const spoken = [
    { protocol: "http", columns: httpColumns, cells: httpCells },
    { protocol: "tcp", columns: tcpColumns, cells: tcpCells },
    { protocol: "udp", columns: udpColumns, cells: udpCells },
  ];
  const tables = spoken.flatMap(({ protocol, columns, cells }) => {
    const those = listeners.filter((listener) => listener.protocol === protocol);
    return those.length === 0 ? [] : [formatTable(columns, those.map(cells))];
  });
  return tables.length === 0 ? ["no listeners\n"] : tables;
}

const httpColumns = [
  ...left("HTTP LISTENER", "ADDRESS"),
  ...right("OPEN", "ACCEPTED", "EXCHANGES", "2XX", "3XX", "4XX", "5XX"),
];

function httpCells({ name, address, counters }: ListenerView): string[] {
  const { connectionsOpen, connectionsAccepted, exchanges, statusClasses } = counters;
  const classes = [2, 3, 4, 5].map((digit) => String(statusClasses[digit] ?? 0));
  return [name, address, String(connectionsOpen), String(connectionsAccepted), String(exchanges), ...classes];
}

const tcpColumns = [
  ...left("TCP LISTENER", "ADDRESS", "ENGINE"),
  ...right("OPEN", "ACCEPTED", "BYTES IN", "BYTES OUT", "LIMITED"),
];

function tcpCells({ name, address, engine, counters }: ListenerView): string[] {
  const { connectionsOpen, connectionsAccepted, bytesFromClients, bytesToClients, limits } = counters;
  return [
    ...[name, address, engine ?? "-", String(connectionsOpen), String(connectionsAccepted)],
    ...[number(bytesFromClients), number(bytesToClients), String(sumOf(limits))],
  ];
}

const udpColumns = [
  ...left("UDP LISTENER", "ADDRESS", "ENGINE"),
  ...right("FLOWS", "OPENED", "DATAGRAMS IN", "DATAGRAMS OUT", "DROPPED", "LIMITED"),
];

function udpCells({ name, address, engine, counters }: ListenerView): string[] {
  const { flowsOpen, flowsOpened, datagramsFromClients, datagramsToClients, drops, limits } = counters;
  return [
    ...[name, address, engine ?? "-", String(flowsOpen), String(flowsOpened)],
    ...[number(datagramsFromClients), number(datagramsToClients), String(sumOf(drops)), String(sumOf(limits))],
  ];
}

function sumOf(counts: Readonly<Record<string, number>>): number {
  return Object.values(counts).reduce((sum, count) => sum + count, 0);
}

function formatPools(pools: readonly PoolStatusView[]): string {
  const columns = [
    ...left("POOL", "BALANCE", "TARGET", "OWNER", "INTENT", "HEALTH", "SINCE"),
    ...right("WEIGHT", "ACTIVE", "WORK", "FAILURES"),
    ...left("LAST PROBE"),
  ];
  const rows = pools.flatMap((pool) => pool.targets.map((target) => targetCells(pool, target)));
  const empty = pools.filter(({ targets }) => targets.length === 0).map(({ name }) => name);
  const table = formatTable(columns, rows);
  return empty.length === 0 ? table : `${table}without targets: ${empty.join(", ")}\n`;
}

function targetCells({ name, balance }: PoolStatusView, target: TargetStatusView): string[] {
  const { address, intent, backup, by, health, since, weight, effectiveWeight, active, counters, lastOutput } = target;
  return [
    name,
    balance,
    address,
    describeOwner(target),
    backup ? `${intent}, backup` : intent,
    by === undefined ? health : `${health} by ${by}`,
    since?.replace(/\.\d+Z$/, "Z") ?? "-",
    // While a slow start lasts it has less than its weight.
    effectiveWeight < weight ? `${Number(effectiveWeight.toFixed(2))} of ${weight}` : String(weight),
    String(active),
    String(counters.exchanges),
    String(counters.failures),
    lastOutput ?? "-",
  ];
}

/** `consul`, `consul+api` when the API changed something of it, `api (web-7)` with the holder of its lease. */
function describeOwner({ owner, patched = [], leaseHolder }: TargetStatusView): string {
  if (owner === undefined) return "-";
  const changed = patched.length > 0 && owner !== "api" ? "+api" : "";
  return leaseHolder === undefined ? `${owner}${changed}` : `${owner}${changed} (${leaseHolder})`;
}

function formatSources({ sources }: StatusView): string[] {
  if (sources.length === 0) return [];
  const columns = [
    ...left("SOURCE OF", "TYPE", "ENDPOINT", "STATE"),
    ...right("ANSWERED", "TARGETS", "DAMAGED", "FAILURES"),
  ];
  const rows = sources.map((source) => [
    source.pool,
    source.type,
    source.endpoint,
    source.fromDump ? "no answer yet, from the dump" : source.connected ? "connected" : "not connected",
    source.answeredAgoMs === undefined ? "never" : `${formatSpan(source.answeredAgoMs / 1000)} ago`,
    String(source.targets),
    String(source.damaged.length),
    String(source.failures),
  ]);
  return [formatTable(columns, rows), ...describeTrouble(sources)];
}

/** The damaged entries of a source that are named one by one. */
const damagedShownMax = 10;

function describeTrouble(sources: StatusView["sources"]): string[] {
  const lines = sources.flatMap(({ pool, connected, lastFailure, damaged }) => [
    ...(connected || lastFailure === undefined ? [] : [`  source of ${pool}: ${lastFailure}`]),
    ...damaged
      .slice(0, damagedShownMax)
      .map(({ key, detail, kept }) => `  ${key}: ${detail}${kept ? " (used as it was before)" : " (left out)"}`),
    ...(damaged.length > damagedShownMax ? [`  and ${damaged.length - damagedShownMax} more entries of ${pool}`] : []),
  ]);
  return lines.length === 0 ? [] : [`trouble with sources:\n${lines.map((line) => `${line}\n`).join("")}`];
}
