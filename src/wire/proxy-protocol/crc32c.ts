// CRC32c (Castagnoli, RFC 4960 appendix B), for the checksum that a PROXY protocol header of version 2 may carry. On the
// request's way, once per connection and only for senders that add one; a header has some hundred bytes, so one table
// and a byte at a time will do. Must not be used for bodies.

/** 0x1edc6f41, bits reversed. */
const POLYNOMIAL = 0x82f63b78;

const table = new Uint32Array(256);
for (let index = 0; index < 256; index++) {
  let remainder = index;
  for (let bit = 0; bit < 8; bit++) remainder = (remainder >>> 1) ^ (remainder & 1 ? POLYNOMIAL : 0);
  table[index] = remainder >>> 0;
}

/** An unsigned 32-bit number. The four bytes at `zeroed`, where the sum itself stands, count as zeros; -1: none do. */
export function crc32c(bytes: Uint8Array, start: number, end: number, zeroed: number): number {
  let sum = 0xffffffff;
  for (let at = start; at < end; at++) {
    const byte = at >= zeroed && at < zeroed + 4 && zeroed >= 0 ? 0 : bytes[at]!;
    sum = table[(sum ^ byte) & 0xff]! ^ (sum >>> 8);
  }
  return ~sum >>> 0;
}
