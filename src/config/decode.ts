// Text to configuration, or to every problem at once: tree, shape, validation, build. The entrance of the change's
// way, used at start, by a reload and by `evenkeel validate`. Pure: the environment, the host name and the count of
// cores are handed in, and whoever calls reads the file. Must not throw, whatever the text.

import type { Config } from "../model/config.ts";
import { buildConfig, type Machine, nodeOf } from "./build.ts";
import type { Environment } from "./environment.ts";
import { fileWants } from "./file-wants.ts";
import { fileBytesMax } from "./limits.ts";
import { type MachineWant, machineWants } from "./machine-wants.ts";
import { addProblem, type Complaint, createReport, type Locate, type Problem, sortProblems } from "./problem.ts";
import { readDraft } from "./shape.ts";
import { validateDraft } from "./validate.ts";

export type DecodeOptions = {
  /** What problems call the file. */
  readonly file: string;
  readonly environment: Environment;
  readonly machine: Machine;
  /** Where a path was said, when the text was made from files in another language. */
  readonly locate?: Locate;
};

/** Warnings don't stop a configuration; both lists are in the order of the file. */
export type Decoded =
  | {
      readonly ok: true;
      readonly config: Config;
      readonly warnings: readonly Problem[];
      /** For judge-machine.ts: what only the machine can tell is no part of decoding. */
      readonly wants: readonly MachineWant[];
      /** For what is found out later. */
      readonly locate: Locate;
    }
  | { readonly ok: false; readonly problems: readonly Problem[]; readonly warnings: readonly Problem[] };

/** Decodes the text of a configuration file. */
export function decodeConfig(text: string, options: DecodeOptions): Decoded {
  const report = createReport(options.file);
  const draft = readDraft(text, options.environment, report, options.locate);
  if (draft !== undefined) validateDraft(draft, nodeOf(draft, options.machine));
  const warnings = sortProblems(report.warnings);
  if (draft === undefined || report.problems.length > 0) {
    return { ok: false, problems: sortProblems(report.problems), warnings };
  }
  const config = buildConfig(draft, options.machine);
  const wants = [...fileWants(draft), ...machineWants(draft.ha, config.ha.awaitedInterfaces, draft.locate)];
  return { ok: true, config, warnings, wants, locate: draft.locate };
}

/** Decodes the bytes of a configuration file, which must be UTF-8; a byte order mark is passed over. */
export function decodeConfigBytes(bytes: Uint8Array, options: DecodeOptions): Decoded {
  if (bytes.length > fileBytesMax) {
    return refuseFile(
      options.file,
      { code: "config.file.size", message: "the file is too large", expected: `at most ${fileBytesMax} bytes` },
      0,
    );
  }
  const text = new TextDecoder().decode(bytes);
  const wrong = firstNotUtf8(bytes, new TextEncoder().encode(text));
  if (wrong < 0) return decodeConfig(text, options);
  const line = bytes.subarray(0, wrong).reduce((count, byte) => (byte === 10 ? count + 1 : count), 1);
  return refuseFile(
    options.file,
    { code: "config.file.encoding", message: "a byte that is no UTF-8", expected: "UTF-8 text" },
    line,
  );
}

/** The decoder puts U+FFFD for what is no UTF-8, so the first byte that comes back otherwise is it; -1 for none. */
function firstNotUtf8(bytes: Uint8Array, again: Uint8Array): number {
  const mark = bytes[0] === 0xef && bytes[1] === 0xbb && bytes[2] === 0xbf ? 3 : 0;
  const length = Math.max(again.length + mark, bytes.length);
  for (let at = mark; at < length; at++) if (bytes[at] !== again[at - mark]) return at;
  return -1;
}

function refuseFile(file: string, complaint: Complaint, line: number): Decoded {
  const problems: Problem[] = [];
  addProblem(problems, complaint, { file, line: Math.max(1, line), column: 1, path: [] });
  return { ok: false, problems, warnings: [] };
}
