// A release: a rolling change of a pool's targets, as everybody reads it who has to do with one: what the operator wants of it
// (the file, decoded), and its record, which is kept where the pool's own store is and from which any machine can go on. Plain
// JSON data. The change's way; which step follows which is src/release/machine.ts.

import type { Milliseconds } from "../core/clock.ts";
import type { ProbePlan } from "./health-check.ts";
import type { Intent } from "./pool.ts";
import type { SourceTls } from "./source.ts";

/** What happens to one target, in this order; a turn back has `rollback` in place of `deploy`. */
export const releaseSteps = [
  /** Enough other targets are eligible at every balancer; what its intent was is written down. */
  "guard",
  /** Its intent is drain (or down) in the pool's store, and every worker of every balancer has it. */
  "out",
  /** No balancer has work for it any more, or the time for that is over. */
  "drained",
  "stop",
  "deploy",
  "rollback",
  "start",
  /** It answers our own probes. */
  "healthy",
  /** Its intent is what it was before. */
  "in",
  /** It takes work at every balancer again. */
  "eligible",
] as const;
export type ReleaseStep = (typeof releaseSteps)[number];

/** Steps that run a command of the operator. */
export const commandSteps = ["stop", "deploy", "rollback", "start"] as const;
export type CommandStep = (typeof commandSteps)[number];

/** Forward to the new version, back to the old one, or only back to the intents that were there before (`abort`). */
export type Direction = "forward" | "back" | "abort";

/**
 * `running`: somebody drives it, or was killed doing so, which the lock tells. `paused`: it waits for `resume`. `failed`: a step
 * failed. The others are ends.
 */
export type ReleasePhase = "running" | "paused" | "failed" | "done" | "aborted" | "rolledBack";

export function isEnd(phase: ReleasePhase): boolean {
  return phase === "done" || phase === "aborted" || phase === "rolledBack";
}

/** What becomes of a command whose end nobody recorded, when the release is resumed. */
export type OnInterrupted = "rerun" | "ask" | "fail";

export type ReleaseCommand = {
  /** Program and arguments, `{host}` and the like not yet filled in. No shell reads them. */
  readonly words: readonly string[];
  readonly timeout: Milliseconds;
  /** On the machine where the release is run, or on the target's by ssh. */
  readonly on: "here" | "target";
  readonly onInterrupted: OnInterrupted;
};

export type SshAccess = {
  /** Placeholders not yet filled in. */
  readonly host: string;
  readonly user: string | undefined;
  readonly port: number | undefined;
  readonly identityFile: string | undefined;
  /** `-o` each: `StrictHostKeyChecking=yes`. */
  readonly options: readonly string[];
};

/** Where one balancer's admin API is asked. */
export type ReleaseBalancer = {
  readonly name: string;
  readonly place:
    | { readonly kind: "socket"; readonly path: string }
    | { readonly kind: "http"; readonly url: string; readonly tokenFile: string | undefined };
};

/** Where intents and the record are kept. */
export type ReleaseStore =
  /** In every balancer: pools of the file, the API, the DNS or a service catalog. */
  | { readonly type: "api" }
  | {
      readonly type: "consul";
      readonly endpoints: readonly string[];
      readonly prefix: string;
      readonly tokenFile: string | undefined;
      readonly datacenter: string | undefined;
      readonly tls: SourceTls | undefined;
    }
  | {
      readonly type: "etcd";
      readonly endpoints: readonly string[];
      readonly prefix: string;
      readonly user: string | undefined;
      readonly passwordFile: string | undefined;
      readonly tls: SourceTls | undefined;
    };

export type ReleaseNotice = {
  readonly words: readonly string[];
  /** Names of events; empty: all. */
  readonly events: readonly string[];
  readonly timeout: Milliseconds;
};

export type ReleaseHealthCheck = {
  readonly probe: ProbePlan;
  readonly port: number | undefined;
  /** How long it may take until it has passed. */
  readonly within: Milliseconds;
  readonly every: Milliseconds;
  /** Of one probe. */
  readonly timeout: Milliseconds;
  /** In a row. */
  readonly rise: number;
};

