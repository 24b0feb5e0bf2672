// The portable engine of datagrams: node:dgram, one receive and one send a datagram, for Node has no batches. It stands at
// the edge of the request's way. It must not know flows, and nothing above it may know sockets. What comes in is copied
// once, into the arena; what goes out in the same event goes out of Node's own buffer, which nobody writes to again and
// which may therefore wait in a queue. What Node does not allow here: docs/decisions/0006.

import { createSocket, type RemoteInfo, type Socket } from "node:dgram";
import type { EventClock } from "../core/event-clock.ts";
import type { Arena } from "../wire/arena.ts";
import {
  type ClientSocket,
  type ClientSocketOwner,
  type DatagramEngine,
  LostCode,
  type TargetSocket,
  type TargetSocketOwner,
} from "./datagram-engine.ts";
import type { ReadArea } from "./engine.ts";

/** Datagrams of one socket that wait because the system takes none; further ones are lost. */
const QUEUE_MAX = 64;

export type DgramEngine = DatagramEngine & {
  /** Takes a bound socket over and reads it; `accept` answers with its owner. What comes back closes it. */
  attach(socket: Socket, accept: (client: ClientSocket) => ClientSocketOwner): () => void;
};

/** An engine over node:dgram that reads into `area` of the arena; the area holds the largest datagram, 65,527 bytes. */
export function createDgramEngine(arena: Arena, area: ReadArea, clock: EventClock): DgramEngine {
  const memory = new DatagramMemory(arena, area, clock);
  return {
    connect: (host, port, owner) => new DgramTargetSocket(memory, owner, host, port),
    attach(socket, accept) {
      const client = new DgramClientSocket(memory, socket);
      client.owner = accept(client);
      socket.on("message", onClientMessage);
      socket.on("error", onClientError);
      return () => client.close();
    },
  };
}

/** Where the datagram of the present event lies, twice: in the arena for the core, and in the buffer that Node made. */
class DatagramMemory {
  readonly clock: EventClock;
  private readonly bytes: Buffer;
  private readonly start: number;
  private received: Buffer | undefined = undefined;

  constructor(arena: Arena, area: ReadArea, clock: EventClock) {
    this.bytes = arena.bytes;
    this.start = area.start;
    this.clock = clock;
  }

  /** Begins the event of this datagram; its range is `area.start` and as long as it is. */
  begin(datagram: Buffer): number {
    this.clock.begin();
    this.bytes.set(datagram, this.start);
    this.received = datagram;
    return this.start;
  }

  end(): void {
    this.received = undefined;
  }

  /** The bytes of a range as memory that nobody writes to again. */
  take(start: number, end: number): Buffer {
    const { received } = this;
    if (received !== undefined && start === this.start && end - start === received.length) return received;
    return Buffer.from(this.bytes.subarray(start, end));
  }
}

/** Our object rides on Node's socket, so that a few shared listeners serve every socket. */
type OwnedClient = Socket & { readonly client: DgramClientSocket };
type OwnedTarget = Socket & { readonly target: DgramTargetSocket };

const nobody: ClientSocketOwner = { onDatagram() {}, onLost() {} };

class DgramClientSocket implements ClientSocket {
  owner: ClientSocketOwner = nobody;
  gone = false;
  readonly memory: DatagramMemory;
  private readonly socket: Socket;
  private queued = 0;
  /** One for all sends: Node tells an error of a send to its callback and to nobody else. */
  private readonly sent: (error: Error | null) => void;

  constructor(memory: DatagramMemory, socket: Socket) {
    this.memory = memory;
    this.socket = socket;
    this.sent = (error) => {
      this.queued -= 1;
      if (error !== null && error !== undefined) this.lost(errorCodeOf(error));
    };
    Object.assign(socket, { client: this });
  }

