// Before anything is measured: does every proxy do the same work? One exchange of each kind, read with node:http and
// compared byte by byte (as digests) with what the targets hold, and the forwarding headers as a target received them.

import { createHash } from "node:crypto";
import { request as httpRequest } from "node:http";
import { paths, type Targets, uploadBytes } from "./systems/targets.ts";
import { type Request, workloads } from "./workloads.ts";

const EXCHANGE_DEADLINE_MS = 30_000;
const BODY_SHOWN_MAX = 400;

type Answer = { readonly status: number; readonly digest: string; readonly start: string };

/** What this proxy does otherwise than the others, a sentence each; empty when it is on equal terms. */
export async function verifyTerms(port: number, targets: Targets): Promise<string[]> {
  const problems: string[] = [];
  const seen = new Set<string>();
  for (const { request } of workloads) {
    const key = JSON.stringify(request);
    if (seen.has(key)) continue;
    seen.add(key);
    const name = `${request.method} ${request.path}`;
    const answer = await exchange(port, request);
    if (typeof answer === "string") problems.push(`${name}: ${answer}`);
    else if (answer.status !== 200) problems.push(`${name}: status ${answer.status}`);
    else if (request.bodyBytes > 0) {
      if (answer.start !== `${uploadBytes}\n`) problems.push(`${name}: the target received ${answer.start}`);
    } else if (answer.digest !== targets.digests.get(request.path)) problems.push(`${name}: another body`);
  }
  return [...problems, ...(await verifyForwarding(port))];
}

async function verifyForwarding(port: number): Promise<string[]> {
  const answer = await exchange(port, { method: "GET", path: paths.forwarded, headers: {}, bodyBytes: 0 });
  if (typeof answer === "string") return [`forwarding headers: ${answer}`];
  const host = `127.0.0.1:${port}`;
  const [forwardedFor, forwardedHost, forwardedProto, realIp, hostSent] = answer.start.split("|");
  const problems: string[] = [];
  const expect = (name: string, got: string | undefined, allowed: readonly string[]): void => {
    if (got === undefined || !allowed.includes(got)) problems.push(`a target was sent ${name} ${JSON.stringify(got)}`);
  };
  expect("X-Forwarded-For", forwardedFor, ["127.0.0.1"]);
  expect("X-Forwarded-Host", forwardedHost, [host, "127.0.0.1"]);
  expect("X-Forwarded-Proto", forwardedProto, ["http"]);
  expect("X-Real-IP", realIp, ["127.0.0.1"]);
  expect("Host", hostSent, [host]);
  return problems;
}

function exchange(port: number, request: Request): Promise<Answer | string> {
  return new Promise((resolve) => {
    const options = { host: "127.0.0.1", port, path: request.path, method: request.method, agent: false };
    const headers: Record<string, string | number> = { ...request.headers };
    if (request.bodyBytes > 0) headers["Content-Length"] = request.bodyBytes;
    const outgoing = httpRequest({ ...options, headers }, (response) => {
      const hash = createHash("sha256");
      let start = "";
      response.on("data", (chunk: Buffer) => {
        hash.update(chunk);
        if (start.length < BODY_SHOWN_MAX) start += chunk.toString("latin1", 0, BODY_SHOWN_MAX);
      });
      response.on("error", (cause) => resolve(cause.message));
      response.on("end", () => resolve({ status: response.statusCode ?? 0, digest: hash.digest("hex"), start }));
    });
    outgoing.setTimeout(EXCHANGE_DEADLINE_MS, () => outgoing.destroy(new Error("no answer in time")));
    outgoing.on("error", (cause) => resolve(cause.message));
    outgoing.end(request.bodyBytes > 0 ? Buffer.alloc(request.bodyBytes, "b") : undefined);
  });
}
