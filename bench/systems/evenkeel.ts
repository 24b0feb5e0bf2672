// evenkeel as a proxy: one worker, its defaults but for the limits that a benchmark would run into (connections, body
// size, time between two requests), access log written through its buffer.

import { writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Place, Plan, System, Terms } from "./system.ts";

const root = join(import.meta.dirname, "..", "..");

export function evenkeel(): System {
  return {
    name: "evenkeel",
    settings: "workers: 1, accessLog buffer 64KiB flush 1s, all checks and limits on",
    bodiesOnly: false,
    plan,
  };
}

function plan(terms: Terms, place: Place): Plan {
  const logPath = join(place.directory, "access.log");
  const configPath = join(place.directory, "evenkeel.yaml");
  writeFileSync(configPath, JSON.stringify(config(terms, place, logPath), undefined, 2));
  const argv = [join(root, "evenkeel"), "run", "-c", configPath];
  return { command: { name: place.name, argv, cores: terms.cores, cwd: root }, logPath };
}

/** JSON is YAML. Keys as in src/config/schema.ts. */
function config(terms: Terms, place: Place, logPath: string): unknown {
  return {
    node: "bench",
    admin: { socket: join(place.directory, "admin.sock") },
    stateDirectory: join(place.directory, "state"),
    workers: 1,
    accessLog: { path: logPath, format: terms.logFormat, buffer: "64KiB", flush: "1s" },
    drainTimeout: "1s",
    listeners: {
      web: {
        bind: `127.0.0.1:${place.port}`,
        protocol: "http",
        bodyLimit: 0,
        limits: { connections: terms.connectionsMax },
        timeouts: { keepAlive: "600s" },
        routes: [{ path: "/", pool: "app" }],
      },
    },
    pools: {
      app: {
        balance: "roundRobin",
        idleConnections: 128,
        idleTimeout: "60s",
        targets: Object.fromEntries(terms.targets.map((target) => [target, {}])),
      },
    },
  };
}
