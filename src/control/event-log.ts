// What has happened on this node, one event after the other, for whoever follows (GET /v1/events, `evenkeel events`). The
// newest are kept in memory; numbers go on growing, so that a follower sees what it missed. The change's way; nothing is
// decided here.

import type { Milliseconds } from "../core/clock.ts";

/** What an event says, as the one who causes it knows it. */
export type Happening = {
  /** Stable, dotted: `target.added`, `target.changed`, `target.removed`, `target.health`, `config.reloaded`, `vip.mode`. */
  readonly type: string;
  /** Who did it: `file`, `consul`, `api unix:root`, `api token:deploy`, `probes`, `vrrp`, `evenkeel`. */
  readonly who: string;
  /** What it is about, with the words of the model: `{ pool, target }`, `{ router }`. */
  readonly subject: Readonly<Record<string, string>>;
  /** JSON data; undefined where there was or is nothing. */
  readonly before: unknown;
  readonly after: unknown;
};

export type NodeEvent = Happening & {
  /** Grows by one; begins anew with the program. */
  readonly id: number;
  /** ISO 8601, UTC. */
  readonly at: string;
};

/** Events that are kept for those who come later. */
export const eventsKeptMax = 4096;

export type EventFollower = (event: NodeEvent) => void;

export class EventLog {
  readonly #wallClock: () => Milliseconds;
  readonly #kept: NodeEvent[] = [];
  readonly #followers = new Set<EventFollower>();
  #nextId = 1;

  constructor(wallClock: () => Milliseconds) {
    this.#wallClock = wallClock;
  }

  tell(happening: Happening): void {
    const event = { id: this.#nextId++, at: new Date(this.#wallClock()).toISOString(), ...happening };
    this.#kept.push(event);
    // A whole quarter at a time: taking the first of an array each time moves all the others.
    if (this.#kept.length >= eventsKeptMax * 1.25) this.#kept.splice(0, this.#kept.length - eventsKeptMax);
    for (const follower of [...this.#followers]) follower(event);
  }

  /** Kept events after that number, oldest first; `missed` says that some between are gone. */
  since(id: number): { readonly events: readonly NodeEvent[]; readonly missed: boolean } {
    const events = this.#kept.slice(-eventsKeptMax).filter((event) => event.id > id);
    // A number that we have not given yet is our predecessor's: all of ours came after it, and what of its own, nobody knows.
    if (id >= this.#nextId) return { events: this.#kept.slice(-eventsKeptMax), missed: true };
    const oldest = events[0]?.id ?? this.#nextId;
    return { events, missed: oldest > id + 1 };
  }

  /** Called with every event from now on, until the returned function is. Must tell none itself: others would hear it first. */
  follow(follower: EventFollower): () => void {
    this.#followers.add(follower);
    return () => {
      this.#followers.delete(follower);
    };
  }
}
