// Two connections joined byte for byte: after an Upgrade or a CONNECT, nobody reads what passes. On the request's way.
// It keeps half-closes (one side may end and still listen) and lets the slower side set the pace.

import type { Milliseconds } from "../core/clock.ts";
import type { Wire } from "./engine.ts";

export class Tunnel {
  readonly client: Wire;
  readonly target: Wire;
  bytesToTarget = 0;
  bytesToClient = 0;
  private readonly idleMax: Milliseconds;
  private lastMs: Milliseconds;
  private clientOver = false;
  private targetOver = false;

  /** `idleMax` 0: it may be silent for ever. */
  constructor(client: Wire, target: Wire, idleMax: Milliseconds, nowMs: Milliseconds) {
    this.client = client;
    this.target = target;
    this.idleMax = idleMax;
    this.lastMs = nowMs;
  }

  /** Both sides have half-closed. */
  get over(): boolean {
    return this.clientOver && this.targetOver;
  }

  fromClient(start: number, end: number, nowMs: Milliseconds): void {
    this.lastMs = nowMs;
    this.bytesToTarget += end - start;
    if (!this.target.send(start, end)) this.client.pause();
  }

  fromTarget(start: number, end: number, nowMs: Milliseconds): void {
    this.lastMs = nowMs;
    this.bytesToClient += end - start;
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

  /** Nothing has come through for too long. */
  expired(nowMs: Milliseconds): boolean {
    return this.idleMax > 0 && nowMs - this.lastMs >= this.idleMax;
  }
}
