// What the end-to-end tests of HTTP share beyond kit.ts: the balancer with a configuration, its peers (demo servers, nginx,
// wrk, a target that records bytes), and a strict reader of HTTP/1.x messages. Everything is bound to a scope. The reader
// is written apart from src/wire on purpose: a test that parsed with the program's own parser would see what it sees.

import assert from "node:assert/strict";
import { accessSync, constants, mkdirSync, writeFileSync } from "node:fs";
import { createServer, type Server, type Socket } from "node:net";
import { delimiter, join } from "node:path";
import { after, type TestContext } from "node:test";
import {
  ask,
  atEnd,
  evenkeel,
  freePort,
  type Program,
  type Ran,
  runProgram,
  type Scope,
  startProgram,
  temporaryDirectory,
  until,
} from "./kit.ts";

/**
 * The scope of a whole file, to be made at its top level: `after` within `before` would run at the end of that hook.
 */
export function fileScope(): Scope {
  let end: (() => void | Promise<void>) | undefined;
  after(() => end?.());
  return {
    after(last) {
      end = last;
    },
  };
}

export type LogLine = Readonly<Record<string, unknown>>;

/** The configuration as an object: JSON is YAML. `admin` and `workers` are filled in. */
export type ConfigFile = Readonly<Record<string, unknown>>;

export type Balancer = {
  readonly program: Program;
  readonly directory: string;
  readonly socket: string;
  readonly configFile: string;
  /** Writes the file anew; takes effect with a reload. */
  write(config: ConfigFile): void;
  /** `evenkeel reload`. */
  reload(): Promise<Ran>;
  /** Lines of the program's log so far. */
  lines(): LogLine[];
  /** Waits for the nth line that has this message. */
  logged(message: string, count?: number): Promise<LogLine>;
  status(): Promise<NodeStatus>;
};

export type NodeStatus = {
  readonly generation: number;
  readonly workers: readonly { readonly pid: number; readonly state: string; readonly restarts: number }[];
  readonly listeners: readonly { readonly name: string; readonly counters: Readonly<Record<string, number>> }[];
  readonly pools: readonly {
    readonly name: string;
    readonly targets: readonly {
      readonly address: string;
      readonly active: number;
      readonly health: string;
      readonly counters: Readonly<Record<string, number>>;
    }[];
  }[];
};

/** Starts `evenkeel run` with one worker unless `workers` says otherwise, and waits until it serves. */
export async function startBalancer(scope: Scope, config: ConfigFile, directory?: string): Promise<Balancer> {
  const home = directory ?? temporaryDirectory(scope);
  const socket = join(home, "admin.sock");
  const configFile = join(home, "evenkeel.json");
  const write = (next: ConfigFile) =>
    writeFileSync(
      configFile,
      JSON.stringify({ admin: { socket }, stateDirectory: join(home, "state"), workers: 1, ...next }),
    );
  write(config);
  const program = startProgram(scope, evenkeel, ["run", "-c", configFile]);
  const lines = () => decodeLines(program.stderr());
  const logged = (message: string, count = 1) =>
    until(
      `log line ${count} of "${message}"`,
      () => {
        const found = lines().filter((line) => line["message"] === message)[count - 1];
        if (found === undefined && program.exit() !== undefined) throw new Error("the program has ended");
        return found;
      },
      { onTimeout: program.stderr },
    );
  await logged("ready");
  return {
    program,
    directory: home,
    socket,
    configFile,
    write,
    reload: () => runProgram(scope, evenkeel, ["reload", "--socket", socket]),
    lines,
    logged,
    status: async () => JSON.parse((await ask({ socketPath: socket, path: "/v1/status" })).body),
  };
}

/** The lines that are JSON objects; the last one may still be under way. */
export function decodeLines(text: string): LogLine[] {
  const whole = text.split("\n").slice(0, -1);
  return whole.filter((line) => line.startsWith("{")).map((line): LogLine => JSON.parse(line));
}

/** A listener on that port of 127.0.0.1. */
export function listener(port: number, routes: readonly unknown[], more: ConfigFile = {}): ConfigFile {
  return { bind: `127.0.0.1:${port}`, routes, ...more };
}

/** A pool of targets on ports of 127.0.0.1, all with the same settings. */
export function pool(ports: readonly number[], settings: ConfigFile = {}, more: ConfigFile = {}): ConfigFile {
  return { targets: Object.fromEntries(ports.map((port) => [`127.0.0.1:${port}`, settings])), ...more };
}

export type Echo = { readonly name: string; readonly port: number; readonly program: Program };

/** `evenkeel echo --http`, once it answers. */
export async function startEcho(scope: Scope, name: string, port?: number): Promise<Echo> {
  const at = port ?? (await freePort());
  const program = startProgram(scope, evenkeel, ["echo", "--http", `127.0.0.1:${at}`, "--name", name]);
  await until(`the demo server ${name}`, () => program.stdout() !== "", { onTimeout: program.stderr });
  return { name, port: at, program };
}

