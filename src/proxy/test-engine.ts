// An engine for tests: no sockets, no time of its own. A test is the other side of every wire: it puts bytes in, takes
// bytes out as slowly as it likes, half-closes, breaks, and moves the clock. It is stricter than the real engine: all
// scratch memory is scribbled over after every callback, so that whoever keeps an offset into it is found out, and a
// callback that comes from within a call of the core fails the test. Must not be imported by anything but tests.

import { assert } from "../core/assert.ts";
import type { Milliseconds } from "../core/clock.ts";
import type { Arena } from "../wire/arena.ts";
import type { Engine, Wire, WireOwner } from "./engine.ts";
import { ARENA_BYTES, READ, SLOT_BYTES, SLOT_COUNT } from "./layout.ts";

/** Everything below the slots is scratch. */
const SCRATCH_END = ARENA_BYTES - SLOT_COUNT * SLOT_BYTES;
const SCRIBBLE = 0xa5;

/** How a wire ended on our side. */
export type Ending = "" | "finish" | "kill" | "reset" | "closed";

type Incoming = Buffer | "connect" | "end" | { readonly close: string };

const nobody: WireOwner = { onConnect() {}, onData() {}, onDrain() {}, onEnd() {}, onClose() {} };

export class TestWire implements Wire {
  owner: WireOwner = nobody;
  readonly remoteAddress: string;
  readonly remotePort: number;
  readonly localAddress = "192.0.2.1";
  readonly localPort = 80;
  /** What the other side has taken. */
  taken: Buffer[] = [];
  takenBytes = 0;
  /** Bytes that the other side takes at once; the rest is held. */
  room = Number.POSITIVE_INFINITY;
  /** From this many held bytes on `send` says false. */
  heldMax = 96 * 1024;
  /** Largest read. */
  readMax = READ.size;
  ending: Ending = "";
  /** We half-closed; the other side sees it once nothing is held. */
  ended = false;
  paused = false;
  sends = 0;
  readonly incoming: Incoming[] = [];
  private readonly engine: TestEngine;
  private holding: Buffer[] = [];
  private heldBytes = 0;
  private needsDrain = false;

  constructor(engine: TestEngine, remoteAddress: string, remotePort: number) {
    this.engine = engine;
    this.remoteAddress = remoteAddress;
    this.remotePort = remotePort;
  }

  // ---- what the core does

  send(start: number, end: number): boolean {
    assert(start >= 0 && end >= start && end <= ARENA_BYTES, `a send lies in the arena: ${start} to ${end}`);
    if (this.ending !== "") return true;
    assert(!this.ended, "nothing is sent after a half-close");
    this.sends += 1;
    if (end > start) {
      this.holding.push(Buffer.from(this.engine.arena.bytes.subarray(start, end)));
      this.heldBytes += end - start;
    }
    this.pass();
    if (this.heldBytes < Math.max(1, this.heldMax)) return true;
    this.needsDrain = true;
    return false;
  }

  held(): number {
    return this.heldBytes;
  }

  pause(): void {
    this.paused = true;
  }

  resume(): void {
    this.paused = false;
  }

  end(): void {
    this.ended = true;
  }

  finish(): void {
    this.leave("finish");
  }

  kill(): void {
    this.leave("kill");
    this.drop();
  }

  reset(): void {
    this.leave("reset");
    this.drop();
  }

  // ---- what the other side does; seen by the core when the engine runs

  put(bytes: string | Uint8Array): void {
    const buffer = typeof bytes === "string" ? Buffer.from(bytes, "latin1") : Buffer.from(bytes);
    if (buffer.length > 0) this.incoming.push(buffer);
  }

  putEnd(): void {
    this.incoming.push("end");
  }

  putClose(errorCode: string): void {
    this.incoming.push({ close: errorCode });
  }

  putConnect(): void {
    this.incoming.push("connect");
  }

  /** Takes up to `count` bytes of what is held, and `always` that many more of what comes. */
  take(count: number = Number.POSITIVE_INFINITY): void {
    this.room += count;
    this.pass();
  }

  get text(): string {
    return Buffer.concat(this.taken).toString("latin1");
  }

