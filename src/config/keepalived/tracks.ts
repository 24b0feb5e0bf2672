// What keepalived watches: vrrp_script, vrrp_track_process and track_file into tracks. On the change's way. A script that keepalived
// would remove with a line in its log, so that nothing is watched, is a problem here.

import type { ForeignPlace } from "../foreign/adapted.ts";
import type { Statement } from "./blocks.ts";
import { type Command, commandOf, nameOf, userOf } from "./commands.ts";
import type { Findings, Native, NativePath, Said } from "./findings.ts";
import {
  durationText,
  flagInto,
  idle,
  integerOf,
  numberInto,
  one,
  type Rules,
  readBlock,
  refused,
  secondsOf,
  some,
  textInto,
} from "./rules.ts";
import type { Word } from "./words.ts";

export type TrackKind = "script" | "process" | "file";

export type Weight = { readonly weight: Said<number> | undefined; readonly reverse: Said<boolean> | undefined };

export type DefinedTrack = {
  readonly kind: TrackKind;
  /** As the file has it. */
  readonly foreign: string;
  readonly name: Said<string>;
  readonly weight: number;
  readonly reverse: boolean;
  readonly write: (native: Native, path: NativePath, shared: Shared) => void;
};

type Shared = { readonly scriptUser: Said<string> | undefined };

export const weightMax = 253;

/** `weight N`, `weight N reverse`: the words behind a name or the keyword itself. */
export function weightOf(findings: Findings, words: readonly Word[]): Weight | undefined {
  const [number, sense, extra] = words;
  if (number === undefined) return undefined;
  const otherwise = "takes it as it stands when it runs, and refuses it with -t";
  const weight = integerOf(findings, number, "weight", { least: -weightMax, most: weightMax, otherwise });
  if (sense !== undefined && !/^(?:no_?)?reverse$/.test(sense.text)) {
    const message = `\`${sense.text}\` says nothing about a weight`;
    findings.complain(sense.place, "value", { message, expected: "`reverse` or `noreverse`" });
    return undefined;
  }
  if (extra !== undefined) {
    findings.complain(extra.place, "words", {
      message: `\`${extra.text}\` is a word too many`,
      expected: "no more words",
    });
    return undefined;
  }
  const reverse = sense === undefined ? undefined : { value: sense.text === "reverse", place: sense.place };
  return weight === undefined ? undefined : { weight, reverse };
}

type Draft = {
  command?: Command;
  user?: Said<string>;
  interval?: Said<number>;
  timeout?: Said<number>;
  rise?: Said<number>;
  fall?: Said<number>;
  weight?: Weight;
  file?: Said<string>;
  process?: Said<string>;
  match?: Said<string>;
  full?: Said<boolean>;
  quorum?: Said<number>;
};

/** A definition; undefined when it watches nothing. */
export function readTrack(
  findings: Findings,
  kind: TrackKind,
  { block = [], place }: Statement,
  name: Word,
): DefinedTrack | undefined {
  const draft: Draft = {};
  const what = { script: "`vrrp_script`", process: "`vrrp_track_process`", file: "`track_file`" }[kind];
  readBlock(findings, block, trackRules[kind](findings, draft), what);
  const said = kind === "script" ? draft.command : kind === "process" ? draft.process : draft.file;
  const key = kind;
  if (said === undefined) {
    if (!block.some(({ keyword }) => keyword === key)) {
      const message = `${what} \`${name.text}\` has no \`${key}\`, so keepalived would remove it and watch nothing`;
      findings.complain(place, "missing", { message, expected: `\`${key}\`` });
    }
    return undefined;
  }
  const weight = draft.weight?.weight?.value ?? (kind === "file" ? 1 : 0);
  return {
    kind,
    foreign: name.text,
    name: nameOf(findings, name, what),
    weight,
    reverse: draft.weight?.reverse?.value ?? false,
    write: (native, path, shared) => writeTrack(native, path, { draft, place: said.place, weight, ...shared }),
  };
}

const trackRules: Readonly<Record<TrackKind, (findings: Findings, draft: Draft) => Rules>> = {
  script: scriptRules,
  process: processRules,
  file: fileRules,
};

function weightRule(findings: Findings, draft: Draft) {
  return some(1, 2, (words) => {
    const weight = weightOf(findings, words);
    if (weight !== undefined) draft.weight = weight;
  });
}

