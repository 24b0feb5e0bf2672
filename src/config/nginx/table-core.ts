// nginx's directives outside of http and stream: processes, files and events. Rows of table.ts, which says what the columns are.

import type { Row } from "./table.ts";

const processes = "evenkeel's own processes need no such setting";

export const coreRows: readonly Row[] = [
  ["include", "mehsluijxtvw", "1", "many"],
  ["daemon", "m", "flag", "idle", "evenkeel stays in the foreground; the service manager keeps it"],
  ["master_process", "m", "flag", "idle", processes],
  ["timer_resolution", "m", "1", "idle", processes],
  ["pid", "m", "1", "idle", "`evenkeel run --pid-file` writes one"],
  ["lock_file", "m", "1", "idle", processes],
  ["worker_processes", "m", "1", "once"],
  ["debug_points", "m", "1", "idle", processes],
  ["user", "m", "1-2", "idle", "the service unit says who runs evenkeel"],
  ["worker_priority", "m", "1", "idle", "the service unit says it"],
  ["worker_cpu_affinity", "m", "1+", "idle", "the service unit says it"],
  ["worker_rlimit_nofile", "m", "1", "idle", "the service unit says it"],
  ["worker_rlimit_core", "m", "1", "idle", "the service unit says it"],
  ["worker_shutdown_timeout", "m", "1", "once"],
  ["working_directory", "m", "1", "idle", processes],
  ["env", "m", "1", "idle", "nothing of the configuration is read from the environment of a worker"],
  [
    "load_module",
    "m",
    "1",
    "idle",
    "all that is served is part of evenkeel; directives of other modules are refused where they stand",
  ],
  ["ssl_engine", "m", "1", "refused", "remove it: evenkeel uses no OpenSSL engine"],
  ["pcre_jit", "m", "flag", "idle", "expressions are compiled by V8"],
  ["thread_pool", "m", "2-3", "idle", processes],
  ["error_log", "mhsltv", "1+", "many"],
  ["events", "m", "0{", "once"],
  ["worker_connections", "e", "1", "idle", "see `limits.connections` of a listener"],
  ["use", "e", "1", "idle", processes],
  ["multi_accept", "e", "flag", "idle", processes],
  ["accept_mutex", "e", "flag", "idle", processes],
  ["accept_mutex_delay", "e", "1", "idle", processes],
  ["worker_aio_requests", "e", "1", "idle", processes],
  ["debug_connection", "e", "1", "idle", processes],
  ["http", "m", "0{", "once"],
  ["stream", "m", "0{", "once"],
  ["mail", "m", "0{", "never", "keep nginx for mail: evenkeel balances HTTP, TCP and UDP"],
  ["google_perftools_profiles", "m", "1", "idle", processes],
];
