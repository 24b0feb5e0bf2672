// One thing after the other: the notices of one receiver, delivered in their order, one at a time, off everybody else's path.
// The change's way. Bounded: what a slow receiver has not taken yet waits up to a limit.
//
// `latest` is for commands, which act on the state of the node: while one runs, only the newest notice waits and takes the
// place of those before it. A MASTER that is run after the node has lost the role would do harm, and one whose successor is
// known already is of no use. `all` is for people and programs that keep a record (mail, webhooks): everything waits in its
// order, and beyond the limit the oldest is given up.

/** Notices that wait for one receiver. */
export const NOTICES_WAITING_MAX = 64;

export type LaneCounters = {
  delivered: number;
  failed: number;
  /** Replaced by a newer one before their turn (`latest`). */
  coalesced: number;
  /** Given up because too many waited (`all`). */
  dropped: number;
};

export type Lane<T> = {
  push(item: T): void;
  readonly counters: LaneCounters;
  /** Resolves when nothing is under way and nothing waits. */
  idle(): Promise<void>;
  /** What waits is given up; what is under way goes on to its own deadline. */
  close(): void;
};

/** `deliver` never rejects, is bounded in time, and says whether it went well. */
export function createLane<T>(keeps: "latest" | "all", deliver: (item: T) => Promise<boolean>): Lane<T> {
  const counters: LaneCounters = { delivered: 0, failed: 0, coalesced: 0, dropped: 0 };
  const waiting: T[] = [];
  let running: Promise<void> | undefined;
  let closed = false;

  const run = async () => {
    for (let item = waiting.shift(); item !== undefined; item = waiting.shift()) {
      if (await deliver(item)) counters.delivered++;
      else counters.failed++;
    }
    running = undefined;
  };
  return {
    counters,
    push(item) {
      if (closed) return;
      if (keeps === "latest") counters.coalesced += waiting.splice(0).length;
      waiting.push(item);
      if (waiting.length > NOTICES_WAITING_MAX) {
        waiting.shift();
        counters.dropped++;
      }
      running ??= run();
    },
    idle: async () => {
      while (running !== undefined) await running;
    },
    close() {
      closed = true;
      waiting.length = 0;
    },
  };
}
