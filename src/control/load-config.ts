// Reads the configuration file and decodes it: the first step of a start, of a reload and of `evenkeel validate`. The
// change's way. What is wrong comes back as sentences, all of them; nothing is changed by asking.

import { open } from "node:fs/promises";
import { availableParallelism, hostname } from "node:os";
import { decodeConfigBytes } from "../config/decode.ts";
import { fileBytesMax, problemsMax } from "../config/limits.ts";
import { describeProblem, type Problem } from "../config/problem.ts";
import type { Config } from "../model/config.ts";

export type LoadedConfig =
  | { readonly ok: true; readonly config: Config; readonly warnings: readonly string[] }
  /** Each with its place in the file: `lb.yaml:12:9: ...`. */
  | { readonly ok: false; readonly problems: readonly string[]; readonly warnings: readonly string[] };

/** Loads a file by its path, with this process's environment, this machine's name and cores. */
export async function loadConfig(file: string): Promise<LoadedConfig> {
  let bytes: Uint8Array;
  try {
    bytes = await readBounded(file);
  } catch (error) {
    return { ok: false, problems: [`${file}: ${describeReadError(error)}`], warnings: [] };
  }
  const machine = { hostname: hostname(), cores: availableParallelism() };
  const decoded = decodeConfigBytes(bytes, { file, environment: process.env, machine });
  const warnings = decoded.warnings.map(describeProblem);
  if (decoded.ok) return { ok: true, config: decoded.config, warnings };
  return { ok: false, problems: describeAll(decoded.problems), warnings };
}

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
