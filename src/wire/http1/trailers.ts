// The trailer section of a chunked body (RFC 9112 section 7.1.2): judged line by line as strictly as header lines, and
// what may go on is kept as bytes of ours. On the request's way, but rare: made only for a message that has trailers, so
// it may copy. A field that frames, routes, authorizes or describes the content may not be a trailer (RFC 9110
// section 6.5.1): a recipient that merged it would read another message than we did. Such a field is dropped; one that
// would frame the message that it ends, or end the connection, is refused: no honest sender makes it, and readers differ.

import { Byte, TOKEN_LOWER, VALUE } from "./bytes.ts";
import { Fault } from "./faults.ts";

const { COLON, CR, HTAB, LF, SP } = Byte;
const tokenLower = TOKEN_LOWER;
const valueByte = VALUE;

const REFUSED: ReadonlySet<string> = new Set(["content-length", "transfer-encoding", "connection", "proxy-connection"]);
const DROPPED: ReadonlySet<string> = new Set([
  // Framing and connection.
  ...[
    "transfer-encoding",
    "content-length",
    "connection",
    "keep-alive",
    "proxy-connection",
    "te",
    "trailer",
    "upgrade",
  ],
  // Routing, and who the client is.
  ...["host", "forwarded", "x-forwarded-for", "x-forwarded-host", "x-forwarded-proto", "x-forwarded-port", "x-real-ip"],
  // Request modifiers.
  ...["cache-control", "expect", "max-forwards", "pragma", "range"],
  ...["if-match", "if-none-match", "if-modified-since", "if-unmodified-since", "if-range"],
  // Authentication and state.
  ...["authorization", "proxy-authorization", "www-authenticate", "proxy-authenticate", "cookie", "set-cookie"],
  ...["authentication-info", "proxy-authentication-info"],
  // Response control.
  ...["age", "date", "expires", "location", "retry-after", "vary", "warning"],
  // How the content is read.
  ...["content-encoding", "content-type", "content-range"],
]);

export class TrailerReader {
  /** The last `read` ended with a whole line. */
  lineComplete = false;

  /** All bytes of the section, lines not yet ended too. */
  readonly #section: Buffer;
  #sectionEnd = 0;
  #lineStart = 0;
  readonly #kept: Buffer[] = [];

  constructor(bytesMax: number) {
    this.#section = Buffer.allocUnsafe(bytesMax);
  }

  /** Takes bytes up to the next LF. Returns the offset after what it took, or a fault. */
  read(bytes: Uint8Array, start: number, end: number): number {
    this.lineComplete = false;
    for (let at = start; at < end; at++) {
      if (this.#sectionEnd === this.#section.length) return Fault.trailerTooLarge;
      const byte = bytes[at]!;
      this.#section[this.#sectionEnd++] = byte;
      if (byte === LF) {
        const fault = this.#endLine();
        return fault === 0 ? at + 1 : fault;
      }
    }
    return end;
  }

  /** The lines that may go on, each `name: value` CRLF; undefined when none may. */
  forwardable(): Buffer | undefined {
    return this.#kept.length === 0 ? undefined : Buffer.concat(this.#kept);
  }

  #endLine(): number {
    const line = this.#section.subarray(this.#lineStart, this.#sectionEnd);
    this.#lineStart = this.#sectionEnd;
    const fault = judgeTrailer(line);
    if (fault !== 0) return fault;
    const colon = line.indexOf(COLON);
    const name = line.toString("latin1", 0, colon);
    const lower = name.toLowerCase();
    if (REFUSED.has(lower)) return Fault.trailerFraming;
    this.lineComplete = true;
    if (DROPPED.has(lower)) return 0;
    let valueStart = colon + 1;
    let valueEnd = line.length - 2;
    while (valueStart < valueEnd && isBlank(line[valueStart]!)) valueStart++;
    while (valueEnd > valueStart && isBlank(line[valueEnd - 1]!)) valueEnd--;
    this.#kept.push(Buffer.from(`${name}: ${line.toString("latin1", valueStart, valueEnd)}\r\n`, "latin1"));
    return 0;
  }
}

/** Judges one line that ends with LF. Returns 0 or a fault. */
function judgeTrailer(line: Uint8Array): number {
  const lf = line.length - 1;
  if (lf === 0 || line[lf - 1] !== CR) return Fault.lineBareLf;
  if (isBlank(line[0]!)) return Fault.trailerFolded;
  let at = 0;
  while (tokenLower[line[at]!] !== 0) at++;
  if (at === 0 || line[at] !== COLON) return Fault.trailerNameInvalid;
  at++;
  while (at < lf - 1 && valueByte[line[at]!] !== 0) at++;
  if (at === lf - 1) return 0;
  return line[at] === CR ? Fault.lineBareCr : Fault.trailerValueInvalid;
}

function isBlank(byte: number): boolean {
  return byte === SP || byte === HTAB;
}
