// Bytes of a client that cannot go anywhere yet: the target is not there, or what says where to go is not complete. On the
// request's way. Memory grows by doubling, so that a client that sends byte by byte costs no more copies than one that does
// not; it is let go with the object. How much may be held is for the owner to say: by not reading on.

const FIRST_BYTES = 512;

export class EarlyBytes {
  length = 0;
  private memory: Buffer;

  constructor(room: number = FIRST_BYTES) {
    this.memory = Buffer.allocUnsafe(Math.max(FIRST_BYTES, room));
  }

  append(from: Buffer, start: number, end: number): void {
    const length = this.length + end - start;
    if (length > this.memory.length) {
      const larger = Buffer.allocUnsafe(Math.max(length, this.memory.length * 2));
      this.memory.copy(larger, 0, 0, this.length);
      this.memory = larger;
    }
    from.copy(this.memory, this.length, start, end);
    this.length = length;
  }

  /** Writes everything to `at` of another memory, which has the room, and returns the offset after it. */
  copyTo(to: Buffer, at: number): number {
    this.memory.copy(to, at, 0, this.length);
    return at + this.length;
  }
}
