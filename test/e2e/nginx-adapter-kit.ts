// What the tests of the nginx adapter share: one nginx.conf given to real nginx and to `evenkeel run`, on ports of their own,
// and targets that answer with what they were asked.

import { mkdirSync, writeFileSync } from "node:fs";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { join } from "node:path";
import { adaptNginx } from "../../src/config/nginx/adapt.ts";
import { sortProblems } from "../../src/config/problem.ts";
import { readerFor } from "../../src/control/read-foreign.ts";
import { decodeLines } from "./http-kit.ts";
import {
  ask,
  atEnd,
  evenkeel,
  freePort,
  type Program,
  runProgram,
  type Scope,
  startProgram,
  temporaryDirectory,
  until,
} from "./kit.ts";

export const nginxPath = "/usr/sbin/nginx";
export const streamModule = "/usr/lib/nginx/modules/ngx_stream_module.so";

/** A target that answers any request with its name and what it was asked, as JSON; `/status/N` with that status. */
export async function startTelling(scope: Scope, name: string): Promise<number> {
  const port = await freePort();
  const server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on("data", (chunk: Buffer) => chunks.push(chunk));
    request.on("end", () => answer(name, request, response, Buffer.concat(chunks).length));
  });
  await new Promise<void>((resolve) => server.listen(port, "127.0.0.1", resolve));
  atEnd(scope, () => {
    server.closeAllConnections();
    server.close();
  });
  return port;
}

function answer(name: string, request: IncomingMessage, response: ServerResponse, bytes: number): void {
  const status = Number(/^\/status\/(\d+)/.exec(request.url ?? "")?.[1] ?? 200);
  response.writeHead(status, { "content-type": "application/json", "x-powered-by": "test", "x-target": name });
  const { method, url, rawHeaders } = request;
  response.end(JSON.stringify({ name, method, url, bytes, headers: headersOf(rawHeaders) }));
}

/** Sorted, without those by which nginx 1.22 and we govern the connection to a target. */
function headersOf(raw: readonly string[]): string[] {
  const lines: string[] = [];
  for (let index = 0; index < raw.length; index += 2) {
    const name = (raw[index] ?? "").toLowerCase();
    if (name !== "connection") lines.push(`${name}: ${raw[index + 1]}`);
  }
  return lines.sort();
}

/** nginx with the inside of its main block; waits until `port` answers. */
export async function startNginxWith(scope: Scope, main: string, ready: () => Promise<boolean>): Promise<Program> {
  const directory = temporaryDirectory(scope);
  mkdirSync(join(directory, "temp"));
  const file = join(directory, "nginx.conf");
  writeFileSync(file, wholeFile(directory, main));
  const program = startProgram(scope, nginxPath, ["-p", directory, "-c", file, "-e", join(directory, "error.log")]);
  await until("nginx", ready, { onTimeout: program.stderr });
  return program;
}

/** What Debian's nginx needs to run as anybody, and means nothing to us. */
function wholeFile(directory: string, main: string): string {
  const temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
    .map((name) => `${name}_temp_path ${directory}/temp/${name};`)
    .join(" ");
  const head = `${modules(main)}daemon off; master_process off; pid ${directory}/nginx.pid; events { worker_connections 1024; }\n`;
  return head + main.replace("http {", `http { ${temporary} access_log off;`);
}

/** `evenkeel run -c nginx.conf -c node.json`: the second file says where this node keeps its state. */
export async function startAdapted(scope: Scope, main: string): Promise<Program> {
  const directory = temporaryDirectory(scope);
  const file = join(directory, "nginx.conf");
  const node = join(directory, "node.json");
  writeFileSync(file, wholeFile(directory, main));
  const admin = { socket: join(directory, "admin.sock") };
  writeFileSync(node, JSON.stringify({ admin, stateDirectory: join(directory, "state"), workers: 1 }));
  const program = startProgram(scope, evenkeel, ["run", "-c", file, "-c", node]);
  await until(
    "the balancer",
    () => {
      if (program.exit() !== undefined) throw new Error(`it has ended: ${program.stderr()}`);
      return decodeLines(program.stderr()).some((line) => line["message"] === "ready");
    },
    { onTimeout: program.stderr },
  );
  return program;
}

/** Debian's nginx loads what it was not built with, before anything else; we pass it over. */
function modules(main: string): string {
  return main.includes("stream {") ? `load_module ${streamModule};\n` : "";
}

export function answers(port: number): () => Promise<boolean> {
  return async () => {
    try {
      return (await ask({ port })).status > 0;
    } catch {
      // Refused or cut: it does not listen yet.
      return false;
    }
  };
}

/** What `nginx -t` says of a file, without its name: the first `[emerg]`. */
export async function nginxSays(scope: Scope, text: string): Promise<string> {
  const directory = temporaryDirectory(scope);
  const file = join(directory, "nginx.conf");
  writeFileSync(file, text);
  const ran = await runProgram(scope, nginxPath, [
    "-t",
    "-q",
    "-p",
    directory,
    "-c",
    file,
    "-e",
    join(directory, "e.log"),
  ]);
  const line = /\[emerg\] (?:\d+#\d+: )?(.*)/.exec(ran.stderr)?.[1] ?? "";
  return line.replaceAll(file, "FILE").replaceAll(directory, "DIR");
}

/** What the adapter says of it first, in the form of nginx. */
export function weSay(scope: Scope, text: string): string {
  const directory = temporaryDirectory(scope);
  const file = join(directory, "nginx.conf");
  const { problems } = adaptNginx({ path: file, text }, readerFor(file, "main file"));
  const [first] = sortProblems(problems);
  return first === undefined ? "" : `${first.message} in FILE:${first.line}`.replaceAll(directory, "DIR");
}
