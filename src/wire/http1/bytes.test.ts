import assert from "node:assert/strict";
import { test } from "node:test";
import { seededRandom } from "../../core/random.ts";
import { createArena } from "../arena.ts";
import { scanValue, TOKEN_LOWER, VALUE } from "./bytes.ts";

test("scanning by words finds each of the 256 bytes at each place of a value as scanning by bytes does", () => {
  const { bytes, words } = createArena(64);
  for (let byte = 0; byte < 256; byte++) {
    for (let place = 8; place < 24; place++) {
      bytes.fill(0x61);
      bytes[place] = byte;
      for (let start = 8; start < 12; start++) {
        const expected = place >= start && VALUE[byte] === 0 ? place : 24;
        assert.equal(scanValue(bytes, words, start, 24), expected, `byte ${byte} at ${place} from ${start}`);
      }
    }
  }
});

const SEED = 7;
test(`scanning by words agrees with scanning by bytes on random values (seed ${SEED})`, () => {
  const random = seededRandom(SEED);
  const { bytes, words } = createArena(128);
  // Bytes at the borders of what a value may have, where borrows between the bytes of a word could mislead.
  const border = [0x00, 0x01, 0x08, 0x09, 0x0a, 0x0d, 0x1f, 0x20, 0x21, 0x7e, 0x7f, 0x80, 0x9f, 0xa0, 0xfe, 0xff];
  for (let round = 0; round < 20000; round++) {
    for (let i = 0; i < 128; i++) {
      bytes[i] =
        random() < 0.95 ? 0x20 + Math.floor(random() * 0x5f) : (border[Math.floor(random() * border.length)] ?? 0);
    }
    const start = Math.floor(random() * 60);
    const end = start + Math.floor(random() * 60);
    let expected = start;
    while (expected < end && VALUE[bytes[expected] ?? 0] !== 0) expected++;
    assert.equal(scanValue(bytes, words, start, end), expected);
  }
});

test("a token has the bytes of RFC 9110 section 5.6.2 and no others", () => {
  for (let byte = 0; byte < 256; byte++) {
    const character = String.fromCharCode(byte);
    const isToken = byte < 0x80 && /[!#$%&'*+\-.^_`|~0-9A-Za-z]/.test(character);
    assert.equal(TOKEN_LOWER[byte], isToken ? character.toLowerCase().charCodeAt(0) : 0, `byte ${byte}`);
  }
});
