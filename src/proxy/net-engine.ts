// The portable engine: node:net with one static read buffer for every connection, so that a read allocates nothing.
// It stands at the edge of the request's way. It must not know HTTP, and nothing above it may know sockets.
// Two of Node's private fields are used, nowhere else on the request's way (docs/decisions/0001): `_handle` of an accepted socket,
// because only the constructor takes a static buffer, and its `writeQueueSize`, the only figure that moves while a slow
// reader takes one large write piece by piece.

import net from "node:net";
import { assert } from "../core/assert.ts";
import type { Milliseconds } from "../core/clock.ts";
import type { EventClock } from "../core/event-clock.ts";
import type { Arena } from "../wire/arena.ts";
import type { Engine, ReadArea, Wire, WireOwner } from "./engine.ts";

/** Up to this size a latin1 string is the cheapest way into the kernel; above it a copy of the bytes. */
const STRING_WRITE_MAX = 8192;
/** One read, its head grown by our rules, and our framing. */
const SEND_COPY_BYTES = 80 * 1024;
/** Bytes a connection may hold before `send` says false: one whole read and a half. */
const HELD_MAX = 96 * 1024;

/** A finished connection whose other side takes nothing for so long is closed with what it still holds. */
const FINISH_TIME_MAX: Milliseconds = 60_000;

type Handle = { readonly writeQueueSize?: number };
type WithHandle = { _handle: Handle | null };
/** The wire rides on its socket, so that four shared listeners serve every connection. */
type OwnedSocket = net.Socket & { wire: NetWire };

export type NetEngine = Engine & {
  /** Accepts on a server that is not listening yet; `accept` answers with the owner of the new connection. */
  accept(server: net.Server, accept: (wire: Wire) => WireOwner): void;
};

/** Options that a server handed to `accept` must be made with. */
export const serverOptions = { pauseOnConnect: true, allowHalfOpen: true, noDelay: true } as const;

/** An engine over node:net that reads into `area` of the arena. */
export function createNetEngine(arena: Arena, area: ReadArea, clock: EventClock): NetEngine {
  const { start } = area;
  const sendCopy = new SendCopy();
  const buffer = arena.bytes.subarray(start, start + area.size);
  const onread = {
    buffer,
    // Node calls it as a method of the socket.
    callback(this: OwnedSocket, length: number): boolean {
      const wire = this.wire;
      clock.begin();
      if (!wire.gone) wire.owner.onData(start, start + length);
      return !wire.paused;
    },
  };
  const options = { onread: onread as unknown as net.OnReadOpts, allowHalfOpen: true, writableHighWaterMark: HELD_MAX };
  return {
    connect(host, port, owner) {
      const socket = net.connect({ ...options, host, port, noDelay: true });
      const wire = new NetWire(arena, socket, clock, sendCopy);
      wire.owner = owner;
      socket.on("connect", onConnect);
      return wire;
    },
    accept(server, accept) {
      server.on("connection", (accepted) => {
        clock.begin();
        const handle = takeHandle(accepted);
        const socket = new net.Socket({
          ...options,
          handle,
          readable: true,
          writable: true,
        } as unknown as net.SocketConstructorOpts);
        const wire = new NetWire(arena, socket, clock, sendCopy);
        wire.owner = accept(wire);
        if (!wire.gone) socket.resume().read(0);
      });
    },
    every(intervalMs: Milliseconds, tick: () => void) {
      setInterval(() => {
        clock.begin();
        tick();
      }, intervalMs);
    },
  };
}

function takeHandle(socket: net.Socket): Handle {
  assert("_handle" in socket, "an accepted socket has a handle");
  const holder = socket as unknown as WithHandle;
  const handle = holder._handle;
  assert(handle !== null, "an accepted socket has a handle");
  holder._handle = null;
  return handle;
}

/** Owner of a wire between its making and the answer of `accept`; it hears nothing. */
const nobody: WireOwner = {
  onConnect() {},
  onData() {},
  onDrain() {},
  onEnd() {},
  onClose() {},
};

/**
 * A copy of what is sent: libuv keeps a pointer to what the kernel did not take at once, and the arena is written to
 * again. Nearly always the kernel takes all, and the same memory serves the next copy.
 */
