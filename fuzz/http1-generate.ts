// Inputs for the differential fuzzer: streams of HTTP/1.x messages from a grammar that knows the classics of smuggling,
// then broken by mutations. Everything comes from the random function it is given, so a seed tells the whole run.

import type { Random } from "../src/core/random.ts";

const CRLF = "\r\n";

function below(random: Random, count: number): number {
  return Math.floor(random() * count);
}

function pick<T>(random: Random, from: readonly T[]): T {
  const picked = from[below(random, from.length)];
  if (picked === undefined) throw new Error("nothing to pick from");
  return picked;
}

const METHODS = [
  "GET",
  "GET",
  "POST",
  "POST",
  "PUT",
  "HEAD",
  "OPTIONS",
  "DELETE",
  "PATCH",
  "TRACE",
  "CONNECT",
  "M-SEARCH",
  "QUERY",
];
const TARGETS = [
  ...[
    "/",
    "/",
    "/a/b",
    "/a?b=c&d=%20",
    "//x/../y",
    "*",
    "/?",
    "/a;b=c",
    '/"|[]{}^`',
    "/?\\",
    "/%zz",
    "/a#b",
    "a",
    "/\x80",
  ],
  ...[
    "http://a/",
    "http://a",
    "HTTP://a:80/x?y",
    "https://[::1]:8/x",
    "http://a@b/",
    "http://a?b",
    "a:80",
    "[::1]:80",
    "a.b:443",
  ],
];
const VERSIONS = [
  ...Array.from({ length: 12 }, () => "HTTP/1.1"),
  "HTTP/1.0",
  "HTTP/1.0",
  "HTTP/1.2",
  "HTTP/2.0",
  "HTTP/0.9",
];
const HOSTS = [
  "a",
  "a",
  "example.com:8080",
  "",
  "[::1]",
  "[::ffff:1.2.3.4]:80",
  "a:",
  "10.0.0.1",
  "a,b",
  "a b",
  "a/b",
  "a@b",
];
const LINES = [
  ...[
    "X: y",
    "X:y",
    "X:",
    "X: \t y \t ",
    "x-\x7c~!: a\x80\xff\tb",
    "Accept: */*",
    "X_Y: z",
    "Cookie: a=b; c=d",
    "X: a:b",
  ],
  ...[
    "Connection: close",
    "Connection: keep-alive",
    "Connection: x, y",
    "Connection: upgrade",
    "Connection: , close ,",
    "X: y",
  ],
  ...[
    "Connection: keep-alive, Upgrade",
    "Upgrade: websocket",
    "Keep-Alive: 5",
    "TE: trailers",
    "Expect: 100-continue",
    "Trailer: X",
  ],
  ...["Proxy-Connection: close", "Connection: close-x", "Connection: Transfer-Encoding", "Connection: content-length"],
  ...[
    "Transfer-Encoding: chunked",
    "Transfer-Encoding: gzip, chunked",
    "Transfer-Encoding: identity",
    "Transfer-Encoding : chunked",
  ],
  ...[
    "Content-Length: 3",
    "Content-Length: 03",
    "Content-Length: 3, 3",
    "Content-Length: +3",
    "Content-Length:",
    "Content-Length: 0",
    "Content-Length:\t3",
    "Content-Length: 3\t ",
    "Content-Length: 3  ",
  ],
  ...["Connection: close\t", "Connection:\tclose", "Connection: close\t, x", "Host: a\t", "Expect:\t100-continue\t"],
  ...["X: a\r\n b", " X: y", "X : y", "Host: b", "Upgrade:", "Upgrade: h2c", "HTTP2-Settings: AAA"],
];
const TOKENS = [
  ...[
    "\r",
    "\n",
    "\r\n",
    "\0",
    "\t",
    " ",
    ":",
    ",",
    ";",
    "=",
    '"',
    "\x0b",
    "\x0c",
    "\x7f",
    "\x80",
    "\xff",
    "\r\n ",
    "\r\n\r\n",
    "\n\n",
  ],
  ...[
    "Transfer-Encoding: chunked\r\n",
    "Content-Length: 3\r\n",
    "0\r\n\r\n",
    "1\r\na\r\n",
    "5\r\n",
    "chunked",
    "Host: b\r\n",
    "0x",
    "-",
    "+",
  ],
  ...[
    "GET / HTTP/1.1\r\nHost: c\r\n\r\n",
    "HTTP/1.1",
    "HTTP/1.0",
    " HTTP/1.1\r\n",
    "ffffffff",
    "Connection: close\r\n",
    "Upgrade: x\r\n",
  ],
];
const SIZES = ["", "0", "00000", "0"];
const EXTENSIONS = ["", "", "", "", ";a", ";a=b", ';a="b c\\""', ";a;b=c", " ;a", "; a", ";", ";a=", " "];
const TRAILERS = [
  "X: y",
  "Content-Length: 5",
  "X: \t",
  "Host: z",
  "A-b:c",
  "Transfer-Encoding: chunked",
  "bad",
  "X : y",
];
const STATUSES = ["200", "200", "200", "404", "204", "304", "100", "103", "500", "101", "599", "600", "99"];
const REASONS = [" OK", " OK", "", " ", " Not Found", " \x80\t"];

