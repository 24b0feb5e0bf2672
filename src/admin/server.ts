// The admin API on its unix socket: connections, limits, JSON on the wire. The change's way, so node:http does. Who may
// connect is decided by the socket's file mode: the program's user and group.

import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { Failure, Result } from "../core/failure.ts";
import { bad, good } from "../core/failure.ts";
import type { Log } from "../core/log.ts";
import { type AdminAnswer, answer, type Controlled, failed } from "./routes.ts";

/** Bytes of a request body; nothing that the API takes today comes near. */
export const bodyBytesMax = 64 * 1024;
/** Connections at a time; more are closed at once. */
export const connectionsMax = 64;
const requestTimeoutMs = 10_000;

export type AdminServer = {
  /** Stops listening, removes the socket's file, ends connections once their answer is out. */
  close(): Promise<void>;
};

/**
 * Opens the API at a path that is free to bind (see claimSocketPath), with mode 0660. Code: admin.socket.failed.
 */
export async function openAdminServer(path: string, controlled: Controlled, log: Log): Promise<Result<AdminServer>> {
  const server = createServer(
    { requestTimeout: requestTimeoutMs, headersTimeout: requestTimeoutMs / 2, connectionsCheckingInterval: 1_000 },
    (request, response) => {
      serve(controlled, request, response).catch((error: unknown) => {
        log.error("admin request failed", { path: request.url, error: String(error) });
        response.destroy();
      });
    },
  );
  server.maxConnections = connectionsMax;
  const failure = await listenOn(server, path);
  if (failure !== undefined) return bad(failure);
  server.on("error", (error) => log.error("admin socket failed", { error: error.message }));
  return good({ close: () => closeServer(server) });
}

function listenOn(server: Server, path: string): Promise<Failure | undefined> {
  return new Promise((resolve) => {
    const refused = (error: Error) => {
      const detail = `admin socket ${path}: ${error.message}`;
      resolve({ code: "admin.socket.failed", origin: "self", retrySafe: false, detail });
    };
    server.once("error", refused);
    // The mode is there from the first moment, 0660, since the bind happens within listen().
    const mask = process.umask(0o117);
    server.listen(path, () => {
      server.off("error", refused);
      resolve(undefined);
    });
    process.umask(mask);
  });
}

function closeServer(server: Server): Promise<void> {
  return new Promise((resolve) => {
    const last = setTimeout(() => server.closeAllConnections(), 1_000);
    server.close(() => {
      clearTimeout(last);
      resolve();
    });
    server.closeIdleConnections();
  });
}

async function serve(controlled: Controlled, request: IncomingMessage, response: ServerResponse): Promise<void> {
  const whole = await readBody(request);
  if (!whole) {
    const tooLarge = failed(413, { code: "admin.body.tooLarge", detail: `a body may have ${bodyBytesMax} bytes` });
    response.setHeader("connection", "close");
    return write(request, response, tooLarge);
  }
  const path = (request.url ?? "/").split("?", 1)[0] ?? "/";
  const ifNoneMatch = request.headers["if-none-match"];
  write(request, response, await answer(controlled, { method: request.method ?? "GET", path, ifNoneMatch }));
}

// Nothing takes a body yet, but what is sent must be read before the next request of the connection can be.
async function readBody(request: IncomingMessage): Promise<boolean> {
  let bytes = 0;
  for await (const chunk of request.iterator({ destroyOnReturn: false })) {
    bytes += Buffer.byteLength(chunk as Buffer);
    if (bytes > bodyBytesMax) return false;
  }
  return true;
}

function write(request: IncomingMessage, response: ServerResponse, what: AdminAnswer): void {
  const text = what.body === undefined ? undefined : `${JSON.stringify(what.body)}\n`;
  response.writeHead(what.status, {
    ...what.headers,
    "cache-control": "no-store",
    ...(text === undefined ? {} : { "content-length": Buffer.byteLength(text) }),
  });
  response.end(request.method === "HEAD" ? undefined : text);
}
