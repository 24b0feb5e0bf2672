// The listening sockets of a worker: it gets each from the supervisor, accepts on it, and lets go of it when the listener
// is full, removed or drained. The socket lives on in the supervisor, so what is in its backlog then waits there.

import net from "node:net";
import type { Wire, WireOwner } from "../proxy/engine.ts";
import { type NetEngine, serverOptions } from "../proxy/net-engine.ts";

export type Listening = {
  /** Accepts on the handle that came with a message. */
  start(listener: string, handle: net.Server, accept: (wire: Wire) => WireOwner, done: () => void): void;
  stop(listener: string): void;
  stopAll(): void;
  /** Stops those that are not named. */
  keepOnly(names: ReadonlySet<string>): void;
};

export function createListening(engine: NetEngine): Listening {
  const servers = new Map<string, net.Server>();
  const stop = (listener: string): void => {
    servers.get(listener)?.close();
    servers.delete(listener);
  };
  return {
    start(listener, handle, accept, done) {
      stop(listener);
      const server = net.createServer(serverOptions);
      engine.accept(server, accept);
      servers.set(listener, server);
      server.listen(handle, done);
    },
    stop,
    stopAll() {
      for (const listener of [...servers.keys()]) stop(listener);
    },
    keepOnly(names) {
      for (const listener of [...servers.keys()]) if (!names.has(listener)) stop(listener);
    },
  };
}
