// Every way in which a message can be wrong, as small numbers for the request's way and as words for people. A parser
// returns the negative index; whoever answers or logs looks the words up in `headFaults`. Codes are stable: operators
// alert on them. The status is what a client is answered; for a target's fault the proxy answers 502 whatever stands here.

export type HeadFault = {
  readonly code: string;
  /** HTTP status to answer a client with. The connection is closed after it: the framing is in doubt. */
  readonly status: number;
  readonly detail: string;
};

// Index 0 is no fault, because -0 could not be told from "incomplete".
const faults: HeadFault[] = [{ code: "http1.none", status: 500, detail: "no fault" }];

function fault(code: string, status: number, detail: string): number {
  return -(faults.push({ code, status, detail }) - 1);
}

/** What parsers return: always negative, `-Fault.x` is the index into `headFaults`. */
export const Fault = {
  blankLinesTooMany: fault("http1.line.blankTooMany", 400, "more than 4 blank lines before the request line"),
  lineBareLf: fault("http1.line.bareLf", 400, "a line ends with LF alone"),
  lineBareCr: fault("http1.line.bareCr", 400, "a CR that no LF follows"),

  methodInvalid: fault("http1.method.invalid", 400, "the method is not a token of 1 to 32 bytes before one space"),
  targetInvalid: fault(
    "http1.target.invalid",
    400,
    "the request-target has a forbidden byte or a form its method does not allow",
  ),
  targetTooLong: fault("http1.target.tooLong", 414, "the request line does not fit into the limit of the head"),
  versionInvalid: fault("http1.version.invalid", 400, "what follows the request-target is not HTTP/digit.digit"),
  versionUnsupported: fault("http1.version.unsupported", 505, "the version is not HTTP/1.0 or HTTP/1.1"),

  statusInvalid: fault("http1.status.invalid", 502, "the status line is not HTTP/1.x and a status of 100 to 599"),

  headerNameInvalid: fault(
    "http1.header.name.invalid",
    400,
    "a header name is not a token that a colon follows at once",
  ),
  headerValueInvalid: fault("http1.header.value.invalid", 400, "a header value has a control byte"),
  headerFolded: fault("http1.header.folded", 400, "a header line begins with white space"),
  headerTooLarge: fault("http1.header.tooLarge", 431, "the head has more bytes than the limit"),
  headerTooMany: fault("http1.header.tooMany", 431, "the head has more lines than the limit"),

  hostMissing: fault("http1.host.missing", 400, "HTTP/1.1 without Host"),
  hostDouble: fault("http1.host.double", 400, "more than one Host line"),
  hostInvalid: fault("http1.host.invalid", 400, "Host is not a name or an address with an optional port"),

  contentLengthInvalid: fault("http1.contentLength.invalid", 400, "Content-Length is not 1 to 15 digits"),
  contentLengthDiffers: fault(
    "http1.contentLength.differs",
    400,
    "more than one Content-Length; equal ones are refused too",
  ),
  framingBoth: fault("http1.framing.both", 400, "Content-Length and Transfer-Encoding in one head"),
  framingConnect: fault(
    "http1.framing.connect",
    400,
    "CONNECT with a body: what follows its head belongs to the tunnel",
  ),
  transferEncodingUnsupported: fault(
    "http1.transferEncoding.unsupported",
    501,
    "Transfer-Encoding is not exactly chunked",
  ),
  transferEncodingDouble: fault("http1.transferEncoding.double", 400, "more than one Transfer-Encoding line"),
  transferEncodingVersion: fault("http1.transferEncoding.version", 400, "Transfer-Encoding in HTTP/1.0"),

  connectionInvalid: fault("http1.connection.invalid", 400, "Connection is not a list of tokens"),
  connectionForbidden: fault(
    "http1.connection.forbidden",
    400,
    "Connection names a field that frames, routes or names the client",
  ),
  connectionTooMany: fault("http1.connection.tooMany", 400, "Connection names more than 16 fields"),
  expectUnsupported: fault("http1.expect.unsupported", 417, "Expect is not 100-continue"),

  chunkSizeInvalid: fault(
    "http1.chunk.size.invalid",
    400,
    "a chunk size is not hexadecimal digits up to the end of the line or a semicolon",
  ),
  chunkSizeTooLarge: fault("http1.chunk.size.tooLarge", 413, "a chunk size has more than 13 digits"),
  chunkExtensionInvalid: fault("http1.chunk.extension.invalid", 400, "a chunk extension is not ;name or ;name=value"),
  chunkExtensionTooLarge: fault(
    "http1.chunk.extension.tooLarge",
    400,
    "chunk extensions exceed the payload by more than the limit",
  ),
  chunkEndInvalid: fault("http1.chunk.end.invalid", 400, "no CRLF after the bytes of a chunk"),
  trailerNameInvalid: fault(
    "http1.trailer.name.invalid",
    400,
    "a trailer name is not a token that a colon follows at once",
  ),
  trailerValueInvalid: fault("http1.trailer.value.invalid", 400, "a trailer value has a control byte"),
  trailerFolded: fault("http1.trailer.folded", 400, "a trailer line begins with white space"),
  trailerFraming: fault("http1.trailer.framing", 400, "Content-Length, Transfer-Encoding or Connection as a trailer"),
  trailerTooLarge: fault("http1.trailer.tooLarge", 431, "the trailers have more bytes than the limit"),
  bodyTruncated: fault("http1.body.truncated", 400, "the connection ended inside the body"),
} as const;

/** Index = minus what a parser returned. */
export const headFaults: readonly HeadFault[] = faults;