/** The release file, decoded. */
export type ReleasePlan = {
  readonly pool: string;
  /** undefined: `--version` says it. */
  readonly version: string | undefined;
  readonly balancers: readonly ReleaseBalancer[];
  readonly store: ReleaseStore;
  /** Canonical addresses; undefined: all targets of the pool in its own order. */
  readonly order: readonly string[] | undefined;
  /** How many targets have their turn at a time: a number, or a share of them in percent, rounded down and at least 1. */
  readonly batch:
    | { readonly kind: "count"; readonly count: number }
    | { readonly kind: "share"; readonly percent: number };
  /** Never fewer eligible targets than this at any balancer by our doing. */
  readonly minEligible: number;
  readonly drain: {
    readonly intent: Exclude<Intent, "up">;
    readonly timeout: Milliseconds;
    /** When work is left at the end of the time. */
    readonly onTimeout: "goOn" | "fail";
  };
  readonly commands: { readonly [Step in CommandStep]?: ReleaseCommand };
  readonly ssh: SshAccess | undefined;
  /** undefined: nobody asks the target itself. */
  readonly healthCheck: ReleaseHealthCheck | undefined;
  /** How long every balancer may take to apply an intent, and to find the target eligible again. */
  readonly applyTimeout: Milliseconds;
  readonly eligibleTimeout: Milliseconds;
  /** undefined: as the pool has it. */
  readonly slowStart: Milliseconds | undefined;
  readonly pause:
    | { readonly kind: "none" }
    | { readonly kind: "time"; readonly time: Milliseconds }
    | { readonly kind: "resume" };
  readonly notify: readonly ReleaseNotice[];
};

/** One step that ended well. */
export type StepDone = {
  readonly step: ReleaseStep;
  /** Milliseconds since 1970. */
  readonly atMs: Milliseconds;
  readonly tookMs: Milliseconds;
  /** How often it had to be begun. */
  readonly attempts: number;
  /** For people: what was seen, or the last of what a command said. */
  readonly note: string | undefined;
};

export type StepUnderWay = { readonly step: ReleaseStep; readonly atMs: Milliseconds; readonly attempt: number };

export type StepFailure = {
  readonly step: ReleaseStep;
  readonly atMs: Milliseconds;
  readonly attempt: number;
  /** Stable, dotted. */
  readonly code: string;
  readonly detail: string;
  /** The end of what the command said. */
  readonly output: string | undefined;
};

/** What a target's intent was before the release touched it, by the board (a store, a balancer) that says so. */
export type IntentsBefore = Readonly<Record<string, string>>;

export type TargetTurn = {
  readonly address: string;
  /** From 0. Targets of one batch have their turn at the same time. */
  readonly batch: number;
  readonly done: readonly StepDone[];
  readonly underWay: StepUnderWay | undefined;
  readonly failure: StepFailure | undefined;
  /** undefined until the guard has let it out. */
  readonly before: IntentsBefore | undefined;
  /** How often steps had been begun that did not end well. */
  readonly attempts?: { readonly [Step in ReleaseStep]?: number };
};

/** Between two batches. */
export type GateState = {
  /** The batch that has ended. */
  readonly batch: number;
  readonly sinceMs: Milliseconds;
  /** Asked again then. */
  readonly untilMs: Milliseconds | undefined;
  readonly why: string;
};

export type ReleaseState = {
  readonly phase: ReleasePhase;
  readonly direction: Direction;
  /** For people: why it is paused or has failed. */
  readonly why: string | undefined;
  /** In the order of their turns. */
  readonly targets: readonly TargetTurn[];
  /** The batch whose turn it is. */
  readonly batch: number;
  readonly gate: GateState | undefined;
  /** Somebody has asked it to stop: nobody else is taken out. */
  readonly stopping: string | undefined;
};

export type ReleaseEvent = {
  /** `step.begun`, `step.done`, `step.failed`, `batch.done`, `release.paused` and the like. */
  readonly type: ReleaseEventType;
  readonly target?: string | undefined;
  readonly step?: ReleaseStep | undefined;
  readonly attempt?: number | undefined;
  readonly tookMs?: Milliseconds | undefined;
  readonly detail?: string | undefined;
  readonly output?: string | undefined;
};

export const releaseEventTypes = [
  "release.began",
  "release.resumed",
  "step.begun",
  "step.done",
  "step.failed",
  "batch.done",
  "release.waits",
  "release.paused",
  "release.refused",
  "release.failed",
  "release.done",
  "release.aborting",
  "release.aborted",
  "release.rollingBack",
  "release.rolledBack",
] as const;
export type ReleaseEventType = (typeof releaseEventTypes)[number];

/** All that is kept of a release. */
export type ReleaseRecord = {
  readonly format: typeof recordFormat;
  readonly id: string;
  readonly pool: string;
  readonly version: string;
  /** Grows with each holder of the lock. What an older one writes is refused. */
  readonly fence: number;
  /** Grows with each write of one holder. */
  readonly revision: number;
  /** Who drives it, or did last. */
  readonly by: string;
  readonly startedMs: Milliseconds;
  readonly changedMs: Milliseconds;
  /** Of the release file: another one is told when the release is resumed. */
  readonly digest: string;
  readonly state: ReleaseState;
};

export const recordFormat = 1;

/** Targets of one release: the record of so many fits into `recordBytesMax`. */
export const releaseTargetsMax = 128;
/** Bytes of a record: the admin API takes bodies of 64 KiB. */
export const recordBytesMax = 60 * 1024;
/** The end of a command's output that is kept, in the record: of a failed step, and in a step's note. */
export const outputTailBytesMax = 4096;
export const noteLengthMax = 120;
export const balancersMax = 16;
export const noticesMax = 16;
