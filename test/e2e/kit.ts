// What every end-to-end test needs and nothing more: start a program, wait for a condition with a deadline, find a free
// port, a directory that goes away, a bare TCP client, one HTTP request. All of it is bound to a scope (a test's
// context, or a suite's `after`), whose end removes it even when the test has failed. Processes are ended by their own
// id only. Nothing here knows evenkeel beyond the path of the program.

import { type ChildProcess, spawn } from "node:child_process";
import { createSocket } from "node:dgram";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { type IncomingHttpHeaders, request } from "node:http";
import { connect, createServer, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { performance } from "node:perf_hooks";
import { fileURLToPath } from "node:url";

/** Root of the checkout, absolute. */
export const root: string = dirname(dirname(dirname(fileURLToPath(import.meta.url))));

/** The program as a newcomer calls it, absolute. */
export const evenkeel: string = join(root, "evenkeel");

/** How long a wait lasts unless the caller says otherwise: long, because a shared machine may be busy. */
export const patienceMs = 15_000;

/** Whatever can run something at its end: a test's context, or `{ after }` of node:test for a whole suite. */
export type Scope = { after(end: () => void | Promise<void>): void };

const ends = new WeakMap<Scope, (() => void | Promise<void>)[]>();

/** Runs at the scope's end, the last one given first: a client before its server, all before the directory. */
export function atEnd(scope: Scope, end: () => void | Promise<void>): void {
  const known = ends.get(scope);
  if (known !== undefined) {
    known.push(end);
    return;
  }
  const stack = [end];
  ends.set(scope, stack);
  scope.after(async () => {
    const failures: unknown[] = [];
    for (let next = stack.pop(); next !== undefined; next = stack.pop()) {
      try {
        await next();
      } catch (error) {
        // The others must be ended all the same; told below.
        failures.push(error);
      }
    }
    if (failures.length > 0) throw new AggregateError(failures, "the scope could not be ended cleanly");
  });
}

/**
 * Asks `look` again and again until it gives something other than undefined and false, and returns that.
 * An error thrown by `look` counts as "not yet" and is told when the deadline has passed.
 */
export async function until<T>(
  what: string,
  look: () => T | undefined | false | Promise<T | undefined | false>,
  options: { readonly timeoutMs?: number; readonly everyMs?: number; readonly onTimeout?: () => string } = {},
): Promise<T> {
  const { timeoutMs = patienceMs, everyMs = 10 } = options;
  const deadline = performance.now() + timeoutMs;
  let last: unknown;
  for (;;) {
    try {
      const seen = await look();
      if (seen !== undefined && seen !== false) return seen;
      last = undefined;
    } catch (error) {
      last = error;
    }
    if (performance.now() > deadline) break;
    await pause(everyMs);
  }
  const cause = last === undefined ? "" : `; the last look failed: ${String(last)}`;
  const more = options.onTimeout === undefined ? "" : `\n${options.onTimeout()}`;
  throw new Error(`not within ${timeoutMs} ms: ${what}${cause}${more}`);
}

/** For use between two looks, and to leave a program alone for a while; never to hope that something has happened. */
export function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

/** A directory of its own, removed with all it holds when the scope ends. */
export function temporaryDirectory(scope: Scope): string {
  const path = mkdtempSync(join(tmpdir(), "evenkeel-test-"));
  atEnd(scope, () => rmSync(path, { recursive: true, force: true }));
  return path;
}

// Below the range that the kernel takes for outgoing connections (32768 and up), 100 ports for each of 220 process ids:
// two test files that run at once seldom meet, and a probe by binding settles the rest.
const portFirst = 10_000 + (process.pid % 220) * 100;
let portsGiven = 0;

/** A port of 127.0.0.1 on which nobody listens, neither TCP nor UDP. Never the same one twice in a process. */
export async function freePort(): Promise<number> {
  while (portsGiven < 100) {
    const port = portFirst + portsGiven++;
    if ((await bindsTcp(port)) && (await bindsUdp(port))) return port;
  }
  throw new Error(`no free port from ${portFirst} to ${portFirst + 99}`);
}

function bindsTcp(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once("error", () => resolve(false));
    server.listen({ port, host: "127.0.0.1", exclusive: true }, () => server.close(() => resolve(true)));
  });
}

