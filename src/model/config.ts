// The whole configuration of a node after decoding: what the control plane diffs and what a snapshot is cut from.

import type { Milliseconds } from "../core/clock.ts";
import type { HaConfig } from "./ha.ts";
import type { BindAddress, Listener } from "./listener.ts";
import type { Pool } from "./pool.ts";

export type AdminConfig = {
  /** Path of the unix socket. */
  readonly socket: string;
  /** The same API over TCP, for whoever has a token; only on a loopback address. */
  readonly http: { readonly bind: BindAddress; readonly tokenFile: string } | undefined;
};

export type AccessLogConfig = {
  /** File path, or `stdout`. */
  readonly path: string;
  readonly format: "json" | "combined";
  /** Buffered bytes before a write, and the longest time a line waits. */
  readonly bufferBytesMax: number;
  readonly flushInterval: Milliseconds;
};

export type Config = {
  readonly node: string;
  readonly admin: AdminConfig;
  /** Where the program keeps what it must not forget: the API's changes, the sources' last good lists, fencing tokens. */
  readonly stateDirectory: string;
  /** Worker processes; already a number (`auto` is the count of cores). */
  readonly workers: number;
  /** How long SIGTERM waits for exchanges to finish. */
  readonly drainTimeout: Milliseconds;
  readonly accessLog: AccessLogConfig | undefined;
  /** Of the kernel engine. */
  readonly kernel: {
    /** The rules stay when the program stops: the kernel goes on balancing to the targets as they were. */
    readonly keepOnStop: boolean;
    /** Packets and bytes of every target are counted, for a look-up a packet. */
    readonly countTraffic: boolean;
  };
  readonly listeners: readonly Listener[];
  readonly pools: readonly Pool[];
  /** Floating addresses; `haNone` without any. */
  readonly ha: HaConfig;
};
