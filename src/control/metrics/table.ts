// Every metric that the program exports: its name, kind, meaning and labels. The one table for the collector (metrics.ts), the
// text (src/admin/metrics.ts), docs/metrics.md and the checks of packaging/. Names and labels are kept: dashboards and alerts
// of operators stand on them. Pure; the change's way.

export type MetricType = "counter" | "gauge" | "histogram";

export type Metric = {
  /** `evenkeel_*`, in base units; `_total` for what only grows. */
  readonly name: string;
  readonly type: MetricType;
  readonly help: string;
  readonly labels: readonly string[];
};

/** Metrics with the same labels have the same list of them, by which the text knows what it has written before. */
const labelLists = new Map<string, readonly string[]>();

function metric(type: MetricType, name: string, labels: string, help: string): Metric {
  const list = labelLists.get(labels) ?? labels.split(" ").filter((label) => label !== "");
  labelLists.set(labels, list);
  return { name: `evenkeel_${name}`, type, help, labels: list };
}

const counter = (name: string, labels: string, help: string) => metric("counter", `${name}_total`, labels, help);
const gauge = (name: string, labels: string, help: string) => metric("gauge", name, labels, help);
const histogram = (name: string, labels: string, help: string) => metric("histogram", name, labels, help);

const node = {
  build: gauge("build_info", "version", "1; the version that runs."),
  start: gauge("start_time_seconds", "", "When the program began, in seconds since 1970."),
  nodeState: gauge("node_state", "state", "1 for the state that the node is in: starting, serving or draining."),
  generation: gauge("config_generation", "", "Number of the configuration, with its targets, that the node carries."),
  reloads: counter("config_reloads", "result", "Reloads of the configuration file, accepted or refused."),
  reloadGood: gauge("config_last_reload_successful", "", "1 when the last reload was accepted, or none was asked for."),
  reloadAt: gauge("config_last_reload_timestamp_seconds", "", "When the file was last asked to be taken up."),
  reloadGoodAt: gauge("config_last_reload_success_timestamp_seconds", "", "When the file was last taken up."),
  supervisorCpu: counter("supervisor_cpu_seconds", "", "Processor time of the supervisor."),
  supervisorMemory: gauge("supervisor_memory_bytes", "", "Resident memory of the supervisor."),
} as const;

const workers = {
  workers: gauge("workers", "", "Worker processes there are to be."),
  serving: gauge("workers_serving", "", "Worker processes that serve on every listener."),
  restarts: counter("worker_restarts", "worker", "Workers that ended unasked and were replaced, by their place."),
  workerGeneration: gauge("worker_generation", "worker", "Generation that the worker carries."),
  busy: counter("worker_busy_seconds", "worker", "Time in which the worker's event loop had something to do."),
  idle: counter("worker_idle_seconds", "worker", "Time in which the worker's event loop waited."),
  cpu: counter("worker_cpu_seconds", "worker", "Processor time of the worker."),
  memory: gauge("worker_memory_bytes", "worker", "Resident memory of the worker."),
  lag: gauge("worker_lag_seconds", "worker", "By how much the worker was late at worst in the last 15 to 30 seconds."),
} as const;

const accounts = {
  rows: gauge("metrics_rows", "worker", "Rows that the worker counts in."),
  rowsRefused: counter("metrics_rows_refused", "worker", "Rows for which the worker had no room: counted as (other)."),
  shared: gauge("metrics_shared", "", "1 when the supervisor reads all workers' counters by itself."),
  damaged: counter("metrics_damaged", "", "Times that a worker's counters could not be read."),
  samplesDropped: gauge("metrics_samples_dropped", "", "Lines left out of this answer, which had as many as it may."),
} as const;

const listeners = {
  listener: gauge("listener_info", "listener protocol address engine", "1; what the listener is, and what carries it."),
  connections: counter("connections", "listener", "Client connections that were accepted."),
  connectionsOpen: gauge("connections_open", "listener", "Client connections that are open."),
  clientReceived: counter("client_received_bytes", "listener", "Bytes that came from clients."),
  clientSent: counter("client_sent_bytes", "listener", "Bytes that were sent to clients."),
  clientDatagramsReceived: counter("client_received_datagrams", "listener", "Datagrams that came from clients."),
  clientDatagramsSent: counter("client_sent_datagrams", "listener", "Datagrams that were sent to clients."),
  tunnelsOpened: counter(
    "tunnels_opened",
    "listener",
    "TCP clients joined to a target, and exchanges that became tunnels.",
  ),
  tunnelsOpen: gauge("tunnels_open", "listener", "The same that are open."),
  flowsOpened: counter("flows_opened", "listener", "UDP flows that were begun."),
  flowsOpen: gauge("flows_open", "listener", "UDP flows that are open."),
  drops: counter("dropped_datagrams", "listener reason", "Datagrams that went nowhere, by reason."),
  faults: counter("faults", "listener code", "Limits that bit and faults that ended something, by code."),
} as const;

const routes = {
  active: gauge("exchanges_active", "listener route", "HTTP exchanges under way."),
  exchangeSeconds: histogram(
    "exchange_duration_seconds",
    "listener route",
    "HTTP exchanges, from the request's head to the last byte, or to where it became a tunnel.",
  ),
  tunnelSeconds: histogram("tunnel_duration_seconds", "listener route", "TCP connections, from accept to their end."),
  flowSeconds: histogram("flow_duration_seconds", "listener", "UDP flows, the silence at their end included."),
  exchanges: counter(
    "exchanges",
    "listener route pool target status",
    "HTTP exchanges that ended, by the target of the last try and the class of the status that the client was sent.",
  ),
  tunnels: counter(
    "tunnels",
    "listener route pool target status",
    "TCP connections that ended: 2xx in order, 4xx by a client's fault, 5xx by a target's or our own.",
  ),
  flows: counter("flows", "listener pool target status", "UDP flows that ended: 2xx in order, 5xx by a fault."),
} as const;

