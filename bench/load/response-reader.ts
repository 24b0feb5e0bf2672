// Reads responses on one connection of our own load clients, which have one request under way at a time: enough to know
// when a response is whole and whether it is right. Only Content-Length framing is known, because every proxy under test
// keeps the length the target sent; anything else is a problem that voids the run.

export type Reading =
  | { readonly kind: "partial" }
  | {
      readonly kind: "whole";
      readonly status: number;
      readonly bodyBytes: number;
      /** How many times bytes came until it was whole. */
      readonly pieces: number;
    }
  | { readonly kind: "problem"; readonly what: string };

const PARTIAL: Reading = { kind: "partial" };
const HEAD_BYTES_MAX = 16 * 1024;

export class ResponseReader {
  #held: Buffer | undefined;
  /** Bytes of the body still to come, after its head was read. */
  #missing = 0;
  #status = 0;
  #bodyBytes = 0;
  #pieces = 0;

  /** Takes the next bytes. `whole` ends the response; bytes beyond it are a problem, since nothing was asked for yet. */
  feed(chunk: Buffer): Reading {
    this.#pieces += 1;
    if (this.#missing > 0) return this.#takeBody(chunk, 0);
    const bytes = this.#held === undefined ? chunk : Buffer.concat([this.#held, chunk]);
    const blank = bytes.indexOf("\r\n\r\n");
    if (blank < 0) {
      if (bytes.length > HEAD_BYTES_MAX) return problem(`a response head of more than ${HEAD_BYTES_MAX} bytes`);
      this.#held = bytes;
      return PARTIAL;
    }
    this.#held = undefined;
    const head = bytes.toString("latin1", 0, blank);
    const status = /^HTTP\/1\.1 (\d{3})/.exec(head)?.[1];
    if (status === undefined) return problem(`no HTTP/1.1 status line: ${head.slice(0, 80)}`);
    const length = /\r\ncontent-length: *(\d+)/i.exec(head)?.[1];
    if (length === undefined) return problem(`status ${status} without Content-Length`);
    this.#status = Number(status);
    this.#bodyBytes = Number(length);
    this.#missing = this.#bodyBytes;
    return this.#takeBody(bytes, blank + 4);
  }

  #takeBody(bytes: Buffer, from: number): Reading {
    const came = bytes.length - from;
    if (came > this.#missing) return problem(`${came - this.#missing} bytes after the end of a response`);
    this.#missing -= came;
    if (this.#missing > 0) return PARTIAL;
    const pieces = this.#pieces;
    this.#pieces = 0;
    return { kind: "whole", status: this.#status, bodyBytes: this.#bodyBytes, pieces };
  }
}

function problem(what: string): Reading {
  return { kind: "problem", what };
}
