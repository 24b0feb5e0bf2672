// A stream of bytes as lines, for answers that never end. The change's way, pure. It must not grow without bound: a line
// that is longer than its limit is a failure, and so is everything after it.

const newline = 0x0a;

export class LineSplitter {
  readonly #bytesMax: number;
  #pieces: Buffer[] = [];
  #length = 0;

  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax;
  }

  /** Lines that end with these bytes, as UTF-8 and without their ends; undefined: one is too long. */
  push(bytes: Buffer): readonly string[] | undefined {
    const lines: string[] = [];
    let start = 0;
    for (let end = bytes.indexOf(newline); end >= 0; end = bytes.indexOf(newline, start)) {
      this.#keep(bytes.subarray(start, end));
      if (this.#length > this.#bytesMax) return undefined;
      lines.push(Buffer.concat(this.#pieces, this.#length).toString("utf8"));
      this.#pieces = [];
      this.#length = 0;
      start = end + 1;
    }
    this.#keep(bytes.subarray(start));
    return this.#length > this.#bytesMax ? undefined : lines;
  }

  #keep(piece: Buffer): void {
    if (piece.length === 0) return;
    this.#pieces.push(piece);
    this.#length += piece.length;
  }
}
