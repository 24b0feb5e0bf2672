// The admin API on its sockets: the unix one always, a loopback address over TCP when there is a token file. Connections,
// limits, bytes on the wire. The change's way, so node:http does. Who may open the unix socket is decided by its file's mode;
// who may ask over TCP, by gate.ts.

import { randomBytes } from "node:crypto";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { ListenOptions, Socket } from "node:net";
import { formatSocketAddress } from "../core/address.ts";
import type { Clock } from "../core/clock.ts";
import { bad, type Failure, good, type Result } from "../core/failure.ts";
import type { Log } from "../core/log.ts";
import type { AdminConfig } from "../model/config.ts";
import { type AdminAnswer, failed } from "./answer.ts";
import type { Controlled } from "./controlled.ts";
import { EventFollowers } from "./event-stream.ts";
import { judgeKnock } from "./gate.ts";
import type { AdminContext, RequestHeaders } from "./route-table.ts";
import { answer, isOpen } from "./routes.ts";
import { TokenFile } from "./token-file.ts";

/** Bytes of a request body; a target with everything said has a few hundred. */
export const bodyBytesMax = 64 * 1024;
/** Connections at a time, of each socket; more are closed at once. */
export const connectionsMax = 64;
const requestTimeoutMs = 10_000;
/** How long an answer under way may take once the program ends. */
const closeTimeoutMs = 1_000;
const followersTickMs = 1_000;
/** Where requests of Consul's API are answered. */
const consulPath = "/v1/kv/";

export type AdminServerOptions = {
  /** Where, see claimSocketPath for the unix socket's path. */
  readonly admin: AdminConfig;
  readonly controlled: Controlled;
  readonly log: Log;
  /** Monotonic. */
  readonly clock: Clock;
  /** The user at the other end of a unix socket's connection; undefined when nobody knows. Called as it is accepted. */
  readonly peerName: (connection: Socket) => Promise<string> | undefined;
};

export type AdminServer = {
  /** Stops listening, removes the socket's file, ends followers, and connections once their answer is out. */
  close(): Promise<void>;
};

/** Where a request came in, and who sent it; an answer when it is refused there. */
type Door = (
  request: IncomingMessage,
  path: string,
) => Promise<{ readonly who: string } | { readonly refusal: AdminAnswer }>;

/** Opens the API; the unix socket has mode 0660. Codes: admin.socket.failed, admin.http.failed. */
export async function openAdminServer(options: AdminServerOptions): Promise<Result<AdminServer>> {
  const { admin, controlled, log, clock } = options;
  const followers = new EventFollowers({
    events: controlled.events,
    clock,
    run: randomBytes(4).toString("hex"),
    dropped: (reason) => log.info("follower of the events dropped", { reason }),
  });
  const context = { controlled, followers };
  const servers = [await openUnixServer(admin.socket, context, options)];
  if (admin.http !== undefined) servers.push(await openTcpServer(admin.http, context, options));
  const tick = setInterval(() => followers.tick(), followersTickMs);
  tick.unref();
  const close = async () => {
    clearInterval(tick);
    followers.end();
    await Promise.all(servers.map((server) => (server.ok ? closeServer(server.value) : undefined)));
  };
  const failure = servers.find((server) => !server.ok);
  if (failure === undefined) return good({ close });
  await close();
  return failure.ok ? good({ close }) : failure;
}

function openUnixServer(path: string, context: AdminContext, options: AdminServerOptions): Promise<Result<Server>> {
  const { peerName, log } = options;
  const peers = new WeakMap<Socket, Promise<string> | undefined>();
  const server = createDoor(context, log, async (request) => {
    const name = await peers.get(request.socket);
    return { who: name === undefined ? "unix" : `unix:${name}` };
  });
  server.on("connection", (connection) => peers.set(connection, peerName(connection)));
  return listenOn(server, { path }, { code: "admin.socket.failed", name: `admin socket ${path}` }, log);
}

function openTcpServer(
  { bind, tokenFile }: NonNullable<AdminConfig["http"]>,
  context: AdminContext,
  { log }: AdminServerOptions,
): Promise<Result<Server>> {
  const tokens = new TokenFile(tokenFile, log);
  const server = createDoor(context, log, async (request, path) => {
    const { host, origin } = request.headers;
    const authorization = request.headers.authorization ?? consulToken(request, path);
    const method = request.method ?? "GET";
    const knock = { method, host, origin, authorization, open: isOpen(method, path) };
    const admitted = judgeKnock(knock, (token) => tokens.find(token));
    return admitted.ok ? { who: admitted.who } : { refusal: admitted.answer };
  });
  const name = `admin.http ${formatSocketAddress(bind)}`;
  return listenOn(server, { host: bind.host, port: bind.port }, { code: "admin.http.failed", name }, log);
}

/** Scripts that speak to Consul send their token in a header of its own. developer.hashicorp.com/consul/api-docs, authentication. */
function consulToken(request: IncomingMessage, path: string): string | undefined {
  const token = request.headers["x-consul-token"];
  return typeof token === "string" && path.startsWith(consulPath) ? `Bearer ${token}` : undefined;
}

