// Raw-bytes cases about where a message ends: Content-Length, Transfer-Encoding, both, and requests hidden in bodies.

import { get, passed, post, type RawCase, refused } from "./case.ts";

const hidden = "GET /hidden HTTP/1.1\r\nHost: evil\r\n\r\n";
const length = `Content-Length: ${hidden.length}\r\n`;
const te = "Transfer-Encoding: chunked\r\n";
const clInvalid = "http1.contentLength.invalid";
const clDiffers = "http1.contentLength.differs";
const teUnsupported = "http1.transferEncoding.unsupported";
const nameInvalid = "http1.header.name.invalid";
const valueInvalid = "http1.header.value.invalid";
const forbidden = "http1.connection.forbidden";

export const framingCases: readonly RawCase[] = [
  refused(
    "CL.TE: Content-Length before Transfer-Encoding is refused",
    400,
    "http1.framing.both",
    post(`Content-Length: 6\r\n${te}`, "0\r\n\r\nG"),
  ),
  refused(
    "TE.CL: Transfer-Encoding before Content-Length is refused",
    400,
    "http1.framing.both",
    post(`${te}Content-Length: 4\r\n`, `24\r\n${hidden}\r\n0\r\n\r\n`),
  ),
  refused(
    "CL.TE with Content-Length 0 is refused",
    400,
    "http1.framing.both",
    post(`Content-Length: 0\r\n${te}`, `24\r\n${hidden}\r\n0\r\n\r\n`),
  ),
  refused(
    "TE.TE: a second Transfer-Encoding line is refused",
    400,
    "http1.transferEncoding.double",
    post(`${te}Transfer-Encoding: identity\r\n`, "0\r\n\r\n"),
  ),
  refused("TE.TE: the same coding twice is refused", 400, "http1.transferEncoding.double", post(te + te, "0\r\n\r\n")),
  ...[
    ["identity", "identity"],
    ["xchunked", "a coding that only ends in chunked"],
    ["chunked, identity", "chunked that is not the last coding"],
    ["gzip, chunked", "a coding before chunked"],
    ["chunked, chunked", "chunked twice in one line"],
    ["chunked;q=1", "chunked with a parameter"],
    ['"chunked"', "chunked in quotes"],
    ["chunk\xe9d", "chunked with a letter above ASCII"],
    [",chunked", "chunked behind an empty element"],
    ["", "an empty coding"],
  ].map(([coding, what]) =>
    refused(
      `${what} as Transfer-Encoding is refused`,
      501,
      teUnsupported,
      post(`Transfer-Encoding: ${coding}\r\n`, "0\r\n\r\n"),
    ),
  ),
  refused(
    "a vertical tab before chunked is refused",
    400,
    valueInvalid,
    post("Transfer-Encoding: \x0bchunked\r\n", "0\r\n\r\n"),
  ),
  refused("NUL behind chunked is refused", 400, valueInvalid, post("Transfer-Encoding: chunked\x00\r\n", "0\r\n\r\n")),
  refused(
    "a space before Transfer-Encoding's colon is refused",
    400,
    nameInvalid,
    post("Transfer-Encoding : chunked\r\n", "0\r\n\r\n"),
  ),
  refused(
    "a tab before Transfer-Encoding's colon is refused",
    400,
    nameInvalid,
    post("Transfer-Encoding\t: chunked\r\n", "0\r\n\r\n"),
  ),
  refused(
    "Transfer-Encoding behind a space is a folded line and refused",
    400,
    "http1.header.folded",
    post("X: y\r\n Transfer-Encoding: chunked\r\n", "0\r\n\r\n"),
  ),
  refused(
    "Transfer-Encoding with its value folded is refused",
    501,
    teUnsupported,
    post("Transfer-Encoding:\r\n chunked\r\n", "0\r\n\r\n"),
  ),
  refused(
    "a folded line behind Transfer-Encoding is refused",
    400,
    "http1.header.folded",
    post(`${te} , identity\r\n`, "0\r\n\r\n"),
  ),
  refused(
    "Transfer-Encoding behind a bare LF is refused",
    400,
    "http1.line.bareLf",
    post("X: y\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n"),
  ),
  refused(
    "Transfer-Encoding behind a bare CR is refused",
    400,
    "http1.line.bareCr",
    post("X: y\rTransfer-Encoding: chunked\r\n", "0\r\n\r\n"),
  ),
  refused(
    "chunked in HTTP/1.0 is refused",
    400,
    "http1.transferEncoding.version",
    `POST /p HTTP/1.0\r\nHost: h\r\n${te}\r\n0\r\n\r\n`,
  ),
  refused(
    "a tab before chunked, which some take for a part of it, is refused",
    501,
    teUnsupported,
    post("Transfer-Encoding:\tchunked\r\n", "0\r\n\r\n"),
  ),
  refused(
    "CONNECT with a body is refused",
    400,
    "http1.framing.connect",
    "CONNECT h:443 HTTP/1.1\r\nHost: h:443\r\nContent-Length: 5\r\n\r\nhello",
  ),
  passed("CHUNKED in capitals passes as ours", post("TRANSFER-ENCODING: CHUNKED\r\n", "1\r\na\r\n0\r\n\r\n"), [
    post(te, "1\r\na\r\n0\r\n\r\n"),
  ]),
  passed(
    "Transfer_Encoding with an underscore is another header and does not frame",
    post("Transfer_Encoding: chunked\r\nContent-Length: 5\r\n", "0\r\n\r\n"),
    [post("Transfer_Encoding: chunked\r\nContent-Length: 5\r\n", "0\r\n\r\n")],
  ),

  ...[
    ["+5", "a plus sign"],
    ["-5", "a minus sign"],
    ["0x5", "hexadecimal"],
    ["5 5", "two numbers"],
    ["5abc", "letters behind the digits"],
    ["1e1", "an exponent"],
    ["5.0", "a fraction"],
    ["", "nothing"],
    ["99999999999999999999", "more digits than a number holds"],
    ["18446744073709551621", "5 modulo 2^64"],
  ].map(([value, what]) =>
    refused(`Content-Length with ${what} is refused`, 400, clInvalid, post(`Content-Length: ${value}\r\n`, "hello")),
  ),
  refused(
    "Content-Length as a list of equal numbers is refused",
    400,
    clDiffers,
    post("Content-Length: 5, 5\r\n", "hello"),
  ),
  refused(
    "two equal Content-Length lines are refused",
    400,
    clDiffers,
    post("Content-Length: 5\r\nContent-Length: 5\r\n", "hello"),
  ),
  refused(
    "two differing Content-Length lines are refused",
    400,
    clDiffers,
    post(`Content-Length: 0\r\n${length}`, hidden),
  ),
  refused(
    "a space before Content-Length's colon is refused",
    400,
    nameInvalid,
    post("Content-Length : 5\r\n", "hello"),
  ),
  refused("NUL in the name of Content-Length is refused", 400, nameInvalid, post("Content-Length\x00: 5\r\n", "hello")),
  refused(
    "Content-Length with its value folded is refused",
    400,
    clInvalid,
    post("Content-Length:\r\n 5\r\n", "hello"),
  ),
  passed("a Content-Length with a leading zero is decimal", post("Content-Length: 010\r\n", "0123456789"), [
    post("Content-Length: 010\r\n", "0123456789"),
  ]),
  passed("a POST without length has no body", `${post("", "")}${get("")}`, [post("", ""), get("")]),

  passed("a request hidden in a POST body stays a body", post(length, hidden), [post(length, hidden)]),
  passed("a request hidden in a GET body stays a body", get(length) + hidden, [get(length) + hidden]),
  passed("Content-Length 0 before a pipelined request makes two requests", post("Content-Length: 0\r\n", get("")), [
    post("Content-Length: 0\r\n", ""),
    get(""),
  ]),
  passed(
    "three pipelined requests are three, in order",
    get("X: 1\r\n") + post("Content-Length: 2\r\n", "ab") + get("X: 3\r\n"),
    [get("X: 1\r\n"), post("Content-Length: 2\r\n", "ab"), get("X: 3\r\n")],
  ),
  {
    name: "what is left of a body that is longer than its Content-Length is refused as the next request",
    send: post("Content-Length: 3\r\n", "abc{}[]\r\n\r\n"),
    statuses: [200, 400],
    code: "http1.method.invalid",
    closes: true,
    target: [post("Content-Length: 3\r\n", "abc")],
  },
  {
    name: "a body that is shorter than its Content-Length is no request once the client ends",
    send: post("Content-Length: 50\r\n", "abc"),
    ends: true,
    statuses: [],
    closes: true,
    cut: post("Content-Length: 50\r\n", "abc"),
  },
  {
    name: "a pipelined request that is refused takes only itself down",
    send: get("") + post(`Content-Length: 6\r\n${te}`, "0\r\n\r\nG"),
    statuses: [200, 400],
    code: "http1.framing.both",
    closes: true,
    target: [get("")],
  },
  {
    name: "nothing behind a refused request is read",
    send: `GET /g HTTP/1.1\r\n\r\n${get("")}`,
    statuses: [400],
    code: "http1.host.missing",
    closes: true,
  },
  {
    name: "nothing behind a request with Connection: close is read",
    send: `${get("Connection: close\r\n")}${hidden}`,
    statuses: [200],
    closes: true,
    resetWhenPiecemeal: true,
    target: [get("")],
  },

  ...["content-length", "Host", "transfer-encoding", "X-Forwarded-For", "x-real-ip", "close, X-Forwarded-Proto"].map(
    (named) =>
      refused(
        `Connection that names ${named} is refused`,
        400,
        forbidden,
        post(`Connection: ${named}\r\nContent-Length: 5\r\n`, "hello"),
      ),
  ),
  passed(
    "a line that Connection names is removed, wherever it stands",
    get("X-Secret: 1\r\nConnection: x-secret, keep-alive\r\nX-SECRET: 2\r\nX: 3\r\n"),
    [get("X: 3\r\n")],
  ),
  passed(
    "hop-by-hop lines are removed",
    get("Keep-Alive: timeout=5\r\nProxy-Connection: keep-alive\r\nTE: trailers\r\nConnection: keep-alive\r\nX: 1\r\n"),
    [get("X: 1\r\n")],
  ),
  passed(
    "h2c smuggling: an Upgrade to HTTP/2 is not forwarded",
    get("Upgrade: h2c\r\nHTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA\r\nConnection: Upgrade, HTTP2-Settings\r\n"),
    [get("")],
  ),
  refused("Connection that is no list is refused", 400, "http1.connection.invalid", get("Connection: close x\r\n")),
];
