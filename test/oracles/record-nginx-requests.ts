// Asks the installed nginx how it reads paths, writes `combined` lines and walks X-Forwarded-For, and writes the answers to
// nginx-requests.json, from where src/proxy/nginx-requests.test.ts takes them. `node test/oracles/record-nginx-requests.ts`
// records anew. One nginx with one worker in its own directory on loopback; each request on a connection of its own.

import { readFileSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { assert } from "../../src/core/assert.ts";
import { freePort, rawClient, runProgram, type Scope, startProgram, temporaryDirectory, until } from "../e2e/kit.ts";

/** All strings hold one byte a character. */
export type Recording = {
  readonly program: string;
  /** `uri` is $uri with nginx's own log escapes undone, undefined for 400; `sent` the path a target got from proxy_pass with a URI. */
  readonly paths: readonly { readonly path: string; readonly uri?: string; readonly sent?: string }[];
  readonly lines: readonly {
    readonly method: string;
    readonly target: string;
    readonly referer: string;
    readonly userAgent: string;
    readonly line: string;
  }[];
  /** From the peer 127.0.0.1 with `trusted`: $realip walked recursively. */
  readonly trusted: readonly string[];
  readonly clients: readonly { readonly forwardedFor: string; readonly client: string }[];
};

export const recordingPath: string = fileURLToPath(new URL("nginx-requests.json", import.meta.url));

const trusted = ["127.0.0.0/8", "10.0.0.0/8", "2001:db8:1::/48"];

const paths = [
  ..."/ /a /a/b/ // /a//b /a///b// /. /.. /./ /../ /a/. /a/.. /a/./b /a/../b /a/b/../../c /a/../../b /a/b/.. /a/b/../..".split(
    " ",
  ),
  ..."/... /.a /..a /a.. /a./b /a../b /a/... /a/.../b /a//../b /a/b//../c /..;/x /a/..;/b".split(" "),
  ..."/%41 /%2e /%2e%2e /a/%2e%2e /a/%2E%2e/b /a/.%2e/b /a/%2e./b /%2e/%2e/a /public/%2e%2e/admin".split(" "),
  ..."/a%2fb /a%2F..%2Fb /a/..%2fb /%2f%2fa /a%2f%2fb %2fa /a%2f /%2F".split(" "),
  ..."/%25 /%252e%252e/a /%23 /%3f /a%3fb=c /a/..%23 /a/..%3f/b /.%23 /.%25".split(" "),
  ..."/%00 /a%00b /%01 /%0a /%0d%0a /%09 /%1f /%20 /a%20b /%7f /%80 /%ff /%c3%a9".split(" "),
  ..."/% /%4 /%zz /%4g /%g4 /a%".split(" "),
  ..."/%22 /%3c%3e /%5c /a%5c..%5cb /%5e /%60 /%7b%7c%7d /%5b%5d /%27%28%29 /%2b /a+b /%7e /%40:;= /\\..\\a".split(" "),
  "/\xc3\xa9/%41",
  "/\xff%41",
];

const requests = [
  { method: "GET", target: "/", referer: "", userAgent: "" },
  { method: "GET", target: "/a?b=c&d=%20", referer: "http://example.com/x?y", userAgent: "curl/7.88.1" },
  { method: "POST", target: '/"quoted"?q="', referer: 'a"b', userAgent: 'back\\slash "quote"' },
  { method: "GET", target: "/\xc3\xa9?\xff", referer: "\xe2\x82\xac", userAgent: "tab\there \x80\xfe" },
  { method: "DELETE", target: "/~user/%7e{}|^`<>", referer: "-", userAgent: "x".repeat(300) },
  { method: "PROPFIND", target: "/[x]", referer: "'", userAgent: "\x01\x1f\x7f" },
  { method: "HEAD", target: "http://example.com/abs?x", referer: "", userAgent: "a" },
];

const forwarded = [
  "192.0.2.1",
  "192.0.2.1, 10.0.0.1",
  "192.0.2.2, 192.0.2.1, 10.0.0.1",
  "10.0.0.2, 10.0.0.1",
  "10.0.0.1",
  "garbage",
  "192.0.2.1, garbage",
  "192.0.2.1, garbage, 10.0.0.1",
  "192.0.2.1,garbage,192.0.2.3",
  "192.0.2.1:555",
  "192.0.2.1:555, 10.0.0.1:9",
  "[2001:db8::1]:5",
  "2001:db8::1",
  "2001:db8::1, 2001:db8:1::5",
  "[2001:db8::1], [2001:db8:1::5]:80",
  "192.0.2.1,, ,10.0.0.1,",
  "192.0.2.1 10.0.0.1",
  "unknown, 10.0.0.1",
  "192.0.2.256, 10.0.0.1",
  "192.0.2, 10.0.0.1",
  "192.0.2.1:70000",
  "192.0.2.1:x, 10.0.0.1",
];

export async function recordRequests(scope: Scope): Promise<Recording> {
  const version = /nginx\/[\d.]+/.exec((await runProgram(scope, "/usr/sbin/nginx", ["-v"])).stderr)?.[0];
  assert(version !== undefined, "nginx -v tells a version");
  const directory = temporaryDirectory(scope);
  const [port, targetPort] = [await freePort(), await freePort()];
  const sent: string[] = [];
  await startTarget(scope, targetPort, sent);
  startNginx(scope, { directory, port, targetPort });
  await until("nginx answers", async () => (await exchange(scope, port, "GET /alive HTTP/1.0\r\n\r\n")) !== "");
  await until("its line", () => readFileSync(join(directory, "paths.log"), "latin1").endsWith("\n"));

  const logged = async (log: string, request: string): Promise<string> => {
    const file = join(directory, log);
    const before = readFileSync(file, "latin1").length;
    await exchange(scope, port, request);
    return until(`nginx logs ${JSON.stringify(request)}`, () => {
      const line = readFileSync(file, "latin1").slice(before);
      return line.endsWith("\n") ? line.slice(0, -1) : undefined;
    });
  };

  const recordedPaths = [];
  for (const path of paths) {
    sent.length = 0;
    const line = await logged("paths.log", `GET ${path} HTTP/1.1\r\nHost: paths\r\nConnection: close\r\n\r\n`);
    const uri = /^2\d\d (.*)$/
      .exec(line)?.[1]
      ?.replace(/\\x(..)/g, (_, hex) => String.fromCharCode(Number.parseInt(hex, 16)));
    recordedPaths.push({ path, ...(uri === undefined ? {} : { uri, sent: sent[0] ?? "" }) });
  }
  const lines = [];
  for (const one of requests) {
    const head = [`${one.method} ${one.target} HTTP/1.1`, "Host: lines", "Connection: close"];
    if (one.referer !== "") head.push(`Referer: ${one.referer}`);
    if (one.userAgent !== "") head.push(`User-Agent: ${one.userAgent}`);
    const target = one.target.replace("http://example.com", "http://lines");
    lines.push({
      ...one,
      target,
      line: await logged("lines.log", `${head.join("\r\n").replace(one.target, target)}\r\n\r\n`),
    });
  }
  const clients = [];
  for (const forwardedFor of forwarded) {
    const request = `GET / HTTP/1.1\r\nHost: clients\r\nConnection: close\r\nX-Forwarded-For: ${forwardedFor}\r\n\r\n`;
    clients.push({ forwardedFor, client: await logged("clients.log", request) });
  }
  return { program: version, paths: recordedPaths, lines, trusted, clients };
}

/** Answers every request with 204 and keeps the path that it was asked for. */
async function startTarget(scope: Scope, port: number, sent: string[]): Promise<void> {
  const server = createServer((socket) => {
    socket.on("error", () => socket.destroy());
    socket.once("data", (data) => {
      sent.push(/^\S+ (.*) HTTP/.exec(data.toString("latin1"))?.[1] ?? "");
      socket.end("HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n");
    });
  });
  await new Promise<void>((resolve) => server.listen(port, "127.0.0.1", resolve));
  scope.after(() => new Promise<void>((resolve) => server.close(() => resolve())));
}

async function exchange(scope: Scope, port: number, request: string): Promise<string> {
  const client = await rawClient(scope, port);
  client.write(request);
  const answer = await client.closed();
  client.socket.destroy();
  return answer;
}

function startNginx(
  scope: Scope,
  of: { readonly directory: string; readonly port: number; readonly targetPort: number },
): void {
  const { directory, port, targetPort } = of;
  const temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"].map(
    (kind) => `${kind}_temp_path ${join(directory, kind)};`,
  );
  const file = join(directory, "nginx.conf");
  writeFileSync(
    file,
    `
daemon off; worker_processes 1; pid ${join(directory, "pid")}; error_log stderr crit;
events { worker_connections 64; }
http {
  ${temporary.join(" ")}
  log_format paths '$status $uri';
  log_format clients '$remote_addr';
  server {
    listen 127.0.0.1:${port} default_server;
    # A request line that nginx refuses is logged by the default server: its path must be here.
    server_name paths; access_log ${join(directory, "paths.log")} paths;
    location / { proxy_pass http://127.0.0.1:${targetPort}/; }
  }
  server {
    listen 127.0.0.1:${port};
    server_name lines; access_log ${join(directory, "lines.log")} combined;
    ignore_invalid_headers off;
    location / { return 200 "twelve bytes"; }
  }
  server {
    listen 127.0.0.1:${port};
    server_name clients; access_log ${join(directory, "clients.log")} clients;
    ${trusted.map((range) => `set_real_ip_from ${range};`).join(" ")}
    real_ip_header X-Forwarded-For; real_ip_recursive on;
    location / { return 204; }
  }
}
`,
  );
  startProgram(scope, "/usr/sbin/nginx", ["-e", "stderr", "-p", directory, "-c", file], { env: { TZ: "UTC" } });
}

if (import.meta.filename === process.argv[1]) {
  const ends: (() => void | Promise<void>)[] = [];
  try {
    const recording = await recordRequests({ after: (end) => ends.push(end) });
    writeFileSync(recordingPath, `${JSON.stringify(recording, undefined, 2)}\n`);
    console.log(
      `${recordingPath}: ${recording.paths.length} paths, ${recording.lines.length} lines, ${recording.clients.length} clients`,
    );
  } finally {
    for (const end of ends.reverse()) await end();
  }
}
