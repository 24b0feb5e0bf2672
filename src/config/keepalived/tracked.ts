// What an instance or a sync group tracks: track_script, track_process, track_file, track_interface with their weights. On the
// change's way. Names are resolved here, because keepalived drops one it does not know and goes on without.

import { nearest } from "../nearest.ts";
import type { Statement } from "./blocks.ts";
import type { Findings, Native, NativePath, Said } from "./findings.ts";
import { block, type Rule, type Rules, refused, repeated } from "./rules.ts";
import { type DefinedTrack, type TrackKind, type Weight, weightOf } from "./tracks.ts";
import type { Word } from "./words.ts";

export type Tracked = {
  readonly word: Word;
  /** `chk`, `interface:eth1`. */
  readonly name: string;
  /** Undefined: an interface. */
  readonly definition: DefinedTrack | undefined;
  readonly own: Weight | undefined;
  readonly weight: number;
};

export type Named = {
  readonly kind: TrackKind | "interface";
  readonly word: Word;
  readonly own: Weight | undefined;
};

/** The four blocks; entries are resolved once the whole file was read, for a definition may stand below. */
export function trackedRules(findings: Findings, entries: Named[]): Rules {
  const list = (kind: Named["kind"]): Rule =>
    repeated(
      block(0, 0, ({ block: lines = [] }) => {
        for (const line of lines) readEntry(findings, kind, line, entries);
      }),
    );
  return new Map([
    ["track_script", list("script")],
    ["track_process", list("process")],
    ["track_file", list("file")],
    ["track_interface", list("interface")],
    ["track_bfd", refused("BFD is not spoken", "a `gateway` track, which asks the router itself")],
  ]);
}

function readEntry(findings: Findings, kind: Named["kind"], line: Statement, entries: Named[]): void {
  const [word, keyword, ...rest] = line.words;
  if (word === undefined) return;
  if (line.block !== undefined) {
    findings.complain(line.place, "block", { message: `\`${word.text}\` takes no block`, expected: "no `{`" });
    return;
  }
  if (keyword === undefined) {
    entries.push({ kind, word, own: undefined });
    return;
  }
  if (keyword.text !== "weight" || rest.length === 0) {
    const message = `\`${keyword.text}\` behind \`${word.text}\` is no weight; each track stands in a line of its own`;
    findings.complain(keyword.place, "words", { message, expected: "`weight` and a number, or nothing" });
    return;
  }
  const own = weightOf(findings, rest);
  if (own !== undefined) entries.push({ kind, word, own });
}

/** Entries with what they name; those that name nothing are told and left out. */
export function resolveTracked(
  findings: Findings,
  entries: readonly Named[],
  definitions: readonly DefinedTrack[],
): Tracked[] {
  return entries.flatMap(({ kind, word, own }): Tracked[] => {
    if (kind === "interface") {
      const weight = own?.weight?.value ?? 0;
      return [{ word, name: `interface:${word.text}`, definition: undefined, own, weight }];
    }
    const known = definitions.filter((one) => one.kind === kind);
    const definition = known.find(({ foreign }) => foreign === word.text);
    if (definition !== undefined) {
      return [{ word, name: definition.name.value, definition, own, weight: own?.weight?.value ?? definition.weight }];
    }
    const message = `there is no \`${word.text}\` to track, and keepalived would go on without it`;
    const suggestion = nearest(
      word.text,
      known.map(({ foreign }) => foreign),
    );
    findings.complain(word.place, "track", { message, suggestion });
    return [];
  });
}

/** A list under `track`: names, and what differs from their definitions. */
export function writeTracked(native: Native, path: NativePath, entries: readonly Tracked[]): void {
  native.putList(
    path,
    entries.map(({ word, name, definition, own }): Said<unknown> => {
      const { place } = word;
      const weight = own?.weight?.value;
      const reverse = own === undefined ? undefined : (own.reverse?.value ?? definition?.reverse);
      const changes = {
        ...(weight !== undefined && weight !== (definition?.weight ?? 0) ? { weight } : {}),
        ...(reverse !== undefined && reverse !== (definition?.reverse ?? false) ? { reverse } : {}),
      };
      return { value: Object.keys(changes).length === 0 ? name : { name, ...changes }, place };
    }),
  );
}