  /** True when the other side knows that nothing more comes: FIN, or the connection is gone. */
  get over(): boolean {
    return (this.ended || this.ending !== "") && this.heldBytes === 0;
  }

  /** Gives one event to the owner; false when there is none or it is not read. */
  step(): boolean {
    if (this.ending !== "") return false;
    if (this.needsDrain && this.heldBytes === 0) {
      this.needsDrain = false;
      this.engine.call(() => this.owner.onDrain());
      return true;
    }
    const next = this.incoming[0];
    if (next === undefined) return false;
    if (typeof next === "object" && "close" in next) {
      this.incoming.shift();
      this.leave("closed");
      this.drop();
      this.engine.call(() => this.owner.onClose(next.close));
      return true;
    }
    if (next !== "connect" && this.paused) return false;
    this.incoming.shift();
    if (next === "connect") this.engine.call(() => this.owner.onConnect());
    else if (next === "end") this.engine.call(() => this.owner.onEnd());
    else this.read(next);
    return true;
  }

  private read(bytes: Buffer): void {
    const length = Math.min(bytes.length, this.readMax, READ.size);
    if (length < bytes.length) this.incoming.unshift(bytes.subarray(length));
    bytes.copy(this.engine.arena.bytes, READ.start, 0, length);
    this.engine.call(() => this.owner.onData(READ.start, READ.start + length));
  }

  private pass(): void {
    while (this.room > 0) {
      const next = this.holding[0];
      if (next === undefined) return;
      const count = Math.min(this.room, next.length);
      this.taken.push(next.subarray(0, count));
      this.takenBytes += count;
      this.room -= count;
      this.heldBytes -= count;
      if (count === next.length) this.holding.shift();
      else this.holding[0] = next.subarray(count);
    }
  }

  private leave(how: Ending): void {
    if (this.ending === "") this.ending = how;
  }

  private drop(): void {
    this.holding = [];
    this.heldBytes = 0;
  }
}

export class TestEngine implements Engine {
  readonly arena: Arena;
  nowMs: Milliseconds = 1_000;
  /** The connections that the core opened, in order. */
  readonly connects: (TestWire & { host?: string })[] = [];
  readonly wires: TestWire[] = [];
  /** Called for every connection that the core opens, to script it. */
  onConnect: (wire: TestWire) => void = () => {};
  private readonly ticks: { readonly intervalMs: Milliseconds; dueMs: Milliseconds; readonly tick: () => void }[] = [];
  private inCore = false;

  constructor(arena: Arena) {
    this.arena = arena;
  }

  connect(host: string, port: number, owner: WireOwner): TestWire {
    const wire = new TestWire(this, host, port);
    wire.owner = owner;
    this.connects.push(wire);
    this.wires.push(wire);
    this.onConnect(wire);
    return wire;
  }

  every(intervalMs: Milliseconds, tick: () => void): void {
    this.ticks.push({ intervalMs, dueMs: this.nowMs + intervalMs, tick });
  }

  /** A client connects. */
  accept(acceptor: (wire: Wire) => WireOwner, address: string, port: number): TestWire {
    const wire = new TestWire(this, address, port);
    this.wires.push(wire);
    this.call(() => {
      wire.owner = acceptor(wire);
    });
    return wire;
  }

  /** Gives events to their owners until nobody has one that is read. Wires take turns. */
  run(): void {
    for (let busy = true; busy; ) {
      busy = false;
      for (let index = 0; index < this.wires.length; index++) {
        if (this.wires[index]!.step()) busy = true;
      }
    }
  }

  /** Lets time pass in steps of at most one tick, with everything that is due. */
  advance(span: Milliseconds): void {
    const untilMs = this.nowMs + span;
    while (this.nowMs < untilMs) {
      let next = untilMs;
      for (const { dueMs } of this.ticks) next = Math.min(next, dueMs);
      this.nowMs = next;
      for (const due of this.ticks) {
        if (due.dueMs > next) continue;
        due.dueMs += due.intervalMs;
        this.call(due.tick);
      }
      this.run();
    }
  }

  call(callback: () => void): void {
    assert(!this.inCore, "no callback comes from within a call of the core");
    this.inCore = true;
    callback();
    this.inCore = false;
    this.arena.bytes.fill(SCRIBBLE, 0, SCRATCH_END);
  }
}
