// Watches what virtual routers track: asks each thing in its interval, never twice at a time, gives the outcomes to the judge
// (src/ha/tracks.ts) and tells what changes. The change's way, in the supervisor. A track is watched once however many virtual
// routers name it; what it is worth to each of them, and what becomes of an election, is decided elsewhere.

import type { Clock, Milliseconds } from "../../core/clock.ts";
import type { Log } from "../../core/log.ts";
import { judgeTrack, type Standing, type TrackState, trackUnknown } from "../../ha/tracks.ts";
import type { HaConfig, Track } from "../../model/ha.ts";
import { movingAddresses } from "../../model/virtual-router.ts";
import type { Alarm } from "./alarm.ts";
import { type TrackOutcome, type TrackProber, timesOf } from "./track-probers.ts";

export type TrackResult = {
  readonly name: string;
  readonly standing: Standing;
  /** What the last outcome was, in words; of an unknown one why it is. */
  readonly reason: string;
  readonly code: string;
  /** On the monotonic clock: when it came to stand so; when it was asked last, undefined before the first answer. */
  readonly since: Milliseconds;
  readonly checkedAt: Milliseconds | undefined;
};

export type TrackListener = (name: string, standing: Standing, reason: string) => void;

export type TrackWatchOptions = {
  readonly log: Log;
  /** Monotonic. */
  readonly clock: Clock;
  readonly alarm: Alarm;
  readonly createProber: (track: Track, context: TrackContext) => TrackProber;
};

export type TrackContext = {
  /** The addresses that move: no question is asked in their name. */
  readonly virtualAddresses: () => readonly string[];
};

/** One track, for as long as the configuration names it. */
type Watched = {
  track: Track;
  /** What is watched, as text: by it an unchanged one is known. */
  readonly watchText: string;
  readonly prober: TrackProber;
  state: TrackState;
  /** What was told: it stands while a changed track has not been judged anew. */
  standing: Standing;
  reason: string;
  code: string;
  since: Milliseconds;
  checkedAt: Milliseconds | undefined;
  /** The last time that nothing could be said, by its code: each is logged once. */
  unable: string | undefined;
  cancel: () => void;
  closed: boolean;
};

export class TrackWatch {
  readonly #options: TrackWatchOptions;
  readonly #listeners = new Set<TrackListener>();
  #watched: ReadonlyMap<string, Watched> = new Map();
  #virtualAddresses: readonly string[] = [];
  #stopped = false;

  constructor(options: TrackWatchOptions) {
    this.#options = options;
  }

  /**
   * Takes a configuration up. An unchanged track goes on; one that watches something else keeps its standing until its first
   * outcome, which decides alone; one that is gone is told no more of.
   */
  apply(config: Pick<HaConfig, "tracks" | "virtualRouters">): void {
    if (this.#stopped) return;
    this.#virtualAddresses = config.virtualRouters.flatMap(movingAddresses).map(({ address }) => address);
    const before = this.#watched;
    const next = new Map<string, Watched>();
    const fresh: Watched[] = [];
    for (const track of config.tracks) {
      const known = before.get(track.name);
      const watchText = JSON.stringify(track.watch);
      const watched = known?.watchText === watchText ? known : this.#open(track, watchText, known);
      if (watched !== known) fresh.push(watched);
      watched.track = track;
      next.set(track.name, watched);
    }
    for (const [name, watched] of before) if (next.get(name) !== watched) close(watched);
    this.#watched = next;
    for (const watched of fresh) this.#ask(watched);
  }

  /** Told of every change of a standing, within the event in which it was found. What stands by now: `results`. */
  onChange(listener: TrackListener): void {
    this.#listeners.add(listener);
  }

  /** In the order of the configuration. */
  results(): readonly TrackResult[] {
    return [...this.#watched.values()].map(({ track, standing, reason, code, since, checkedAt }) => {
      return { name: track.name, standing, reason, code, since, checkedAt };
    });
  }

  /** Ends every question; nothing is told any more. */
  stop(): void {
    this.#stopped = true;
    for (const watched of this.#watched.values()) close(watched);
  }

  #open(track: Track, watchText: string, known: Watched | undefined): Watched {
    const context = { virtualAddresses: () => this.#virtualAddresses };
    return {
      track,
      watchText,
      prober: this.#options.createProber(track, context),
      state: trackUnknown,
      standing: known?.standing ?? "unknown",
      reason: known?.reason ?? "not asked yet",
      code: known?.code ?? "track.unknown",
      since: known?.since ?? this.#options.clock(),
      checkedAt: undefined,
      unable: undefined,
      cancel: () => {},
      closed: false,
    };
  }

  #ask(watched: Watched): void {
    const { interval, timeout } = timesOf(watched.track.watch);
    const startedAt = this.#options.clock();
    watched.prober.start(timeout, (outcome) => {
      if (watched.closed) return;
      this.#take(watched, outcome);
      // Of that listener's doing: the track may be gone by now.
      if (watched.closed) return;
      const rest = Math.max(0, startedAt + interval - this.#options.clock());
      watched.cancel = this.#options.alarm(rest, () => this.#ask(watched));
    });
  }

  #take(watched: Watched, outcome: TrackOutcome): void {
    watched.checkedAt = this.#options.clock();
    if (outcome.verdict === "unable") {
      this.#tellUnable(watched, outcome);
      return;
    }
    watched.unable = undefined;
    watched.reason = outcome.text;
    watched.code = outcome.code;
    let { standing } = watched;
    if (outcome.verdict === "number") standing = outcome.value;
    else {
      watched.state = judgeTrack(watched.track, watched.state, outcome.verdict);
      standing = watched.state.standing;
    }
    if (standing === watched.standing) return;
    const before = watched.standing;
    watched.standing = standing;
    watched.since = watched.checkedAt;
    this.#tell(watched, before);
  }

  #tell(watched: Watched, before: Standing): void {
    const { standing, reason, code } = watched;
    const { name } = watched.track;
    const fields = { track: name, from: before, code, reason };
    if (standing === "down") this.#options.log.warn("track down", fields);
    else if (standing === "up") this.#options.log.info("track up", fields);
    else this.#options.log.info("track changed", { ...fields, to: standing });
    for (const listener of this.#listeners) listener(name, standing, reason);
  }

  #tellUnable(watched: Watched, { code, text }: TrackOutcome): void {
    if (watched.standing === "unknown") {
      watched.reason = text;
      watched.code = code;
    }
    if (watched.unable === code) return;
    watched.unable = code;
    this.#options.log.warn("track not judged", {
      track: watched.track.name,
      stands: watched.standing,
      code,
      reason: text,
    });
  }
}

function close(watched: Watched): void {
  watched.closed = true;
  watched.cancel();
  watched.prober.close();
}
