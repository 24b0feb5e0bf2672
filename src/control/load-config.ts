// Reads the configuration file and decodes it: the first step of a start, of a reload and of `evenkeel validate`. The
// change's way. What is wrong comes back as sentences, all of them; nothing is changed by asking.

import { open } from "node:fs/promises";
import { availableParallelism, hostname } from "node:os";
import { decodeConfigBytes } from "../config/decode.ts";
import { judgeMachine } from "../config/judge-machine.ts";
import { fileBytesMax, problemsMax } from "../config/limits.ts";
import type { MachineWant } from "../config/machine-wants.ts";
import { describeProblem, type Locate, type Problem, sortProblems } from "../config/problem.ts";
import type { Config } from "../model/config.ts";
import { gatherFileFacts } from "./file-facts.ts";

export type LoadedConfig =
  | {
      readonly ok: true;
      readonly config: Config;
      readonly warnings: readonly string[];
      /** Where a path stands in the file. */
      readonly locate: Locate;
    }
  /** Each with its place in the file: `lb.yaml:12:9: ...`. */
  | { readonly ok: false; readonly problems: readonly string[]; readonly warnings: readonly string[] };

/**
 * Loads a file by its path, with this process's environment, this machine's name and cores. `elsewhere`: the file is for
 * another machine, so interfaces, programs, users and files that it names are not looked for here.
 */
export async function loadConfig(file: string, options: { readonly elsewhere?: boolean } = {}): Promise<LoadedConfig> {
  let bytes: Uint8Array;
  try {
    bytes = await readBounded(file);
  } catch (error) {
    return { ok: false, problems: [`${file}: ${describeReadError(error)}`], warnings: [] };
  }
  const machine = { hostname: hostname(), cores: availableParallelism() };
  const decoded = decodeConfigBytes(bytes, { file, environment: process.env, machine });
  const warnings = decoded.warnings.map(describeProblem);
  if (!decoded.ok) return { ok: false, problems: describeAll(decoded.problems), warnings };
  const { config, locate, wants } = decoded;
  if (options.elsewhere === true || wants.length === 0) return { ok: true, config, warnings, locate };
  const judged = await judgeHere(file, wants);
  warnings.push(...judged.warnings);
  if (judged.problems.length > 0) return { ok: false, problems: judged.problems, warnings };
  return { ok: true, config, warnings, locate };
}

type JudgedHere = { readonly problems: readonly string[]; readonly warnings: readonly string[] };

async function judgeHere(file: string, wants: readonly MachineWant[]): Promise<JudgedHere> {
  const files = await gatherFileFacts(wants);
  const named = wants.filter(({ kind }) => kind === "file");
  const unseen: string[] = [];
  let judged = judgeMachine(named, { ...noFacts, files });
  if (named.length < wants.length) {
    // Loaded here and not above: it brings the foreign-function interface, which most configurations can do without.
    const { gatherFacts } = await import("./machine-facts.ts");
    const facts = await gatherFacts(wants);
    if (facts.ok) judged = judgeMachine(wants, { ...facts.value, files });
    else unseen.push(`${file}: this machine could not be looked at: ${facts.failure.detail}`);
  }
  const warnings = [...unseen, ...sortProblems(judged.warnings).map(describeProblem)];
  return { problems: describeAll(sortProblems(judged.problems)), warnings };
}

const noFacts = { interfaces: new Map(), programs: new Map(), users: new Map(), insecure: new Map() };

// One byte more than may be, so that the decoder sees that it is too large; a device or a pipe without end stops there.
async function readBounded(file: string): Promise<Uint8Array> {
  const handle = await open(file, "r");
  try {
    const chunks: Buffer[] = [];
    let total = 0;
    while (total <= fileBytesMax) {
      const { bytesRead, buffer } = await handle.read(Buffer.allocUnsafe(64 * 1024));
      if (bytesRead === 0) break;
      chunks.push(buffer.subarray(0, bytesRead));
      total += bytesRead;
    }
    return Buffer.concat(chunks);
  } finally {
    await handle.close();
  }
}

function describeReadError(error: unknown): string {
  const code = error instanceof Error ? (error as NodeJS.ErrnoException).code : undefined;
  if (code === "ENOENT") return "there is no such file";
  if (code === "EACCES") return "this user may not read it";
  if (code === "EISDIR") return "it is a directory";
  return `it cannot be read: ${error instanceof Error ? error.message : String(error)}`;
}

function describeAll(problems: readonly Problem[]): string[] {
  const sentences = problems.map(describeProblem);
  if (problems.length >= problemsMax) sentences.push(`these are the first ${problemsMax} problems; there may be more`);
  return sentences;
}
