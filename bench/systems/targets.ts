// The two targets that all proxies share: two nginx processes beside the load generator, on its core, without a log. They
// answer from memory and from files of seeded bytes, read a whole upload before they answer it, and tell which
// forwarding headers reached them, so that equal terms are checked and not only claimed.

import { createHash } from "node:crypto";
import { mkdirSync, writeFileSync } from "node:fs";
import { userInfo } from "node:os";
import type { Stage, Started } from "../stage.ts";
import { nginxProgram, temporaryPaths } from "./nginx.ts";
import { waitUntilAccepting } from "./system.ts";

const TARGETS = 2;
const MIB = 1024 * 1024;

/** Request paths that the targets know, and the files among them with their sizes in bytes. */
export const paths = {
  small: "/",
  browser: "/browser",
  upload: "/upload",
  forwarded: "/forwarded",
  body16k: "/16k",
  body1m: "/1m",
  body100m: "/100m",
} as const;

export const uploadBytes = 10 * MIB;

const files = [
  { path: paths.body16k, bytes: 16 * 1024 },
  { path: paths.body1m, bytes: MIB },
  { path: paths.body100m, bytes: 100 * MIB },
] as const;

export const smallBody = "hello from a target behind the load balancer, sixty-four bytes.\n";

export const browserBody = `${JSON.stringify({
  id: 481516,
  title: "Harbour lights",
  tags: ["sea", "night", "ships", "weather"],
  readings: Array.from({ length: 24 }, (_, hour) => ({ hour, windKnots: (hour * 7) % 31 })),
})}\n`;

export type Targets = {
  /** `127.0.0.1:17001` */
  readonly addresses: readonly string[];
  readonly started: readonly Started[];
  /** SHA-256 of the right body of a path, in hexadecimal. */
  readonly digests: ReadonlyMap<string, string>;
};

/** Starts both and waits until they accept. Throws with nginx's words when one does not. */
export async function startTargets(stage: Stage, cores: string): Promise<Targets> {
  const root = stage.path("content");
  mkdirSync(root);
  const digests = new Map<string, string>();
  for (const [path, body] of [
    [paths.small, smallBody],
    [paths.browser, browserBody],
  ] as const) {
    digests.set(path, sha256(body));
  }
  for (const file of files) {
    const content = seededBytes(file.bytes);
    writeFileSync(`${root}${file.path}`, content);
    digests.set(file.path, sha256(content));
  }
  const addresses: string[] = [];
  const started: Started[] = [];
  for (let index = 0; index < TARGETS; index++) {
    const name = `target-${index}`;
    const directory = stage.path(name);
    const port = await stage.freePort();
    mkdirSync(directory);
    writeFileSync(`${directory}/nginx.conf`, config({ directory, root, port }));
    const target = stage.start({ name, argv: [nginxProgram, "-p", directory, "-c", `${directory}/nginx.conf`], cores });
    await waitUntilAccepting(target, port);
    addresses.push(`127.0.0.1:${port}`);
    started.push(target);
  }
  return { addresses, started, digests };
}

function config(place: { readonly directory: string; readonly root: string; readonly port: number }): string {
  const { directory, root, port } = place;
  return `worker_processes 1;
daemon off;
user ${userInfo().username};
pid ${directory}/nginx.pid;
error_log ${directory}/error.log warn;
events { worker_connections 4096; }
http {
${temporaryPaths(directory)}
  access_log off;
  keepalive_timeout 600s;
  keepalive_requests 1000000000;
  client_max_body_size 0;
  sendfile on;
  server {
    listen 127.0.0.1:${port} backlog=4096;
    root ${root};
    location = ${paths.small} { default_type text/plain; return 200 ${quote(smallBody)}; }
    location = ${paths.browser} {
      default_type application/json;
      add_header Cache-Control "private, no-cache, max-age=0";
      add_header Set-Cookie "visit=c2VhLWFuZC1zYWlscy1hbmQtc2hpcHM; Path=/; Secure; HttpOnly; SameSite=Lax";
      add_header Strict-Transport-Security "max-age=31536000; includeSubDomains";
      add_header X-Content-Type-Options "nosniff";
      add_header X-Frame-Options "SAMEORIGIN";
      add_header Vary "Accept-Encoding, Origin";
      add_header X-Request-Id "5f0c2f9e8d7b46a1b3c4d5e6f7081920";
      return 200 ${quote(browserBody)};
    }
    location = ${paths.forwarded} {
      default_type text/plain;
      return 200 "$http_x_forwarded_for|$http_x_forwarded_host|$http_x_forwarded_proto|$http_x_real_ip|$http_host";
    }
    location = ${paths.upload} {
      client_body_buffer_size ${uploadBytes};
      proxy_pass http://unix:${directory}/sink.sock:/;
      proxy_pass_request_body off;
      proxy_set_header Content-Length "";
      proxy_set_header X-Received $content_length;
    }
  }
  server {
    listen unix:${directory}/sink.sock;
    location / { default_type text/plain; return 200 "$http_x_received\\n"; }
  }
}
`;
}

/** A string of nginx's configuration language: double quotes and backslashes escaped, a newline as \n. */
export function quote(text: string): string {
  return `"${text.replaceAll("\\", "\\\\").replaceAll('"', '\\"').replaceAll("\n", "\\n")}"`;
}

/** Bytes without a short period, the same at every run (a 32-bit xorshift from a fixed seed). */
export function seededBytes(length: number): Buffer {
  const words = new Uint32Array(Math.ceil(length / 4));
  let state = 0x9e3779b9;
  for (let index = 0; index < words.length; index++) {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    words[index] = state;
  }
  return Buffer.from(words.buffer, 0, length);
}

function sha256(content: string | Buffer): string {
  return createHash("sha256").update(content).digest("hex");
}
