// One request to the admin API of the program that runs, over its unix socket. Failures are values whose detail tells the
// operator what to do.

import { request } from "node:http";
import type { Milliseconds } from "../core/clock.ts";
import { bad, type Failure, good, type Result } from "../core/failure.ts";
import type { CliIo } from "./cli-io.ts";

export const socketDefault = "/run/evenkeel/admin.sock";

/** The path given with --socket, else EVENKEEL_SOCKET, else the default. */
export function adminSocketPath(given: string | undefined, io: Pick<CliIo, "environment">): string {
  const named = io.environment["EVENKEEL_SOCKET"];
  return given ?? (named === undefined || named === "" ? socketDefault : named);
}

export type AdminReply = { readonly status: number; readonly body: unknown };

const replyBytesMax = 64 * 1024 * 1024;

/** Asks and reads the JSON answer. Codes: admin.unreachable, admin.denied, admin.timeout, admin.reply. */
export function askAdmin(
  socketPath: string,
  what: { readonly method: "GET" | "POST"; readonly path: string; readonly timeoutMs: Milliseconds },
): Promise<Result<AdminReply>> {
  return new Promise((resolve) => {
    const signal = AbortSignal.timeout(what.timeoutMs);
    const fail = (error: unknown) => resolve(bad(describeError(socketPath, error, what.timeoutMs)));
    const outgoing = request({ socketPath, method: what.method, path: what.path, agent: false, signal }, (response) => {
      const chunks: Buffer[] = [];
      let bytes = 0;
      response.on("data", (chunk: Buffer) => {
        bytes += chunk.length;
        if (bytes > replyBytesMax) response.destroy(new Error(`an answer of more than ${replyBytesMax} bytes`));
        else chunks.push(chunk);
      });
      response.on("error", fail);
      response.on("end", () => resolve(decodeReply(response.statusCode ?? 0, Buffer.concat(chunks).toString("utf8"))));
    });
    outgoing.on("error", fail);
    outgoing.end();
  });
}

function decodeReply(status: number, text: string): Result<AdminReply> {
  try {
    return good({ status, body: JSON.parse(text) });
  } catch {
    // Whatever answers there is not us; its words help to find out who it is.
    return bad(failure("admin.reply", `the answer is no JSON: ${JSON.stringify(text.slice(0, 200))}`));
  }
}

function describeError(socketPath: string, error: unknown, timeoutMs: Milliseconds): Failure {
  const known: NodeJS.ErrnoException = error instanceof Error ? error : new Error(String(error));
  const { name, code, message } = known;
  if (name === "AbortError" || name === "TimeoutError") {
    return failure("admin.timeout", `the evenkeel on ${socketPath} did not answer within ${timeoutMs / 1000} s`);
  }
  if (code === "ENOENT" || code === "ECONNREFUSED") {
    return failure(
      "admin.unreachable",
      `no evenkeel answers on ${socketPath}: is it running? (evenkeel run -c FILE; another path: --socket PATH or EVENKEEL_SOCKET)`,
    );
  }
  if (code === "EACCES" || code === "EPERM") {
    return failure("admin.denied", `this user may not use ${socketPath}: run as root or as the user evenkeel runs as`);
  }
  return failure("admin.reply", `asking ${socketPath} failed: ${message}`);
}

function failure(code: string, detail: string): Failure {
  return { code, origin: "self", retrySafe: false, detail };
}
