// The life of a watch on a store that is asked over HTTP: ask, have the answer judged, tell, ask again; after a failure the
// next endpoint. The driver of endpoints.ts and pace.ts, on the change's way. What is asked and what an answer means is
// its plan's business. It must not outlive close(): no request, no timer, no word after it.

import type { Milliseconds } from "../core/clock.ts";
import type { Failure, Result } from "../core/failure.ts";
import type { SourceRules, SourceTls } from "../model/source.ts";
import { firstTurn, turnAnswered, turnFailed } from "./endpoints.ts";
import { idleCost, type Pace, startPace, takePace } from "./pace.ts";
import type { SourceDeps, SourceListener, SourceReading, SourceWatch, SourceWatchStatus } from "./source.ts";
import { type StoreAnswer, StoreClient, type StoreRequest } from "./store-client.ts";

/** What an answer came to. */
export type Verdict =
  /** `isNew`: it is not the reading that was told before. */
  | { readonly type: "reading"; readonly reading: SourceReading; readonly isNew: boolean }
  /** It was in order, but nothing may be concluded from it: ask anew. */
  | { readonly type: "again" };

export type StorePlan = {
  /** What to ask now; a failure when it cannot be put together (a file that is missing). */
  ask(): Result<Omit<StoreRequest, "endpoint" | "timeout">>;
  /** `endpoint` is for the words of a failure. */
  judge(answer: StoreAnswer, endpoint: string): Result<Verdict>;
  /** A request failed: whatever was waited for is no longer known. */
  failed(): void;
};

export type StoreWatchOptions = {
  /** At least one. */
  readonly endpoints: readonly string[];
  readonly tls: SourceTls | undefined;
  readonly rules: Pick<SourceRules, "requestTimeout" | "retry">;
  readonly plan: StorePlan;
  readonly listener: SourceListener;
  readonly deps: Pick<SourceDeps, "clock" | "random">;
};

export function watchStore(options: StoreWatchOptions): SourceWatch {
  const watch = new StoreWatch(options);
  watch.begin();
  return watch;
}

class StoreWatch implements SourceWatch {
  readonly #options: StoreWatchOptions;
  readonly #client: StoreClient;
  #turn = firstTurn;
  #pace: Pace;
  #timer: NodeJS.Timeout | undefined;
  #closed = false;
  #connected = false;
  #answeredAtMs: Milliseconds | undefined;
  #answers = 0;
  #failures = 0;
  #lastFailure: string | undefined;

  constructor(options: StoreWatchOptions) {
    this.#options = options;
    this.#client = new StoreClient(options.tls);
    this.#pace = startPace(options.deps.clock());
  }

  begin(): void {
    this.#askIn(0);
  }

  status(): SourceWatchStatus {
    const answeredAtMs = this.#answeredAtMs;
    return {
      endpoint: this.#endpoint(),
      connected: this.#connected,
      answeredAgoMs: answeredAtMs === undefined ? undefined : this.#options.deps.clock() - answeredAtMs,
      answers: this.#answers,
      failures: this.#failures,
      lastFailure: this.#lastFailure,
    };
  }

  close(): void {
    this.#closed = true;
    this.#connected = false;
    clearTimeout(this.#timer);
    this.#client.close();
  }

  #endpoint(): string {
    return this.#options.endpoints[this.#turn.at] ?? "";
  }

  #askIn(delay: Milliseconds): void {
    this.#timer = setTimeout(() => this.#ask(), delay);
  }

  #ask(): void {
    const { plan, rules } = this.#options;
    const asked = plan.ask();
    if (!asked.ok) {
      this.#failed(asked.failure);
      return;
    }
    const endpoint = this.#endpoint();
    const request = { ...asked.value, endpoint, timeout: rules.requestTimeout };
    const startedAt = this.#options.deps.clock();
    this.#client.ask(request, (answer) => this.#judge(request, startedAt, answer));
  }

  #judge(request: StoreRequest, startedAt: Milliseconds, answer: Result<StoreAnswer>): void {
    const { plan, deps, listener } = this.#options;
    const cameAt = deps.clock();
    const judged = answer.ok ? plan.judge(answer.value, request.endpoint) : answer;
    if (!judged.ok) {
      this.#failed(judged.failure);
      return;
    }
    const verdict = judged.value;
    this.#turn = turnAnswered(this.#turn);
    this.#answers++;
    this.#answeredAtMs = cameAt;
    this.#connected = true;
    const saysNothing = cameAt - startedAt < request.hold / 2 && !(verdict.type === "reading" && verdict.isNew);
    const { pace, delay } = takePace(this.#pace, cameAt, saysNothing ? idleCost : 1);
    this.#pace = pace;
    if (verdict.type === "reading") listener.read(verdict.reading);
    if (this.#closed) return;
    // Not within this event, where its connection is not free yet: the next query would open another. And a list so long
    // that it takes long to read leaves as much time for everything else, however often it changes.
    this.#askIn(Math.max(delay, deps.clock() - cameAt));
  }

  #failed(failure: Failure): void {
    const { plan, endpoints, rules, deps, listener } = this.#options;
    plan.failed();
    this.#connected = false;
    this.#failures++;
    this.#lastFailure = `${failure.detail} (${failure.code})`;
    const { turn, delay } = turnFailed(this.#turn, { count: endpoints.length, ...rules.retry }, deps.random);
    this.#turn = turn;
    listener.failed(failure);
    if (!this.#closed) this.#askIn(delay);
  }
}
