import assert from "node:assert/strict";
import { test } from "node:test";
import { createArena } from "../arena.ts";
import { ascii, TOKEN_LOWER } from "./bytes.ts";
import { HeaderId, LINE, LineField, requestHead } from "./head.ts";
import { headerIdOf, headerNameHash, lineIs } from "./header-names.ts";
import { createHeadParser, Parsed } from "./parse.ts";

const KNOWN: ReadonlyMap<string, number> = new Map(
  Object.entries(HeaderId).map(([key, id]) => [key.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`), id]),
);

test("every known name has its id, in any case", () => {
  for (const [name, id] of KNOWN) {
    if (id === HeaderId.other) continue;
    for (const written of [name, name.toUpperCase()]) {
      const bytes = ascii(written);
      assert.equal(headerIdOf(headerNameHash(written), bytes, 0, bytes.length), id, written);
    }
  }
});

test("the hash of a line is that of its name in lower case", () => {
  const arena = createArena(1024);
  const parser = createHeadParser(arena, { headerBytesMax: 1000, headerCountMax: 10 });
  const head = requestHead();
  const end = arena.bytes.write("GET / HTTP/1.1\r\nHost: a\r\nX-Request-ID: b\r\n!#~: c\r\n\r\n");
  assert.equal(parser.request(0, end, head), Parsed.complete);
  for (const [index, name] of ["host", "x-request-id", "!#~"].entries()) {
    assert.equal(head.lines[index * LINE + LineField.hash], headerNameHash(name));
    assert.ok(lineIs(arena, head, index, ascii(name)));
    assert.ok(!lineIs(arena, head, index, ascii(`${name}x`)));
    assert.ok(!lineIs(arena, head, index, ascii(`y${name.slice(1)}`)));
  }
});

/** Another token of as many bytes with the hash of `name`. */
function collisionOf(name: string): string {
  const tokens = [...TOKEN_LOWER.keys()].filter((byte) => TOKEN_LOWER[byte] === byte && byte !== 0);
  const prefix = name.slice(0, -3);
  for (const first of tokens) {
    for (const second of tokens) {
      const start = `${prefix}${String.fromCharCode(first, second)}`;
      const last = (headerNameHash(name) - Math.imul(headerNameHash(start), 31)) | 0;
      const found = start + String.fromCharCode(last & 0xff);
      if (last > 0 && last < 256 && TOKEN_LOWER[last] === last && found !== name) return found;
    }
  }
  return "";
}

test("a name that only has the hash of a known one is not taken for it", () => {
  let tried = 0;
  for (const [name, id] of KNOWN) {
    if (id === HeaderId.other || name.length < 3) continue;
    const other = collisionOf(name);
    if (other === "") continue;
    tried++;
    assert.equal(headerNameHash(other), headerNameHash(name));
    assert.equal(
      headerIdOf(headerNameHash(other), ascii(other), 0, other.length),
      HeaderId.other,
      `${other} is not ${name}`,
    );
  }
  assert.ok(tried > 5, `${tried} collisions were found`);
});

test("Connection drops the lines that it names, not those whose names only hash alike", () => {
  const other = collisionOf("x-some-hop");
  assert.notEqual(other, "");
  const arena = createArena(1024);
  const parser = createHeadParser(arena, { headerBytesMax: 1000, headerCountMax: 10 });
  const head = requestHead();
  const text = `GET / HTTP/1.1\r\nHost: a\r\n${other}: 1\r\nX-Some-Hop: 2\r\nConnection: x-some-hop\r\n\r\n`;
  assert.equal(parser.request(0, arena.bytes.write(text), head), Parsed.complete);
  assert.deepEqual(
    [0, 1, 2, 3].map((index) => head.lines[index * LINE + LineField.hopByHop]),
    [0, 0, 1, 1],
  );
});
