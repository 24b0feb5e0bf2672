// Events as they happen for whoever follows them: server-sent events (HTML Living Standard section 9.2) out of the event
// log, one stream for each follower. The change's way. A follower holds no queue of its own: it has a number up to which it
// was told, and reads on from there when its connection takes more; so a slow one costs nothing, and one that is slower
// than the log forgets is told that it missed something. No clock and no socket of its own.

import type { EventLog, NodeEvent } from "../control/event-log.ts";
import type { Clock, Milliseconds } from "../core/clock.ts";
import type { StreamSink, StreamSource } from "./answer.ts";

/** Followers at a time, of the connections that the API has. */
export const followersMax = 16;
/** A silent stream says this often that it is alive, so that nobody between takes it for dead. */
export const heartbeatInterval: Milliseconds = 15_000;
/** A follower that has taken nothing of what was sent for so long is dropped. */
export const followerStallMax: Milliseconds = 60_000;
/** How long a follower that lost its connection waits before it comes again. */
const retryAfter: Milliseconds = 2_000;

/** Where a follower wants to read on: behind this event, or from now on. */
export type EventPosition = { readonly after: number; readonly missed: boolean } | "now";

export type EventFollowersOptions = {
  readonly events: EventLog;
  readonly clock: Clock;
  /** Tells this run of the program from the one before, whose numbers were other events'. Letters and digits. */
  readonly run: string;
  /** Somebody was dropped, for the log. */
  readonly dropped: (reason: string) => void;
};

export class EventFollowers {
  readonly #options: EventFollowersOptions;
  readonly #streams = new Set<EventStream>();

  constructor(options: EventFollowersOptions) {
    this.#options = options;
  }

  get full(): boolean {
    return this.#streams.size >= followersMax;
  }

  /** `l0fz-12`, what a stream has as its ids: the number of an event and the run that gave it. */
  idOf(event: number): string {
    return `${this.#options.run}-${event}`;
  }

  /**
   * Reads what a follower says it has seen: an id of a stream, or a number of this run. Undefined when it is neither. An id
   * of another run means that everything of this one is new, and that of the other nobody knows what was missed.
   */
  parsePosition(text: string): EventPosition | undefined {
    const match = /^(?:([a-z0-9]{1,32})-)?(\d{1,15})$/.exec(text);
    if (match === null) return undefined;
    const [, run, digits] = match;
    if (run !== undefined && run !== this.#options.run) return { after: 0, missed: true };
    return { after: Number(digits), missed: false };
  }

  /** Begins a stream; not to be called when full. */
  follow(sink: StreamSink, from: EventPosition): StreamSource {
    const stream = new EventStream(sink, { ...this.#options, idOf: (event) => this.idOf(event) });
    this.#streams.add(stream);
    const unfollow = this.#options.events.follow((event) => stream.tell(event));
    stream.start(from);
    return {
      drained: () => stream.drained(),
      closed: () => {
        unfollow();
        this.#streams.delete(stream);
      },
    };
  }

  /** To be called every second or so: heartbeats, and an end to those who take nothing. */
  tick(): void {
    for (const stream of [...this.#streams]) stream.tick();
  }

  /** Ends every stream in order. */
  end(): void {
    for (const stream of [...this.#streams]) stream.end();
  }
}

type StreamOptions = EventFollowersOptions & { readonly idOf: (event: number) => string };

class EventStream {
  readonly #sink: StreamSink;
  readonly #options: StreamOptions;
  /** The last event that it was told. */
  #told = 0;
  #wroteAt: Milliseconds;
  #blocked = false;
  #over = false;

  constructor(sink: StreamSink, options: StreamOptions) {
    this.#sink = sink;
    this.#options = options;
    this.#wroteAt = options.clock();
  }

  start(from: EventPosition): void {
    this.#write(`retry: ${retryAfter}\n\n`);
    if (from === "now") {
      this.#told = this.#options.events.since(0).events.at(-1)?.id ?? 0;
      return;
    }
    this.#told = from.after;
    if (from.missed) this.#tellMissed();
    this.#catchUp();
  }

  tell(event: NodeEvent): void {
    if (this.#blocked || this.#over) return;
    if (event.id === this.#told + 1) this.#send(event);
    else this.#catchUp();
  }

  drained(): void {
    this.#blocked = false;
    this.#catchUp();
  }

  tick(): void {
    if (this.#over) return;
    const silence = this.#options.clock() - this.#wroteAt;
    if (this.#blocked && silence >= followerStallMax) {
      this.#over = true;
      this.#options.dropped(`it took nothing for ${followerStallMax / 1000} s`);
      this.#sink.cut();
    } else if (!this.#blocked && silence >= heartbeatInterval) {
      this.#write(": still here\n\n");
    }
  }

  end(): void {
    if (this.#over) return;
    this.#over = true;
    this.#sink.end();
  }

  #catchUp(): void {
    if (this.#over) return;
    const { events, missed } = this.#options.events.since(this.#told);
    if (missed) {
      this.#tellMissed();
      // Numbers that this run has not given yet are behind it as well.
      this.#told = (events[0]?.id ?? 1) - 1;
    }
    for (const event of events) {
      if (this.#blocked) return;
      this.#send(event);
    }
  }

  #tellMissed(): void {
    this.#write(`event: missed\ndata: ${JSON.stringify({ after: this.#told })}\n\n`);
  }

  #send(event: NodeEvent): void {
    this.#told = event.id;
    // One line of data: JSON has no line break outside of its texts, and escapes those inside.
    this.#write(`id: ${this.#options.idOf(event.id)}\nevent: ${event.type}\ndata: ${JSON.stringify(event)}\n\n`);
  }

  #write(text: string): void {
    this.#wroteAt = this.#options.clock();
    this.#blocked = !this.#sink.write(text);
  }
}
