// One HTTP(S) request to a store at a time to come: answers and failures as values, connections kept, a deadline for each
// part, a limit on what an answer may hold. An edge, on the change's way. What a status means is its caller's business,
// and so is which endpoint is asked and when it is asked again. One client belongs to one watch: it may have its own
// certificates, and closing it must cut nobody else's requests.

import { readFileSync } from "node:fs";
import { type ClientRequest, Agent as HttpAgent, request as httpRequest, type IncomingMessage } from "node:http";
import { Agent as HttpsAgent, request as httpsRequest, type RequestOptions } from "node:https";
import type { Milliseconds } from "../core/clock.ts";
import { bad, type Failure, good, type Result } from "../core/failure.ts";
import { type SourceTls, sourceAnswerBytesMax } from "../model/source.ts";
import { explainStoreError } from "./store-error.ts";

export type StoreRequest = {
  /** `http://127.0.0.1:8500` or `https://...`, without a path. */
  readonly endpoint: string;
  readonly method: "GET" | "PUT" | "POST" | "DELETE";
  /** Path and query, encoded. */
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string | undefined;
  /** From now until we are connected, and from then until the last byte, where the server holds nothing open. */
  readonly timeout: Milliseconds;
  /** How much longer the server may hold it open before it answers (a blocking query); Infinity: for good (a watch). */
  readonly hold: Milliseconds;
};

export type StoreHead = { readonly status: number; readonly headers: IncomingMessage["headers"] };
export type StoreAnswer = StoreHead & { readonly body: string };

/** Called in this order: head once, bytes for each piece of the body, end once. Nothing after the request was given up. */
export type StoreStream = {
  readonly head: (head: StoreHead) => void;
  readonly bytes: (bytes: Buffer) => void;
  /** The last byte was read, or why not. */
  readonly end: (result: Result<true>) => void;
};

/** A kept connection that nobody has used for this long is closed. */
const idleTimeout: Milliseconds = 60_000;

export class StoreClient {
  readonly #tls: SourceTls | undefined;
  readonly #http = new HttpAgent({ keepAlive: true, timeout: idleTimeout });
  readonly #https = new HttpsAgent({ keepAlive: true, timeout: idleTimeout });
  readonly #asked = new Set<StoreExchange>();

  constructor(tls: SourceTls | undefined) {
    this.#tls = tls;
  }

  /**
   * Asks, and calls `end` once with the whole answer, within the event that brought its last byte. Failures:
   * `source.tls.file`, `source.connect.*`, `source.answer.*` and `source.timeout`, all safe to try again elsewhere.
   * Returns what gives it up: nothing is called then any more.
   */
  ask(request: StoreRequest, end: (result: Result<StoreAnswer>) => void): () => void {
    const pieces: Buffer[] = [];
    let length = 0;
    let head: StoreHead | undefined;
    const giveUp = this.stream(request, {
      head: (told) => {
        head = told;
      },
      bytes: (bytes) => {
        pieces.push(bytes);
        length += bytes.length;
        if (length <= sourceAnswerBytesMax) return;
        giveUp();
        end(failed("source.answer.tooLarge", `${request.endpoint} sends more than ${sourceAnswerBytesMax} bytes`));
      },
      end: (result) => {
        if (!result.ok) end(result);
        else if (head === undefined) end(failed("source.answer.cut", `${request.endpoint} sent no answer`));
        else end(good({ ...head, body: Buffer.concat(pieces, length).toString("utf8") }));
      },
    });
    return giveUp;
  }