function scriptRules(findings: Findings, draft: Draft): Rules {
  const count = (key: "rise" | "fall") =>
    one((word, { keyword }) => {
      const said = integerOf(findings, word, keyword, { least: 1, most: 1000, otherwise: "would take 1" });
      if (said !== undefined) draft[key] = said;
    });
  const seconds = (key: "interval" | "timeout") =>
    one((word, { keyword }) => {
      const otherwise = "reads whole seconds alone and would take 1";
      const said = integerOf(findings, word, keyword, { least: 1, most: 4294, otherwise });
      if (said !== undefined) draft[key] = { value: said.value * 1000, place: said.place };
    });
  return new Map([
    [
      "script",
      some(1, 9, (_, statement) => {
        const command = commandOf(findings, statement, { users: false });
        if (command !== undefined) draft.command = command;
      }),
    ],
    ["interval", seconds("interval")],
    ["timeout", seconds("timeout")],
    ["rise", count("rise")],
    ["fall", count("fall")],
    ["weight", weightRule(findings, draft)],
    [
      "user",
      some(1, 2, ([user, group]) => {
        const said = userOf(findings, user, group);
        if (said !== undefined) draft.user = said;
      }),
    ],
    ["init_fail", idle("nothing is believed of a track before its first outcome")],
  ]);
}

function fileRules(findings: Findings, draft: Draft): Rules {
  return new Map([
    ["file", textInto(draft, "file")],
    ["weight", weightRule(findings, draft)],
    [
      "init_file",
      some(0, 2, ([value, overwrite], { place, keyword }) => {
        if (overwrite === undefined && (value === undefined || value.text === "0")) {
          findings.idle(place, keyword, "a file that is missing counts as 0");
          return;
        }
        const message = "`init_file`: tracked files are read, never written";
        findings.complain(place, "refused", {
          message,
          expected: "a command that writes it before the start, such as ExecStartPre=",
        });
      }),
    ],
  ]);
}

function processRules(findings: Findings, draft: Draft): Rules {
  const delay = (keys: readonly ("rise" | "fall")[]) =>
    one((word, { keyword }) => {
      const said = secondsOf(findings, word, keyword, { least: 0, most: 1000 });
      if (said === undefined || said.value === 0) return;
      // A look a second, so that many of them last as long.
      for (const key of keys) draft[key] = { value: Math.max(1, Math.ceil(said.value / 1000)), place: said.place };
      findings.note(word.place, keyword, "it is looked for once a second, and so many looks must agree");
    });
  return new Map([
    [
      "process",
      some(1, 32, ([program, ...parameters]) => {
        if (program === undefined) return;
        draft.process = { value: program.text, place: program.place };
        if (parameters.length === 0) return;
        draft.match = { value: [program.text, ...parameters.map(({ text }) => text)].join(" "), place: program.place };
        findings.note(program.place, "process", "the command line must hold these words, and may hold more");
      }),
    ],
    ["weight", weightRule(findings, draft)],
    ["quorum", numberInto(findings, draft, "quorum", { least: 1, most: 10_000 })],
    ["full_command", flagInto(findings, draft, "full")],
    ["delay", delay(["rise", "fall"])],
    ["fork_delay", delay(["rise"])],
    ["terminate_delay", delay(["fall"])],
    ["quorum_max", refused("that too many run is not watched", "a vrrp_script that counts them")],
    ["param_match", refused("arguments are looked for as one text", "the arguments behind `process` alone")],
  ]);
}

type Writing = {
  readonly draft: Draft;
  readonly place: ForeignPlace;
  readonly weight: number;
  readonly scriptUser: Said<string> | undefined;
};

/** Linux cuts what /proc/PID/comm holds. */
const commLengthMax = 15;

function writeTrack(native: Native, path: NativePath, { draft, place, weight, scriptUser }: Writing): void {
  const put = (key: string, said: Said<unknown> | undefined) => {
    if (said !== undefined) native.put([...path, key], said);
  };
  const time = (said: Said<number> | undefined) =>
    said === undefined ? undefined : { value: durationText(said.value), place: said.place };
  if (draft.command !== undefined) {
    const { words, place: at } = draft.command;
    put("command", { value: words, place: at });
    put("user", draft.user ?? scriptUser);
    put("interval", time(draft.interval));
    put("timeout", time(draft.timeout));
  } else if (draft.process !== undefined) {
    const { value, place: at } = draft.process;
    put("process", { value: (value.split("/").at(-1) ?? value).slice(0, commLengthMax), place: at });
    const full = draft.full?.value === true ? draft.process : undefined;
    put("match", draft.match ?? full);
    put("quorum", draft.quorum);
  } else if (draft.file !== undefined) {
    put("file", draft.file);
    put("upWhen", { value: "number", place: draft.file.place });
  }
  put("rise", draft.rise);
  put("fall", draft.fall);
  if (weight !== 0) put("weight", { value: weight, place: draft.weight?.weight?.place ?? place });
  if (draft.weight?.reverse?.value === true) put("reverse", draft.weight.reverse);
}