export function startEchoes(scope: Scope, names: readonly string[]): Promise<Echo[]> {
  return Promise.all(names.map((name) => startEcho(scope, name)));
}

/** Skips the test, and says so, when a program of Debian is not there. */
export function lacks(t: TestContext, ...programs: readonly string[]): boolean {
  for (const program of programs) {
    if (isInstalled(program)) continue;
    t.skip(`${program} is not installed (tools/setup.sh --tests installs it)`);
    return true;
  }
  return false;
}

/** True when the program is on the path, or where Debian puts servers. For what a whole file needs; tests ask `lacks`. */
export function isInstalled(program: string): boolean {
  const path = `${process.env["PATH"] ?? ""}${delimiter}/usr/sbin${delimiter}/usr/local/sbin`;
  return path.split(delimiter).some((folder) => isExecutable(join(folder, program)));
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    // ENOENT or EACCES: the answer we ask for.
    return false;
  }
}

export type Nginx = { readonly port: number; readonly directory: string; readonly program: Program };

/** nginx with one server. `server` is the inside of its block, without `listen`; files lie in `directory`/html. */
export async function startNginx(scope: Scope, server: string, http = ""): Promise<Nginx> {
  const directory = temporaryDirectory(scope);
  const port = await freePort();
  for (const name of ["html", "temp"]) mkdirSync(join(directory, name));
  const temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"].map(
    (name) => `${name}_temp_path ${directory}/temp/${name};`,
  );
  writeFileSync(
    join(directory, "nginx.conf"),
    `daemon off;\nmaster_process off;\npid ${directory}/nginx.pid;\nevents { worker_connections 1024; }\n` +
      `http {\n${temporary.join("\n")}\naccess_log off;\nkeepalive_requests 1000000;\n${http}\n` +
      `server { listen 127.0.0.1:${port}; root ${directory}/html; ${server} }\n}\n`,
  );
  const env = { PATH: `${process.env["PATH"]}:/usr/sbin` };
  const args = ["-p", directory, "-c", join(directory, "nginx.conf"), "-e", join(directory, "error.log")];
  const program = startProgram(scope, "nginx", args, { env });
  await until("nginx", async () => (await ask({ port })).status > 0, { onTimeout: program.stderr });
  return { port, directory, program };
}

export type WrkResult = {
  readonly requests: number;
  readonly notGood: number;
  readonly socketErrors: {
    readonly connect: number;
    readonly read: number;
    readonly write: number;
    readonly timeout: number;
  };
  readonly text: string;
};

/** What wrk printed at its end. */
export function decodeWrk(text: string): WrkResult {
  const requests = /(\d+) requests in/.exec(text)?.[1];
  assert.ok(requests !== undefined, `wrk printed no result: ${text}`);
  const [, connect = 0, read = 0, write = 0, timeout = 0] =
    /connect (\d+), read (\d+), write (\d+), timeout (\d+)/.exec(text)?.map(Number) ?? [];
  const notGood = Number(/Non-2xx or 3xx responses: (\d+)/.exec(text)?.[1] ?? 0);
  return { requests: Number(requests), notGood, socketErrors: { connect, read, write, timeout }, text };
}

/** One connection that a recording target has accepted. */
export type RecordedConnection = {
  readonly socket: Socket /** Latin1. */;
  received: string;
  state: "open" | "end" | "reset";
};

export type RecordingTarget = { readonly port: number; readonly connections: RecordedConnection[] };

/** A target that keeps every byte, by connection, and answers as `onBytes` does; it gets the connection's number too. */
export async function startRecordingTarget(
  scope: Scope,
  onBytes: (connection: RecordedConnection, index: number) => void,
): Promise<RecordingTarget> {
  const connections: RecordedConnection[] = [];
  const server = createServer({ allowHalfOpen: true, noDelay: true }, (socket) => {
    const connection: RecordedConnection = { socket, received: "", state: "open" };
    const index = connections.push(connection) - 1;
    socket.on("data", (bytes) => {
      connection.received += bytes.toString("latin1");
      onBytes(connection, index);
    });
    socket.on("end", () => {
      connection.state = "end";
      socket.end();
    });
    socket.on("error", () => {
      connection.state = "reset";
    });
  });
  const port = await listenOn(scope, server, () => {
    for (const { socket } of connections) socket.destroy();
  });
  return { port, connections };
}

/** Listens on a free port and closes with the scope. */
export async function listenOn(scope: Scope, server: Server, cut: () => void, port?: number): Promise<number> {
  const at = port ?? (await freePort());
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen({ port: at, host: "127.0.0.1", exclusive: true }, resolve);
  });
  atEnd(scope, () => {
    server.close();
    cut();
  });
  return at;
}

export type Message = {
  /** Start line, without CRLF. */
  readonly line: string;
  readonly headers: readonly (readonly [name: string, value: string])[];
  readonly body: string;
  readonly trailers: readonly (readonly [name: string, value: string])[];
};

