// Reads the answer to an HTTP probe with the data plane's own parser, so that a target whose answers the balancer would
// refuse does not pass its check. An edge, on the change's way. Bytes are copied into the shared arena for the time of one
// event; what is kept between events is bounded: an unfinished head, and the start of the body where it is looked at.

import { probeAnswerBytesMax } from "../model/health-check.ts";
import { type Arena, createArena } from "../wire/arena.ts";
import { BodyMode, BodyReader } from "../wire/http1/body.ts";
import { headFaults } from "../wire/http1/faults.ts";
import { type ResponseHead, responseHead } from "../wire/http1/head.ts";
import { createHeadParser, type HeadParser, Parsed } from "../wire/http1/parse.ts";

const headBytesMax = 32 * 1024;
const headLinesMax = 200;
/** Room for the longest unfinished head and the most that one read brings. */
const arenaBytes = headBytesMax + 256 * 1024;
const pieceBytesMax = arenaBytes - headBytesMax;

/** What answers are read with. One for a process: it is used within one event and holds nothing between two. */
export type AnswerReader = { readonly arena: Arena; readonly parser: HeadParser; readonly head: ResponseHead };

export function createAnswerReader(): AnswerReader {
  const arena = createArena(arenaBytes);
  const limits = { headerBytesMax: headBytesMax, headerCountMax: headLinesMax };
  return { arena, parser: createHeadParser(arena, limits), head: responseHead(headLinesMax) };
}

export type AnswerFault = { readonly code: string; readonly detail: string };

/** The answer to one request, fed with what the target sends. */
export class ProbeAnswer {
  /** 0 until the head of the final response has come. */
  status = 0;
  /** All of it has come. */
  complete = false;
  /** The connection may be used again, once it is complete. */
  reusable = false;
  /** Bytes of the body so far, kept or not. */
  bodyBytes = 0;
  fault: AnswerFault | undefined;
  readonly #reader: AnswerReader;
  readonly #toHead: boolean;
  readonly #kept: Buffer[] = [];
  #keptBytes = 0;
  readonly #keepBody: boolean;
  #head: Buffer | undefined;
  #body: BodyReader | undefined;

  constructor(reader: AnswerReader, options: { readonly toHead: boolean; readonly keepBody: boolean }) {
    this.#reader = reader;
    this.#toHead = options.toHead;
    this.#keepBody = options.keepBody;
  }

  /** The start of the body, one byte a character. */
  get body(): string {
    return Buffer.concat(this.#kept).toString("latin1");
  }

  /** Takes what came; look at `fault`, `status` and `complete` then. */
  take(bytes: Buffer): void {
    for (let at = 0; at < bytes.length && this.fault === undefined; at += pieceBytesMax) {
      this.#takePiece(bytes.subarray(at, at + pieceBytesMax));
    }
  }

  /** The target has sent its last byte. */
  end(): void {
    if (this.complete || this.fault !== undefined) return;
    if (this.#body === undefined) {
      const detail = this.#head === undefined ? "closed without an answer" : "closed within the head of the answer";
      this.fault = { code: "probe.http.closed", detail };
    } else if (this.#body.endOfInput() < 0) {
      this.fault = { code: "probe.http.closed", detail: "closed within the body of the answer" };
    } else this.complete = true;
  }

  #takePiece(bytes: Buffer): void {
    if (this.complete) {
      // More than was asked for: whatever it is, the next answer does not begin here.
      this.reusable = false;
      return;
    }
    const { arena } = this.#reader;
    const before = this.#head?.copy(arena.bytes, 0) ?? 0;
    bytes.copy(arena.bytes, before);
    const end = before + bytes.length;
    const start = this.#body === undefined ? this.#takeHead(end) : 0;
    if (start >= 0 && this.fault === undefined) this.#takeBody(start, end);
  }

  /** Returns where the body begins, -1 while it has not. */
  #takeHead(end: number): number {
    const { parser, head, arena } = this.#reader;
    for (let start = 0; ; start = head.end) {
      const result = parser.response(start, end, head);
      if (result < 0) {
        const fault = headFaults[-result];
        this.fault = { code: fault?.code ?? "http1.none", detail: fault?.detail ?? "" };
        return -1;
      }
      if (result !== Parsed.complete) {
        this.#head = Buffer.from(arena.bytes.subarray(start, end));
        return -1;
      }
      // Interim responses (RFC 9110 section 15.2); nothing was asked for that 101 could be the answer to.
      if (head.status >= 200 || head.status === 101) break;
    }
    this.#head = undefined;
    this.#beginBody(head);
    return head.end;
  }

  #beginBody(head: ResponseHead): void {
    this.status = head.status;
    const body = new BodyReader(this.#reader.arena);
    const mode = modeOf(head, this.#toHead);
    body.begin(mode, Math.max(0, head.contentLength));
    this.#body = body;
    const stays = head.version === 11 ? !head.connectionClose : head.connectionKeepAlive;
    this.reusable = stays && mode !== BodyMode.untilClose && head.status !== 101;
  }

  #takeBody(start: number, end: number): void {
    const body = this.#body;
    if (body === undefined) return;
    const result = body.read(start, end);
    if (result < 0) {
      const fault = headFaults[-result];
      this.fault = { code: fault?.code ?? "http1.none", detail: fault?.detail ?? "" };
      return;
    }
    const length = body.dataEnd - start;
    this.bodyBytes += length;
    const room = this.#keepBody ? Math.min(length, probeAnswerBytesMax - this.#keptBytes) : 0;
    if (room > 0) {
      this.#kept.push(Buffer.from(this.#reader.arena.bytes.subarray(start, start + room)));
      this.#keptBytes += room;
      // A target that drips bytes must not cost an object a byte.
      if (this.#kept.length > 32) this.#kept.splice(0, this.#kept.length, Buffer.concat(this.#kept));
    }
    this.complete = body.complete;
    if (body.complete && body.consumedEnd < end) this.reusable = false;
  }
}

/** RFC 9112 section 6.3. */
function modeOf(head: ResponseHead, toHead: boolean): BodyMode {
  if (toHead || head.status === 204 || head.status === 304 || head.status === 101) return BodyMode.none;
  if (head.chunked) return BodyMode.chunked;
  return head.contentLength >= 0 ? BodyMode.length : BodyMode.untilClose;
}
