// A node with the fake worker for the control plane's tests: its configuration, its log lines, its admin API. The change's
// way only; what balances is tested elsewhere.

import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import {
  type Answer,
  ask,
  type Program,
  type RawClient,
  rawClient,
  root,
  type Scope,
  startProgram,
  until,
} from "./kit.ts";

export type NodeFile = {
  /** Listener name to port of 127.0.0.1. */
  readonly listeners: Readonly<Record<string, number>>;
  readonly workers?: number;
  readonly drainTimeout?: string;
  readonly socket?: string;
  /** Written instead of all that. */
  readonly text?: string;
};

export type LogLine = Readonly<Record<string, unknown>>;

export type Node = {
  readonly program: Program;
  readonly socketPath: string;
  readonly configFile: string;
  /** Writes the configuration file anew; takes effect with a reload. */
  write(file: NodeFile): void;
  lines(): LogLine[];
  /** Waits for the log line with this message, the nth of them. */
  logged(message: string, count?: number): Promise<LogLine>;
  admin(method: string, path: string, more?: { headers?: Record<string, string>; body?: string }): Promise<Answer>;
  status(): Promise<{ generation: number; workers: { pid: number; state: string; restarts: number }[] }>;
};

const runNode = join(root, "test/e2e/fixtures/run-node.ts");

export function encodeNodeFile(file: NodeFile, socketDefault: string): string {
  if (file.text !== undefined) return file.text;
  const listeners = Object.entries(file.listeners).map(
    ([name, port]) => `  ${name}: { bind: "127.0.0.1:${port}", routes: [ { pool: p } ] }\n`,
  );
  return [
    `admin: { socket: ${file.socket ?? socketDefault} }\n`,
    `stateDirectory: ${join(dirname(socketDefault), "state")}\n`,
    `workers: ${file.workers ?? 1}\n`,
    `drainTimeout: ${file.drainTimeout ?? "10s"}\n`,
    `listeners:\n${listeners.join("")}`,
    `pools: { p: { targets: { "127.0.0.1:1": } } }\n`,
  ].join("");
}

/** Starts a node and, unless told otherwise, waits until it is ready. */
export async function startNode(
  scope: Scope,
  directory: string,
  file: NodeFile,
  options: { readonly ready?: boolean; readonly env?: Record<string, string>; readonly pidFile?: string } = {},
): Promise<Node> {
  const configFile = join(directory, "evenkeel.yaml");
  const socketPath = join(directory, "run", "admin.sock");
  const write = (next: NodeFile) => writeFileSync(configFile, encodeNodeFile(next, socketPath));
  write(file);
  const args = [runNode, configFile, ...(options.pidFile === undefined ? [] : [options.pidFile])];
  const program = startProgram(scope, process.execPath, args, { env: options.env ?? {} });
  const lines = () => decodeLines(program.stderr());
  const node: Node = {
    program,
    socketPath,
    configFile,
    write,
    lines,
    logged: (message, count = 1) =>
      until(
        `log line ${count} of "${message}"`,
        () => lines().filter((line) => line["message"] === message)[count - 1],
        {
          onTimeout: () => program.stderr(),
        },
      ),
    admin: (method, path, more = {}) => ask({ socketPath, method, path, ...more }),
    status: async () => JSON.parse((await ask({ socketPath, path: "/v1/status" })).body),
  };
  if (options.ready !== false) await node.logged("ready");
  return node;
}

function decodeLines(text: string): LogLine[] {
  const whole = text.split("\n").slice(0, -1);
  return whole.filter((line) => line.startsWith("{")).map((line): LogLine => JSON.parse(line));
}

export type Greeted = { readonly client: RawClient; readonly pid: number; readonly listener: string };

/** Connects and reads the fake worker's greeting. */
export async function greeted(scope: Scope, port: number): Promise<Greeted> {
  return readGreeting(await rawClient(scope, port));
}

export async function readGreeting(client: RawClient): Promise<Greeted> {
  const [pid, listener] = (await client.receives("\n")).split(" ");
  assert.ok(pid !== undefined && listener !== undefined);
  return { client, pid: Number(pid), listener };
}
