// The kernel's hash of a client's address, computed here as nftables computes it (`jhash ip saddr mod 4099 seed ...`), so
// that a client meets the same target whichever engine carries the listener and `explain` can say which. It is Bob Jenkins'
// lookup3 as include/linux/jhash.h has it. On the request's way (proxy engine) and on the change's way; no allocation.
// It must not change: every node's kernel computes the other side of it.

/** `jhash_final`'s and `jhash_mix`'s rotation. */
function rotate(value: number, bits: number): number {
  return (value << bits) | (value >>> (32 - bits));
}

const start = 0xdeadbeef | 0;

function word(bytes: Uint8Array, at: number): number {
  return bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24);
}

/**
 * Hash of an IPv4 (4) or IPv6 (16) address in network order, a signed 32-bit integer. Linux `jhash()` of that many bytes
 * on a little-endian machine, all that we run on. Other lengths are no address: not asked for.
 */
export function jhashAddress(bytes: Uint8Array, length: 4 | 16, seed: number): number {
  let a = (start + length + seed) | 0;
  let b = a;
  let c = a;
  if (length === 4) {
    a = (a + word(bytes, 0)) | 0;
  } else {
    a = (a + word(bytes, 0)) | 0;
    b = (b + word(bytes, 4)) | 0;
    c = (c + word(bytes, 8)) | 0;
    // __jhash_mix
    a = ((a - c) ^ rotate(c, 4)) | 0;
    c = (c + b) | 0;
    b = ((b - a) ^ rotate(a, 6)) | 0;
    a = (a + c) | 0;
    c = ((c - b) ^ rotate(b, 8)) | 0;
    b = (b + a) | 0;
    a = ((a - c) ^ rotate(c, 16)) | 0;
    c = (c + b) | 0;
    b = ((b - a) ^ rotate(a, 19)) | 0;
    a = (a + c) | 0;
    c = ((c - b) ^ rotate(b, 4)) | 0;
    b = (b + a) | 0;
    a = (a + word(bytes, 12)) | 0;
  }
  // __jhash_final
  c = ((c ^ b) - rotate(b, 14)) | 0;
  a = ((a ^ c) - rotate(c, 11)) | 0;
  b = ((b ^ a) - rotate(a, 25)) | 0;
  c = ((c ^ b) - rotate(b, 16)) | 0;
  a = ((a ^ c) - rotate(c, 4)) | 0;
  b = ((b ^ a) - rotate(a, 14)) | 0;
  c = ((c ^ b) - rotate(b, 24)) | 0;
  return c;
}

/** The kernel's `reciprocal_scale`: a hash of 32 bits to 0 .. count - 1 by its upper bits. `count` below 2^21. */
export function scaleHash(hash: number, count: number): number {
  return Math.floor(((hash >>> 0) * count) / 4294967296);
}