function bindsUdp(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = createSocket("udp4");
    socket.once("error", () => resolve(false));
    socket.bind({ port, address: "127.0.0.1", exclusive: true }, () => socket.close(() => resolve(true)));
  });
}

export type Exit = { readonly code: number | null; readonly signal: NodeJS.Signals | null };

export type Program = {
  readonly pid: number;
  readonly child: ChildProcess;
  /** All output so far, as UTF-8. */
  stdout(): string;
  stderr(): string;
  /** Undefined while it runs. */
  exit(): Exit | undefined;
  /** Waits for its end, with the kit's patience. */
  exited(timeoutMs?: number): Promise<Exit>;
  signal(signal: NodeJS.Signals): void;
};

export type ProgramOptions = {
  readonly cwd?: string;
  /** Added to this process's environment; undefined removes a name. */
  readonly env?: Readonly<Record<string, string | undefined>>;
  /** How long SIGTERM may take at the end of the scope before SIGKILL. */
  readonly graceMs?: number;
};

const running = new Set<ChildProcess>();
process.on("exit", () => {
  // The test process ends without having ended its scopes (an uncaught error): leave nobody behind.
  for (const child of running) child.kill("SIGKILL");
});

/** Starts a program without a shell. At the end of the scope it gets SIGTERM, then SIGKILL, and is waited for. */
export function startProgram(
  scope: Scope,
  command: string,
  args: readonly string[],
  options: ProgramOptions = {},
): Program {
  const env = { ...process.env, ...options.env };
  // The runner's own channel must not leak: a child that inherits it reports its tests to our runner.
  delete env["NODE_TEST_CONTEXT"];
  const child = spawn(command, [...args], {
    cwd: options.cwd ?? root,
    env,
    stdio: ["ignore", "pipe", "pipe"],
  });
  let stdout = "";
  let stderr = "";
  let exit: Exit | undefined;
  let failed: Error | undefined;
  running.add(child);
  child.stdout.setEncoding("utf8").on("data", (text: string) => {
    stdout += text;
  });
  child.stderr.setEncoding("utf8").on("data", (text: string) => {
    stderr += text;
  });
  child.once("error", (error) => {
    failed = error;
    running.delete(child);
  });
  child.once("close", (code, signal) => {
    exit = { code, signal };
    running.delete(child);
  });
  const told = () => `--- ${command} ${args.join(" ")}\n--- stdout\n${stdout}\n--- stderr\n${stderr}`;
  const program: Program = {
    pid: child.pid ?? -1,
    child,
    stdout: () => stdout,
    stderr: () => stderr,
    exit: () => exit,
    exited: (timeoutMs = patienceMs) =>
      until(
        "the program's end",
        () => {
          if (failed !== undefined) return { code: null, signal: null };
          return exit;
        },
        { timeoutMs, onTimeout: told },
      ),
    signal: (signal) => {
      child.kill(signal);
    },
  };
  atEnd(scope, () => endProgram(program, () => failed !== undefined, options.graceMs ?? 5_000));
  return program;
}

async function endProgram(program: Program, neverStarted: () => boolean, graceMs: number): Promise<void> {
  if (neverStarted() || program.exit() !== undefined) return;
  program.signal("SIGTERM");
  try {
    await program.exited(graceMs);
  } catch {
    // It did not take the hint, which is the test's business to notice, not the clean-up's.
    program.signal("SIGKILL");
    await program.exited(graceMs);
  }
}

export type Ran = Exit & { readonly stdout: string; readonly stderr: string };

/** Runs a program to its end. */
export async function runProgram(
  scope: Scope,
  command: string,
  args: readonly string[],
  options: ProgramOptions & { readonly timeoutMs?: number } = {},
): Promise<Ran> {
  const program = startProgram(scope, command, args, options);
  const exit = await program.exited(options.timeoutMs);
  return { ...exit, stdout: program.stdout(), stderr: program.stderr() };
}

/** True while a process of that id exists and runs; a zombie, dead but not yet reaped by its parent, does not count. */
export function isAlive(pid: number): boolean {
  try {
    // "PID (name) S ...": the name may hold anything, so the state is looked for behind the last parenthesis.
    const stat = readFileSync(`/proc/${pid}/stat`, "latin1");
    return stat[stat.lastIndexOf(")") + 2] !== "Z";
  } catch {
    // ENOENT, or ESRCH when it went away while we read: the answer we ask for.
    return false;
  }
}

