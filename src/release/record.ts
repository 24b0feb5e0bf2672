// A release's record as it is kept: one JSON text, with the steps of each target as short rows, since the same few words would
// fill most of it. Text to record and back; strict, for what another machine wrote decides what is done here. Also which
// of several records holds. Pure; the change's way.

import { bad, good, type Result } from "../core/failure.ts";
import {
  type ReleaseRecord,
  type ReleaseStep,
  recordBytesMax,
  recordFormat,
  releaseSteps,
  type StepDone,
  type TargetTurn,
} from "../model/release.ts";

/** `[step's number, begun since the release was, took, attempts, note]`. */
type Row = readonly [number, number, number, number, string?];

/** Notes of batches that are over are left out: nobody asks for them any more. Code: release.record.size. */
export function encodeRecord(record: ReleaseRecord): Result<string> {
  const { state } = record;
  const targets = state.targets.map((turn) => {
    const isOver = turn.batch < state.batch;
    const rows = turn.done.map(({ step, atMs, tookMs, attempts, note }): Row => {
      const since = Math.round(atMs - record.startedMs);
      const row = [releaseSteps.indexOf(step), since, Math.round(tookMs), attempts] as const;
      return note === undefined || isOver ? row : [...row, note];
    });
    return { ...turn, done: rows };
  });
  const text = JSON.stringify({ ...record, state: { ...state, targets } });
  const bytes = new TextEncoder().encode(text).length;
  if (bytes <= recordBytesMax) return good(text);
  const detail = `the release's record has ${bytes} bytes, and at most ${recordBytesMax} are kept: release fewer targets`;
  return bad({ code: "release.record.size", origin: "self", retrySafe: false, detail });
}

/** Code: release.record, for what this evenkeel did not write, or a later one did. */
export function decodeRecord(text: string): Result<ReleaseRecord> {
  let tree: unknown;
  try {
    tree = JSON.parse(text);
  } catch (error) {
    return unreadable(error instanceof Error ? error.message : String(error));
  }
  const { format, id, pool, version, fence, revision, by, startedMs, changedMs, digest, state } = Object(tree);
  if (typeof format === "number" && format > recordFormat) {
    return unreadable(`it has format ${format}, which a later evenkeel wrote`);
  }
  const texts = [id, pool, version, by, digest].every((one) => typeof one === "string");
  const numbers = [fence, revision, startedMs, changedMs].every((one) => typeof one === "number");
  if (format !== recordFormat || !texts || !numbers) return unreadable("it lacks what every record has");
  const targets = readTurns(Object(state).targets, startedMs);
  const { phase, direction, batch } = Object(state);
  if (targets === undefined || typeof batch !== "number" || !isPhase(phase) || !isDirection(direction)) {
    return unreadable("its state is not one of a release");
  }
  const { why, gate, stopping } = Object(state);
  const whole = { phase, direction, why, targets, batch, gate, stopping };
  return good({ format, id, pool, version, fence, revision, by, startedMs, changedMs, digest, state: whole });
}

function isPhase(value: unknown): value is ReleaseRecord["state"]["phase"] {
  return ["running", "paused", "failed", "done", "aborted", "rolledBack"].some((phase) => phase === value);
}

function isDirection(value: unknown): value is ReleaseRecord["state"]["direction"] {
  return ["forward", "back", "abort"].some((direction) => direction === value);
}

function isStep(value: unknown): value is ReleaseStep {
  return releaseSteps.some((step) => step === value);
}

function readTurns(value: unknown, startedMs: number): readonly TargetTurn[] | undefined {
  if (!Array.isArray(value)) return undefined;
  const turns: TargetTurn[] = [];
  for (const one of value) {
    const { address, batch, done, underWay, failure, before, attempts } = Object(one);
    if (typeof address !== "string" || typeof batch !== "number" || !Array.isArray(done)) return undefined;
    const steps = done.map((row) => readRow(row, startedMs));
    const begun = [underWay, failure].filter((part) => part !== undefined);
    if (steps.includes(undefined) || !begun.every((part) => isStep(Object(part).step))) return undefined;
    const ended = steps.filter((step) => step !== undefined);
    const more = attempts === undefined ? {} : { attempts };
    turns.push({ address, batch, done: ended, underWay, failure, before, ...more });
  }
  return turns;
}

function readRow(row: unknown, startedMs: number): StepDone | undefined {
  const isShort = Array.isArray(row);
  // The admin API shows rows with their words.
  const { step: named, atMs: begun, tookMs: took, attempts: count, note: text } = Object(row);
  const [number, since, time, tries, word]: readonly unknown[] = isShort ? row : [];
  const step = isShort ? releaseSteps[Number(number)] : named;
  const atMs = isShort && typeof since === "number" ? startedMs + since : begun;
  const [tookMs, attempts, note] = isShort ? [time, tries, word] : [took, count, text];
  if (!isStep(step) || typeof atMs !== "number" || typeof tookMs !== "number") return undefined;
  return {
    step,
    atMs,
    tookMs,
    attempts: typeof attempts === "number" ? attempts : 1,
    note: typeof note === "string" ? note : undefined,
  };
}

function unreadable(how: string) {
  const detail = `the release's record cannot be read: ${how}`;
  return bad({ code: "release.record", origin: "self", retrySafe: false, detail });
}

/** The one that holds of two: of the later holder, and of one holder the later one. */
export function laterRecord<T extends Pick<ReleaseRecord, "fence" | "revision">>(one: T | undefined, other: T): T {
  if (one === undefined) return other;
  return other.fence > one.fence || (other.fence === one.fence && other.revision > one.revision) ? other : one;
}
