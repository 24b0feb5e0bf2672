import assert from "node:assert/strict";
import { test } from "node:test";
import { decodeName, encodeName, parseName } from "./name.ts";
import { nameBytes, pointer } from "./test-message.ts";

const header = new Array<number>(12).fill(0);
const decode = (bytes: readonly number[], at = 12) => {
  const read = decodeName(Uint8Array.from([...header, ...bytes]), at);
  return read.ok ? read.value : read.failure.code;
};

test("a name that an operator writes has one text", () => {
  for (const text of ["App.Example.COM", "app.example.com."]) {
    assert.deepEqual(parseName(text), { ok: true, value: "app.example.com" });
  }
  assert.deepEqual(parseName("_http._tcp.app"), { ok: true, value: "_http._tcp.app" });
});

test("what is no name is refused where it is written", () => {
  const long = `${"a".repeat(63)}.`.repeat(4);
  for (const text of ["", ".", "a..b", ".a", "a b", "müller.de", "a.b\\", `${"a".repeat(64)}.b`, long, "10.0.0.1:53"]) {
    const read = parseName(text);
    assert.equal(read.ok ? "read" : read.failure.code, "dns.name.syntax", text);
  }
  const longest = `${"a".repeat(63)}.${"b".repeat(63)}.${"c".repeat(63)}.${"d".repeat(61)}`;
  assert.equal(longest.length, 253);
  assert.equal(parseName(longest).ok, true);
  assert.equal(encodeName(longest).length, 255);
});

test("a name comes back as it was written, whatever bytes its labels have", () => {
  assert.deepEqual(encodeName("www.example.com"), nameBytes("www.example.com"));
  assert.deepEqual(decode(nameBytes("WWW.Example.com")), { name: "www.example.com", end: 29 });
  assert.deepEqual(decode([0]), { name: ".", end: 13 });
  assert.deepEqual(encodeName("."), [0]);
  const odd = [4, 0x61, 0x2e, 0x00, 0xff, 1, 0x5c, 0];
  const read = decode(odd);
  assert.deepEqual(read, { name: "a\\046\\000\\255.\\092", end: 20 });
  assert.deepEqual(encodeName(typeof read === "string" ? "" : read.name), odd);
});

test("a pointer leads to a prior name, and the end is behind the first pointer", () => {
  const bytes = [...nameBytes("example.com"), 3, 0x77, 0x77, 0x77, ...pointer(12)];
  assert.deepEqual(decode(bytes, 25), { name: "www.example.com", end: 31 });
  const chain = [...bytes, ...pointer(25)];
  assert.deepEqual(decode(chain, 31), { name: "www.example.com", end: 33 });
});

test("pointers that do not lead back are refused: to themselves, ahead, in a ring, into the header", () => {
  assert.equal(decode(pointer(12)), "dns.name.pointer");
  assert.equal(decode([...pointer(14), 0, 0]), "dns.name.pointer");
  assert.equal(decode([1, 0x61, ...pointer(12)]), "dns.name.pointer");
  assert.equal(decode([...pointer(14), ...pointer(12)], 14), "dns.name.pointer");
  assert.equal(decode(pointer(4)), "dns.name.pointer");
});

test("a chain of pointers has an end", () => {
  const pointers = Array.from({ length: 127 }, (_, index) => pointer(12 + 2 * index)).flat();
  const bytes = [0, 0, ...pointers];
  assert.deepEqual(decode(bytes, 12 + 2 * 127), { name: ".", end: 14 + 2 * 127 });
  assert.equal(decode([...bytes, ...pointer(12 + 2 * 127)], 14 + 2 * 127), "dns.name.pointer");
});

test("labels of the two other kinds, names that are too long and names that are cut are refused", () => {
  assert.equal(decode([0x40, 0]), "dns.name.label");
  assert.equal(decode([0x80, 0]), "dns.name.label");
  const label = [63, ...new Array<number>(63).fill(0x61)];
  const longest = [...label, ...label, ...label, 61, ...new Array<number>(61).fill(0x61), 0];
  assert.equal(longest.length, 255);
  assert.equal(typeof decode(longest), "object");
  assert.equal(decode([...label, ...label, ...label, 62, ...new Array<number>(62).fill(0x61), 0]), "dns.name.long");
  const name = nameBytes("www.example.com");
  for (let cut = 0; cut < name.length; cut++) assert.equal(decode(name.slice(0, cut)), "dns.length.short");
  assert.equal(decode([0xc0]), "dns.length.short");
});
