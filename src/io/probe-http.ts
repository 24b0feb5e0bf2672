// The HTTP probe: one request over a connection of its own or a kept one, with TLS or without. An edge, on the change's
// way. It reads no further than it must: to the head when the status says all, to the end of the body when something is
// expected of it or the connection is to be used again. An answer that never ends is cut.

import type { Socket } from "node:net";
import { type HttpProbe, type ProbeOutcome, probeAnswerBytesMax } from "../model/health-check.ts";
import { Attempt, failed, type Prober, type ProbeShared, type ProbeTarget, passed } from "./probe.ts";
import { authorityOf, cut, openTcp, openTls } from "./probe-connection.ts";
import { ProbeAnswer } from "./probe-http-answer.ts";
import { createMatcher, describeMismatch, type Matcher } from "./probe-match.ts";

/**
 * Codes: those of the connection, probe.http.status, probe.http.closed, probe.expect.missing, probe.expect.tooSlow, and the
 * parser's (http1.*) for an answer that is none.
 */
export function createHttpProber(target: ProbeTarget, plan: HttpProbe, shared: ProbeShared): Prober {
  return new HttpProber(target, plan, shared);
}

class HttpProber implements Prober {
  readonly #target: ProbeTarget;
  readonly #plan: HttpProbe;
  readonly #shared: ProbeShared;
  readonly #request: Buffer;
  readonly #toHead: boolean;
  readonly #matcher: Matcher | undefined;
  #attempt: Attempt | undefined;
  #kept: Socket | undefined;

  constructor(target: ProbeTarget, plan: HttpProbe, shared: ProbeShared) {
    this.#target = target;
    this.#plan = plan;
    this.#shared = shared;
    const request = plan.rawRequest ?? encodeRequest(plan, target);
    this.#request = Buffer.from(request, "latin1");
    this.#toHead = request.startsWith("HEAD ");
    this.#matcher = plan.body === undefined ? undefined : createMatcher(plan.body);
  }

  start(timeoutMs: number, end: Parameters<Prober["start"]>[1]): void {
    const attempt = new Attempt(this.#shared.clock, timeoutMs, end);
    this.#attempt = attempt;
    const kept = this.#kept;
    this.#kept = undefined;
    if (kept === undefined) this.#open(attempt);
    else this.#ask(kept, attempt, true);
  }

  close(): void {
    this.#attempt?.giveUp();
    if (this.#kept !== undefined) cut(this.#kept);
    this.#kept = undefined;
  }

  #open(attempt: Attempt): void {
    const { tls } = this.#plan;
    attempt.doing = "connecting";
    const ready = (connected: Socket) => this.#ask(connected, attempt, false);
    const socket =
      tls === undefined
        ? openTcp(this.#target, attempt, ready)
        : openTls(this.#target, tls, attempt, ready, ["http/1.1"]);
    socket.once("close", () => attempt.fail("probe.connection.reset", `closed by the target (${attempt.doing})`));
    attempt.release = () => cut(socket);
  }

  #ask(socket: Socket, attempt: Attempt, again: boolean): void {
    const answer = new ProbeAnswer(this.#shared.answers, {
      toHead: this.#toHead,
      keepBody: this.#matcher !== undefined,
    });
    let heard = false;
    // A kept connection that the target closed as we asked says nothing of the target: asked again on a new one.
    const broken = (tell: () => void) => {
      if (attempt.over) return;
      if (!again || heard) return tell();
      cut(socket);
      this.#open(attempt);
    };
    socket.removeAllListeners();
    attempt.release = () => cut(socket);
    attempt.doing = "waiting for the answer";
    socket.on("data", (bytes: Buffer) => {
      heard = true;
      answer.take(bytes);
      this.#judge(socket, attempt, answer);
    });
    socket.on("end", () =>
      broken(() => {
        answer.end();
        this.#judge(socket, attempt, answer);
      }),
    );
    socket.on("error", (error) => broken(() => attempt.failBy(error)));
    socket.on("close", () =>
      broken(() => attempt.fail("probe.connection.reset", `closed by the target (${attempt.doing})`)),
    );
    socket.write(this.#request);
  }

  #judge(socket: Socket, attempt: Attempt, answer: ProbeAnswer): void {
    if (attempt.over) return;
    const outcome = this.#verdict(attempt, answer);
    if (outcome === undefined) {
      if (answer.status !== 0) attempt.doing = "reading the body of the answer";
      return;
    }
    const keeps = this.#plan.connection === "kept" && outcome.verdict === "passed";
    if (keeps && answer.complete && answer.reusable) this.#keep(socket, attempt);
    attempt.finish(outcome);
  }

  /** undefined: more of the answer is needed. */
  #verdict(attempt: Attempt, answer: ProbeAnswer): ProbeOutcome | undefined {
    const { status, fault } = answer;
    const wrong = status !== 0 && !this.#plan.statuses.some(({ first, last }) => status >= first && status <= last);
    // A fault after a bad status is a lesser thing to tell.
    if (wrong) return failed("probe.http.status", `status ${status}`);
    if (fault !== undefined) return failed(fault.code, `no valid answer: ${fault.detail}`);
    if (status === 0) return undefined;
    const enough = answer.complete || answer.bodyBytes >= probeAnswerBytesMax;
    const good = passed(`status ${status} in ${attempt.tookMs.toFixed(1)} ms`);
    if (this.#matcher === undefined) return this.#plan.connection === "own" || enough ? good : undefined;
    if (!enough) return undefined;
    const { body } = answer;
    const match = this.#matcher(body);
    if (match === "found") return good;
    const [code, text] = describeMismatch(match, "the body", body);
    return failed(code, `status ${status}, but ${text}`);
  }

  #keep(socket: Socket, attempt: Attempt): void {
    attempt.release = () => {};
    this.#kept = socket;
    const gone = () => {
      if (this.#kept !== socket) return;
      this.#kept = undefined;
      cut(socket);
    };
    socket.removeAllListeners();
    // Whatever a target says unasked, it is not the answer to the next request.
    for (const event of ["data", "end", "error", "close"]) socket.on(event, gone);
  }
}

function encodeRequest(plan: HttpProbe, target: ProbeTarget): string {
  const host = plan.host ?? authorityOf(target, plan.tls === undefined ? 80 : 443);
  const lines = [
    `${plan.method} ${plan.path} HTTP/1.1`,
    `Host: ${host}`,
    ...plan.headers.map(({ name, value }) => `${name}: ${value}`),
  ];
  const named = new Set(plan.headers.map(({ name }) => name.toLowerCase()));
  if (!named.has("user-agent")) lines.push("User-Agent: evenkeel");
  if (plan.method === "POST" || plan.method === "PUT" || plan.method === "PATCH") lines.push("Content-Length: 0");
  if (plan.connection === "own") lines.push("Connection: close");
  return `${lines.join("\r\n")}\r\n\r\n`;
}
