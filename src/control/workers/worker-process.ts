// One worker process seen from the supervisor: its start, the typed messages both ways, its end. It knows nothing of why:
// decisions are made in worker-slots.ts. The change's way. It never accepts a connection and reads no datagram: the socket
// that it hands over is in its hands for the part of one event only.

import { type ChildProcess, fork } from "node:child_process";
import { createSocket, type Socket as DatagramSocket } from "node:dgram";
import { createServer, type Server } from "node:net";
import type { Milliseconds } from "../../core/clock.ts";
import { bad, type Failure, good, type Result } from "../../core/failure.ts";
import { duplicate } from "../../io/listening-socket.ts";
import { counterMemoryArgument, counterMemoryFd, type FromWorker, type ToWorker } from "../../state/worker-protocol.ts";
import type { BoundAddress } from "./listener-sockets.ts";

export type WorkerEvents = {
  readonly message: (message: FromWorker) => void;
  /** The worker said something that is no message of the protocol, or its channel failed or closed. */
  readonly broken: (reason: string) => void;
  /** Told exactly once, also when the process could not be started. */
  readonly exited: (code: number | null, signal: string | null) => void;
};

/** Messages that wait for room in the channel; a worker that reads none gets no more questions and reports. */
const unsentMax = 1_000;
const disconnectGrace: Milliseconds = 1_000;

export class WorkerProcess {
  readonly pid: number | undefined;
  readonly #child: ChildProcess;
  readonly #events: WorkerEvents;
  #ended = false;
  #unsent = 0;

  /** `counterMemory`: a descriptor of the memory that it shall count in; it stays the caller's. */
  constructor(path: string, events: WorkerEvents, counterMemory?: number) {
    this.#events = events;
    const shares = counterMemory !== undefined;
    // stdout and stderr are the supervisor's own: an access log to stdout and a crash's last words need no relay.
    this.#child = fork(path, shares ? [`${counterMemoryArgument}${counterMemoryFd}`] : [], {
      serialization: "json",
      stdio: ["ignore", "inherit", "inherit", "ipc", ...(shares ? [counterMemory] : [])],
    });
    this.pid = this.#child.pid;
    this.#child.on("message", (message) => this.#take(message));
    this.#child.once("exit", (code, signal) => this.#end(code, signal));
    this.#child.once("disconnect", () => {
      // The end of a process closes its channel too, and may be told after it.
      setTimeout(() => {
        if (!this.#ended) events.broken("it closed its channel");
      }, disconnectGrace).unref();
    });
    this.#child.on("error", (error) => {
      if (this.#child.pid === undefined) this.#end(null, error.message);
      else if (!this.#ended) events.broken(`its channel failed: ${error.message}`);
    });
  }

  #end(code: number | null, signal: string | null): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#events.exited(code, signal);
  }

  #take(message: unknown): void {
    if (this.#ended) return;
    const known = decodeFromWorker(message);
    if (known === undefined) this.#events.broken(`unknown message ${JSON.stringify(message)?.slice(0, 200)}`);
    else this.#events.message(known);
  }

  send(message: ToWorker): void {
    if (this.#ended || !this.#child.connected) return;
    if (this.#unsent >= unsentMax && (message.type === "report" || message.type === "status")) return;
    this.#unsent++;
    this.#child.send(message, (error) => {
      this.#unsent--;
      if (error !== null && !this.#ended) this.#events.broken(`message ${message.type} was not sent: ${error.message}`);
    });
  }

  /**
   * Hands over a listening socket. The descriptor stays the caller's.
   *
   * Node sends a socket only as the handle of an object, and the one that may listen is a net.Server, for datagrams a
   * dgram.Socket: it begins to watch for connections or datagrams, but takes them when the event loop polls, which is
   * after this function has closed it again. The descriptor is written within send(), as long as the channel's queue is empty: the caller sends one handle
   * at a time, each after the answer to the message before. Were the queue not empty after all (a worker that stopped
   * reading just then), the handle would be gone when its turn comes, no answer would follow, and the worker would be
   * replaced for its silence: what waits in the backlog stays there.
   */
  sendListen(bound: BoundAddress, fd: number): Result<true> {
    const { listener, address } = bound;
    if (this.#ended || !this.#child.connected) return bad(channelClosed(listener));
    const copy = duplicate(fd);
    if (!copy.ok) return copy;
    const handle = bound.transport === "udp" ? this.#datagrams(bound, copy.value) : this.#server(bound, copy.value);
    if (handle === undefined) {
      // Node refused the descriptor; whether it also closed it differs by the cause, and closing one that is no longer
      // ours could hit a stranger's. The worker ends as broken.
      return bad({ ...channelClosed(listener), detail: `listener ${listener}: no handle for it` });
    }
    this.#child.send({ type: "listen", listener, address } satisfies ToWorker, handle, {}, (error) => {
      if (error !== null && !this.#ended) this.#events.broken(`listener ${listener} was not sent: ${error.message}`);
    });
    handle.close();
    return good(true);
  }

  #server({ listener, backlog }: BoundAddress, fd: number): Server | undefined {
    const server = createServer();
    server.on("error", (error) => this.#events.broken(`listener ${listener} has no handle: ${error.message}`));
    server.on("connection", () => this.#events.broken("the supervisor accepted a connection meant for it"));
    server.listen({ fd, backlog });
    return server.listening ? server : undefined;
  }

  #datagrams({ listener, bind }: BoundAddress, fd: number): DatagramSocket | undefined {
    const socket = createSocket(bind.host.includes(":") ? "udp6" : "udp4");
    socket.on("error", (error) => this.#events.broken(`listener ${listener} has no handle: ${error.message}`));
    socket.on("message", () => this.#events.broken("the supervisor read a datagram meant for it"));
    try {
      socket.bind({ fd, exclusive: true });
      return socket;
    } catch (error) {
      this.#events.broken(`listener ${listener} has no handle: ${String(error)}`);
      return undefined;
    }
  }

  kill(): void {
    this.#child.kill("SIGKILL");
  }
}

function channelClosed(listener: string): Failure {
  const detail = `listener ${listener}: the worker's channel is closed`;
  return { code: "worker.channel.closed", origin: "self", retrySafe: false, detail };
}

/** Checks the part of a message that the supervisor acts on. Undefined when it is none of ours. */
export function decodeFromWorker(message: unknown): FromWorker | undefined {
  if (typeof message !== "object" || message === null || !("type" in message)) return undefined;
  const fields: Readonly<Record<string, unknown>> = { ...message };
  const ok = (() => {
    switch (fields["type"]) {
      case "ready":
      case "beat":
        return true;
      case "applied":
        return Number.isInteger(fields["generation"]);
      case "listening":
      case "room":
        return typeof fields["listener"] === "string";
      case "status":
        return Number.isInteger(fields["id"]) && typeof fields["status"] === "object" && fields["status"] !== null;
      case "report":
        return typeof fields["pool"] === "string" && typeof fields["target"] === "string";
      case "passive":
        return typeof fields["pool"] === "string" && typeof fields["target"] === "string" && isFlag(fields["out"]);
      case "log":
        return typeof fields["message"] === "string" && isLogLevel(fields["level"]);
      default:
        return false;
    }
  })();
  return ok ? (message as FromWorker) : undefined;
}

function isFlag(value: unknown): boolean {
  return typeof value === "boolean";
}

function isLogLevel(level: unknown): boolean {
  return level === "info" || level === "warn" || level === "error";
}