function createDoor(context: AdminContext, log: Log, door: Door): Server {
  const server = createServer(
    { requestTimeout: requestTimeoutMs, headersTimeout: requestTimeoutMs / 2, connectionsCheckingInterval: 1_000 },
    (request, response) => {
      serve(context, door, request, response).catch((error: unknown) => {
        // Whoever went away while he sent his body is no trouble of ours.
        if (request.destroyed && !request.complete) return;
        log.error("admin request failed", { path: request.url, error: String(error) });
        response.destroy();
      });
    },
  );
  server.maxConnections = connectionsMax;
  return server;
}

function listenOn(
  server: Server,
  where: ListenOptions,
  { code, name }: { readonly code: string; readonly name: string },
  log: Log,
): Promise<Result<Server>> {
  return new Promise((resolve) => {
    const refused = (error: Error) => {
      const failure: Failure = { code, origin: "self", retrySafe: false, detail: `${name}: ${error.message}` };
      resolve(bad(failure));
    };
    server.once("error", refused);
    // The socket file's mode is there from the first moment, 0660, since the bind happens within listen().
    const mask = process.umask(0o117);
    server.listen(where, () => {
      server.off("error", refused);
      server.on("error", (error) => log.error("admin socket failed", { socket: name, error: error.message }));
      resolve(good(server));
    });
    process.umask(mask);
  });
}

function closeServer(server: Server): Promise<void> {
  return new Promise((resolve) => {
    const last = setTimeout(() => server.closeAllConnections(), closeTimeoutMs);
    server.close(() => {
      clearTimeout(last);
      resolve();
    });
    server.closeIdleConnections();
  });
}

async function serve(
  context: AdminContext,
  door: Door,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const [path = "/", query = ""] = splitOnce(request.url ?? "/", "?");
  const admitted = await door(request, path);
  if ("refusal" in admitted) return refuse(request, response, admitted.refusal);
  const body = await readBody(request);
  if (body === undefined) {
    const detail = `a body may have ${bodyBytesMax} bytes`;
    return refuse(request, response, failed(413, { code: "admin.body.tooLarge", detail }));
  }
  const method = request.method ?? "GET";
  const headers = headersOf(request);
  write(request, response, await answer(context, { method, path, query, headers, body, who: admitted.who }));
}

function splitOnce(text: string, separator: string): readonly string[] {
  const at = text.indexOf(separator);
  return at < 0 ? [text] : [text.slice(0, at), text.slice(at + 1)];
}

function headersOf({ headers }: IncomingMessage): RequestHeaders {
  const last = headers["last-event-id"];
  return {
    accept: headers.accept,
    contentEncoding: headers["content-encoding"],
    contentType: headers["content-type"],
    ifMatch: headers["if-match"],
    ifNoneMatch: headers["if-none-match"],
    lastEventId: Array.isArray(last) ? last[0] : last,
  };
}

/** All of it, so that the next request of the connection can be read; undefined when it is too large. */
async function readBody(request: IncomingMessage): Promise<Uint8Array | undefined> {
  if (Number(request.headers["content-length"] ?? 0) > bodyBytesMax) return undefined;
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of request.iterator({ destroyOnReturn: false })) {
    const piece: Buffer = chunk;
    bytes += piece.length;
    if (bytes > bodyBytesMax) return undefined;
    chunks.push(piece);
  }
  return Buffer.concat(chunks);
}

/** Answers and closes: what is left of the body is not read. */
function refuse(request: IncomingMessage, response: ServerResponse, what: AdminAnswer): void {
  response.setHeader("connection", "close");
  write(request, response, what);
}

function write(request: IncomingMessage, response: ServerResponse, { status, headers, body }: AdminAnswer): void {
  const always = { "cache-control": "no-store", "x-content-type-options": "nosniff" };
  if (body?.kind === "stream") {
    response.writeHead(status, { ...headers, ...always });
    if (request.method === "HEAD") return void response.end();
    // The head goes out at once: a follower must see that it is heard before anything happens.
    response.flushHeaders();
    const source = body.open({
      write: (text) => response.write(text),
      end: () => response.end(),
      cut: () => response.destroy(),
    });
    response.on("drain", () => source.drained());
    response.on("close", () => source.closed());
    // What a reader's connection fails with is its own affair; the close that follows says that it is gone.
    response.on("error", () => response.destroy());
    return;
  }
  if (body?.kind === "pieces") {
    response.writeHead(status, { ...headers, ...always });
    if (request.method === "HEAD") return void response.end();
    writePieces(response, body.pieces);
    return;
  }
  const text = body === undefined ? undefined : body.kind === "json" ? `${JSON.stringify(body.value)}\n` : body.text;
  const length = text === undefined ? {} : { "content-length": Buffer.byteLength(text) };
  response.writeHead(status, { ...headers, ...always, ...length });
  response.end(request.method === "HEAD" ? undefined : text);
}

/** One piece a turn of the loop, and only while the reader takes them; what it leaves behind when it goes is not made. */
function writePieces(response: ServerResponse, pieces: Iterator<string, void>): void {
  const writeNext = () => {
    if (response.destroyed) return;
    const { done, value } = pieces.next();
    if (done === true) response.end();
    else if (response.write(value)) setImmediate(writeNext);
    else response.once("drain", () => setImmediate(writeNext));
  };
  // What a reader's connection fails with is its own affair.
  response.on("error", () => response.destroy());
  writeNext();
}
