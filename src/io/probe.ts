// What all probes share: what is asked, the one attempt with its deadline and its single end, and the words for what went
// wrong. An edge, on the change's way. A probe ends exactly once, holds bounded memory, and lets go of everything it opened
// at its end, whatever came of it. Trouble of our own (no descriptors, no memory, a process that stood still) is told apart
// from the target's, so that it takes nobody out.

import type { Clock, Milliseconds } from "../core/clock.ts";
import { type ProbeOutcome, probeTextMax } from "../model/health-check.ts";
import type { AnswerReader } from "./probe-http-answer.ts";

export type ProbeTarget = {
  readonly pool: string;
  /** The target's name in its pool. */
  readonly address: string;
  readonly host: string;
  /** The port to ask. */
  readonly port: number;
};

/** What the probes of a process share. */
export type ProbeShared = {
  readonly clock: Clock;
  /** Reads HTTP answers; nothing stays in it between two events. */
  readonly answers: AnswerReader;
};

/** Makes the probes of one target, one at a time. */
export type Prober = {
  /** Starts a probe; `end` is called once, never from within this call. Before that there is no other start. */
  start(timeoutMs: Milliseconds, end: (outcome: ProbeOutcome) => void): void;
  /** Lets go of everything, a probe under way included; its end is never told. */
  close(): void;
};

/** One probe under way: its deadline, and its end. */
export class Attempt {
  /** Lets go of what was opened; called once, at the end or when it is given up. */
  release: () => void = () => {};
  /** What the deadline means: a failure, unless silence is good. */
  onDeadline: () => void = () => this.fail("probe.timeout", `no answer within ${this.#timeoutMs} ms: ${this.doing}`);
  /** What it waits for, for the words of a timeout. */
  doing = "connecting";
  readonly #clock: Clock;
  readonly #timeoutMs: Milliseconds;
  readonly #startedAt: Milliseconds;
  readonly #timer: NodeJS.Timeout;
  readonly #end: (outcome: ProbeOutcome) => void;
  #over = false;

  constructor(clock: Clock, timeoutMs: Milliseconds, end: (outcome: ProbeOutcome) => void) {
    this.#clock = clock;
    this.#timeoutMs = timeoutMs;
    this.#startedAt = clock();
    this.#end = end;
    this.#timer = setTimeout(() => this.#deadline(), timeoutMs);
  }

  get over(): boolean {
    return this.#over;
  }

  get tookMs(): Milliseconds {
    return this.#clock() - this.#startedAt;
  }

  pass(text: string): void {
    this.finish(passed(text));
  }

  fail(code: string, text: string): void {
    this.finish(failed(code, text));
  }

  /** Fails by an error of Node's, or is unable when the error is about us. */
  failBy(error: unknown): void {
    this.finish(describeError(error, this.doing));
  }

  /** The first end counts. */
  finish(outcome: ProbeOutcome): void {
    if (this.#over) return;
    this.giveUp();
    this.#end({ ...outcome, text: shorten(outcome.text) });
  }

  /** Nobody is told. */
  giveUp(): void {
    if (this.#over) return;
    this.#over = true;
    clearTimeout(this.#timer);
    this.release();
  }

  // Timers come before what the sockets have for us: an answer that was in time while we were late is read first.
  #deadline(): void {
    setImmediate(() => {
      if (this.#over) return;
      const lateMs = this.tookMs - this.#timeoutMs;
      if (lateMs > Math.max(250, this.#timeoutMs / 2)) {
        const text = `this process stood still for ${Math.round(lateMs)} ms, nothing can be said`;
        this.finish({ verdict: "unable", code: "probe.self.late", text });
      } else this.onDeadline();
    });
  }
}

export function passed(text: string): ProbeOutcome {
  return { verdict: "passed", code: "probe.passed", text };
}

export function failed(code: string, text: string): ProbeOutcome {
  return { verdict: "failed", code, text };
}

/** What an operator may see of a text from outside: one line, no control characters, at most `probeTextMax`. */
export function shorten(text: string): string {
  const line = text
    .slice(0, probeTextMax * 4)
    .replaceAll(/[\u0000-\u001f\u007f-\u009f\u2028\u2029\u202a-\u202e\u2066-\u2069]+/g, " ")
    .trim();
  return line.length <= probeTextMax ? line : `${line.slice(0, probeTextMax - 3)}...`;
}

/** errno names that speak of this process or machine, not of the target. */
const ownTroubles: ReadonlySet<string> = new Set([
  "EMFILE",
  "ENFILE",
  "ENOBUFS",
  "ENOMEM",
  "EADDRNOTAVAIL",
  "EADDRINUSE",
  "EAGAIN",
  "EPERM",
  "EACCES",
]);

const targetTroubles: Readonly<Record<string, readonly [code: string, text: string]>> = {
  ECONNREFUSED: ["probe.connect.refused", "connection refused"],
  ETIMEDOUT: ["probe.connect.timeout", "the kernel gave up waiting for the target"],
  EHOSTUNREACH: ["probe.connect.unreachable", "no route to the host"],
  ENETUNREACH: ["probe.connect.unreachable", "no route to the network"],
  ECONNRESET: ["probe.connection.reset", "connection reset by the target"],
  EPIPE: ["probe.connection.reset", "connection reset by the target"],
};

function describeError(error: unknown, doing: string): ProbeOutcome {
  const known: NodeJS.ErrnoException = error instanceof Error ? error : new Error(String(error));
  const { code = "", message } = known;
  if (ownTroubles.has(code)) return { verdict: "unable", code: `probe.self.${code}`, text: `${doing}: ${message}` };
  const trouble = targetTroubles[code];
  if (trouble !== undefined) {
    return failed(trouble[0], doing === "connecting" ? trouble[1] : `${trouble[1]} (${doing})`);
  }
  return failed("probe.failed", `${doing}: ${message}`);
}