const pools = {
  targets: gauge("pool_targets", "pool", "Targets that the pool is to have."),
  targetsHealthy: gauge("pool_targets_healthy", "pool", "Targets that neither probes nor live traffic have out."),
  targetsEligible: gauge(
    "pool_targets_eligible",
    "pool",
    "Targets that take new work: up, not unhealthy, of some weight.",
  ),
} as const;

const targets = {
  tries: counter("target_tries", "pool target", "Tries of exchanges and TCP clients, and flows, given to the target."),
  failures: counter("target_failures", "pool target", "Tries at the target that failed."),
  retries: counter("target_retries", "pool target", "Tries given to the target after another one had failed."),
  responses: counter("target_responses", "pool target status", "Final HTTP responses of the target, retried ones too."),
  answerSeconds: histogram(
    "target_response_seconds",
    "pool target",
    "From a try's begin to the head of the response, to the connection (TCP) or to the first datagram (UDP).",
  ),
  targetConnections: counter("target_connections", "pool target", "Connections opened to the target."),
  targetConnectionsIdle: gauge("target_connections_idle", "pool target", "Connections to the target kept for later."),
  targetActive: gauge("target_active", "pool target", "Exchanges, tunnels and flows under way at the target."),
  targetSent: counter("target_sent_bytes", "pool target", "Bytes that were sent to the target."),
  targetReceived: counter("target_received_bytes", "pool target", "Bytes that came from the target."),
  targetDatagramsSent: counter("target_sent_datagrams", "pool target", "Datagrams that were sent to the target."),
  targetDatagramsReceived: counter("target_received_datagrams", "pool target", "Datagrams that came from the target."),
  healthy: gauge("target_healthy", "pool target", "1 unless probes or live traffic have the target out."),
  eligible: gauge("target_eligible", "pool target", "1 when the target takes new work."),
  weight: gauge("target_weight", "pool target", "Share of new work that the target is to have."),
  intent: gauge(
    "target_intent",
    "pool target intent",
    "1 for what the operator wants of the target: up, drain or down.",
  ),
  healthChanges: counter(
    "target_health_changes",
    "pool target",
    "Times that the target was taken out or let in again.",
  ),
  probes: counter("target_probes", "pool target", "Probes of the target that ended."),
  probesFailed: counter("target_probes_failed", "pool target", "Probes that the target failed."),
  probesUnable: counter("target_probes_unable", "pool target", "Probes that this node could not make."),
  reports: counter("target_reports", "pool target", "Failures of the target that workers saw in live traffic."),
} as const;

const kernel = {
  kernelFailed: gauge("kernel_engine_failed", "", "1 while the kernel's rules are not as they should be."),
} as const;

const sources = {
  sourceConnected: gauge("source_connected", "pool type", "1 while the source's store answers."),
  sourceSuccessAt: gauge("source_last_success_timestamp_seconds", "pool type", "When the store answered last."),
  sourceAnswers: counter("source_answers", "pool type", "Good answers of the store."),
  sourceFailures: counter("source_failures", "pool type", "Requests to the store that failed."),
  sourceEntries: gauge("source_entries", "pool type", "Targets that the store names."),
  sourceDamaged: gauge("source_damaged_entries", "pool type", "Entries of the store that cannot be read."),
  sourceFromDump: gauge("source_from_dump", "pool type", "1 while the targets are those of the dump."),
} as const;

const ha = {
  mode: gauge("vrrp_mode", "router mode", "1 for the mode of the virtual router: init, backup, active or fault."),
  transitions: counter("vrrp_transitions", "router mode", "Times that the virtual router came into the mode."),
  priority: gauge("vrrp_priority", "router", "Effective priority, as tracks and operators moved it."),
  sent: counter("vrrp_advertisements_sent", "router", "Advertisements sent."),
  received: counter("vrrp_advertisements_received", "router", "Advertisements received and taken."),
  dropped: counter("vrrp_dropped", "router reason", "Packets for the virtual router that were dropped, by reason."),
  odd: counter("vrrp_odd", "router reason", "Packets that were taken and are odd, by reason."),
  stray: counter("vrrp_stray", "interface reason", "Packets that belong to no virtual router of ours, by reason."),
  alarms: counter("vrrp_alarms", "router code", "Things about the virtual router that somebody must look at, by code."),
  peers: gauge("vrrp_peers", "router", "Other nodes heard of."),
  vrrpUp: gauge("vrrp_process_up", "", "1 while the process that speaks VRRP answers."),
  vrrpRestarts: counter("vrrp_process_restarts", "", "Times that the process that speaks VRRP was started again."),
  track: gauge("track_up", "track", "1 while what is tracked is up."),
} as const;

export const metricTable = {
  ...node,
  ...workers,
  ...accounts,
  ...listeners,
  ...routes,
  ...pools,
  ...targets,
  ...kernel,
  ...sources,
  ...ha,
} as const;

export const everyMetric: readonly Metric[] = Object.values(metricTable);
