// The layer-4 balancers side by side, each saying the same thing in its own language: four targets in turns, one worker,
// no log. UDP on two ports, since a proxy is told which flows end with their answer; the kernel forgets by time alone.

import { writeFileSync } from "node:fs";
import { userInfo } from "node:os";
import { join } from "node:path";
import { haproxyProgram } from "../systems/haproxy.ts";
import { nginxProgram } from "../systems/nginx.ts";
import type { Place } from "./network.ts";
import type { Instance, Layer4System } from "./system.ts";
import { ports } from "./targets.ts";

export const nginxStreamModule = "/usr/lib/nginx/modules/ngx_stream_module.so";
const root = join(import.meta.dirname, "..", "..");
const engines = { proxy: "proxy", kernel: "kernel", "kernel-preserve": "kernel" } as const;

export const routing: Layer4System = {
  name: "routing",
  settings: "the balancer's machine only forwards packets; clients call the targets",
  udp: true,
  bulkOnly: false,
  tracked: false,
  plan: undefined,
};

/** `again` is the same nginx a second time: what separates the two is the machine's noise. */
export function nginxStream(variant: "plain" | "again" | "tuned"): Layer4System {
  const tuned = variant === "tuned";
  return {
    name: variant === "plain" ? "nginx" : `nginx-${variant}`,
    settings: tuned
      ? "as nginx, with proxy_buffer_size 64k"
      : "stream module, 1 worker, proxy_responses 1 for new flows",
    udp: true,
    bulkOnly: tuned,
    tracked: false,
    plan: (instance) => {
      const path = writeConfig(join(instance.directory, "nginx.conf"), nginxConfig(instance, tuned));
      return [nginxProgram, "-p", instance.directory, "-c", path];
    },
  };
}

/** Writes a configuration and gives its path. */
function writeConfig(path: string, text: string): string {
  writeFileSync(path, text);
  return path;
}

function serversOf(place: Place, port: number): string {
  return place.addresses.targets.map((target) => `    server ${target}:${port};`).join("\n");
}

function nginxConfig({ directory, place, connectionsMax }: Instance, tuned: boolean): string {
  const { virtual } = place.addresses;
  return `load_module ${nginxStreamModule};
worker_processes 1;
daemon off;
user ${userInfo().username};
pid ${directory}/nginx.pid;
error_log ${directory}/error.log warn;
worker_rlimit_nofile ${connectionsMax * 2};
events { worker_connections ${connectionsMax * 2}; }
stream {${tuned ? "\n  proxy_buffer_size 64k;" : ""}
  upstream tcp {
${serversOf(place, ports.tcp)}
  }
  upstream udp {
${serversOf(place, ports.udp)}
  }
  upstream fresh {
${serversOf(place, ports.udp)}
  }
  server { listen ${virtual}:${ports.tcp} backlog=4096; proxy_pass tcp; }
  server { listen ${virtual}:${ports.udp} udp; proxy_pass udp; }
  server { listen ${virtual}:${ports.freshUdp} udp; proxy_responses 1; proxy_pass fresh; }
}
`;
}

export function haproxyTcp(variant: "plain" | "tuned"): Layer4System {
  const tuned = variant === "tuned";
  return {
    name: tuned ? "haproxy-tuned" : "haproxy",
    settings: tuned ? "as haproxy, with option splice-auto" : "mode tcp, nbthread 1, no UDP",
    udp: false,
    bulkOnly: tuned,
    tracked: false,
    plan: (instance) => {
      const path = writeConfig(join(instance.directory, "haproxy.cfg"), haproxyConfig(instance, tuned));
      return [haproxyProgram, "-db", "-f", path];
    },
  };
}

function haproxyConfig({ place, connectionsMax }: Instance, tuned: boolean): string {
  const servers = place.addresses.targets.map((target, at) => `  server t${at} ${target}:${ports.tcp}`);
  return `global
  nbthread 1
  maxconn ${connectionsMax}
  no strict-limits
defaults
  mode tcp
  timeout connect 5s
  timeout client 600s
  timeout server 600s${tuned ? "\n  option splice-auto" : ""}
listen tcp
  bind ${place.addresses.virtual}:${ports.tcp} backlog 4096
  balance roundrobin
${servers.join("\n")}
`;
}

const evenkeelSettings = {
  proxy: "engine: proxy, workers: 1, responses: 1 for new flows",
  kernel:
    "engine: kernel, clients masqueraded (the default), no limit stated, the balancer's connection tracking emptied before each round",
  "kernel-preserve": "as evenkeel-kernel, with preserveClientAddress: true",
} as const;

export function evenkeelLayer4(variant: keyof typeof evenkeelSettings): Layer4System {
  return {
    name: `evenkeel-${variant}`,
    settings: evenkeelSettings[variant],
    udp: true,
    bulkOnly: false,
    tracked: variant !== "proxy",
    plan: (instance) => {
      const path = join(instance.directory, "evenkeel.yaml");
      writeConfig(path, JSON.stringify(evenkeelConfig(instance, variant), undefined, 2));
      return [join(root, "evenkeel"), "run", "-c", path];
    },
  };
}

/** JSON is YAML. Keys as in src/config/layer4-schema.ts. */
function evenkeelConfig(
  { directory, place, connectionsMax }: Instance,
  variant: keyof typeof evenkeelSettings,
): unknown {
  const engine = engines[variant];
  const { virtual, targets } = place.addresses;
  const common = { engine, ...(variant === "kernel-preserve" ? { preserveClientAddress: true } : {}) };
  const listenerOf = (port: number, more: Readonly<Record<string, unknown>>) => ({
    bind: `${virtual}:${port}`,
    ...common,
    ...more,
  });
  const targetsOf = (port: number) => Object.fromEntries(targets.map((target) => [`${target}:${port}`, {}]));
  // A worker's defaults are below what is asked of it; the kernel has room without a limit, and pays for one that is stated.
  const limits = engine === "proxy" ? { connections: connectionsMax, flows: connectionsMax } : {};
  return {
    node: "bench",
    admin: { socket: join(directory, "admin.sock") },
    stateDirectory: join(directory, "state"),
    workers: 1,
    drainTimeout: "1s",
    defaults: { limits },
    listeners: {
      tcp: listenerOf(ports.tcp, { protocol: "tcp", pool: "tcp" }),
      udp: listenerOf(ports.udp, { protocol: "udp", pool: "udp" }),
      fresh: listenerOf(ports.freshUdp, {
        protocol: "udp",
        pool: "fresh",
        ...(engine === "proxy" ? { responses: 1 } : {}),
      }),
    },
    pools: {
      tcp: { targets: targetsOf(ports.tcp) },
      udp: { targets: targetsOf(ports.udp) },
      fresh: { targets: targetsOf(ports.udp) },
    },
  };
}
