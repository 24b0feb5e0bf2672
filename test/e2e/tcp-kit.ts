// What the end-to-end tests of TCP listeners share beyond http-kit.ts: demo servers of TCP, listeners of TCP, the access
// log's lines, and one visit to an echo server. Everything is bound to a scope.

import { existsSync, readFileSync } from "node:fs";
import { connect } from "node:net";
import { type ConfigFile, decodeLines, type Echo, type LogLine } from "./http-kit.ts";
import { evenkeel, freePort, patienceMs, type Scope, startProgram, until } from "./kit.ts";

/** `evenkeel echo --tcp`, once it answers: it greets with its name and echoes lines behind it. */
export async function startStreamEcho(scope: Scope, name: string, port?: number): Promise<Echo> {
  const at = port ?? (await freePort());
  const program = startProgram(scope, evenkeel, ["echo", "--tcp", `127.0.0.1:${at}`, "--name", name]);
  await until(`the demo server ${name}`, () => program.stdout() !== "", { onTimeout: program.stderr });
  return { name, port: at, program };
}

export function startStreamEchoes(scope: Scope, names: readonly string[]): Promise<Echo[]> {
  return Promise.all(names.map((name) => startStreamEcho(scope, name)));
}

/** A listener of TCP on that port of 127.0.0.1, with one pool unless `more` has routes. */
export function tcpListener(port: number, more: ConfigFile = {}): ConfigFile {
  const pool = "routes" in more ? {} : { pool: "echo" };
  return { bind: `127.0.0.1:${port}`, protocol: "tcp", ...pool, ...more };
}

/** The access log's lines so far. */
export function linesOf(path: string): LogLine[] {
  return existsSync(path) ? decodeLines(readFileSync(path, "utf8")) : [];
}

export type Visit = {
  /** The first line that came, without its end; empty when none did. */
  readonly greeting: string;
  /** Of the socket; empty when all went well. */
  readonly error: string;
};

/** Connects, waits for a line, says good-bye and waits for the end. Never rejects. */
export function visit(port: number): Promise<Visit> {
  return new Promise((resolve) => {
    let text = "";
    let error = "";
    const socket = connect({ port, host: "127.0.0.1", timeout: patienceMs });
    socket.setEncoding("latin1");
    socket.on("data", (more: string) => {
      text += more;
      if (text.includes("\n")) socket.end();
    });
    socket.on("timeout", () => socket.destroy(new Error("timeout")));
    socket.on("error", (cause: NodeJS.ErrnoException) => {
      error = cause.code ?? cause.message;
    });
    socket.on("close", () => resolve({ greeting: text.split("\n", 1)[0] ?? "", error }));
  });
}
