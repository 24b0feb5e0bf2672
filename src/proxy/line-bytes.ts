// One log line put together as bytes, in a buffer that is used again for every line. On the request's way: what repeats
// from line to line is kept as bytes and copied, numbers are written digit by digit, and no string is made for the line.

/** Below this a loop over the characters is faster than Buffer.write. */
const LOOP_WRITE_MAX = 32;
/** Below this a loop over the bytes is faster than TypedArray.set. */
const LOOP_COPY_MAX = 48;
const FIRST_SIZE = 4096;
const QUOTE = 0x22;
const ZERO = 0x30;
/** Below this, integer division. */
const INT_MAX = 0x7fffffff;

export class LineBytes {
  bytes: Buffer = Buffer.allocUnsafeSlow(FIRST_SIZE);
  length = 0;

  /** Room for so many more bytes; what stands is kept. */
  reserve(more: number): void {
    if (this.length + more <= this.bytes.length) return;
    const larger = Buffer.allocUnsafeSlow(Math.max(this.length + more, this.bytes.length * 2));
    this.bytes.copy(larger, 0, 0, this.length);
    this.bytes = larger;
  }

  copy(from: Uint8Array): void {
    const size = from.length;
    this.reserve(size);
    const { bytes } = this;
    const at = this.length;
    if (size < LOOP_COPY_MAX) for (let index = 0; index < size; index++) bytes[at + index] = from[index]!;
    else bytes.set(from, at);
    this.length = at + size;
  }

  /** One byte a character. */
  text(text: string): void {
    const size = text.length;
    this.reserve(size);
    const { bytes } = this;
    const at = this.length;
    if (size < LOOP_WRITE_MAX) for (let index = 0; index < size; index++) bytes[at + index] = text.charCodeAt(index);
    else bytes.write(text, at, "latin1");
    this.length = at + size;
  }

  quote(): void {
    this.reserve(1);
    this.bytes[this.length] = QUOTE;
    this.length += 1;
  }

  /** A whole number of 0 to 2^53 - 1 in decimal. */
  integer(value: number): void {
    this.reserve(16);
    if (value < 10) {
      this.bytes[this.length] = ZERO + value;
      this.length += 1;
      return;
    }
    let digits = 2;
    for (let limit = 100; value >= limit; limit *= 10) digits += 1;
    this.digits(value, digits);
  }

  /** Milliseconds as seconds with six decimals: 1.5 is 0.001500. */
  seconds(spanMs: number): void {
    const micros = Math.round(spanMs * 1000);
    const seconds = Math.floor(micros / 1_000_000);
    this.integer(seconds);
    this.reserve(7);
    this.bytes[this.length] = 0x2e;
    this.length += 1;
    this.digits(micros - seconds * 1_000_000, 6);
  }

  /** The last `count` digits, zeros in front. */
  digits(value: number, count: number): void {
    this.reserve(count);
    const { bytes } = this;
    let rest = value;
    for (let at = this.length + count - 1; at >= this.length; at--) {
      const tenth = rest < INT_MAX ? (rest / 10) | 0 : Math.floor(rest / 10);
      bytes[at] = ZERO + (rest - tenth * 10);
      rest = tenth;
    }
    this.length += count;
  }
}
