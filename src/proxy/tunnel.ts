// Two connections joined byte for byte: after an Upgrade or a CONNECT, nobody reads what passes. On the request's way.
// It keeps half-closes (one side may end and still listen) and lets the slower side set the pace. What it sends is
// counted at once: a tunnel may last for days. Received bytes are counted by the connections that receive them.

import type { Milliseconds } from "../core/clock.ts";
import type { ListenerCounters, TargetCounters } from "../state/counters.ts";
import type { Wire } from "./engine.ts";

export type TunnelOptions = {
  readonly client: Wire;
  readonly target: Wire;
  readonly listenerCounters: ListenerCounters;
  readonly targetCounters: TargetCounters;
  /** 0: it may be silent for ever. */
  readonly idleMax: Milliseconds;
  readonly nowMs: Milliseconds;
};

export class Tunnel {
  bytesToTarget = 0;
  bytesToClient = 0;
  private readonly client: Wire;
  private readonly target: Wire;
  private readonly listenerCounters: ListenerCounters;
  private readonly targetCounters: TargetCounters;
  private readonly idleMax: Milliseconds;
  private lastMs: Milliseconds;
  private clientOver = false;
  private targetOver = false;

  constructor(options: TunnelOptions) {
    this.client = options.client;
    this.target = options.target;
    this.listenerCounters = options.listenerCounters;
    this.targetCounters = options.targetCounters;
    this.idleMax = options.idleMax;
    this.lastMs = options.nowMs;
  }

  /** Both sides have half-closed. */
  get over(): boolean {
    return this.clientOver && this.targetOver;
  }

  fromClient(start: number, end: number, nowMs: Milliseconds): void {
    this.lastMs = nowMs;
    this.bytesToTarget += end - start;
    this.targetCounters.bytesToTarget += end - start;
    if (!this.target.send(start, end)) this.client.pause();
  }

  fromTarget(start: number, end: number, nowMs: Milliseconds): void {
    this.lastMs = nowMs;
    this.bytesToClient += end - start;
    this.listenerCounters.bytesToClients += end - start;
    if (!this.client.send(start, end)) this.target.pause();
  }

  clientDrained(nowMs: Milliseconds): void {
    this.lastMs = nowMs;
    this.target.resume();
  }

  targetDrained(nowMs: Milliseconds): void {
    this.lastMs = nowMs;
    this.client.resume();
  }

  clientEnded(): void {
    this.clientOver = true;
    this.target.end();
  }

  targetEnded(): void {
    this.targetOver = true;
    this.client.end();
  }

  /** A side has taken some of what was held for it: that is no silence, though nothing new has come. */
  progressed(nowMs: Milliseconds): void {
    this.lastMs = nowMs;
  }

  /** Nothing has come through for too long. */
  expired(nowMs: Milliseconds): boolean {
    return this.idleMax > 0 && nowMs - this.lastMs >= this.idleMax;
  }
}
