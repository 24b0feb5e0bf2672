// HAProxy as a proxy, as Debian packages it: one thread, connections to the targets reused at every request, the four
// forwarding headers. It writes its log to syslog or to a descriptor, never through a buffer: here to standard output,
// which is a file, one write a line. That is its cheapest way to a file. The tuned variant has larger buffers and splices.

import { writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Place, Plan, System, Terms } from "./system.ts";

export const haproxyProgram = "/usr/sbin/haproxy";

const tunedGlobals = "\n  tune.bufsize 65536\n  tune.pipesize 262144";

export function haproxy(variant: "plain" | "tuned"): System {
  const tuned = variant === "tuned";
  return {
    name: tuned ? "haproxy-tuned" : "haproxy",
    settings: tuned
      ? "as haproxy, with tune.bufsize 65536, tune.pipesize 262144, option splice-auto"
      : "nbthread 1, http-reuse always, log stdout format raw into a file (one write a line: HAProxy has no log buffer)",
    bodiesOnly: tuned,
    plan: (terms, place) => plan(terms, place, tuned),
  };
}

function plan(terms: Terms, place: Place, tuned: boolean): Plan {
  const configPath = join(place.directory, "haproxy.cfg");
  writeFileSync(configPath, config(terms, place, tuned));
  const argv = [haproxyProgram, "-db", "-f", configPath];
  return {
    command: { name: place.name, argv, cores: terms.cores },
    logPath: `${place.directory}.out`,
  };
}

/** `no strict-limits`: HAProxy plans two descriptors a connection, more than a container may allow and than ours need. */
function config(terms: Terms, place: Place, tuned: boolean): string {
  return `global
  nbthread 1
  maxconn ${terms.connectionsMax}
  no strict-limits
  log stdout format raw local0 info${tuned ? tunedGlobals : ""}
defaults
  mode http
  log global
  timeout connect 5s
  timeout client 600s
  timeout server 600s
  timeout http-keep-alive 600s
  http-reuse always${tuned ? "\n  option splice-auto" : ""}
frontend web
  bind 127.0.0.1:${place.port} backlog 4096
  log-format ${terms.logFormat === "json" ? jsonFacts : combined}
  http-request capture req.hdr(Host) len 64
  http-request capture req.hdr(User-Agent) len 200
  http-request capture req.hdr(Referer) len 200
  option forwardfor
  http-request set-header X-Forwarded-Host %[req.hdr(host)]
  http-request set-header X-Forwarded-Proto http
  http-request set-header X-Real-IP %[src]
  default_backend app
backend app
  balance roundrobin
${terms.targets.map((target, index) => `  server target${index} ${target} pool-max-conn 128`).join("\n")}
`;
}

/** A blank in a log-format is escaped, and a quote. */
function logFormat(text: string): string {
  return text.replaceAll('"', '\\"').replaceAll(" ", "\\ ");
}

/** The facts that evenkeel's access log states about an exchange, under its names; spans in milliseconds. */
const jsonFacts = logFormat(
  [
    `{"timestamp":"%T.%ms"`,
    `"http.request.method":"%HM","url.scheme":"http","url.path":"%HP","url.query":"%HQ"`,
    `"network.protocol.name":"http","network.protocol.version":"%HV"`,
    `"server.address":"%[capture.req.hdr(0)]","server.port":%fp`,
    `"client.address":"%ci","client.port":%cp`,
    `"user_agent.original":"%[capture.req.hdr(1)]","http.request.header.referer":"%[capture.req.hdr(2)]"`,
    `"http.request.size":%U,"http.response.status_code":%ST`,
    `"http.response.size":%B,"node":"bench","listener":"%f","pool":"%b"`,
    `"target":"%si:%sp","tries":%rc,"duration.total":%Ta`,
    `"duration.connect":%Tc,"duration.first_byte":%Tr,"state":"%tsc"}`,
  ].join(","),
);

const combined = logFormat(`%ci - - [%T] "%HM %HU %HV" %ST %B "%[capture.req.hdr(2)]" "%[capture.req.hdr(1)]"`);
