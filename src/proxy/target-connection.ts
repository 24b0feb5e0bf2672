// One connection to a target: opened for an exchange, kept idle between two, closed. It carries bytes and tells its
// delivery; what they mean is decided there. On the request's way.

import type { Milliseconds } from "../core/clock.ts";
import type { Context } from "./context.ts";
import type { Delivery } from "./delivery.ts";
import type { Wire, WireOwner } from "./engine.ts";
import type { TargetState } from "./target-state.ts";

export class TargetConnection implements WireOwner {
  readonly wire: Wire;
  readonly target: TargetState;
  /** The one it works for; undefined while it is idle. */
  delivery: Delivery | undefined;
  /** It has carried an exchange before: when it fails without an answer it was only stale. */
  reused = false;
  idleSinceMs: Milliseconds = 0;
  /** Bytes of a response head that is not complete yet. */
  partial: Buffer | undefined = undefined;

  constructor(context: Context, target: TargetState, delivery: Delivery) {
    this.target = target;
    this.delivery = delivery;
    target.counters.connectionsOpened += 1;
    this.wire = context.engine.connect(target.config.host, target.config.port, this);
  }

  onConnect(): void {
    this.delivery?.targetConnected();
  }

  onData(start: number, end: number): void {
    this.target.counters.bytesFromTarget += end - start;
    if (this.delivery !== undefined) this.delivery.targetData(start, end);
    else this.discard(); // bytes that nobody asked for: the framing of this connection is in doubt
  }

  onDrain(): void {
    this.delivery?.targetDrained();
  }

  onEnd(): void {
    if (this.delivery !== undefined) this.delivery.targetEnded();
    else this.discard();
  }

  onClose(errorCode: string): void {
    if (this.delivery !== undefined) this.delivery.targetClosed(errorCode);
    else this.forget();
  }

  /** Puts it among the idle ones of its target, or closes it when there are enough. */
  keep(idleMax: number, nowMs: Milliseconds): void {
    this.delivery = undefined;
    this.partial = undefined;
    const { idle } = this.target;
    if (!this.target.keepsIdle || idle.length >= idleMax) {
      this.wire.kill();
      return;
    }
    this.reused = true;
    this.idleSinceMs = nowMs;
    this.wire.resume();
    idle.push(this);
  }

  /** Closes it while it is idle. */
  discard(): void {
    this.forget();
    this.wire.kill();
  }

  /** Closes it while an exchange has it. */
  kill(): void {
    this.delivery = undefined;
    this.wire.kill();
  }

  private forget(): void {
    const { idle } = this.target;
    const index = idle.lastIndexOf(this);
    if (index >= 0) idle.splice(index, 1);
  }
}