function payload(random: Random, length: number): string {
  return Array.from({ length }, () => pick(random, ["a", "b", "0", "\r", "\n", "\0", "\xff", "G"])).join("");
}

function chunked(random: Random): string {
  let out = "";
  for (let left = below(random, 4); left > 0; left--) {
    const data = payload(random, 1 + below(random, random() < 0.1 ? 300 : 20));
    const digits = random() < 0.5 ? data.length.toString(16) : data.length.toString(16).toUpperCase();
    out += pick(random, SIZES) + digits + pick(random, EXTENSIONS) + CRLF + data + CRLF;
  }
  out += pick(random, ["0", "0", "0", "000"]) + (random() < 0.1 ? pick(random, EXTENSIONS) : "") + CRLF;
  while (random() < 0.15) out += pick(random, TRAILERS) + CRLF;
  return out + CRLF;
}

/** Header lines and the body that they frame. */
function linesAndBody(random: Random, lines: string[]): string {
  while (random() < 0.55) lines.push(pick(random, random() < 0.6 ? LINES.slice(0, 9) : LINES));
  let body = "";
  const kind = random();
  if (kind < 0.3) {
    body = chunked(random);
    lines.push(
      pick(random, [
        "Transfer-Encoding: chunked",
        "transfer-encoding:Chunked",
        "Transfer-Encoding:  chunked ",
        "Transfer-Encoding: chunked",
        "Transfer-Encoding: \tchunked",
      ]),
    );
  } else if (kind < 0.6) {
    body = payload(random, below(random, 30));
    lines.push(
      `Content-Length:${pick(random, ["", " ", "\t", "  "])}${"0".repeat(below(random, 3))}${body.length}${pick(random, ["", "", " ", "\t"])}`,
    );
  }
  for (let i = lines.length - 1; i > 0; i--) {
    const other = below(random, i + 1);
    [lines[i], lines[other]] = [lines[other] ?? "", lines[i] ?? ""];
  }
  return lines.map((line) => line + CRLF).join("") + CRLF + body;
}

function request(random: Random): string {
  const usual = random() < 0.8;
  const start = `${pick(random, METHODS)} ${usual ? pick(random, TARGETS.slice(0, 4)) : pick(random, TARGETS)} `;
  const host = random() < 0.95 ? [`Host: ${usual ? "a" : pick(random, HOSTS)}`] : [];
  const before = random() < 0.05 ? CRLF.repeat(1 + below(random, 5)) : "";
  return before + start + (usual ? "HTTP/1.1" : pick(random, VERSIONS)) + CRLF + linesAndBody(random, host);
}

function response(random: Random): string {
  const version = pick(random, random() < 0.8 ? ["HTTP/1.1"] : [...VERSIONS, "HTTP/1.3"]);
  return `${version} ${pick(random, STATUSES)}${pick(random, REASONS)}${CRLF}${linesAndBody(random, [])}`;
}

function mutate(random: Random, input: string): string {
  const at = below(random, input.length + 1);
  const to = Math.min(input.length, at + 1 + below(random, random() < 0.2 ? 60 : 4));
  switch (below(random, 7)) {
    case 0:
      return input.slice(0, at) + String.fromCharCode(below(random, 256)) + input.slice(at + 1);
    case 1:
    case 2:
      return input.slice(0, at) + pick(random, TOKENS) + input.slice(at);
    case 3:
      return input.slice(0, at) + input.slice(to);
    case 4:
      return input.slice(0, to) + input.slice(at, to) + input.slice(to);
    case 5:
      return input.slice(0, at) + pick(random, TOKENS) + input.slice(to);
    default:
      return random() < 0.3
        ? input.slice(0, at)
        : input.slice(0, at) + input.slice(at, to).toUpperCase() + input.slice(to);
  }
}

function mutated(random: Random, input: string): Buffer {
  let out = input;
  if (random() < 0.6) for (let left = 1 + below(random, 3); left > 0; left--) out = mutate(random, out);
  return Buffer.from(out, "latin1");
}

/** One to four requests on one connection. */
export function generateRequests(random: Random): Buffer {
  return mutated(random, Array.from({ length: 1 + below(random, 4) }, () => request(random)).join(""));
}

/** A response, sometimes with an informational one before it or another one behind it. */
export function generateResponses(random: Random): Buffer {
  return mutated(random, Array.from({ length: 1 + below(random, 2) }, () => response(random)).join(""));
}

/** Up to three places to cut `length` bytes at, in order. */
export function generateCuts(random: Random, length: number): number[] {
  return Array.from({ length: below(random, 4) }, () => below(random, length + 1)).sort((a, b) => a - b);
}
