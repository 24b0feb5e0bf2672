// A TCP client and its target joined: the bytes of tunnel.ts, and beside them the two clocks that HTTP keeps elsewhere: a
// side that takes nothing, and silence. On the request's way. When both sides have ended it waits until each has taken
// what is held for it. It must not know routes, tries or logs (tcp-connection.ts).

import type { Milliseconds } from "../core/clock.ts";
import type { TcpTimeouts } from "../model/listener.ts";
import type { Wire } from "./engine.ts";
import { Progress, SendWatch } from "./send-watch.ts";
import { type TcpFault, TcpFaults } from "./tcp-faults.ts";
import { Tunnel, type TunnelOptions } from "./tunnel.ts";

export type TcpTunnelOptions = Omit<TunnelOptions, "idleMax"> & { readonly timeouts: TcpTimeouts };

export class TcpTunnel {
  private readonly tunnel: Tunnel;
  private readonly client: Wire;
  private readonly target: Wire;
  private readonly sendMax: Milliseconds;
  /** Something has been sent since the engine was last seen to hold nothing: only then is there anything to watch. */
  private moved = false;
  private clientWatch: SendWatch | undefined = undefined;
  private targetWatch: SendWatch | undefined = undefined;
  /** Closed, with nothing held for it. */
  private clientOut = false;
  private targetOut = false;

  constructor(options: TcpTunnelOptions) {
    const { client, target, listenerCounters, targetCounters, timeouts, nowMs } = options;
    const idleMax = timeouts.tunnel;
    this.tunnel = new Tunnel({ client, target, listenerCounters, targetCounters, idleMax, nowMs });
    this.client = client;
    this.target = target;
    this.sendMax = timeouts.send;
  }

  get bytesToTarget(): number {
    return this.tunnel.bytesToTarget;
  }

  get bytesToClient(): number {
    return this.tunnel.bytesToClient;
  }

  /** Neither side is open any more. */
  get done(): boolean {
    return this.clientOut && this.targetOut;
  }

  /** The first bytes to the target, of which `ours` are no client's: they are sent like all, and no part of what passed. */
  begin(start: number, end: number, ours: number, nowMs: Milliseconds): void {
    this.fromClient(start, end, nowMs);
    this.tunnel.bytesToTarget -= ours;
  }

  fromClient(start: number, end: number, nowMs: Milliseconds): void {
    this.moved = true;
    this.tunnel.fromClient(start, end, nowMs);
  }

  fromTarget(start: number, end: number, nowMs: Milliseconds): void {
    this.moved = true;
    this.tunnel.fromTarget(start, end, nowMs);
  }

  clientDrained(nowMs: Milliseconds): void {
    this.tunnel.clientDrained(nowMs);
    this.closeSides();
  }

  targetDrained(nowMs: Milliseconds): void {
    this.tunnel.targetDrained(nowMs);
    this.closeSides();
  }

  clientEnded(): void {
    this.tunnel.clientEnded();
    this.closeSides();
  }

  targetEnded(): void {
    this.tunnel.targetEnded();
    this.closeSides();
  }

  /** The client is gone, having closed both ways in order. */
  clientClosed(): void {
    this.clientOut = true;
    if (this.tunnel.over) return;
    this.target.finish();
    this.targetOut = true;
  }

  targetClosed(): void {
    this.targetOut = true;
    if (this.tunnel.over) return;
    this.client.finish();
    this.clientOut = true;
  }

  /** Cuts both sides off: neither may take what it got for the whole. Whoever is gone already doesn't notice. */
  reset(): void {
    this.client.reset();
    this.target.reset();
  }

  /** Looks at the deadlines; answers with the one that has passed, after which both sides are closed. */
  sweep(nowMs: Milliseconds): TcpFault | undefined {
    const late = this.moved ? this.lookAtHeld(nowMs) : undefined;
    if (late !== undefined) {
      this.reset();
      return late;
    }
    if (this.tunnel.over) this.closeSides();
    else if (this.tunnel.expired(nowMs)) {
      this.endSilent();
      return TcpFaults.tunnelIdle;
    }
    return undefined;
  }

  /** Silence is an orderly end, unless a side sits on what it was sent. */
  private endSilent(): void {
    if (this.clientWatch !== undefined || this.targetWatch !== undefined) {
      this.reset();
      return;
    }
    this.client.finish();
    this.target.finish();
  }

  /** Sees to it that both sides take what is held for them, and that taking counts as no silence. */
  private lookAtHeld(nowMs: Milliseconds): TcpFault | undefined {
    const heldForClient = this.clientOut ? 0 : this.client.held();
    const heldForTarget = this.targetOut ? 0 : this.target.held();
    this.moved = heldForClient > 0 || heldForTarget > 0;
    if (heldForClient === 0) this.clientWatch = undefined;
    else {
      this.clientWatch ??= new SendWatch();
      if (this.isLate(this.clientWatch.look(heldForClient, nowMs, this.sendMax), nowMs)) {
        return TcpFaults.clientSendTimeout;
      }
    }
    if (heldForTarget === 0) this.targetWatch = undefined;
    else {
      this.targetWatch ??= new SendWatch();
      if (this.isLate(this.targetWatch.look(heldForTarget, nowMs, this.sendMax), nowMs)) {
        return TcpFaults.targetSendTimeout;
      }
    }
    return undefined;
  }

  private isLate(progress: Progress, nowMs: Milliseconds): boolean {
    if (progress === Progress.some) this.tunnel.progressed(nowMs);
    return progress === Progress.late;
  }

  /** Both sides have ended: each is closed as soon as it has taken everything. */
  private closeSides(): void {
    if (!this.tunnel.over) return;
    if (!this.clientOut && this.client.held() === 0) {
      this.client.finish();
      this.clientOut = true;
    }
    if (!this.targetOut && this.target.held() === 0) {
      this.target.finish();
      this.targetOut = true;
    }
  }
}
