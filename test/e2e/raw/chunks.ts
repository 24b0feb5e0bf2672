// Raw-bytes cases about chunked bodies: sizes, extensions, line ends, trailers (RFC 9112 section 7.1).

import { chunked, get, passed, type RawCase, refusedBody } from "./case.ts";

const sizeInvalid = "http1.chunk.size.invalid";
const extensionInvalid = "http1.chunk.extension.invalid";
const hello = chunked("5\r\nhello\r\n0\r\n\r\n");
const hidden = "GET /hidden HTTP/1.1\r\nHost: evil\r\n\r\n";
const hiddenSize = hidden.length.toString(16);

function malformed(name: string, code: string, body: string, status = 400): RawCase {
  return refusedBody(name, status, code, chunked(body));
}

/** Trailers that arrive at the target. */
function trailers(name: string, sent: string, kept: string): RawCase {
  return passed(name, chunked(`5\r\nhello\r\n0\r\n${sent}\r\n`), [chunked(`5\r\nhello\r\n0\r\n${kept}\r\n`)]);
}

export const chunkCases: readonly RawCase[] = [
  passed("chunks are framed anew", chunked("2\r\nhe\r\n1\r\nl\r\n2\r\nlo\r\n0\r\n\r\n"), [hello]),
  passed("a request hidden in a chunk stays a body", chunked(`${hiddenSize}\r\n${hidden}\r\n0\r\n\r\n`), [
    chunked(`${hiddenSize}\r\n${hidden}\r\n0\r\n\r\n`),
  ]),
  passed("a request behind the last chunk is the next request", hello + get(""), [hello, get("")]),
  passed("an empty chunked body and the next request are two", chunked("0\r\n\r\n") + get(""), [
    chunked("0\r\n\r\n"),
    get(""),
  ]),
  passed("a chunk size with leading zeros counts", chunked("0005\r\nhello\r\n0\r\n\r\n"), [hello]),
  passed("a chunk size in capitals counts", chunked("A\r\n0123456789\r\n0\r\n\r\n"), [
    chunked("a\r\n0123456789\r\n0\r\n\r\n"),
  ]),
  passed("a last chunk of several zeros ends the body", chunked("5\r\nhello\r\n000\r\n\r\n"), [hello]),
  passed("chunk extensions are read and not forwarded", chunked('5;a=b;c="d;\\"e"\r\nhello\r\n0;last\r\n\r\n'), [
    hello,
  ]),
  malformed(
    "a chunk size of 17 digits does not overflow",
    "http1.chunk.size.tooLarge",
    "10000000000000005\r\nhello\r\n0\r\n\r\n",
    413,
  ),
  {
    name: "a chunk size of 2^32 + 5 does not wrap: it runs into the body limit",
    send: chunked(`100000005\r\n${"a".repeat(1024 * 1024 + 1)}`),
    statuses: [413],
    code: "request.body.tooLarge",
    closes: true,
    cut: chunked(""),
  },
  malformed(
    "a chunk size of many leading zeros is refused",
    "http1.chunk.size.tooLarge",
    `${"0".repeat(20)}5\r\nhello\r\n0\r\n\r\n`,
    413,
  ),
  malformed("a chunk size with 0x is refused", sizeInvalid, "0x5\r\nhello\r\n0\r\n\r\n"),
  malformed("a chunk size with a plus sign is refused", sizeInvalid, "+5\r\nhello\r\n0\r\n\r\n"),
  malformed("a chunk size with a minus sign is refused", sizeInvalid, "-5\r\nhello\r\n0\r\n\r\n"),
  malformed("a chunk size with an underscore is refused", sizeInvalid, "0_5\r\nhello\r\n0\r\n\r\n"),
  malformed("white space before a chunk size is refused", sizeInvalid, " 5\r\nhello\r\n0\r\n\r\n"),
  malformed("white space behind a chunk size is refused", sizeInvalid, "5 \r\nhello\r\n0\r\n\r\n"),
  malformed("an empty chunk size is refused", sizeInvalid, "\r\nhello\r\n0\r\n\r\n"),
  malformed("a chunk size that is no number is refused", sizeInvalid, "G\r\nhello\r\n0\r\n\r\n"),
  malformed("NUL behind a chunk size is refused", sizeInvalid, "5\x00\r\nhello\r\n0\r\n\r\n"),
  malformed("a chunk size that ends with LF alone is refused", "http1.line.bareLf", "5\nhello\r\n0\r\n\r\n"),
  malformed("a chunk size that ends with CR alone is refused", "http1.line.bareCr", "5\rhello\r\n0\r\n\r\n"),
  malformed("a chunk extension with LF alone is refused", "http1.line.bareLf", `5;\nhello\r\n0\r\n\r\n${hidden}`),
  malformed("a chunk extension with LF in its quotes is refused", extensionInvalid, '5;a="\r\n"\r\nhello\r\n0\r\n\r\n'),
  malformed("a chunk extension with NUL is refused", extensionInvalid, "5;a\x00\r\nhello\r\n0\r\n\r\n"),
  malformed(
    "chunk extensions far longer than the payload are refused",
    "http1.chunk.extension.tooLarge",
    `5;${"a".repeat(20_000)}\r\nhello\r\n0\r\n\r\n`,
  ),
  malformed("a chunk that is longer than its size is refused", "http1.chunk.end.invalid", "5\r\nhelloX\r\n0\r\n\r\n"),
  malformed("a chunk that is shorter than its size is refused", "http1.chunk.end.invalid", "5\r\nhell\r\n0\r\n\r\n"),
  malformed("a chunk that ends with LF alone is refused", "http1.chunk.end.invalid", "5\r\nhello\n0\r\n\r\n"),
  malformed(
    "a chunk that ends with two bytes other than CRLF is refused",
    "http1.chunk.end.invalid",
    "5\r\nhelloXX0\r\n\r\n",
  ),
  malformed("a last chunk that ends with LF alone is refused", "http1.line.bareLf", "5\r\nhello\r\n0\n\n"),
  malformed(
    "a body whose last line ends with LF alone is refused",
    "http1.line.bareLf",
    `5\r\nhello\r\n0\r\n\n${hidden}`,
  ),
  {
    name: "a body without its last blank line is no request once the client ends",
    send: chunked("5\r\nhello\r\n0\r\n"),
    ends: true,
    statuses: [],
    closes: true,
    cut: chunked("5\r\nhello\r\n"),
  },
  trailers("a trailer is forwarded", "X-Sum: 1\r\n", "X-Sum: 1\r\n"),
  malformed("Content-Length as a trailer is refused", "http1.trailer.framing", "0\r\nContent-Length: 50\r\n\r\n"),
  malformed(
    "Transfer-Encoding as a trailer is refused",
    "http1.trailer.framing",
    "0\r\ntransfer-encoding: chunked\r\n\r\n",
  ),
  trailers("Host as a trailer is dropped", "Host: evil\r\n", ""),
  trailers("X-Forwarded-For and Cookie as trailers are dropped", "X-Forwarded-For: 1.2.3.4\r\ncookie: a=b\r\n", ""),
  malformed("a trailer with LF alone is refused", "http1.line.bareLf", "0\r\nX: 1\n\r\n"),
  malformed("a folded trailer is refused", "http1.trailer.folded", "0\r\nX: 1\r\n 2\r\n\r\n"),
  malformed("a trailer with a space before its colon is refused", "http1.trailer.name.invalid", "0\r\nX : 1\r\n\r\n"),
  malformed("a request line in place of trailers is refused", "http1.trailer.name.invalid", `0\r\n${hidden}`),
  malformed(
    "trailers beyond the limit are refused",
    "http1.trailer.tooLarge",
    `0\r\nX: ${"a".repeat(9_000)}\r\n\r\n`,
    431,
  ),
];