class SendCopy {
  private memory = Buffer.allocUnsafeSlow(SEND_COPY_BYTES);

  write(socket: net.Socket, bytes: Buffer, start: number, end: number): boolean {
    const length = end - start;
    if (length > SEND_COPY_BYTES) return socket.write(Buffer.from(bytes.subarray(start, end)));
    bytes.copy(this.memory, 0, start, end);
    const taken = socket.write(this.memory.subarray(0, length));
    // Something is held, and with it this memory: whoever holds it keeps it.
    if (socket.writableLength > 0) this.memory = Buffer.allocUnsafeSlow(SEND_COPY_BYTES);
    return taken;
  }
}

class NetWire implements Wire {
  owner: WireOwner = nobody;
  paused = false;
  gone = false;
  errorCode = "";
  readonly clock: EventClock;
  private readonly arena: Arena;
  private readonly sendCopy: SendCopy;
  private readonly socket: net.Socket;
  private ending = false;

  constructor(arena: Arena, socket: net.Socket, clock: EventClock, sendCopy: SendCopy) {
    this.arena = arena;
    this.sendCopy = sendCopy;
    this.clock = clock;
    this.socket = socket;
    Object.assign(socket, { wire: this });
    socket.on("drain", onDrain);
    socket.on("end", onEnd);
    socket.on("error", onError);
    socket.on("close", onClose);
  }

  get remoteAddress(): string {
    return this.socket.remoteAddress ?? "";
  }

  get remotePort(): number {
    return this.socket.remotePort ?? 0;
  }

  get localAddress(): string {
    return this.socket.localAddress ?? "";
  }

  get localPort(): number {
    return this.socket.localPort ?? 0;
  }

  send(start: number, end: number): boolean {
    if (this.gone) return true;
    const { bytes } = this.arena;
    if (end - start <= STRING_WRITE_MAX) return this.socket.write(bytes.toString("latin1", start, end), "latin1");
    return this.sendCopy.write(this.socket, bytes, start, end);
  }

  held(): number {
    if (this.socket.writableLength === 0) return 0;
    const handle = (this.socket as unknown as WithHandle)._handle;
    return handle?.writeQueueSize ?? this.socket.writableLength;
  }

  pause(): void {
    if (this.paused || this.gone) return;
    this.paused = true;
    this.socket.pause();
  }

  resume(): void {
    if (!this.paused || this.gone) return;
    this.paused = false;
    this.socket.resume();
  }

  end(): void {
    if (this.gone) return;
    this.ending = true;
    this.socket.end();
  }

  finish(): void {
    if (this.gone) return;
    this.gone = true;
    if (this.socket.writableLength === 0) this.socket.destroy();
    else this.socket.setTimeout(FINISH_TIME_MAX, onFinishLate).destroySoon();
  }

  kill(): void {
    if (this.gone) return;
    this.gone = true;
    this.socket.destroy();
  }

  reset(): void {
    if (this.gone) return;
    this.gone = true;
    // While its FIN is on the way out a handle cannot be reset (EINVAL), and Node would leave it open.
    if (this.ending && !this.socket.writableFinished) setImmediate(resetNow, this.socket);
    else this.socket.resetAndDestroy();
  }
}

function onFinishLate(this: net.Socket): void {
  this.destroy();
}

function resetNow(socket: net.Socket): void {
  socket.resetAndDestroy();
}

function onConnect(this: net.Socket): void {
  const { wire } = this as OwnedSocket;
  wire.clock.begin();
  if (!wire.gone) wire.owner.onConnect();
}

function onDrain(this: net.Socket): void {
  const { wire } = this as OwnedSocket;
  wire.clock.begin();
  if (!wire.gone) wire.owner.onDrain();
}

function onEnd(this: net.Socket): void {
  const { wire } = this as OwnedSocket;
  wire.clock.begin();
  if (!wire.gone) wire.owner.onEnd();
}

function onError(this: net.Socket, error: NodeJS.ErrnoException): void {
  (this as OwnedSocket).wire.errorCode = error.code ?? "EUNKNOWN";
}

function onClose(this: net.Socket): void {
  const { wire } = this as OwnedSocket;
  if (wire.gone) return;
  wire.gone = true;
  wire.clock.begin();
  wire.owner.onClose(wire.errorCode);
}