  send(start: number, end: number, address: string, port: number): void {
    if (this.gone) return;
    // Who sends from port 0 cannot be answered (RFC 768), and Node throws when asked to.
    if (this.queued >= QUEUE_MAX || port === 0) {
      process.nextTick(tellClientLost, this, port === 0 ? LostCode.noPort : LostCode.queueFull);
      return;
    }
    this.queued += 1;
    this.socket.send(this.memory.take(start, end), port, address, this.sent);
  }

  close(): void {
    if (this.gone) return;
    this.gone = true;
    this.socket.close();
  }

  lost(errorCode: string): void {
    if (this.gone) return;
    this.memory.clock.begin();
    this.owner.onLost(errorCode);
  }
}

function tellClientLost(client: DgramClientSocket, errorCode: string): void {
  client.lost(errorCode);
}

function onClientMessage(this: Socket, datagram: Buffer, from: RemoteInfo): void {
  const { client } = this as OwnedClient;
  if (client.gone) return;
  const { memory } = client;
  const start = memory.begin(datagram);
  client.owner.onDatagram(start, start + datagram.length, from.address, from.port);
  memory.end();
}

// An unconnected socket hears no ICMP: this is about receiving, for want of memory, and the next datagram may do better.
function onClientError(this: Socket, error: Error): void {
  (this as OwnedClient).client.lost(errorCodeOf(error));
}

class DgramTargetSocket implements TargetSocket {
  gone = false;
  readonly memory: DatagramMemory;
  readonly owner: TargetSocketOwner;
  private readonly socket: Socket;
  /** Why it could not be opened; empty when it is open. */
  private unopened = "";
  private queued = 0;
  private readonly sent: (error: Error | null) => void;

  constructor(memory: DatagramMemory, owner: TargetSocketOwner, host: string, port: number) {
    this.memory = memory;
    this.owner = owner;
    const socket = createSocket(host.includes(":") ? "udp6" : "udp4");
    this.socket = socket;
    this.sent = (error) => {
      this.queued -= 1;
      if (error !== null && error !== undefined) this.tell(errorCodeOf(error), true);
    };
    Object.assign(socket, { target: this });
    socket.on("message", onTargetMessage);
    socket.on("error", onTargetError);
    try {
      // Unlike connect, it asks no resolver, queues nothing, and leaves no descriptor behind when it fails.
      socket.connectSync(port, host);
    } catch (error) {
      this.unopened = errorCodeOf(error);
      process.nextTick(tellUnopened, this);
    }
  }

  send(start: number, end: number): void {
    if (this.gone || this.unopened !== "") return;
    if (this.queued >= QUEUE_MAX) {
      process.nextTick(tellTargetLost, this);
      return;
    }
    this.queued += 1;
    this.socket.send(this.memory.take(start, end), this.sent);
  }

  close(): void {
    if (this.gone) return;
    this.gone = true;
    this.socket.close();
  }

  tell(errorCode: string, unsent: boolean): void {
    if (this.gone) return;
    this.memory.clock.begin();
    this.owner.onError(errorCode, unsent);
  }

  tellUnopened(): void {
    if (this.gone) return;
    this.memory.clock.begin();
    this.owner.onUnopened(this.unopened);
  }
}

function tellTargetLost(target: DgramTargetSocket): void {
  target.tell(LostCode.queueFull, true);
}

function tellUnopened(target: DgramTargetSocket): void {
  target.tellUnopened();
}

function onTargetMessage(this: Socket, datagram: Buffer): void {
  const { target } = this as OwnedTarget;
  if (target.gone) return;
  const { memory } = target;
  const start = memory.begin(datagram);
  target.owner.onDatagram(start, start + datagram.length);
  memory.end();
}

function onTargetError(this: Socket, error: Error): void {
  (this as OwnedTarget).target.tell(errorCodeOf(error), false);
}

/** `EADDRINUSE` of a Node system error; its name for anything else. */
function errorCodeOf(error: unknown): string {
  if (error instanceof Error && "code" in error && typeof error.code === "string") return error.code;
  return error instanceof Error ? error.name : String(error);
}
