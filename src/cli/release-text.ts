// A release as it is told: a line for each event, with its time, and on a terminal the steps under way below them, which count
// their seconds. Pure but for the writing, which is handed in. The change's way. Own lines rather than a library of tasks
// (docs/decisions/0014-release.md): the steps are the record's, which this command may only watch.

import type { Milliseconds } from "../core/clock.ts";
import type { ReleaseEvent, ReleaseRecord, ReleaseStep } from "../model/release.ts";

const meanings: Readonly<Record<ReleaseStep, string>> = {
  guard: "enough others are eligible",
  out: "out at every balancer",
  drained: "no work left",
  stop: "stop",
  deploy: "deploy",
  rollback: "rollback",
  start: "start",
  healthy: "healthy",
  in: "intent up",
  eligible: "eligible at every balancer",
};

/** Control characters of a command's output must not reach the terminal. */
export function harmless(text: string): string {
  return text.replaceAll(/[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u2028\u2029\u202a-\u202e\u2066-\u2069]/g, "?");
}

export function formatSpan(time: Milliseconds): string {
  if (time < 1_000) return `${Math.round(time)} ms`;
  if (time < 120_000) return `${(time / 1_000).toFixed(1)} s`;
  return `${Math.round(time / 60_000)} min`;
}

/** The lines of one event, each ended; none for one that a person need not see. `at` is milliseconds since 1970. */
export function describeEvent(event: ReleaseEvent, record: ReleaseRecord, at: Milliseconds): string {
  const time = new Date(at).toISOString().slice(11, 19);
  const { type, target = "", step, tookMs = 0, detail, output, attempt = 1 } = event;
  const more = detail === undefined ? "" : `: ${detail}`;
  const again = attempt > 1 ? ` (attempt ${attempt})` : "";
  const line = (text: string) => `${harmless(`${time}  ${text}`).replaceAll("\n", " ")}\n`;
  const about = `${target}  ${step === undefined ? "" : meanings[step]}`;
  switch (type) {
    case "step.begun":
      return "";
    case "step.done":
      return line(`ok    ${about}  ${formatSpan(tookMs)}${again}${detail === undefined ? "" : `  ${detail}`}`);
    case "step.failed":
      return `${line(`FAIL  ${target}  ${step} failed after ${formatSpan(tookMs)}${again}${more}`)}${describeOutput(output)}`;
    case "batch.done":
      return line(`${detail ?? ""} done`);
    case "release.began":
      return line(`release ${record.id} of pool ${record.pool}${more}, ${record.state.targets.length} targets`);
    case "release.refused":
      return line(`HELD  ${target}${more}`);
    case "release.waits":
      return line(`waits${more}`);
    case "release.resumed":
    case "release.paused":
    case "release.failed":
    case "release.done":
    case "release.aborting":
    case "release.aborted":
    case "release.rollingBack":
    case "release.rolledBack":
      return line(`${sentences[type]}${more}`);
    default:
      return type satisfies never;
  }
}

const sentences = {
  "release.resumed": "goes on",
  "release.paused": "stands",
  "release.failed": "failed",
  "release.done": "done",
  "release.aborting": "is aborted: intents are put back",
  "release.aborted": "aborted: intents are as they were",
  "release.rollingBack": "rolls back",
  "release.rolledBack": "rolled back",
} as const;

function describeOutput(output: string | undefined): string {
  if (output === undefined) return "";
  return output
    .split("\n")
    .map((one) => `          | ${harmless(one.replaceAll("\t", "    "))}\n`)
    .join("");
}

/** What is under way, a line each, for the bottom of a terminal. */
export function describeUnderWay({ state }: ReleaseRecord, at: Milliseconds, width: number): readonly string[] {
  return state.targets.flatMap(({ address, underWay }) => {
    if (underWay === undefined) return [];
    const text = `          ...   ${address}  ${meanings[underWay.step]}  ${formatSpan(Math.max(0, at - underWay.atMs))}`;
    return [text.slice(0, Math.max(1, width - 1))];
  });
}

/** One event as JSON for programs. */
export function encodeEvent(event: ReleaseEvent, record: ReleaseRecord, at: Milliseconds): string {
  const { id, pool, version, state } = record;
  const { type, ...rest } = event;
  const whole = {
    at: new Date(at).toISOString(),
    event: type,
    release: id,
    pool,
    version,
    direction: state.direction,
    ...rest,
  };
  return `${JSON.stringify(whole)}\n`;
}

/** How a release stands, target by target. */
export function describeRecord(record: ReleaseRecord, holder: string | undefined): string {
  const { id, pool, version, state, startedMs } = record;
  const who = holder === undefined ? "nobody drives it" : `driven by ${holder}`;
  const began = new Date(startedMs).toISOString().slice(0, 19);
  const end = ["done", "aborted", "rolledBack"].includes(state.phase) ? "" : `, ${who}`;
  const lines = [`pool ${pool}: release ${id} of version ${version}, ${state.phase}${end}, begun ${began}Z`];
  if (state.why !== undefined) lines.push(`  ${state.why}`);
  for (const { address, done, underWay, failure, batch } of state.targets) {
    const last = done.at(-1)?.step;
    const what =
      failure !== undefined
        ? `${failure.step} failed: ${failure.detail}`
        : underWay !== undefined
          ? `${underWay.step} begun${underWay.attempt > 1 ? ` (attempt ${underWay.attempt})` : ""}`
          : last === undefined
            ? "not begun"
            : `${last} done`;
    lines.push(`  ${address}  batch ${batch + 1}  ${what}`);
  }
  return `${lines.map((one) => harmless(one).replaceAll("\n", " ")).join("\n")}\n`;
}
