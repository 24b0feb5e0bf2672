// Raw-bytes cases about request lines, hosts, header lines and limits (RFC 9112 sections 2 to 5).

import { get, passed, post, type RawCase, refused } from "./case.ts";

const targetInvalid = "http1.target.invalid";
const versionInvalid = "http1.version.invalid";
const methodInvalid = "http1.method.invalid";
const nameInvalid = "http1.header.name.invalid";
const valueInvalid = "http1.header.value.invalid";
const hostInvalid = "http1.host.invalid";

/** A GET with that request line and Host: h. */
function line(text: string): string {
  return `${text}\r\nHost: h\r\n\r\n`;
}

function host(value: string): string {
  return `GET /g HTTP/1.1\r\nHost: ${value}\r\n\r\n`;
}

const lines = (count: number) => Array.from({ length: count }, (_, index) => `X-${index}: ${index}\r\n`).join("");

export const headCases: readonly RawCase[] = [
  refused("HTTP/0.9 is refused", 505, "http1.version.unsupported", "GET /\r\n"),
  refused("the preface of HTTP/2 is refused", 505, "http1.version.unsupported", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
  refused("HTTP/1.2 is refused", 505, "http1.version.unsupported", line("GET / HTTP/1.2")),
  refused("HTTP/3.0 is refused", 505, "http1.version.unsupported", line("GET / HTTP/3.0")),
  refused("a version in small letters is refused", 400, versionInvalid, line("GET / http/1.1")),
  refused("a version of two digits is refused", 400, versionInvalid, line("GET / HTTP/1.10")),
  refused("a space behind the version is refused", 400, versionInvalid, line("GET / HTTP/1.1 ")),
  refused("two spaces before the target are refused", 400, targetInvalid, line("GET  / HTTP/1.1")),
  refused("two spaces before the version are refused", 400, versionInvalid, line("GET /  HTTP/1.1")),
  refused("tabs in the request line are refused", 400, methodInvalid, line("GET\t/\tHTTP/1.1")),
  refused("a space before the method is refused", 400, methodInvalid, line(" GET / HTTP/1.1")),
  refused("a method with a byte that is no token's is refused", 400, methodInvalid, line("GE(T / HTTP/1.1")),
  refused("a method of 40 letters is refused", 400, methodInvalid, line(`${"A".repeat(40)} / HTTP/1.1`)),
  refused("a TLS ClientHello is refused", 400, methodInvalid, "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n"),
  refused("a request line that ends with LF alone is refused", 400, "http1.line.bareLf", "GET / HTTP/1.1\nHost: h\n\n"),
  refused("a request line with CR alone is refused", 400, "http1.line.bareCr", "GET / HTTP/1.1\rHost: h\r\n\r\n"),
  refused("a leading LF is refused", 400, "http1.line.bareLf", `\n${get("")}`),
  refused(
    "five blank lines before a request are refused",
    400,
    "http1.line.blankTooMany",
    `${"\r\n".repeat(5)}${get("")}`,
  ),
  passed("a blank line before a request is skipped", `\r\n${get("")}`, [get("")]),
  refused("NUL in the target is refused", 400, targetInvalid, line("GET /\x00 HTTP/1.1")),
  refused("a byte above ASCII in the target is refused", 400, targetInvalid, line("GET /\xe9 HTTP/1.1")),
  refused("a fragment in the target is refused", 400, targetInvalid, line("GET /a#b HTTP/1.1")),
  refused("a target without a slash is refused", 400, targetInvalid, line("GET a HTTP/1.1")),
  refused("an asterisk with GET is refused", 400, targetInvalid, line("GET * HTTP/1.1")),
  refused("user information in the target is refused", 400, targetInvalid, line("GET http://u:p@h/ HTTP/1.1")),
  refused("an absolute form without a host is refused", 400, targetInvalid, line("GET http:/// HTTP/1.1")),
  refused("an absolute form of another scheme is refused", 400, targetInvalid, line("GET ftp://h/ HTTP/1.1")),
  refused("a port beyond 65535 is refused", 400, targetInvalid, line("GET http://h:65536/ HTTP/1.1")),
  passed(
    "the host of the absolute form replaces Host",
    "GET http://real:81/g?q HTTP/1.1\r\nHost: other\r\nX: 1\r\n\r\n",
    ["GET /g?q HTTP/1.1\r\nX: 1\r\nHost: real:81\r\n\r\n"],
  ),
  passed("an absolute form without a path gets one", "GET http://real?q HTTP/1.1\r\nHost: real\r\n\r\n", [
    "GET /?q HTTP/1.1\r\nHost: real\r\n\r\n",
  ]),
  passed("OPTIONS * passes", line("OPTIONS * HTTP/1.1"), [line("OPTIONS * HTTP/1.1")]),
  passed("a double slash passes as it came", line("GET //evil/x HTTP/1.1"), [line("GET //evil/x HTTP/1.1")]),
  ...["/../x", "/a/../../x", "/%2e%2e/x", "/..%2fx", "/a%00b", "/%", "/%zz"].map(
    (path): RawCase => ({
      name: `the path ${path} is refused and the connection stays, for its framing is sound`,
      send: line(`GET ${path} HTTP/1.1`),
      statuses: [400],
      code: "request.path.invalid",
      closes: false,
    }),
  ),
  {
    name: "CONNECT is refused where no route tunnels it",
    send: "CONNECT h:443 HTTP/1.1\r\nHost: h:443\r\n\r\n",
    statuses: [405],
    code: "route.connect.refused",
    closes: false,
  },
  {
    name: "TRACE is not forwarded",
    send: line("TRACE / HTTP/1.1"),
    statuses: [405],
    code: "route.trace.refused",
    closes: false,
  },
  refused("CONNECT with a path is refused", 400, targetInvalid, line("CONNECT /x HTTP/1.1")),

  refused("HTTP/1.1 without Host is refused", 400, "http1.host.missing", "GET / HTTP/1.1\r\n\r\n"),
  refused("two Host lines are refused", 400, "http1.host.double", get("Host: evil\r\n")),
  refused("two equal Host lines are refused", 400, "http1.host.double", get("host: h\r\n")),
  ...["a b", "a,b", "a/b", "a@b", "a:b", "a:99999", "[::1", "a%00b", "a\tb"].map((value) =>
    refused(`Host with the value ${JSON.stringify(value)} is refused`, 400, hostInvalid, host(value)),
  ),
  passed("Host as an IPv6 address with a port passes", host("[::1]:8080"), [host("[::1]:8080")]),
  refused("a space before Host's colon is refused", 400, nameInvalid, "GET / HTTP/1.1\r\nHost : h\r\n\r\n"),

  refused("a header line with a space in its name is refused", 400, nameInvalid, get("X Y: 1\r\n")),
  refused("a header line without a colon is refused", 400, nameInvalid, get("X\r\n")),
  refused("a header line without a name is refused", 400, nameInvalid, get(": x\r\n")),
  refused("a header name with a byte above ASCII is refused", 400, nameInvalid, get("X\xe9: 1\r\n")),
  refused("NUL in a header value is refused", 400, valueInvalid, get("X: a\x00b\r\n")),
  refused("DEL in a header value is refused", 400, valueInvalid, get("X: a\x7fb\r\n")),
  refused("a bare CR in a header value is refused", 400, "http1.line.bareCr", get("X: a\rb\r\n")),
  refused("a bare LF in a header value is refused", 400, "http1.line.bareLf", get("X: a\nb: c\r\n")),
  refused("a folded header line is refused", 400, "http1.header.folded", get("X: a\r\n\tb\r\n")),
  refused(
    "white space before the first header line is refused",
    400,
    "http1.header.folded",
    "GET / HTTP/1.1\r\n Host: h\r\n\r\n",
  ),
  refused("a head that ends with LF LF is refused", 400, "http1.line.bareLf", "GET / HTTP/1.1\r\nHost: h\r\n\n"),
  passed("bytes above ASCII in a header value pass", get("X: \xe9\xff\r\n"), [get("X: \xe9\xff\r\n")]),
  passed("an empty header value passes", get("X:\r\n"), [get("X:\r\n")]),
  refused("an expectation other than 100-continue is refused", 417, "http1.expect.unsupported", get("Expect: tea\r\n")),

  refused("a URI of 40 KB is refused", 414, "http1.target.tooLong", line(`GET /${"a".repeat(40_000)} HTTP/1.1`)),
  refused("a header line of 40 KB is refused", 431, "http1.header.tooLarge", get(`X: ${"a".repeat(40_000)}\r\n`)),
  refused("101 header lines are refused", 431, "http1.header.tooMany", get(lines(100))),
  passed("100 header lines pass", get(lines(99)), [get(lines(99))]),
  passed("a URI of 15 KB passes", line(`GET /${"a".repeat(15_000)} HTTP/1.1`), [
    line(`GET /${"a".repeat(15_000)} HTTP/1.1`),
  ]),
  {
    name: "HTTP/1.0 without Host gets the listener's address as Host, and the connection closes",
    send: "GET /g HTTP/1.0\r\n\r\n",
    statuses: [200],
    closes: true,
    target: ["GET /g HTTP/1.1\r\nHost: LISTENER\r\n\r\n"],
  },
  {
    name: "HTTP/1.0 with keep-alive keeps its connection",
    send: "GET /g HTTP/1.0\r\nHost: h\r\nConnection: keep-alive\r\n\r\n",
    statuses: [200],
    closes: false,
    target: [get("")],
  },
  {
    name: "a response to HEAD has no body, and the next request follows",
    send: line("HEAD /g HTTP/1.1") + get(""),
    statuses: [200, 200],
    methods: ["HEAD", "GET"],
    closes: false,
    target: [line("HEAD /g HTTP/1.1"), get("")],
  },
  {
    name: "half a head is no request once the client ends",
    send: "GET /g HTTP/1.1\r\nHost: h\r\n",
    ends: true,
    statuses: [],
    closes: true,
  },
  {
    name: "a request before the client's end is answered, then the connection closes",
    send: post("Content-Length: 2\r\n", "ab"),
    ends: true,
    statuses: [200],
    closes: true,
    target: [post("Content-Length: 2\r\n", "ab")],
  },
];
