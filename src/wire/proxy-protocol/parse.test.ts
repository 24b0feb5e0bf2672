// What the case documents cannot say: the header that is used again, random damage, the checksum's known answers.

import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { createArena } from "../arena.ts";
import { Parsed } from "../parsed.ts";
import { place, SURROUNDINGS, testSeed } from "../test-kit.ts";
import { crc32c } from "./crc32c.ts";
import { encodeProxyV1, encodeProxyV2 } from "./encode.ts";
import { proxyFaults } from "./faults.ts";
import { Proxied, proxyHeader, SIGNATURE } from "./header.ts";
import { PROXY_HEADER_BYTES_MAX, parseProxyHeader } from "./parse.ts";

const START = 64;
const seed = testSeed();
const arena = createArena(16384);

const ends = { clientAddress: "192.0.2.1", clientPort: 5000, destinationAddress: "2001:db8::2", destinationPort: 443 };

function headers(): Buffer[] {
  const bytes = Buffer.alloc(256);
  const v1 = Buffer.from(bytes.subarray(0, encodeProxyV1(bytes, 0, ends)));
  const v2 = Buffer.from(bytes.subarray(0, encodeProxyV2(bytes, 0, ends, Proxied.stream)));
  const withValues = Buffer.concat([v2, Buffer.from("040002616203000412345678", "hex")]);
  withValues.writeUInt16BE(withValues.length - 16, 14);
  withValues.writeUInt32BE(crc32c(withValues, 0, withValues.length, withValues.length - 4), withValues.length - 4);
  return [v1, v2, withValues, Buffer.from("PROXY UNKNOWN a b\r\n")];
}

test("crc32c has the answers that are known for it", () => {
  const ofText = Buffer.from("123456789");
  assert.equal(crc32c(ofText, 0, 9, -1), 0xe3069283);
  // RFC 3720 appendix B.4: 32 bytes of zeros, of ones, rising.
  assert.equal(crc32c(Buffer.alloc(32), 0, 32, -1), 0x8a9136aa);
  assert.equal(crc32c(Buffer.alloc(32, 0xff), 0, 32, -1), 0x62a8ab43);
  assert.equal(crc32c(Buffer.from(Array.from({ length: 32 }, (_, index) => index)), 0, 32, -1), 0x46dd794e);
  const masked = Buffer.from("12\0\0\0\x0089");
  assert.equal(crc32c(Buffer.from("12345689"), 0, 8, 2), crc32c(masked, 0, 8, -1));
  assert.equal(crc32c(Buffer.from("x12345689y"), 1, 9, 3), crc32c(masked, 0, 8, -1));
});

test("a header leaves nothing behind for the next connection", () => {
  const header = proxyHeader();
  for (const before of headers()) {
    parseProxyHeader(arena, START, place(arena, "a", START, before), header);
    for (const plain of ["PROXY UNKNOWN\r\n", `${String.fromCharCode(...SIGNATURE)}\x20\x00\x00\x00`]) {
      const end = place(arena, "a", START, Buffer.from(plain, "latin1"));
      assert.equal(parseProxyHeader(arena, START, end, header), Parsed.complete);
      const { proxied, clientAddress, clientPort, destinationAddress, destinationPort } = header;
      const expected = { proxied: Proxied.nothing, clientAddress: "", clientPort: 0 };
      assert.deepEqual(
        { proxied, clientAddress, clientPort, destinationAddress, destinationPort },
        { ...expected, destinationAddress: "", destinationPort: 0 },
      );
    }
  }
});

/** Result, and what was read, as one text; the offsets relative to the start. */
function read(input: Uint8Array, surroundings: string, memory = arena): string {
  const header = proxyHeader();
  // Where memory ends, so does the input.
  const start = memory === arena ? START : memory.bytes.length - input.length;
  const end = place(memory, surroundings, start, input);
  const before = Buffer.from(memory.bytes);
  const result = parseProxyHeader(memory, start, end, header);
  assert.ok(before.equals(memory.bytes), "nothing was written");
  if (result < 0) return `refused ${proxyFaults[-result]?.code ?? assert.fail(`${result} is no fault`)}`;
  if (result === Parsed.incomplete) {
    assert.ok(header.needed > input.length && header.needed <= PROXY_HEADER_BYTES_MAX);
    return "incomplete";
  }
  assert.equal(result, Parsed.complete);
  assert.ok(header.end > start && header.end <= end, "the header ends within its bytes");
  return JSON.stringify({ ...header, end: header.end - start, needed: 0 });
}

test(`damaged headers: no exception, nothing read outside, the same answer at every cut (seed ${seed})`, () => {
  const edit = fc.record({
    at: fc.nat(120),
    kind: fc.constantFrom("set", "insert", "remove"),
    byte: fc.oneof(fc.nat(255), fc.constantFrom(0x0d, 0x0a, 0x20, 0x30, 0x3a, 0x2e, 0x00, 0x03, 0xff)),
  });
  // Cut off in a quarter of the runs.
  const cutAt = fc.oneof(fc.nat(60), ...[1, 2, 3].map(() => fc.constant(1000)));
  const any = fc.tuple(fc.constantFrom(...headers()), fc.array(edit, { maxLength: 4 }), cutAt);
  const outcomes = new Map<string, number>();
  fc.assert(
    fc.property(any, ([whole, edits, cutOff]) => {
      const damaged = [...whole];
      for (const { at, kind, byte } of edits) {
        const place = at % (damaged.length + 1);
        damaged.splice(place, kind === "insert" ? 0 : 1, ...(kind === "remove" ? [] : [byte]));
      }
      const input = Uint8Array.from([...damaged, 0x47, 0x0d, 0x0a]).subarray(0, cutOff);
      const answers = new Set(SURROUNDINGS.map((surroundings) => read(input, surroundings)));
      answers.add(read(input, "a", createArena(START + input.length + (-input.length & 3))));
      assert.equal(answers.size, 1, "what lies around the input changes nothing");
      const [expected = ""] = answers;
      const outcome = expected.startsWith("{") ? "complete" : (expected.split(" ")[0] ?? "");
      outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1);
      let answered = false;
      for (let length = 0; length < input.length; length++) {
        const cut = read(input.subarray(0, length), SURROUNDINGS[length % SURROUNDINGS.length] ?? "a");
        if (cut === "incomplete") assert.ok(!answered, "who was answered once is not asked for more");
        else assert.equal(cut, expected);
        answered ||= cut !== "incomplete";
      }
    }),
    { seed, numRuns: 1500 },
  );
  for (const outcome of ["complete", "refused", "incomplete"]) {
    assert.ok((outcomes.get(outcome) ?? 0) > 5, `${outcome} comes up: ${JSON.stringify([...outcomes])}`);
  }
});

test("the limit of 107 bytes is the line's, not the input's", () => {
  const input = Buffer.from(`PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n${"x".repeat(500)}`);
  const header = proxyHeader();
  assert.equal(parseProxyHeader(arena, START, place(arena, "a", START, input), header), Parsed.complete);
  assert.equal(header.end, START + input.indexOf("\n") + 1);
});
