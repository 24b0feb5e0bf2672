// Requests to the admin API of the program that runs, over its unix socket or, with a token, its loopback address. Failures
// are values whose detail tells the operator what to do.

import { readFileSync } from "node:fs";
import { type ClientRequest, type IncomingMessage, request } from "node:http";
import type { Command } from "commander";
import { isLoopbackHost } from "../admin/gate.ts";
import type { Milliseconds } from "../core/clock.ts";
import { bad, type Failure, good, type Result } from "../core/failure.ts";
import type { CliIo } from "./cli-io.ts";

export const socketDefault = "/run/evenkeel/admin.sock";

/** Where the API is asked. `name` is what messages call it. */
export type AdminPlace =
  | { readonly kind: "socket"; readonly name: string; readonly path: string }
  | {
      readonly kind: "http";
      readonly name: string;
      readonly host: string;
      readonly port: number;
      readonly token: string;
    };

/** Options that say where the API is. */
export type AdminOptions = { readonly socket?: string; readonly admin?: string; readonly tokenFile?: string };

/** Gives a command those options. */
export function withAdminOptions(command: Command): Command {
  return command
    .option("--socket <path>", "admin socket (default: $EVENKEEL_SOCKET or /run/evenkeel/admin.sock)")
    .option("--admin <url>", "admin API over TCP, such as http://127.0.0.1:9911 (default: $EVENKEEL_ADMIN)")
    .option("--token-file <path>", "file that holds the token for it (default: $EVENKEEL_TOKEN_FILE)");
}

/** The path given with --socket, else EVENKEEL_SOCKET, else the default. */
export function adminSocketPath(given: string | undefined, io: Pick<CliIo, "environment">): string {
  return given ?? named(io, "EVENKEEL_SOCKET") ?? socketDefault;
}

function named(io: Pick<CliIo, "environment">, name: string): string | undefined {
  const value = io.environment[name];
  return value === "" ? undefined : value;
}

/**
 * What is given goes before the environment, and a URL in the environment before a socket there. Codes: admin.place (two
 * places, or a URL that is none), admin.token (no token, or none in its file).
 */
export function adminPlace(options: AdminOptions, io: Pick<CliIo, "environment">): Result<AdminPlace> {
  const { socket, admin } = options;
  if (socket !== undefined && admin !== undefined) {
    return bad(failure("admin.place", "--socket and --admin are two places: give one of them"));
  }
  const url = admin ?? (socket === undefined ? named(io, "EVENKEEL_ADMIN") : undefined);
  if (url === undefined) {
    const path = adminSocketPath(socket, io);
    return good({ kind: "socket", name: path, path });
  }
  const place = URL.parse(url);
  if (place === null || place.protocol !== "http:" || place.pathname !== "/" || place.search !== "") {
    return bad(failure("admin.place", `${url} is no place of an admin API; expected http://127.0.0.1:9911`));
  }
  if (!isLoopbackHost(place.host)) {
    const detail = `${place.host} is another machine, and the token would go there in the clear: use ssh -L and 127.0.0.1`;
    return bad(failure("admin.place", detail));
  }
  const token = readToken(options.tokenFile ?? named(io, "EVENKEEL_TOKEN_FILE"));
  if (!token.ok) return token;
  const host = place.hostname.replace(/^\[(.*)\]$/, "$1");
  return good({ kind: "http", name: url, host, port: Number(place.port || 80), token: token.value });
}

function readToken(path: string | undefined): Result<string> {
  if (path === undefined) {
    return bad(
      failure("admin.token", "the admin API over TCP wants a token: --token-file PATH or EVENKEEL_TOKEN_FILE"),
    );
  }
  let text: string;
  try {
    text = readFileSync(path, "utf8").trim();
  } catch (error) {
    return bad(failure("admin.token", `token file ${path}: ${error instanceof Error ? error.message : String(error)}`));
  }
  if (text.includes("sha256:")) {
    const detail = `${path} holds hashes of tokens, which the program that runs reads; the token itself was printed once by evenkeel token new`;
    return bad(failure("admin.token", detail));
  }
  if (/^[A-Za-z0-9._~+/=-]+$/.test(text)) return good(text);
  return bad(failure("admin.token", `${path} holds no token: expected one line, as evenkeel token new prints it`));
}

export type AdminReply = {
  readonly status: number;
  readonly headers: IncomingMessage["headers"];
  /** JSON; undefined for an answer without a body. */
  readonly body: unknown;
};

export type AdminQuestion = {
  readonly method: "GET" | "POST" | "PUT" | "PATCH" | "DELETE";
  readonly path: string;
  readonly headers?: Readonly<Record<string, string>>;
  /** Sent as JSON. */
  readonly body?: unknown;
  readonly timeoutMs: Milliseconds;
};

const replyBytesMax = 64 * 1024 * 1024;

