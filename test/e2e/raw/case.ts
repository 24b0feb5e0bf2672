// One case of the raw-bytes suite: what a client sends, what it gets, and every request that a target may see for it.

export type RawCase = {
  /** A sentence. */
  readonly name: string;
  /** One byte a character. */
  readonly send: string;
  /** The client half-closes behind it. */
  readonly ends?: boolean;
  /** Of the final responses, in order. */
  readonly statuses: readonly number[];
  /** Code in the last response's body, when that is an error of ours. */
  readonly code?: string;
  /** The connection is closed then; otherwise it must carry another request. */
  readonly closes: boolean;
  /** The requests that the target sees, each byte for byte; none unless said. */
  readonly target?: readonly string[];
  /** Sent byte by byte, bytes come behind the close that the client itself has asked for: the kernel may reset then. */
  readonly resetWhenPiecemeal?: boolean;
  /** Of the requests, when they are not all with a body in their response. */
  readonly methods?: readonly string[];
  /** A streamed body that never ends well: a target sees these bytes of it (and perhaps more), then its connection is cut. */
  readonly cut?: string;
  /** Sent byte by byte, the body's fault comes after the request's beginning has reached a target, who sees it cut. */
  readonly cutWhenPiecemeal?: boolean;
};

/** A case whose bytes are refused at once: one response, the connection closed, no target has seen anything. */
export function refused(name: string, status: number, code: string, send: string): RawCase {
  return { name, send, statuses: [status], code, closes: true };
}

/** As `refused`, for what is wrong within a body: piece by piece a target may see the beginning of it. */
export function refusedBody(name: string, status: number, code: string, send: string): RawCase {
  return { ...refused(name, status, code, send), cutWhenPiecemeal: true };
}

/** A case that the target sees as these requests, each answered with 200, and the connection stays. */
export function passed(name: string, send: string, target: readonly string[]): RawCase {
  return { name, send, statuses: target.map(() => 200), closes: false, target };
}

/** A POST with these lines behind Host and this after the blank line. */
export function post(lines: string, body: string): string {
  return `POST /p HTTP/1.1\r\nHost: h\r\n${lines}\r\n${body}`;
}

/** A POST with a chunked body, given from its first chunk size on. */
export function chunked(body: string): string {
  return post("Transfer-Encoding: chunked\r\n", body);
}

/** A GET with these lines behind Host. */
export function get(lines: string): string {
  return `GET /g HTTP/1.1\r\nHost: h\r\n${lines}\r\n`;
}
