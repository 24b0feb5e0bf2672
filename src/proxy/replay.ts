// A request as we send it, for as long as it may have to be sent again: the head, and the body bytes that came before
// the target was ready. On the request's way. Most requests fit one slot of the arena; what does not goes to the heap.

import type { Wire } from "./engine.ts";
import { OUT, SLOT_BYTES, type Slots } from "./layout.ts";

export class Replay {
  /** Nothing has been sent that is not in here: the request can be sent again. */
  whole = true;
  /** Offset of the slot, -1 while none is taken. */
  private slot = -1;
  private slotLength = 0;
  private overflow: Buffer | undefined = undefined;
  private readonly bytes: Buffer;
  private readonly slots: Slots;

  constructor(bytes: Buffer, slots: Slots) {
    this.bytes = bytes;
    this.slots = slots;
  }

  /** Bytes that wait here. */
  get length(): number {
    return this.slotLength + (this.overflow?.length ?? 0);
  }

  /** Takes a slot and answers where a head may be written to, -1 when there is none free. Say with `wrote` how much it was. */
  begin(): number {
    this.whole = true;
    this.slotLength = 0;
    this.overflow = undefined;
    this.slot = this.slots.take();
    return this.slot;
  }

  wrote(length: number): void {
    this.slotLength = length;
  }

  append(start: number, end: number): void {
    if (end === start) return;
    const length = end - start;
    if (this.slot >= 0 && this.overflow === undefined && this.slotLength + length <= SLOT_BYTES) {
      this.bytes.copyWithin(this.slot + this.slotLength, start, end);
      this.slotLength += length;
      return;
    }
    const more = this.bytes.subarray(start, end);
    this.overflow = this.overflow === undefined ? Buffer.from(more) : Buffer.concat([this.overflow, more]);
  }

  /** Sends everything; as Wire.send. */
  send(wire: Wire): boolean {
    let taken = true;
    if (this.slotLength > 0) taken = wire.send(this.slot, this.slot + this.slotLength);
    const { overflow } = this;
    if (overflow !== undefined) {
      this.bytes.set(overflow, OUT);
      taken = wire.send(OUT, OUT + overflow.length);
    }
    return taken;
  }

  /** The request will not be sent again. */
  release(): void {
    if (this.slot >= 0) this.slots.give(this.slot);
    this.slot = -1;
    this.slotLength = 0;
    this.overflow = undefined;
    this.whole = false;
  }
}