export type Response = Message & { readonly status: number };

/** Value of a header, several joined with commas; undefined when there is none. */
export function headerOf(message: Message, name: string): string | undefined {
  const found = message.headers.filter(([key]) => key.toLowerCase() === name.toLowerCase());
  return found.length === 0 ? undefined : found.map(([, value]) => value).join(", ");
}

/**
 * The responses in `text`, one byte a character, in order. `methods` are those of the requests; the last one counts for all
 * further. `rest` is what is left of an unfinished one. A body that lasts until the end is whole when `ended`.
 */
export function decodeResponses(
  text: string,
  methods: readonly string[],
  ended: boolean,
): { readonly responses: readonly Response[]; readonly rest: string } {
  const responses: Response[] = [];
  let finals = 0;
  let at = 0;
  for (;;) {
    const head = decodeHead(text, at);
    if (head === undefined) break;
    const match = /^HTTP\/1\.1 ([1-5]\d\d) [\t\x20-\x7e]*$/.exec(head.line);
    assert.ok(match !== null, `no status line: ${JSON.stringify(head.line)}`);
    const status = Number(match[1]);
    const method = methods[Math.min(finals, methods.length - 1)] ?? "GET";
    const bodyless = status < 200 || status === 204 || status === 304 || method === "HEAD";
    const body = bodyless ? { body: "", trailers: [], end: head.end } : decodeBody(text, head, ended);
    if (body === undefined) break;
    if (status >= 200) finals++;
    responses.push({ line: head.line, headers: head.headers, body: body.body, trailers: body.trailers, status });
    at = body.end;
  }
  return { responses, rest: text.slice(at) };
}

/** One request, whole and with nothing behind it; fails the test otherwise. */
export function decodeRequest(text: string): Message {
  const head = decodeHead(text, 0);
  assert.ok(head !== undefined, `no whole head: ${JSON.stringify(text)}`);
  const framed = head.headers.some(([name]) => /^(content-length|transfer-encoding)$/i.test(name));
  const body = framed ? decodeBody(text, head, false) : { body: "", trailers: [], end: head.end };
  assert.equal(body?.end, text.length, `not one whole request: ${JSON.stringify(text)}`);
  return { line: head.line, headers: head.headers, body: body?.body ?? "", trailers: body?.trailers ?? [] };
}

type Head = { readonly line: string; readonly headers: [string, string][]; readonly end: number };
type Body = { readonly body: string; readonly trailers: [string, string][]; readonly end: number };

function decodeHead(text: string, at: number): Head | undefined {
  const stop = text.indexOf("\r\n\r\n", at);
  if (stop < 0) return undefined;
  const [line = "", ...fields] = text.slice(at, stop).split("\r\n");
  return { line, headers: fields.map(decodeField), end: stop + 4 };
}

function decodeField(line: string): [string, string] {
  const match = /^([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([\t\x20-\x7e\x80-\xff]*?)[ \t]*$/.exec(line);
  assert.ok(match !== null, `no header line: ${JSON.stringify(line)}`);
  return [match[1] ?? "", match[2] ?? ""];
}

function decodeBody(text: string, head: Head, ended: boolean): Body | undefined {
  const values = (name: string) => head.headers.filter(([key]) => key.toLowerCase() === name).map(([, value]) => value);
  const lengths = values("content-length");
  const codings = values("transfer-encoding");
  assert.ok(lengths.length + codings.length <= 1, `framed twice: ${JSON.stringify(head)}`);
  if (codings.length > 0) {
    assert.match(codings[0] ?? "", /^chunked$/i);
    return decodeChunks(text, head.end);
  }
  if (lengths.length === 0) return ended ? { body: text.slice(head.end), trailers: [], end: text.length } : undefined;
  assert.match(lengths[0] ?? "", /^\d+$/);
  const end = head.end + Number(lengths[0]);
  return end > text.length ? undefined : { body: text.slice(head.end, end), trailers: [], end };
}

function decodeChunks(text: string, start: number): Body | undefined {
  let at = start;
  const parts: string[] = [];
  for (;;) {
    const lineEnd = text.indexOf("\r\n", at);
    if (lineEnd < 0) return undefined;
    const digits = text.slice(at, lineEnd);
    assert.match(digits, /^[0-9a-fA-F]+$/, "our chunks carry no extension");
    const size = Number.parseInt(digits, 16);
    at = lineEnd + 2;
    if (size === 0) break;
    if (at + size + 2 > text.length) return undefined;
    parts.push(text.slice(at, at + size));
    assert.equal(text.slice(at + size, at + size + 2), "\r\n", "a chunk ends with CRLF");
    at += size + 2;
  }
  if (text.startsWith("\r\n", at)) return { body: parts.join(""), trailers: [], end: at + 2 };
  const stop = text.indexOf("\r\n\r\n", at);
  if (stop < 0) return undefined;
  return { body: parts.join(""), trailers: text.slice(at, stop).split("\r\n").map(decodeField), end: stop + 4 };
}
