// A program of its own: opens many connections, does one request on each, and then keeps them all, silent, until its
// standard input ends. Prints one line when all are idle and one when it is told to stop. Run by idle.ts.

import { connect, type Socket } from "node:net";
import { parseArgs } from "node:util";
import { ResponseReader } from "./response-reader.ts";

/** Connections being opened at a time: below the backlog of every proxy. */
const OPENING_MAX = 100;
const PROBLEMS_MAX = 20;

export type IdleOpened = { readonly idle: number; readonly problems: readonly string[] };
/** Connections that did not last until the end. */
export type IdleEnded = { readonly lost: number };

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      port: { type: "string", default: "" },
      connections: { type: "string", default: "" },
      request: { type: "string", default: "" },
    },
  });
  const total = Number(values.connections);
  const request = Buffer.from(values.request);
  const sockets: Socket[] = [];
  const problems: string[] = [];
  let next = 0;
  let lost = 0;
  const opener = async (): Promise<void> => {
    while (next < total && problems.length < PROBLEMS_MAX) {
      next += 1;
      const socket = connect({ host: "127.0.0.1", port: Number(values.port) });
      const problem = await exchange(socket, request);
      if (problem !== undefined) {
        problems.push(problem);
        continue;
      }
      socket.once("close", () => {
        lost += 1;
      });
      sockets.push(socket);
    }
  };
  await Promise.all(Array.from({ length: OPENING_MAX }, opener));
  const opened: IdleOpened = { idle: sockets.length, problems };
  process.stdout.write(`${JSON.stringify(opened)}\n`);
  process.stdin.resume();
  process.stdin.once("end", () => {
    const ended: IdleEnded = { lost };
    process.stdout.write(`${JSON.stringify(ended)}\n`, () => process.exit(0));
  });
}

/** One request and its whole response; undefined when it was right. */
function exchange(socket: Socket, request: Buffer): Promise<string | undefined> {
  const reader = new ResponseReader();
  return new Promise((resolve) => {
    socket.once("connect", () => socket.write(request));
    socket.on("error", (cause) => resolve(`socket error: ${cause.message}`));
    socket.once("close", () => resolve("connection closed by the proxy"));
    socket.on("data", (chunk) => {
      const reading = reader.feed(chunk);
      if (reading.kind === "partial") return;
      if (reading.kind === "problem") resolve(reading.what);
      else resolve(reading.status === 200 ? undefined : `status ${reading.status}`);
    });
  });
}

await main();
