// Tells the commands of `notify` what happens, one after the other in the order of the file, each with what there is to say in
// its environment. The change's way, a driver. The release waits for each, so that what a command prepares for a step is
// done before the step begins; one that fails or takes too long is told, and changes nothing.

import { fillWord } from "../../config/release-leaf.ts";
import { outputTailBytesMax, type ReleaseEvent, type ReleasePlan, type ReleaseRecord } from "../../model/release.ts";
import type { RunCommand } from "./command.ts";
import { runStepCommand } from "./command.ts";
import { namesOf } from "./perform.ts";

export type NoticeMeans = {
  readonly plan: ReleasePlan;
  readonly run: RunCommand;
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly directory: string;
  readonly signal: AbortSignal;
  readonly failed: (text: string) => void;
};

export async function tellNotices(means: NoticeMeans, event: ReleaseEvent, record: ReleaseRecord): Promise<void> {
  const { plan, run, environment, directory, signal } = means;
  const wanted = plan.notify.filter(({ events }) => events.length === 0 || events.includes(event.type));
  const { values, names: own } = namesOf({ plan, version: record.version, id: record.id }, event.target ?? "");
  const names = {
    ...own,
    EVENKEEL_RELEASE_EVENT: event.type,
    EVENKEEL_RELEASE_STEP: event.step ?? "",
    EVENKEEL_RELEASE_ATTEMPT: event.attempt === undefined ? "" : String(event.attempt),
    EVENKEEL_RELEASE_DIRECTION: record.state.direction,
    EVENKEEL_RELEASE_PHASE: record.state.phase,
    EVENKEEL_RELEASE_DETAIL: (event.detail ?? "").slice(0, outputTailBytesMax).replaceAll("\0", ""),
  };
  for (const { words, timeout } of wanted) {
    const filled = words.map((word) => fillWord(word, values));
    const ended = await runStepCommand({ run, words: filled, names, environment, directory, timeout, signal });
    if (ended.type !== "failed") continue;
    means.failed(
      `notify ${filled[0]} (${event.type}): ${ended.detail}${ended.output === undefined ? "" : `: ${ended.output}`}`,
    );
  }
}
