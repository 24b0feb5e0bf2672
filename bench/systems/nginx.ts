// nginx as a proxy, as Debian packages it: one worker, kept connections to the targets, the four forwarding headers,
// access log written through a 64 KiB buffer. Uploads are streamed (proxy_request_buffering off), because that is what
// the others do. The tuned variant has larger buffers for bodies and never spills a response to a file.

import { writeFileSync } from "node:fs";
import { userInfo } from "node:os";
import { join } from "node:path";
import type { Place, Plan, System, Terms } from "./system.ts";

export const nginxProgram = "/usr/sbin/nginx";

const tunedBuffers = `
  proxy_buffer_size 64k;
  proxy_buffers 16 64k;
  proxy_busy_buffers_size 256k;
  proxy_max_temp_file_size 0;
  client_body_buffer_size 64k;`;

/** `again` is the same nginx a second time: what separates the two is the machine's noise. */
export function nginx(variant: "plain" | "again" | "tuned"): System {
  const tuned = variant === "tuned";
  return {
    name: variant === "plain" ? "nginx" : `nginx-${variant}`,
    settings: tuned
      ? "as nginx, with proxy_buffer_size 64k, proxy_buffers 16 64k, proxy_busy_buffers_size 256k, no temporary files"
      : "1 worker, keepalive 128 to targets, access_log buffer=64k flush=1s, proxy_buffering on, proxy_request_buffering off for uploads",
    bodiesOnly: tuned,
    plan: (terms, place) => plan(terms, place, tuned ? tunedBuffers : ""),
  };
}

function plan(terms: Terms, place: Place, buffers: string): Plan {
  const logPath = join(place.directory, "access.log");
  const configPath = join(place.directory, "nginx.conf");
  writeFileSync(configPath, config(terms, place, logPath, buffers));
  const argv = [nginxProgram, "-p", place.directory, "-c", configPath];
  return { command: { name: place.name, argv, cores: terms.cores }, logPath };
}

/** A quarter more worker_connections than are needed: nginx closes idle ones when fewer than a sixteenth are free. */
function config(terms: Terms, place: Place, logPath: string, buffers: string): string {
  const { directory, port } = place;
  return `worker_processes 1;
daemon off;
user ${userInfo().username};
pid ${directory}/nginx.pid;
error_log ${directory}/error.log warn;
events { worker_connections ${Math.ceil(terms.connectionsMax * 1.25)}; }
http {
${temporaryPaths(directory)}
  log_format facts escape=json '${jsonFacts}';
  access_log ${logPath} ${terms.logFormat === "json" ? "facts" : "combined"} buffer=64k flush=1s;
  keepalive_timeout 600s;
  keepalive_requests 1000000000;
  client_max_body_size 0;${buffers}
  upstream app {
${terms.targets.map((target) => `    server ${target};`).join("\n")}
    keepalive 128;
    keepalive_requests 1000000000;
  }
  server {
    listen 127.0.0.1:${port} backlog=4096;
    proxy_http_version 1.1;
    proxy_set_header Connection "";
    proxy_set_header Host $http_host;
    proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
    proxy_set_header X-Forwarded-Host $http_host;
    proxy_set_header X-Forwarded-Proto $scheme;
    proxy_set_header X-Real-IP $remote_addr;
    location / { proxy_pass http://app; }
    location /upload { proxy_pass http://app; proxy_request_buffering off; }
  }
}
`;
}

/** Debian's nginx has paths compiled in that only root may write; an instance keeps its own. */
export function temporaryPaths(directory: string): string {
  return ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
    .map((kind) => `  ${kind}_temp_path ${directory}/${kind};`)
    .join("\n");
}

/** The facts that evenkeel's access log states about an exchange, under its names. */
const jsonFacts = [
  `{"timestamp":"$time_iso8601"`,
  `"http.request.method":"$request_method","url.scheme":"$scheme","url.path":"$uri","url.query":"$args"`,
  `"network.protocol.name":"http","network.protocol.version":"$server_protocol"`,
  `"server.address":"$http_host","server.port":$server_port`,
  `"client.address":"$remote_addr","client.port":$remote_port`,
  `"user_agent.original":"$http_user_agent","http.request.header.referer":"$http_referer"`,
  `"http.request.body.size":"$content_length","http.response.status_code":$status`,
  `"http.response.body.size":$body_bytes_sent,"node":"bench","listener":"web","route":"web[0]","pool":"app"`,
  `"target":"$upstream_addr","duration.total":$request_time`,
  `"duration.connect":"$upstream_connect_time","duration.first_byte":"$upstream_header_time"}`,
].join(",");