  /** As `ask`, with the body as it comes. With `hold: Infinity` only connecting and the head have a deadline. */
  stream(request: StoreRequest, to: StoreStream): () => void {
    const tls = this.#tlsOptions(request);
    const exchange = new StoreExchange(request, to, {
      options: tls.ok ? tls.value : {},
      agents: { http: this.#http, https: this.#https },
      over: () => this.#asked.delete(exchange),
    });
    this.#asked.add(exchange);
    if (tls.ok) exchange.begin();
    else exchange.refuse(tls);
    return () => exchange.giveUp();
  }

  /** Gives up every request and closes the kept connections. */
  close(): void {
    for (const exchange of [...this.#asked]) exchange.giveUp();
    this.#http.destroy();
    this.#https.destroy();
  }

  /** Files are read anew for each request: what changed holds for the next connection, for the agent tells them apart. */
  #tlsOptions(request: StoreRequest): Result<RequestOptions> {
    const tls = this.#tls;
    if (tls === undefined || !request.endpoint.startsWith("https:")) return good({});
    const ca = readPem(tls.caFile);
    if (!ca.ok) return ca;
    const cert = readPem(tls.certificateFile);
    if (!cert.ok) return cert;
    const key = readPem(tls.keyFile);
    if (!key.ok) return key;
    return good({
      ...(ca.value === undefined ? {} : { ca: ca.value }),
      ...(cert.value === undefined ? {} : { cert: cert.value }),
      ...(key.value === undefined ? {} : { key: key.value }),
      ...(tls.serverName === undefined ? {} : { servername: tls.serverName }),
      rejectUnauthorized: tls.verify,
    });
  }
}

function readPem(path: string | undefined): Result<string | undefined> {
  if (path === undefined) return good(undefined);
  try {
    return good(readFileSync(path, "latin1"));
  } catch (error) {
    return failed("source.tls.file", `${path} cannot be read: ${String(error)}`);
  }
}

/** A failure of a store: it never did anything that trying again could do twice, for sources only read. */
export function failed(code: string, detail: string): { readonly ok: false; readonly failure: Failure } {
  return bad({ code, origin: "target", retrySafe: true, detail });
}

type Means = {
  readonly options: RequestOptions;
  readonly agents: { readonly http: HttpAgent; readonly https: HttpsAgent };
  readonly over: () => void;
};

/** One request and its answer. */
class StoreExchange {
  readonly #request: StoreRequest;
  readonly #to: StoreStream;
  readonly #means: Means;
  #outgoing: ClientRequest | undefined;
  #timer: NodeJS.Timeout | undefined;
  #doing = "connecting";
  #over = false;

  constructor(request: StoreRequest, to: StoreStream, means: Means) {
    this.#request = request;
    this.#to = to;
    this.#means = means;
  }

  begin(): void {
    const { endpoint, method, path, headers, body, timeout } = this.#request;
    const { options, agents } = this.#means;
    const secure = endpoint.startsWith("https:");
    const { hostname, port } = new URL(endpoint);
    const all: RequestOptions = {
      ...options,
      host: hostname.startsWith("[") ? hostname.slice(1, -1) : hostname,
      port: port === "" ? (secure ? 443 : 80) : Number(port),
      method,
      path,
      headers: body === undefined ? headers : { ...headers, "content-length": String(Buffer.byteLength(body)) },
      agent: secure ? agents.https : agents.http,
    };
    const outgoing = secure ? httpsRequest(all) : httpRequest(all);
    this.#outgoing = outgoing;
    this.#setDeadline(timeout);
    outgoing.once("socket", (socket) => {
      const connected = () => this.#connected(outgoing);
      if (outgoing.reusedSocket) connected();
      else socket.once(secure ? "secureConnect" : "connect", connected);
    });
    outgoing.once("response", (incoming) => this.#answered(incoming));
    outgoing.on("error", (error) => this.#broken(outgoing, error));
    outgoing.end(body);
  }

  /** Ends it before anything was sent, but not before the caller has been told how to give it up. */
  refuse(failure: Result<true>): void {
    setImmediate(() => this.#finish(failure));
  }

  giveUp(): void {
    if (this.#over) return;
    this.#end();
    this.#outgoing?.destroy();
  }

  #connected(outgoing: ClientRequest): void {
    if (this.#over || this.#outgoing !== outgoing) return;
    this.#doing = "waiting for the answer";
    const { timeout, hold } = this.#request;
    // Nobody knows how long a watch takes to its first byte, so it is the caller who notices one that is silent.
    if (hold === Number.POSITIVE_INFINITY) clearTimeout(this.#timer);
    else this.#setDeadline(timeout + hold);
  }

  #answered(incoming: IncomingMessage): void {
    if (this.#over) return;
    this.#doing = "reading the answer";
    incoming.on("data", (bytes: Buffer) => {
      if (!this.#over) this.#to.bytes(bytes);
    });
    incoming.once("end", () => {
      // Without this a body that was cut at the end of a chunk would count as whole.
      if (incoming.complete) this.#finish(good(true));
    });
    incoming.on("error", () => this.#cut());
    incoming.once("close", () => this.#cut());
    this.#to.head({ status: incoming.statusCode ?? 0, headers: incoming.headers });
  }

  #cut(): void {
    this.#finish(failed("source.answer.cut", `${this.#request.endpoint} closed the connection within its answer`));
  }

  #broken(outgoing: ClientRequest, error: NodeJS.ErrnoException): void {
    if (this.#over || this.#outgoing !== outgoing) return;
    // The server closed a kept connection as we asked: that says nothing of the server. Each one that was kept is met
    // at most once, so this ends; the deadline begins anew, for so does the connecting.
    if (outgoing.reusedSocket && this.#doing === "waiting for the answer") {
      this.#doing = "connecting";
      this.begin();
      return;
    }
    this.#finish(explainStoreError(this.#request.endpoint, error, this.#doing));
  }

  #setDeadline(timeout: Milliseconds): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => {
      const { endpoint } = this.#request;
      const outgoing = this.#outgoing;
      this.#finish(failed("source.timeout", `${endpoint}: ${this.#doing} took more than ${Math.round(timeout)} ms`));
      outgoing?.destroy();
    }, timeout);
  }

  #finish(result: Result<true>): void {
    if (this.#over) return;
    this.#end();
    this.#to.end(result);
  }

  #end(): void {
    this.#over = true;
    clearTimeout(this.#timer);
    this.#means.over();
  }
}