/** Asks and reads the JSON answer. Codes: admin.unreachable, admin.denied, admin.timeout, admin.reply. */
export function askAdmin(place: AdminPlace, what: AdminQuestion): Promise<Result<AdminReply>> {
  return new Promise((resolve) => {
    const signal = AbortSignal.timeout(what.timeoutMs);
    const fail = (error: unknown) => resolve(bad(describeError(place, error, what.timeoutMs)));
    const outgoing = openRequest(place, what, signal, (response) => {
      const chunks: Buffer[] = [];
      let bytes = 0;
      response.on("data", (chunk: Buffer) => {
        bytes += chunk.length;
        if (bytes > replyBytesMax) response.destroy(new Error(`an answer of more than ${replyBytesMax} bytes`));
        else chunks.push(chunk);
      });
      response.on("error", fail);
      response.on("end", () => resolve(decodeReply(response, Buffer.concat(chunks).toString("utf8"))));
    });
    outgoing.on("error", fail);
    outgoing.end(what.body === undefined ? undefined : JSON.stringify(what.body));
  });
}

/** An answer that goes on: its text as it comes. Resolves when it ends; with the whole answer when it is none of the kind. */
export function followAdmin(
  place: AdminPlace,
  what: { readonly path: string; readonly signal: AbortSignal; readonly headers?: Readonly<Record<string, string>> },
  tell: (text: string) => void,
): Promise<Result<AdminReply | undefined>> {
  return new Promise((resolve) => {
    const fail = (error: unknown) =>
      resolve(what.signal.aborted ? good(undefined) : bad(describeError(place, error, 0)));
    const outgoing = openRequest(place, { ...what, method: "GET" }, what.signal, (response) => {
      let refusal = "";
      const stream = response.headers["content-type"] === "text/event-stream";
      response.setEncoding("utf8");
      response.on("data", (text: string) => {
        if (stream) tell(text);
        else refusal += text;
      });
      response.on("error", fail);
      response.on("end", () => resolve(stream ? good(undefined) : decodeReply(response, refusal)));
    });
    outgoing.on("error", fail);
    outgoing.end();
  });
}

function openRequest(
  place: AdminPlace,
  what: Pick<AdminQuestion, "method" | "path" | "headers" | "body">,
  signal: AbortSignal,
  answered: (response: IncomingMessage) => void,
): ClientRequest {
  const where = place.kind === "socket" ? { socketPath: place.path } : { host: place.host, port: place.port };
  const headers = {
    ...(what.body === undefined ? {} : { "content-type": "application/json" }),
    ...(place.kind === "http" ? { authorization: `Bearer ${place.token}` } : {}),
    ...what.headers,
  };
  return request({ ...where, method: what.method, path: what.path, headers, agent: false, signal }, answered);
}

function decodeReply({ statusCode: status = 0, headers }: IncomingMessage, text: string): Result<AdminReply> {
  if (text === "") return good({ status, headers, body: undefined });
  try {
    return good({ status, headers, body: JSON.parse(text) });
  } catch {
    // Whatever answers there is not us; its words help to find out who it is.
    return bad(failure("admin.reply", `the answer is no JSON: ${JSON.stringify(text.slice(0, 200))}`));
  }
}

/** What a reply that is not the wanted one says: its detail, and every field that was wrong. */
export function describeReply({ status, body }: AdminReply): string {
  const { detail, errors }: { readonly detail?: unknown; readonly errors?: unknown } = Object(body);
  const lines = Array.isArray(errors) ? errors.map((error) => describeFieldError(Object(error))) : [];
  if (lines.length > 1) return lines.join("; ");
  return typeof detail === "string" ? detail : `status ${status}`;
}

function describeFieldError({ field, detail }: { readonly field?: unknown; readonly detail?: unknown }): string {
  return field === "" ? String(detail) : `${String(field)}: ${String(detail)}`;
}

function describeError(place: AdminPlace, error: unknown, timeoutMs: Milliseconds): Failure {
  const known: NodeJS.ErrnoException = error instanceof Error ? error : new Error(String(error));
  const { name, code, message } = known;
  if (name === "AbortError" || name === "TimeoutError") {
    return failure("admin.timeout", `the evenkeel on ${place.name} did not answer within ${timeoutMs / 1000} s`);
  }
  if (code === "ENOENT" || code === "ECONNREFUSED") {
    const other =
      place.kind === "socket"
        ? "another path: --socket PATH or EVENKEEL_SOCKET"
        : "does its admin.http say this address?";
    return failure(
      "admin.unreachable",
      `no evenkeel answers on ${place.name}: is it running? (evenkeel run -c FILE; ${other})`,
    );
  }
  if (code === "EACCES" || code === "EPERM") {
    return failure("admin.denied", `this user may not use ${place.name}: run as root or as the user evenkeel runs as`);
  }
  return failure("admin.reply", `asking ${place.name} failed: ${message}`);
}

function failure(code: string, detail: string): Failure {
  return { code, origin: "self", retrySafe: false, detail };
}
