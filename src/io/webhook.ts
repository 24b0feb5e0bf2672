// One try to hand a piece of news to a web server: POST with JSON, over http or https. An edge, on the change's way. A
// connection for each, a deadline for all of it, the answer's body read away up to a limit, no redirect followed. Whether
// another try makes sense is said with the failure; trying again is the caller's.

import { type IncomingMessage, request as requestPlain } from "node:http";
import { request as requestTls } from "node:https";
import type { Milliseconds } from "../core/clock.ts";
import { bad, good, type Result } from "../core/failure.ts";

export type WebhookCall = {
  readonly url: string;
  readonly headers: readonly { readonly name: string; readonly value: string }[];
  readonly body: unknown;
  readonly timeout: Milliseconds;
};

/** Of an answer's body; what is longer is cut off, which is no failure: the status has been read. */
const answerBytesMax = 64 * 1024;
/** Answers after which the same may work later: RFC 9110 sections 15.5.9, 15.6, RFC 6585 section 4. */
const transientStatuses: ReadonlySet<number> = new Set([408, 425, 429]);

/**
 * Passes with any 2xx. Codes: webhook.timeout, webhook.connect (these may be tried again), webhook.status (5xx, 408, 425
 * and 429 may: `retrySafe`), webhook.url, webhook.invalid.
 */
export async function callWebhook(call: WebhookCall): Promise<Result<true>> {
  const url = URL.canParse(call.url) ? new URL(call.url) : undefined;
  if (url === undefined || !/^https?:$/.test(url.protocol)) {
    return refused("url", { detail: `\`${call.url}\` is no http or https URL`, retrySafe: false });
  }
  try {
    return await post(url, call);
  } catch (error) {
    // Node throws for a header that HTTP cannot carry.
    return refused("invalid", { detail: `${placeOf(url)}: ${String(error)}`, retrySafe: false });
  }
}

function post(url: URL, call: WebhookCall): Promise<Result<true>> {
  const body = Buffer.from(JSON.stringify(call.body));
  const headers = Object.fromEntries(call.headers.map(({ name, value }) => [name, value]));
  const open = url.protocol === "https:" ? requestTls : requestPlain;
  return new Promise((resolve) => {
    const signal = AbortSignal.timeout(call.timeout);
    const request = open(
      url,
      {
        method: "POST",
        agent: false,
        signal,
        headers: {
          "user-agent": "evenkeel",
          ...headers,
          "content-type": "application/json",
          "content-length": body.length,
        },
      },
      (response) => {
        readAway(response);
        resolve(judgeStatus(url, response.statusCode ?? 0));
      },
    );
    request.on("error", (error) => {
      const what = signal.aborted ? "timeout" : "connect";
      const detail = signal.aborted ? `no answer within ${call.timeout} ms` : error.message;
      resolve(refused(what, { detail: `${placeOf(url)}: ${detail}`, retrySafe: true }));
    });
    request.end(body);
  });
}

/** Without what may be secret in it: user, password, query, and most paths of chat programs' hooks. */
function placeOf(url: URL): string {
  return `${url.protocol}//${url.host}`;
}

function readAway(response: IncomingMessage): void {
  let read = 0;
  response.on("data", (bytes: Buffer) => {
    read += bytes.length;
    if (read > answerBytesMax) response.destroy();
  });
  // The status is what was asked for; how the body ends is nobody's concern.
  response.on("error", () => {});
}

function judgeStatus(url: URL, status: number): Result<true> {
  if (status >= 200 && status <= 299) return good(true);
  const retrySafe = status >= 500 || transientStatuses.has(status);
  return refused("status", { detail: `${placeOf(url)} answered ${status}`, retrySafe });
}

function refused(part: string, { detail, retrySafe }: { readonly detail: string; readonly retrySafe: boolean }) {
  return bad({ code: `webhook.${part}`, origin: "target", retrySafe, detail });
}
