// The demo servers behind `evenkeel echo`: HTTP, TCP and UDP, each telling its name in what it answers. They stand where
// targets stand, so they are plain and predictable; no part of the balancer. node:http is right here.

import { createSocket } from "node:dgram";
import { createServer as createHttpServer, type IncomingMessage, type ServerResponse } from "node:http";
import { createServer, type Socket } from "node:net";
import { formatSocketAddress, type SocketAddress } from "../core/address.ts";
import { bad, good, type Result } from "../core/failure.ts";

export type EchoServer = {
  readonly name: string;
  readonly kind: "HTTP" | "TCP" | "UDP";
  readonly address: string;
  /** Stops listening and cuts what is open. */
  readonly close: () => void;
};

const delayMsMax = 3_600_000;
const bytesMax = 10 * 1024 ** 3;
const lineBytesMax = 64 * 1024;
/** Longer than any balancer keeps an idle connection, so that it is never we who close one just as it is used again. */
const keepAliveTimeoutMs = 300_000;

/** What `listen` or `bind` gave, with the code `echo.<errno name>` on failure. */
function opened(
  server: { once(event: "error", listener: (error: NodeJS.ErrnoException) => void): unknown },
  start: (listening: () => void) => void,
  result: EchoServer,
): Promise<Result<EchoServer>> {
  return new Promise((resolve) => {
    server.once("error", (error) => {
      const code = `echo.${error.code ?? "failed"}`;
      resolve(bad({ code, origin: "self", retrySafe: false, detail: error.message }));
    });
    start(() => resolve(good(result)));
  });
}

/** Answers any path with its name and a newline; see the paths below for more. Every answer has `x-echo-name`. */
export function openHttpEcho(at: SocketAddress, name: string): Promise<Result<EchoServer>> {
  const server = createHttpServer({ keepAliveTimeout: keepAliveTimeoutMs, requestTimeout: 0 }, (request, response) => {
    response.setHeader("x-echo-name", name);
    answerHttp(name, request, response);
  });
  const close = () => {
    server.close();
    server.closeAllConnections();
  };
  const result: EchoServer = { name, kind: "HTTP", address: formatSocketAddress(at), close };
  return opened(server, (listening) => server.listen({ host: at.host, port: at.port }, listening), result);
}

function answerHttp(name: string, request: IncomingMessage, response: ServerResponse): void {
  const path = (request.url ?? "/").split("?", 1)[0] ?? "/";
  const [, verb = "", argument = ""] = path.split("/");
  const number = /^\d{1,11}$/.test(argument) ? Number(argument) : -1;
  const plain = request.method === "GET" || request.method === "HEAD";
  if (verb === "ping" && argument === "") sendJson(response, { name, status: "ok" });
  else if (verb === "headers" && argument === "") sendJson(response, { name, headers: request.rawHeaders });
  else if (verb === "delay" && number >= 0 && number <= delayMsMax) sendLater(response, number, `${name}\n`);
  else if (verb === "status" && number >= 200 && number <= 599) sendText(response, number, `${name}\n`);
  else if (verb === "bytes" && number >= 0 && number <= bytesMax) sendBytes(request, response, number);
  else if (plain) sendText(response, 200, `${name}\n`);
  else countBody(request, (bytes) => sendText(response, 200, `${name} received ${bytes} bytes\n`));
}

function sendLater(response: ServerResponse, delayMs: number, text: string): void {
  const timer = setTimeout(() => sendText(response, 200, text), delayMs);
  response.once("close", () => clearTimeout(timer));
}

function countBody(request: IncomingMessage, counted: (bytes: number) => void): void {
  let bytes = 0;
  request.on("data", (chunk: Buffer) => {
    bytes += chunk.length;
  });
  request.on("end", () => counted(bytes));
}

function sendText(response: ServerResponse, status: number, text: string): void {
  response.statusCode = status;
  // 204 and 304 have no body (RFC 9110 section 6.4.1), and no length that a HEAD would not have.
  if (status === 204 || status === 304) {
    response.end();
    return;
  }
  response.setHeader("content-type", "text/plain; charset=utf-8");
  response.setHeader("content-length", Buffer.byteLength(text));
  response.end(text);
}

function sendJson(response: ServerResponse, value: unknown): void {
  const text = `${JSON.stringify(value)}\n`;
  response.setHeader("content-type", "application/json");
  response.setHeader("content-length", Buffer.byteLength(text));
  response.end(text);
}

const filling = Buffer.alloc(64 * 1024, "0123456789abcdef");

function sendBytes(request: IncomingMessage, response: ServerResponse, count: number): void {
  response.setHeader("content-type", "application/octet-stream");
  response.setHeader("content-length", count);
  if (request.method === "HEAD") {
    response.end();
    return;
  }
  let left = count;
  const more = () => {
    while (left > 0) {
      const part = left >= filling.length ? filling : filling.subarray(0, left);
      left -= part.length;
      if (!response.write(part)) return;
    }
    response.off("drain", more);
    response.end();
  };
  response.on("drain", more);
  more();
}

/** Greets with its name, then answers each line with `name line`. */
export function openStreamEcho(at: SocketAddress, name: string): Promise<Result<EchoServer>> {
  const clients = new Set<Socket>();
  const server = createServer((socket) => {
    clients.add(socket);
    socket.on("close", () => clients.delete(socket));
    // A client that resets is gone; there is nobody to tell.
    socket.on("error", () => socket.destroy());
    echoLines(socket, name);
  });
  const close = () => {
    server.close();
    for (const socket of clients) socket.destroy();
  };
  const result: EchoServer = { name, kind: "TCP", address: formatSocketAddress(at), close };
  return opened(server, (listening) => server.listen({ host: at.host, port: at.port }, listening), result);
}

function echoLines(socket: Socket, name: string): void {
  let held = "";
  socket.setEncoding("latin1");
  socket.write(`${name}\n`);
  socket.on("data", (text: string) => {
    held += text;
    const lines = held.split("\n");
    held = lines.pop() ?? "";
    let room = true;
    for (const line of lines) room = socket.write(`${name} ${line}\n`, "latin1");
    if (held.length > lineBytesMax) socket.destroy();
    else if (!room) socket.pause();
  });
  socket.on("drain", () => socket.resume());
}

/** Answers each datagram with `name datagram`. */
export function openDatagramEcho(at: SocketAddress, name: string): Promise<Result<EchoServer>> {
  const socket = createSocket(at.host.includes(":") ? "udp6" : "udp4");
  const prefix = Buffer.from(`${name} `);
  socket.on("message", (datagram, from) => {
    // An answer that cannot be sent is lost, as datagrams are.
    socket.send([prefix, datagram], from.port, from.address, () => {});
  });
  const result: EchoServer = { name, kind: "UDP", address: formatSocketAddress(at), close: () => socket.close() };
  return opened(socket, (listening) => socket.bind({ port: at.port, address: at.host }, listening), result);
}
