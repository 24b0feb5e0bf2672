// The listening sockets of a worker: it gets each from the supervisor, accepts on it or reads it, and lets go of it when the
// listener is full, removed or drained. The socket lives on in the supervisor, so what waits in it then waits there.

import type { Socket } from "node:dgram";
import net from "node:net";
import { formatSocketAddress, parseSocketAddress } from "../core/address.ts";
import type { BindAddress, Listener } from "../model/listener.ts";
import type { ClientSocket, ClientSocketOwner } from "../proxy/datagram-engine.ts";
import type { DgramEngine } from "../proxy/dgram-engine.ts";
import type { Wire, WireOwner } from "../proxy/engine.ts";
import { type NetEngine, serverOptions } from "../proxy/net-engine.ts";

export type Listening = {
  /** Accepts on the handle that came with a message. */
  start(listener: string, handle: net.Server, accept: (wire: Wire) => WireOwner, done: () => void): void;
  /** Reads the socket that came with a message; one for each address of the listener. */
  read(listener: string, address: string, socket: Socket, accept: (client: ClientSocket) => ClientSocketOwner): void;
  stop(listener: string): void;
  /** Accepts no more. Datagrams are read on: the flows that go on are answered through the same sockets. */
  stopAll(): void;
  /** Stops what these do not name. */
  keepOnly(listeners: readonly Listener[]): void;
};

export function createListening(engine: NetEngine, datagrams: DgramEngine): Listening {
  const servers = new Map<string, net.Server>();
  /** By listener and address. */
  const sockets = new Map<string, OpenSocket>();
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
    read(listener, address, socket, accept) {
      const key = `${listener} ${address}`;
      sockets.get(key)?.close();
      sockets.set(key, { listener, address, close: datagrams.attach(socket, accept) });
    },
    stop,
    stopAll() {
      for (const listener of [...servers.keys()]) stop(listener);
    },
    keepOnly(listeners) {
      const byName = new Map(listeners.map((listener) => [listener.name, listener]));
      for (const name of [...servers.keys()]) {
        const protocol = byName.get(name)?.protocol;
        if (protocol === undefined || protocol === "udp") stop(name);
      }
      for (const [key, socket] of sockets) {
        const listener = byName.get(socket.listener);
        if (listener?.protocol === "udp" && isAt(socket.address, listener.bind)) continue;
        socket.close();
        sockets.delete(key);
      }
    },
  };
}

type OpenSocket = { readonly listener: string; readonly address: string; readonly close: () => void };

/** The listener is bound to this address, or to every address of its family. */
function isAt(address: string, bind: BindAddress): boolean {
  if (address === formatSocketAddress(bind)) return true;
  const everywhere = bind.host === "0.0.0.0" || bind.host === "::";
  const parsed = parseSocketAddress(address);
  if (!everywhere || !parsed.ok) return false;
  return parsed.value.port === bind.port && parsed.value.host.includes(":") === bind.host.includes(":");
}
