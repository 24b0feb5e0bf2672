// What the end-to-end tests of UDP listeners share beyond http-kit.ts: demo servers of UDP, targets that log what they get,
// clients that ask and count. Everything is bound to a scope.

import assert from "node:assert/strict";
import { createSocket, type Socket } from "node:dgram";
import { join } from "node:path";
import type { ConfigFile, Echo } from "./http-kit.ts";
import {
  ask,
  atEnd,
  evenkeel,
  freePort,
  type Program,
  patienceMs,
  root,
  type Scope,
  startProgram,
  until,
} from "./kit.ts";

/** `evenkeel echo --udp`, once it is there: it answers each datagram with its name before it. */
export async function startDatagramEcho(scope: Scope, name: string, port?: number, host = "127.0.0.1"): Promise<Echo> {
  const at = port ?? (await freePort());
  const address = host.includes(":") ? `[${host}]:${at}` : `${host}:${at}`;
  const program = startProgram(scope, evenkeel, ["echo", "--udp", address, "--name", name]);
  await until(`the demo server ${name}`, () => program.stdout() !== "", { onTimeout: program.stderr });
  return { name, port: at, program };
}

export function startDatagramEchoes(scope: Scope, names: readonly string[]): Promise<Echo[]> {
  return Promise.all(names.map((name) => startDatagramEcho(scope, name)));
}

export type ReportTarget = {
  readonly name: string;
  readonly port: number;
  readonly program: Program;
  /** Every datagram so far, also of one that was killed: each is in the log before it is answered. */
  reports(): string[];
};

/** A target that logs each datagram and then, unless it is to be silent, answers with its name before it. */
export async function startReportTarget(scope: Scope, name: string, silent = false): Promise<ReportTarget> {
  const port = await freePort();
  const script = join(root, "test/e2e/fixtures/report-target.ts");
  const program = startProgram(scope, process.execPath, [script, `${port}`, name, silent ? "silent" : "answers"]);
  await until(`the target ${name}`, () => program.stdout().includes("ready\n"), { onTimeout: program.stderr });
  return { name, port, program, reports: () => program.stdout().split("\n").slice(1, -1) };
}

/** A listener of UDP on that port of 127.0.0.1, with the pool `echo`. */
export function udpListener(port: number, more: ConfigFile = {}): ConfigFile {
  return { bind: `127.0.0.1:${port}`, protocol: "udp", pool: "echo", ...more };
}

export class DatagramClient {
  readonly socket: Socket;
  /** Answers so far. */
  readonly heard: string[] = [];
  /** Codes of what the kernel said. */
  readonly errors: string[] = [];

  private constructor(socket: Socket) {
    this.socket = socket;
    socket.on("message", (message) => this.heard.push(message.toString()));
    socket.on("error", (error: NodeJS.ErrnoException) => this.errors.push(error.code ?? error.message));
  }

  /** Connected, so that it hears the address that it asks and no other. `from` is its own address. */
  static open(scope: Scope, port: number, options: { readonly host?: string; readonly from?: string } = {}) {
    const { host = "127.0.0.1", from } = options;
    const socket = createSocket(host.includes(":") ? "udp6" : "udp4");
    const client = new DatagramClient(socket);
    if (from !== undefined) socket.bindSync({ address: from });
    socket.connectSync(port, host);
    atEnd(scope, () => {
      socket.close();
    });
    return client;
  }

  send(text: string): void {
    this.socket.send(text);
  }

  /** Sends and waits for the next answer. */
  async ask(text: string, timeoutMs = patienceMs): Promise<string> {
    const before = this.heard.length;
    this.send(text);
    return until(`an answer to ${text}`, () => this.heard[before], {
      timeoutMs,
      everyMs: 1,
      onTimeout: () => `errors: ${this.errors.join()}`,
    });
  }
}

export type UdpCounters = {
  readonly flowsOpen: number;
  readonly flowsOpened: number;
  readonly datagramsFromClients: number;
  readonly datagramsToClients: number;
  readonly limits: Readonly<Record<string, number>>;
  readonly drops: Readonly<Record<string, number>>;
};

/** Of the node's first listener, as `GET /v1/status` gives them. */
export async function udpCounters(socketPath: string): Promise<UdpCounters> {
  return JSON.parse((await ask({ socketPath, path: "/v1/status" })).body).listeners[0].counters;
}

/** Who answered: the first word. */
export function nameIn(answer: string | undefined): string {
  return answer?.split(" ", 1)[0] ?? "";
}

export function tally(names: readonly string[]): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const name of [...names].sort()) counts[name] = (counts[name] ?? 0) + 1;
  return counts;
}

/** How often each text came: the texts that did not come, and those that came more than once with their count. */
export function compareReports(sent: readonly string[], got: readonly string[]) {
  const counts = tally(got);
  const lost = sent.filter((text) => counts[text] === undefined);
  const doubled = Object.entries(counts).filter(([, count]) => count > 1);
  const known = new Set(sent);
  assert.deepEqual(
    got.filter((text) => !known.has(text)),
    [],
    "nothing comes that was not sent",
  );
  return { lost, doubled };
}
