// What a parsed head is: offsets into the arena and small numbers, no strings. On the request's way. One object of each
// kind is made per worker and filled again for every message, so nothing here may be kept after the event that parsed it,
// and after a parse that did not return 1 the fields mean nothing. Filled by parse-request.ts and parse-response.ts.

/** Header names that the proxy must know; 0 is any other name. */
export const HeaderId = {
  other: 0,
  host: 1,
  connection: 2,
  contentLength: 3,
  transferEncoding: 4,
  keepAlive: 5,
  proxyConnection: 6,
  te: 7,
  trailer: 8,
  upgrade: 9,
  expect: 10,
  xForwardedFor: 11,
  xForwardedProto: 12,
  xForwardedHost: 13,
  xForwardedPort: 14,
  xRealIp: 15,
  forwarded: 16,
  proxyAuthenticate: 17,
  proxyAuthorization: 18,
  userAgent: 19,
  referer: 20,
  date: 21,
  server: 22,
} as const;
export type HeaderId = (typeof HeaderId)[keyof typeof HeaderId];

/** Methods are case-sensitive (RFC 9110 section 9.1): `get` is `other`. */
export const Method = {
  other: 0,
  get: 1,
  head: 2,
  post: 3,
  put: 4,
  delete: 5,
  options: 6,
  patch: 7,
  trace: 8,
  connect: 9,
} as const;
export type Method = (typeof Method)[keyof typeof Method];

/** RFC 9112 section 3.2. */
export const TargetForm = { origin: 0, absolute: 1, asterisk: 2, authority: 3 } as const;
export type TargetForm = (typeof TargetForm)[keyof typeof TargetForm];

/** Numbers per header line in `Head.lines`: id, name hash, name start, name end, value start, value end (OWS cut off), line end (after CRLF), hop-by-hop flag. */
export const LINE = 8;
export const LineField = {
  id: 0,
  hash: 1,
  nameStart: 2,
  nameEnd: 3,
  valueStart: 4,
  valueEnd: 5,
  end: 6,
  hopByHop: 7,
} as const;

/** Lines that a head has room for unless its maker asks otherwise; `headerCountMax` above it has no effect. */
export const LINE_COUNT_CEILING = 1024;

export type Head = {
  /** Offset after the blank line. */
  end: number;
  /** 10 or 11: HTTP/1.0, HTTP/1.1. Any other 1.x minor digit of a response is read as 11. */
  version: number;
  /** First header line (or the blank line when there is none). */
  linesStart: number;
  lineCount: number;
  /** LINE numbers per header line. Line 0 starts at linesStart and each line starts where the one before ends. */
  readonly lines: Int32Array;
  /** -1: none. */
  contentLength: number;
  chunked: boolean;
  connectionClose: boolean;
  connectionKeepAlive: boolean;
  /** HTTP/1.1, Connection names `upgrade`, and a non-empty Upgrade line exists (RFC 9110 section 7.8: in 1.0 it is ignored). */
  upgrade: boolean;
  /** Connection names `upgrade`, whatever else. */
  connectionUpgrade: boolean;
  /** Fields that Connection names besides close, keep-alive and upgrade; their lines are marked hop-by-hop. */
  connectionNamed: number;
  /** Index of the first Upgrade line that is not empty, -1: none. */
  upgradeLine: number;
};

export type RequestHead = Head & {
  method: Method;
  methodStart: number;
  methodEnd: number;
  /** The request-target as sent. */
  targetStart: number;
  targetEnd: number;
  form: TargetForm;
  /** Path with query, within the target: for absolute form what follows the authority (may be empty or begin with `?`: then the path means `/`); for asterisk and authority form empty. */
  pathStart: number;
  pathEnd: number;
  /** The `?`, or pathEnd when there is none. */
  queryStart: number;
  /** True when the path (without query) has `%`, `//`, or a `.` after a `/`: it must be normalized before it is matched. */
  pathUnclean: boolean;
  /** The authority that counts, port included: of the target for absolute and authority form, else the Host value. Empty (start = end) only for HTTP/1.0 without Host, or an empty Host line. */
  hostStart: number;
  hostEnd: number;
  /** Index of the Host line, -1: none (HTTP/1.0 only). In absolute form its value may differ from hostStart..hostEnd and must be replaced (RFC 9112 section 3.2.2). */
  hostLine: number;
  /** `Expect: 100-continue` in HTTP/1.1 (RFC 9110 section 10.1.1: in 1.0 it is ignored). */
  expectContinue: boolean;
};

export type ResponseHead = Head & {
  /** The version is the one that stands there; false for HTTP/1.2 to 1.9, which are read as 1.1 and must not be passed on. */
  exactVersion: boolean;
  /** 100 to 599. */
  status: number;
  /** The reason phrase; start = end when there is none. */
  reasonStart: number;
  reasonEnd: number;
};

export function requestHead(lineCountMax: number = LINE_COUNT_CEILING): RequestHead {
  return {
    end: 0,
    version: 11,
    linesStart: 0,
    lineCount: 0,
    lines: new Int32Array(lineCountMax * LINE),
    contentLength: -1,
    chunked: false,
    connectionClose: false,
    connectionKeepAlive: false,
    upgrade: false,
    connectionUpgrade: false,
    connectionNamed: 0,
    upgradeLine: -1,
    method: Method.other,
    methodStart: 0,
    methodEnd: 0,
    targetStart: 0,
    targetEnd: 0,
    form: TargetForm.origin,
    pathStart: 0,
    pathEnd: 0,
    queryStart: 0,
    pathUnclean: false,
    hostStart: 0,
    hostEnd: 0,
    hostLine: -1,
    expectContinue: false,
  };
}

export function responseHead(lineCountMax: number = LINE_COUNT_CEILING): ResponseHead {
  return {
    end: 0,
    version: 11,
    linesStart: 0,
    lineCount: 0,
    lines: new Int32Array(lineCountMax * LINE),
    contentLength: -1,
    chunked: false,
    connectionClose: false,
    connectionKeepAlive: false,
    upgrade: false,
    connectionUpgrade: false,
    connectionNamed: 0,
    upgradeLine: -1,
    exactVersion: true,
    status: 0,
    reasonStart: 0,
    reasonEnd: 0,
  };
}
