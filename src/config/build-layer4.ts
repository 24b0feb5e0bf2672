// Layer-4 listeners of a draft into the model's: defaults laid below what they say, `pool` turned into the one route it
// stands for. On the change's way, part of build.ts. Must not find problems any more.

import { assert } from "../core/assert.ts";
import type { TcpListener, TcpRoute, UdpListener } from "../model/listener.ts";
import type { RootShell } from "./schema.ts";
import type { TcpListenerPart, UdpListenerPart } from "./shape.ts";

/** What lies below the listeners, and which limits of it the file states itself. */
export type Layer4Defaults = RootShell["defaults"] & {
  readonly limitsStated: { readonly connections: boolean; readonly flows: boolean };
};

export function buildTcpListener(part: TcpListenerPart, defaults: Layer4Defaults): TcpListener {
  const file = part.value;
  assert(file !== undefined, "every listener of a valid draft was read");
  const { timeouts, retry, limits } = defaults;
  return {
    name: part.name,
    protocol: "tcp",
    bind: file.bind,
    engine: file.engine,
    routes: buildTcpRoutes(part),
    proxyProtocol: file.proxyProtocol,
    preserveClientAddress: file.preserveClientAddress,
    timeouts: {
      clientHeader: file.timeouts?.clientHeader ?? timeouts.clientHeader,
      connect: file.timeouts?.connect ?? timeouts.connect,
      send: file.timeouts?.send ?? timeouts.send,
      tunnel: file.timeouts?.tunnel ?? timeouts.tunnel,
    },
    retry: { triesMax: file.retry?.tries ?? retry.tries, timeMax: file.retry?.time ?? retry.time },
    limits: { connectionsMax: file.limits?.connections ?? limits.connections },
    limitStated: file.limits?.connections !== undefined || defaults.limitsStated.connections,
    backlog: file.backlog,
  };
}

function buildTcpRoutes(part: TcpListenerPart): TcpRoute[] {
  const pool = part.value?.pool;
  if (pool !== undefined) return [{ name: `${part.name}[0]`, host: { kind: "any" }, pool }];
  return part.routes.map(({ value }, index) => {
    assert(value !== undefined, "every route of a valid draft was read");
    return { name: value.name ?? `${part.name}[${index}]`, host: value.host ?? { kind: "any" }, pool: value.pool };
  });
}

export function buildUdpListener(part: UdpListenerPart, defaults: Layer4Defaults): UdpListener {
  const file = part.value;
  assert(file !== undefined, "every listener of a valid draft was read");
  return {
    name: part.name,
    protocol: "udp",
    bind: file.bind,
    engine: file.engine,
    pool: file.pool,
    responsesMax: responsesMaxOf(file.responses),
    preserveClientAddress: file.preserveClientAddress,
    timeouts: { flow: file.timeouts?.flow ?? defaults.timeouts.flow },
    limits: { flowsMax: file.limits?.flows ?? defaults.limits.flows },
    limitStated: file.limits?.flows !== undefined || defaults.limitsStated.flows,
  };
}

export function responsesMaxOf(file: "unlimited" | number): number | undefined {
  return file === "unlimited" ? undefined : file;
}
