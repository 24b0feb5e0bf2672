// Looks at the files that a configuration names: is each there, and may this process read it? The change's way, after decoding;
// src/config/judge-machine.ts says what it means. Must not read one: what is in a token's file is nobody's business here.

import { access, constants, stat } from "node:fs/promises";
import type { FileFact } from "../config/judge-machine.ts";
import type { MachineWant } from "../config/machine-wants.ts";

/** Of each file that is wanted, by its path. */
export async function gatherFileFacts(wants: readonly MachineWant[]): Promise<ReadonlyMap<string, FileFact>> {
  const facts = new Map<string, FileFact>();
  for (const want of wants) {
    if (want.kind === "file" && !facts.has(want.path)) facts.set(want.path, await lookAt(want.path));
  }
  return facts;
}

async function lookAt(path: string): Promise<FileFact> {
  try {
    if ((await stat(path)).isDirectory()) return "directory";
    await access(path, constants.R_OK);
    return "fine";
  } catch (error) {
    const code = error instanceof Error && "code" in error ? error.code : undefined;
    return code === "ENOENT" || code === "ENOTDIR" ? "missing" : "forbidden";
  }
}
