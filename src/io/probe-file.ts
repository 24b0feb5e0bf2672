// The file probe of a track: is a file there, and what number does it hold? The change's way; this is how a person or a
// script steers an election from outside. Reads the first bytes of the file and nothing else, and never writes.

import { type FileHandle, open, stat } from "node:fs/promises";

/** Enough for a number and what stands in front of it. */
const fileBytesMax = 64;
/** Beyond any weight's reach; keeps a product of it exact. */
const numberMax = 2 ** 31;

/**
 * The number at the start of the text, after white space; 0 where there is none, as keepalived reads a track_file
 * (strtol(3): `7 x` is 7, `x` and an empty file are 0).
 */
export function parseFileNumber(text: string): number {
  const digits = /^\s*([-+]?\d+)/.exec(text)?.[1];
  const value = digits === undefined ? 0 : Number(digits);
  return Math.max(-numberMax, Math.min(numberMax, value)) || 0;
}

/** The number in the file, 0 where there is no such file. Rejects when it cannot be read for another reason. */
export async function readFileNumber(path: string): Promise<number> {
  let handle: FileHandle | undefined;
  try {
    handle = await open(path, "r");
    const { buffer, bytesRead } = await handle.read(Buffer.alloc(fileBytesMax), 0, fileBytesMax, 0);
    return parseFileNumber(buffer.toString("latin1", 0, bytesRead));
  } catch (error) {
    if (isMissing(error)) return 0;
    throw error;
  } finally {
    await handle?.close();
  }
}

/** Whether there is anything of that name. Rejects when that cannot be told. */
export async function isPresent(path: string): Promise<boolean> {
  try {
    await stat(path);
    return true;
  } catch (error) {
    if (isMissing(error)) return false;
    throw error;
  }
}

function isMissing(error: unknown): boolean {
  return error instanceof Error && "code" in error && (error.code === "ENOENT" || error.code === "ENOTDIR");
}
