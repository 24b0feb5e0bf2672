// HalfSipHash-1-3 (Aumasson and Bernstein; the variant that Linux keeps its hash tables by, lib/siphash.c): 32 bits under
// a secret key. The flow table finds flows by it: whoever sends datagrams chooses his address and port freely, and must
// not be able to choose them so that all fall into one chain. On the request's way, without allocation. It is not for
// balancers, whose hash is the same on every node (src/balance/hash.ts).

import { randomInt } from "node:crypto";

/** An IPv6 address as text, its zone, and two bytes of port; of more, only so much counts. */
const MESSAGE_BYTES = 80;

export class KeyedHash {
  private readonly key0: number;
  private readonly key1: number;
  private readonly message = new Uint8Array(MESSAGE_BYTES);

  constructor(key0: number, key1: number) {
    this.key0 = key0 | 0;
    this.key1 = key1 | 0;
  }

  /** Of an address as text and a port; a signed 32-bit integer. */
  ofClient(address: string, port: number): number {
    const { message } = this;
    const length = Math.min(address.length, MESSAGE_BYTES - 2);
    for (let at = 0; at < length; at++) message[at] = address.charCodeAt(at);
    message[length] = port >>> 8;
    message[length + 1] = port;
    return this.ofBytes(message, length + 2);
  }

  /** Of the first `length` bytes; a signed 32-bit integer. */
  ofBytes(bytes: Uint8Array, length: number): number {
    let v0 = this.key0;
    let v1 = this.key1;
    let v2 = 0x6c796765 ^ v0;
    let v3 = 0x74656462 ^ v1;
    const words = length >>> 2;
    // Every whole word; the last one, with the length on top; three more rounds, in which no word comes.
    for (let step = 0; step <= words + 3; step++) {
      let word = 0;
      if (step < words) word = wordAt(bytes, step * 4);
      else if (step === words) word = lastWord(bytes, step * 4, length);
      else if (step === words + 1) v2 ^= 0xff;
      v3 ^= word;
      v0 = (v0 + v1) | 0;
      v1 = ((v1 << 5) | (v1 >>> 27)) ^ v0;
      v0 = (v0 << 16) | (v0 >>> 16);
      v2 = (v2 + v3) | 0;
      v3 = ((v3 << 8) | (v3 >>> 24)) ^ v2;
      v0 = (v0 + v3) | 0;
      v3 = ((v3 << 7) | (v3 >>> 25)) ^ v0;
      v2 = (v2 + v1) | 0;
      v1 = ((v1 << 13) | (v1 >>> 19)) ^ v2;
      v2 = (v2 << 16) | (v2 >>> 16);
      v0 ^= word;
    }
    return v1 ^ v3;
  }
}

function wordAt(bytes: Uint8Array, at: number): number {
  return bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24);
}

function lastWord(bytes: Uint8Array, at: number, length: number): number {
  let word = length << 24;
  for (let index = at; index < length; index++) word |= bytes[index]! << ((index - at) * 8);
  return word;
}

/** One under a key that nobody knows. */
export function secretKeyedHash(): KeyedHash {
  return new KeyedHash(randomInt(2 ** 32), randomInt(2 ** 32));
}
