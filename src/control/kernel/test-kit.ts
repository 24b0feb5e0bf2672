// Listeners, pools and targets for the kernel engine's tests. For tests only; nothing that runs may import it.

import type { Layer4Listener, TcpListener, UdpListener } from "../../model/listener.ts";
import type { Balance, Pool, Target } from "../../model/pool.ts";

export function targetOf(address: string, more: Partial<Target> = {}): Target {
  const colon = address.lastIndexOf(":");
  return {
    address,
    host: address.slice(0, colon).replace(/^\[|\]$/g, ""),
    port: Number(address.slice(colon + 1)),
    weight: 1,
    maxFails: 1,
    failTimeout: 10_000,
    connectionsMax: 0,
    backup: false,
    intent: "up",
    slowStart: 0,
    ...more,
  };
}

export function poolOf(name: string, targets: readonly Target[], balance: Balance = { policy: "roundRobin" }): Pool {
  return {
    name,
    balance,
    targets,
    source: undefined,
    slowStart: 0,
    healthCheck: undefined,
    idleConnectionsMax: 1,
    idleTimeout: 1_000,
  };
}

export function tcpOf(name: string, host: string, port: number, more: Partial<TcpListener> = {}): TcpListener {
  return {
    name,
    protocol: "tcp",
    bind: { host, port },
    engine: "kernel",
    routes: [{ name: `${name}[0]`, host: { kind: "any" }, pool: "app" }],
    proxyProtocol: { receive: false, trustedProxies: [], send: "off" },
    preserveClientAddress: false,
    timeouts: { clientHeader: 1, connect: 1, send: 1, tunnel: 1 },
    retry: { triesMax: 1, timeMax: 0 },
    limits: { connectionsMax: 10_000 },
    limitStated: false,
    backlog: 1,
    ...more,
  };
}

export function udpOf(name: string, host: string, port: number, more: Partial<UdpListener> = {}): UdpListener {
  return {
    name,
    protocol: "udp",
    bind: { host, port },
    engine: "kernel",
    pool: "app",
    responsesMax: undefined,
    preserveClientAddress: false,
    timeouts: { flow: 1 },
    limits: { flowsMax: 65_536 },
    limitStated: false,
    ...more,
  };
}

/** A configuration, as far as the kernel engine reads it. */
export function configOf(listeners: readonly Layer4Listener[], pools: readonly Pool[]) {
  return { listeners, pools, kernel: { keepOnStop: false, countTraffic: false } };
}