export type RawClient = {
  readonly socket: Socket;
  /** Text is written byte for byte (latin1). */
  write(bytes: string | Uint8Array): void;
  /** Half-closes. */
  end(): void;
  /** Everything received so far, latin1. */
  received(): string;
  /** Waits until the received text contains a part, or satisfies a condition; returns all of it. */
  receives(part: string | ((received: string) => boolean), timeoutMs?: number): Promise<string>;
  /** "end": the other side sent FIN; "reset": an error; "open" otherwise. */
  state(): "open" | "end" | "reset";
  /** Waits until the other side has ended or reset the connection; returns all that was received. */
  closed(timeoutMs?: number): Promise<string>;
};

/** A connection to a TCP port, or to the path of a unix socket, that shows bytes as they are. Destroyed with its scope. */
export async function rawClient(
  scope: Scope,
  to: number | string,
  options: { readonly host?: string; readonly timeoutMs?: number } = {},
): Promise<RawClient> {
  const address = typeof to === "string" ? { path: to } : { port: to, host: options.host ?? "127.0.0.1" };
  const socket = connect({ ...address, allowHalfOpen: true });
  atEnd(scope, () => {
    socket.destroy();
  });
  const chunks: Buffer[] = [];
  let state: "open" | "end" | "reset" = "open";
  let connected = false;
  let failure: Error | undefined;
  socket.on("data", (chunk) => chunks.push(chunk));
  socket.on("end", () => {
    if (state === "open") state = "end";
  });
  socket.on("error", (error) => {
    state = "reset";
    failure = error;
  });
  socket.on("connect", () => {
    connected = true;
  });
  const received = () => Buffer.concat(chunks).toString("latin1");
  const told = () => `received so far (${state}): ${JSON.stringify(received().slice(0, 4_000))}`;
  const timeoutDefault = options.timeoutMs ?? patienceMs;
  await until("a connection", () => connected || failure !== undefined, { timeoutMs: timeoutDefault });
  if (failure !== undefined && !connected) throw failure;
  return {
    socket,
    write: (bytes) => {
      if (typeof bytes === "string") socket.write(bytes, "latin1");
      else socket.write(bytes);
    },
    end: () => {
      socket.end();
    },
    received,
    receives: (part, timeoutMs = timeoutDefault) =>
      until(
        typeof part === "string" ? `the bytes ${JSON.stringify(part)}` : "the bytes",
        () => {
          const text = received();
          const enough = typeof part === "string" ? text.includes(part) : part(text);
          return enough ? text : undefined;
        },
        { timeoutMs, everyMs: 2, onTimeout: told },
      ),
    state: () => state,
    closed: async (timeoutMs = timeoutDefault) => {
      await until("the connection's end", () => state !== "open", { timeoutMs, everyMs: 2, onTimeout: told });
      return received();
    },
  };
}

export type Answer = { readonly status: number; readonly headers: IncomingHttpHeaders; readonly body: string };

export type Ask = {
  /** Over TCP; or the path of a unix socket. */
  readonly port?: number;
  readonly socketPath?: string;
  readonly host?: string;
  readonly path?: string;
  readonly method?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string | Uint8Array;
  readonly timeoutMs?: number;
};

/** One HTTP request on a connection of its own, body read to the end as latin1. Rejects when there is no whole answer. */
export function ask(what: Ask): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const outgoing = request(
      {
        ...(what.socketPath === undefined
          ? { host: what.host ?? "127.0.0.1", port: what.port }
          : { socketPath: what.socketPath }),
        path: what.path ?? "/",
        method: what.method ?? "GET",
        headers: { ...what.headers },
        agent: false,
        signal: AbortSignal.timeout(what.timeoutMs ?? patienceMs),
      },
      (response) => {
        const chunks: Buffer[] = [];
        response.on("data", (chunk: Buffer) => chunks.push(chunk));
        response.on("error", reject);
        response.on("end", () =>
          resolve({
            status: response.statusCode ?? 0,
            headers: response.headers,
            body: Buffer.concat(chunks).toString("latin1"),
          }),
        );
      },
    );
    outgoing.on("error", reject);
    outgoing.end(what.body);
  });
}
