// The border between the core and whatever moves bytes. The core above it is the same for every engine and knows no
// socket; an engine knows no HTTP. Everything is a callback that runs to completion: no promise, no event object.
// Bytes are passed as ranges of one arena. A range handed to `onData` is the core's to change and to send from until it
// returns; a range handed to `send` is the engine's only during the call, it copies what it cannot pass on at once.

import type { Milliseconds } from "../core/clock.ts";

/** What the core does to one connection. Once it is gone (killed, or told by `onClose`) every method is a no-op. */
export type Wire = {
  /** False: the engine holds as much as it likes to; `onDrain` follows when it holds none. More is taken all the same. */
  send(start: number, end: number): boolean;
  /** Bytes that the engine holds and the other side has not taken yet; what a send timeout watches. */
  held(): number;
  /** Stop and go on reading. Both may be called in any state and any number of times. */
  pause(): void;
  resume(): void;
  /** Half-close: FIN after all held bytes. Reading goes on. */
  end(): void;
  /** Close for good once all held bytes are out, or nobody takes them (the engine's own limit); nothing is read any more, `onClose` is not called. */
  finish(): void;
  /** Close at once; held bytes are lost, `onClose` is not called. */
  kill(): void;
  /** As kill, with RST: the other side must not take what it got for the whole. */
  reset(): void;
  readonly remoteAddress: string;
  readonly remotePort: number;
  readonly localAddress: string;
  readonly localPort: number;
};

/** What an engine tells the core of one connection. No callback is ever made from within a call of the core. */
export type WireOwner = {
  /** Only for connections that we open. */
  onConnect(): void;
  onData(start: number, end: number): void;
  onDrain(): void;
  /** The other side half-closed. */
  onEnd(): void;
  /** Gone, both ways; errorCode is the system's (`ECONNREFUSED`), or empty when both sides had closed. Called once. */
  onClose(errorCode: string): void;
};

export type Engine = {
  /** The owner is told by `onConnect` or `onClose`. The host is an IP address. */
  connect(host: string, port: number, owner: WireOwner): Wire;
  /** Calls `tick` every intervalMs for as long as the process lives. */
  every(intervalMs: Milliseconds, tick: () => void): void;
};

/** Where the engine reads into, and how much room the core has before and behind it for its own framing. */
export type ReadArea = { readonly start: number; readonly size: number };
