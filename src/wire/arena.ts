// One block of memory for everything the request's way reads and writes: constants, the read area, scratch, slots.
// Fixed at start, never grown. Offsets into it are plain numbers, so a message can be moved, cut and sent without an object.
// Nothing here knows what lies where: whoever makes the arena divides it.

/** The same memory twice: bytes, and 32-bit words for scanning four bytes at a time. */
export type Arena = {
  readonly bytes: Buffer;
  readonly words: Int32Array;
};

/** `size` in bytes, a multiple of 4. Throws a RangeError otherwise, or when there is no such memory: a mistake of ours at start. */
export function createArena(size: number): Arena {
  const memory = new ArrayBuffer(size);
  return { bytes: Buffer.from(memory), words: new Int32Array(memory) };
}
