// Reads the configuration files and decodes them: the first step of a start, of a reload and of `evenkeel validate`. Files of
// other programs (nginx.conf, keepalived.conf) go through their adapters first. The change's way. What is wrong comes back
// as sentences, all of them; nothing is changed by asking.

import { open } from "node:fs/promises";
import { availableParallelism, hostname } from "node:os";
import { type Decoded, decodeConfig, decodeConfigBytes } from "../config/decode.ts";
import type { Adapted, ForeignFile } from "../config/foreign/adapted.ts";
import { locateIn } from "../config/foreign/locate.ts";
import { mergeAdapted } from "../config/foreign/merge.ts";
import { adaptNative } from "../config/foreign/native.ts";
import { nativeJson } from "../config/foreign/native-text.ts";
import { judgeMachine } from "../config/judge-machine.ts";
import { adaptKeepalived } from "../config/keepalived/adapt.ts";
import { fileBytesMax, problemsMax } from "../config/limits.ts";
import type { MachineWant } from "../config/machine-wants.ts";
import { adaptNginx } from "../config/nginx/adapt.ts";
import { describeProblem, type Locate, type Problem, sortProblems } from "../config/problem.ts";
import type { Config } from "../model/config.ts";
import { gatherFileFacts } from "./file-facts.ts";
import { type AdapterName, adapterFor, readerFor } from "./read-foreign.ts";

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

export type LoadOptions = {
  /** The files are for another machine: interfaces, programs, users and files that they name are not looked for here. */
  readonly elsewhere?: boolean;
  /** Reads all of the files; by default each is known by its name. */
  readonly adapter?: AdapterName | undefined;
};

/** Loads a file by its path, or several as one, with this process's environment, this machine's name and cores. */
export async function loadConfig(files: string | readonly string[], options: LoadOptions = {}): Promise<LoadedConfig> {
  const paths = [files].flat();
  const [first = ""] = paths;
  const decoded = await decodeFiles(paths, options.adapter);
  if (!("warnings" in decoded)) return { ok: false, problems: decoded.unreadable, warnings: [] };
  const warnings = decoded.warnings.map(describeProblem);
  if (!decoded.ok) return { ok: false, problems: describeAll(decoded.problems), warnings };
  const { config, locate, wants } = decoded;
  if (options.elsewhere === true || wants.length === 0) return { ok: true, config, warnings, locate };
  const judged = await judgeHere(first, wants);
  warnings.push(...judged.warnings);
  if (judged.problems.length > 0) return { ok: false, problems: judged.problems, warnings };
  return { ok: true, config, warnings, locate };
}

type Unreadable = { readonly unreadable: readonly string[] };

const thisMachine = () => ({ hostname: hostname(), cores: availableParallelism() });

async function decodeFiles(paths: readonly string[], adapter: AdapterName | undefined): Promise<Decoded | Unreadable> {
  const [file = ""] = paths;
  if (paths.length > 1 || (adapter ?? adapterFor(file)) !== "native") {
    const adapted = await adaptFiles(paths, adapter);
    if (!adapted.ok) return { unreadable: adapted.unreadable };
    return decodeAdapted(adapted.value, file);
  }
  const bytes = await readOrSay(file);
  if (typeof bytes === "string") return { unreadable: [bytes] };
  return decodeConfigBytes(bytes, { file, environment: process.env, machine: thisMachine() });
}

/** Decodes what adapters made; problems of both point into the files that they read. */
export function decodeAdapted(adapted: Adapted, file: string): Decoded {
  const warnings = sortProblems(adapted.warnings);
  // Of a configuration with holes nothing more can be said.
  if (adapted.problems.length > 0) return { ok: false, problems: sortProblems(adapted.problems), warnings };
  const locate = locateIn(adapted.places, { file, line: 1, column: 1 });
  const options = { file, environment: {}, machine: thisMachine(), locate };
  const decoded = decodeConfig(nativeJson(adapted.value), options);
  return { ...decoded, warnings: [...warnings, ...decoded.warnings] };
}

export type AdaptedFiles =
  | { readonly ok: true; readonly value: Adapted }
  | { readonly ok: false; readonly unreadable: readonly string[] };

/** The files, each by its adapter, as one native configuration. */
export async function adaptFiles(paths: readonly string[], adapter: AdapterName | undefined): Promise<AdaptedFiles> {
  const unreadable: string[] = [];
  const parts: Adapted[] = [];
  for (const path of paths) {
    const bytes = await readOrSay(path);
    if (typeof bytes === "string") unreadable.push(bytes);
    else parts.push(adaptFile({ path, text: new TextDecoder().decode(bytes) }, adapter ?? adapterFor(path)));
  }
  return unreadable.length > 0 ? { ok: false, unreadable } : { ok: true, value: mergeAdapted(parts) };
}

function adaptFile(file: ForeignFile, adapter: AdapterName): Adapted {
  switch (adapter) {
    case "native":
      return adaptNative(file, process.env);
    case "nginx":
      return adaptNginx(file, readerFor(file.path, "main file"));
    case "keepalived":
      return adaptKeepalived(file, readerFor(file.path, "including file"), { hostname: hostname() });
    default:
      return adapter satisfies never;
  }
}

/** Its bytes, or why there are none, as a sentence. */
async function readOrSay(file: string): Promise<Uint8Array | string> {
  try {
    return await readBounded(file);
  } catch (error) {
    return `${file}: ${describeReadError(error)}`;
  }
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
