// What one parse of a request head costs, in nanoseconds: the request's way at its first step. Prints the best of several
// rounds for a small request and for that of a browser with 13 headers (goal: 500 ns). Run: node bench/parse.ts

import { createArena } from "../src/wire/arena.ts";
import { requestHead, responseHead } from "../src/wire/http1/head.ts";
import { createHeadParser, Parsed } from "../src/wire/http1/parse.ts";

const ROUNDS = 9;
const PARSES = 300_000;
const AT = 8192;

const small = "GET / HTTP/1.1\r\nHost: 127.0.0.1:18001\r\n\r\n";
const browser = [
  "GET /b HTTP/1.1",
  "Host: app.example.com",
  "User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Safari/537.36",
  "Accept: text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,image/apng,*/*;q=0.8",
  "Accept-Encoding: gzip, deflate, br, zstd",
  "Accept-Language: en-US,en;q=0.9,zh-CN;q=0.8",
  "Cache-Control: no-cache",
  "Pragma: no-cache",
  "Referer: https://app.example.com/dashboard/overview?tab=activity&range=30d",
  "Cookie: SESSION=ZmFrZS1zZXNzaW9uLWlkLTAxMjM0NTY3ODk; theme=dark; _ga=GA1.1.1234567890.1700000000; csrftoken=abcdefghijklmn",
  "Sec-Fetch-Site: same-origin",
  "Sec-Fetch-Mode: cors",
  "Sec-Fetch-Dest: empty",
  "Connection: keep-alive",
  "\r\n",
].join("\r\n");
const response = [
  "HTTP/1.1 200 OK",
  "Server: nginx",
  "Date: Mon, 01 Jan 2024 00:00:00 GMT",
  "Content-Type: text/html; charset=utf-8",
  "Content-Length: 612",
  "Connection: keep-alive",
  'ETag: "65925e80-264"',
  "Accept-Ranges: bytes",
  "\r\n",
].join("\r\n");

const arena = createArena(65536);
const parser = createHeadParser(arena, { headerBytesMax: 32768, headerCountMax: 100 });
const request = requestHead();
const answer = responseHead();

function measure(name: string, message: string, parse: (end: number) => number): void {
  const end = AT + arena.bytes.write(message, AT, "latin1");
  if (parse(end) !== Parsed.complete) throw new Error(`${name} is not accepted`);
  let best = Number.POSITIVE_INFINITY;
  for (let round = 0; round < ROUNDS; round++) {
    const from = process.hrtime.bigint();
    for (let i = 0; i < PARSES; i++) {
      // The message differs a little each time, so that nothing can be carried out of the loop.
      arena.bytes[end - 5] = 0x61 + (i & 15);
      parse(end);
    }
    best = Math.min(best, Number(process.hrtime.bigint() - from) / PARSES);
  }
  console.log(`${name.padEnd(18)} ${String(message.length).padStart(5)} B  ${best.toFixed(0).padStart(5)} ns`);
}

measure("small request", small, (end) => parser.request(AT, end, request));
measure("browser request", browser, (end) => parser.request(AT, end, request));
measure("response", response, (end) => parser.response(AT, end, answer));
measure("browser, warmed", browser, (end) => parser.request(AT, end, request));
