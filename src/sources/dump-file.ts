// A dump on disk: written whole or not at all, and what is there is there after a power cut. An edge, on the change's way.
// Not the kept file of the API's changes: people and nginx read this one, so it holds nothing but the list, and losing it
// loses nothing that the store has not got.

import { mkdir, open, readFile, rename, rm, stat } from "node:fs/promises";
import { dirname } from "node:path";
import { bad, good, type Result } from "../core/failure.ts";
import { sourceAnswerBytesMax } from "../model/source.ts";

/** Its folder is made when it is missing. Code: `source.dump.write`. One writer at a time and path. */
export async function writeDump(path: string, text: string): Promise<Result<true>> {
  const draft = `${path}.${process.pid}.tmp`;
  try {
    await mkdir(dirname(path), { recursive: true });
    await writeSynced(draft, text);
    await rename(draft, path);
    await syncFolder(dirname(path));
    return good(true);
  } catch (error) {
    // What is left of the draft is of no use; that it cannot be removed either is no second failure.
    await rm(draft, { force: true }).catch(() => undefined);
    return refused("write", `${path} cannot be written: ${String(error)}`);
  }
}

async function writeSynced(path: string, text: string): Promise<void> {
  const file = await open(path, "w", 0o644);
  try {
    await file.writeFile(text);
    await file.sync();
  } finally {
    await file.close();
  }
}

/** So that the new name outlives a power cut as well. */
async function syncFolder(path: string): Promise<void> {
  const folder = await open(path, "r");
  try {
    await folder.sync();
  } finally {
    await folder.close();
  }
}

/** Its text; undefined when there is none. Code: `source.dump.read`. */
export async function readDump(path: string): Promise<Result<string | undefined>> {
  try {
    const { size } = await stat(path);
    if (size > sourceAnswerBytesMax) return refused("read", `${path} has more than ${sourceAnswerBytesMax} bytes`);
    return good(await readFile(path, "utf8"));
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "ENOENT") return good(undefined);
    return refused("read", `${path} cannot be read: ${String(error)}`);
  }
}

function refused(part: string, detail: string) {
  return bad({ code: `source.dump.${part}`, origin: "self", retrySafe: false, detail });
}
