// The one hash of the balancers: of a request's key (text or a range of the arena), and of a target's address. On the
// request's way. It is MurmurHash3 (x86, 32 bits, seed 0; public domain, Austin Appleby): four bytes a step, full
// avalanche, published test vectors. The seed is fixed on purpose: every worker, every node and a restarted node must
// send the same key to the same target, so this must not be used where a chosen collision would do harm.

const factor1 = 0xcc9e2d51 | 0;
const factor2 = 0x1b873593 | 0;

/** Spreads every bit of a 32-bit number over all 32 bits of the result, one to one: MurmurHash3's last step. */
export function mix(value: number): number {
  let mixed = value | 0;
  mixed = Math.imul(mixed ^ (mixed >>> 16), 0x85ebca6b);
  mixed = Math.imul(mixed ^ (mixed >>> 13), 0xc2b2ae35);
  return mixed ^ (mixed >>> 16);
}

function scramble(block: number): number {
  const product = Math.imul(block, factor1);
  return Math.imul((product << 15) | (product >>> 17), factor2);
}

function absorb(hash: number, block: number): number {
  const joined = hash ^ scramble(block);
  return (Math.imul((joined << 13) | (joined >>> 19), 5) + 0xe6546b64) | 0;
}

/**
 * Hash of bytes `start` to `end` (exclusive), a signed 32-bit integer: V8 keeps that without a box, an unsigned one
 * above 2^31 not. The range must lie within `bytes`.
 */
export function hashBytes(bytes: Uint8Array, start: number, end: number): number {
  let hash = 0;
  let at = start;
  for (; at + 4 <= end; at += 4) {
    hash = absorb(hash, bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24));
  }
  if (at < end) {
    let rest = bytes[at]!;
    if (at + 1 < end) rest |= bytes[at + 1]! << 8;
    if (at + 2 < end) rest |= bytes[at + 2]! << 16;
    hash ^= scramble(rest);
  }
  return mix(hash ^ (end - start));
}

/**
 * Hash of text, a signed 32-bit integer, equal to `hashBytes` of the same text as latin1. That is how the request's way
 * reads bytes into text; of a character above U+00FF only the low byte counts.
 */
export function hashText(text: string): number {
  const end = text.length;
  let hash = 0;
  let at = 0;
  for (; at + 4 <= end; at += 4) {
    hash = absorb(
      hash,
      (text.charCodeAt(at) & 0xff) |
        ((text.charCodeAt(at + 1) & 0xff) << 8) |
        ((text.charCodeAt(at + 2) & 0xff) << 16) |
        (text.charCodeAt(at + 3) << 24),
    );
  }
  if (at < end) {
    let rest = text.charCodeAt(at) & 0xff;
    if (at + 1 < end) rest |= (text.charCodeAt(at + 1) & 0xff) << 8;
    if (at + 2 < end) rest |= (text.charCodeAt(at + 2) & 0xff) << 16;
    hash ^= scramble(rest);
  }
  return mix(hash ^ end);
}
