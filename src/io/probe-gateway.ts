// The gateway probe of a track: asks the router up to three times within the timeout and passes with its answer. An edge, on
// the change's way. Node cannot wait for a raw socket, so the answer is looked for after 1, 2, 4 ... 16 ms: a router answers
// within one, and one that is silent costs 60 looks a second.

import type { Clock, Milliseconds } from "../core/clock.ts";
import { type Failure, good, type Result } from "../core/failure.ts";
import type { GatewayLine } from "./gateway.ts";
import { Attempt, type Prober } from "./probe.ts";

/** One lost frame must not take a router out. */
const questionsPerProbe = 3;
const lookAfterMin: Milliseconds = 1;
const lookAfterMax: Milliseconds = 16;

/** These speak of this program's rights and room, not of the way to the router. */
const ownTroubles = /\.(denied|limit|busy|blocked|unsupported|unanswered|overrun|malformed)$/;

/**
 * Codes: probe.gateway.silent, interface.missing, gateway.linkDown and the others of openGatewayLine. `open` makes the way
 * to the router, and is called again when that has changed.
 */
export function createGatewayProber(
  router: { readonly address: string; readonly interface: string },
  open: () => Result<GatewayLine>,
  clock: Clock,
): Prober {
  let line: GatewayLine | undefined;
  let attempt: Attempt | undefined;
  let timer: NodeJS.Timeout | undefined;
  const drop = () => {
    line?.close();
    line = undefined;
  };
  const stop = () => clearTimeout(timer);
  const fail = (failure: Failure) => {
    drop();
    attempt?.finish({
      verdict: ownTroubles.test(failure.code) ? "unable" : "failed",
      code: failure.code,
      text: failure.detail,
    });
  };
  const current = (): Result<GatewayLine> => {
    if (line !== undefined) {
      const same = line.isCurrent();
      if (!same.ok) return same;
      if (same.value) return good(line);
      drop();
    }
    const opened = open();
    if (opened.ok) line = opened.value;
    return opened;
  };
  const begin = (timeoutMs: Milliseconds) => {
    const found = current();
    if (!found.ok) return fail(found.failure);
    // Answers to the last probe's questions say nothing of now.
    const old = found.value.hear();
    if (!old.ok) return fail(old.failure);
    turn(found.value, { timeoutMs, asked: 0, wait: lookAfterMin });
  };
  const turn = (
    on: GatewayLine,
    at: { readonly timeoutMs: Milliseconds; readonly asked: number; readonly wait: Milliseconds },
  ) => {
    if (attempt === undefined || attempt.over) return;
    const heard = on.hear();
    if (!heard.ok) return fail(heard.failure);
    if (heard.value) return attempt.pass(`answered in ${attempt.tookMs.toFixed(1)} ms`);
    let { asked, wait } = at;
    if (asked < questionsPerProbe && attempt.tookMs >= (asked * at.timeoutMs) / questionsPerProbe) {
      const sent = on.ask();
      if (!sent.ok) return fail(sent.failure);
      asked++;
      wait = lookAfterMin;
    }
    timer = setTimeout(() => turn(on, { ...at, asked, wait: Math.min(wait * 2, lookAfterMax) }), wait);
  };
  return {
    start(timeoutMs, end) {
      const started = new Attempt(clock, timeoutMs, end);
      attempt = started;
      started.release = stop;
      started.onDeadline = () =>
        started.fail(
          "probe.gateway.silent",
          `${router.address} did not answer on ${router.interface} within ${timeoutMs} ms`,
        );
      timer = setTimeout(() => begin(timeoutMs), 0);
    },
    close() {
      attempt?.giveUp();
      drop();
    },
  };
}
