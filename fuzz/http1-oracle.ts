// The other side of the differential fuzzer: llhttp as Node ships it, reached through public interfaces only. Requests go
// through a real http.Server over an in-memory socket, responses through a real http.ClientRequest. Bytes are handed over
// in one piece and read in one call, so each answer is there when the call returns.

import { once } from "node:events";
import { createServer, type IncomingMessage, IncomingMessage as NodeMessage, request } from "node:http";
import { Duplex } from "node:stream";
import type { Message } from "./http1-read.ts";

export type OracleReading = {
  readonly messages: readonly (Message & { readonly trailers: readonly string[] })[];
  /** Node's code of what it refused: `HPE_INVALID_HEADER_TOKEN`; empty when it refused nothing. */
  readonly error: string;
  /** Responses of 1xx before the one in `messages`. */
  readonly informational: number;
};

type Draft = Message & { trailers: string[] };

/** A socket that goes nowhere. */
class MemorySocket extends Duplex {
  readonly seen: Draft[] = [];
  errorCode = "";

  override _read(): void {}

  override _write(_chunk: unknown, _encoding: string, done: () => void): void {
    done();
  }
}

/** Notes what the parser hands over at the moment it does, instead of when somebody reads the stream. */
function noteBody(message: IncomingMessage, draft: Draft): void {
  message.push = (chunk: Buffer | null): boolean => {
    if (chunk !== null) draft.body += chunk.toString("latin1");
    else {
      draft.complete = true;
      draft.trailers = message.rawTrailers;
    }
    return true;
  };
}

function draftOf(message: IncomingMessage, start: string): Draft {
  const draft = { start, headers: message.rawHeaders, body: "", complete: false, trailers: [] };
  noteBody(message, draft);
  return draft;
}

const server = createServer({ insecureHTTPParser: false, maxHeaderSize: 1 << 16, IncomingMessage: NodeMessage });
server.maxHeadersCount = 0;
server.keepAliveTimeout = 0;
server.headersTimeout = 0;
server.requestTimeout = 0;
function noteRequest(message: IncomingMessage): void {
  const socket = message.socket as Duplex;
  if (socket instanceof MemorySocket) socket.seen.push(draftOf(message, `${message.method} ${message.url}`));
}
server.on("request", noteRequest);
server.on("checkContinue", noteRequest);
server.on("connect", (message: IncomingMessage) => {
  noteRequest(message);
  const draft = (message.socket as Duplex) instanceof MemorySocket ? message.socket : undefined;
  if (draft !== undefined) markComplete(draft as unknown as MemorySocket);
});
server.on("clientError", (error: NodeJS.ErrnoException, socket) => {
  if (socket instanceof MemorySocket) socket.errorCode = error.code ?? error.message;
});

function markComplete(socket: MemorySocket): void {
  const last = socket.seen.at(-1);
  if (last !== undefined) last.complete = true;
}

/** Reads requests from one connection until Node refuses something or the input ends. */
export function oracleRequests(input: Buffer): OracleReading {
  const socket = new MemorySocket();
  server.emit("connection", socket);
  socket.emit("data", input);
  if (socket.errorCode === "") socket.emit("end");
  const reading = { messages: socket.seen, error: socket.errorCode, informational: 0 };
  socket.destroy();
  return reading;
}

/** Reads what answers one request: any number of 1xx and one response. */
export async function oracleResponses(input: Buffer, method: string): Promise<OracleReading> {
  const socket = new MemorySocket();
  let informational = 0;
  let error = "";
  const exchange = request({ method, host: "a", createConnection: () => socket, maxHeaderSize: 1 << 16 });
  exchange.on("information", () => informational++);
  const note = (message: IncomingMessage): void => {
    if (socket.seen.length === 0) socket.seen.push(draftOf(message, `${message.statusCode} ${message.statusMessage}`));
  };
  exchange.on("response", note);
  exchange.on("upgrade", (message: IncomingMessage) => {
    note(message);
    markComplete(socket);
  });
  exchange.on("error", (failure: NodeJS.ErrnoException) => {
    if (error === "") error = failure.code ?? failure.message;
  });
  exchange.end();
  await once(exchange, "socket");
  // The parser is put on the socket before the event, its listeners in the same turn.
  socket.emit("data", input);
  if (error === "") socket.emit("end");
  const reading = { messages: socket.seen, error, informational };
  exchange.destroy();
  return reading;
}
