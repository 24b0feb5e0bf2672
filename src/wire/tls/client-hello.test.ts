// ClientHellos: those that Node's OpenSSL sends and those that nobody should, cut into reads and records at every byte.

import assert from "node:assert/strict";
import { type AddressInfo, createServer } from "node:net";
import { before, test } from "node:test";
import { type ConnectionOptions, connect } from "node:tls";
import fc from "fast-check";
import { createArena } from "../arena.ts";
import { Parsed } from "../parsed.ts";
import { place, SURROUNDINGS, testSeed } from "../test-kit.ts";
import { CLIENT_HELLO_BYTES_MAX, clientHello, createClientHelloParser } from "./client-hello.ts";
import { tlsFaults } from "./faults.ts";
import { PROTOCOLS_MAX } from "./hello-names.ts";

const START = 64;
const seed = testSeed();
const arena = createArena(65536);
const parser = createClientHelloParser(arena);
const hello = clientHello();

/** `name protocols`, `refused CODE` or `incomplete N`. */
function readPlaced(end: number, using = parser): string {
  return describe(using.parse(START, end, hello));
}

function describe(result: number): string {
  if (result === Parsed.incomplete) return `incomplete ${hello.needed}`;
  if (result < 0) return `refused ${tlsFaults[-result]?.code ?? assert.fail(`${result} is no fault`)}`;
  assert.equal(result, Parsed.complete);
  return `${hello.serverName || "-"} ${hello.protocols.join(",")}`.trimEnd();
}

function read(input: Uint8Array, surroundings = "a"): string {
  return readPlaced(place(arena, surroundings, START, input));
}

/** The same where the input's end is the arena's. */
function readAtEnd(input: Uint8Array): string {
  const tight = createArena(START + input.length + (-input.length & 3));
  const end = place(tight, "a", tight.bytes.length - input.length, input);
  const result = createClientHelloParser(tight).parse(end - input.length, end, hello);
  return describe(result);
}

function u8(bytes: Uint8Array): Buffer {
  return Buffer.concat([Buffer.from([bytes.length]), bytes]);
}

function u16(bytes: Uint8Array): Buffer {
  return Buffer.concat([Buffer.from([bytes.length >> 8, bytes.length & 0xff]), bytes]);
}

function extension(type: number, data: Uint8Array): Buffer {
  return Buffer.concat([Buffer.from([type >> 8, type & 0xff]), u16(data)]);
}

function serverName(name: string | Uint8Array, type = 0): Buffer {
  return Buffer.concat([Buffer.from([type]), u16(typeof name === "string" ? Buffer.from(name, "latin1") : name)]);
}

function named(name: string): Buffer {
  return extension(0, u16(serverName(name)));
}

function protocols(...names: string[]): Buffer {
  return extension(16, u16(Buffer.concat(names.map((name) => u8(Buffer.from(name, "latin1"))))));
}

type Parts = { readonly session?: Uint8Array; readonly suites?: Uint8Array; readonly compression?: Uint8Array };

/** Body of a ClientHello; without extensions when none are given. */
function body(extensions: readonly Uint8Array[] | undefined, parts: Parts = {}): Buffer {
  return Buffer.concat([
    Buffer.from([3, 3]),
    Buffer.alloc(32, 0x16),
    u8(parts.session ?? Buffer.alloc(32, 1)),
    u16(parts.suites ?? Buffer.from("0a0a130113021303", "hex")),
    u8(parts.compression ?? Buffer.from([0])),
    extensions === undefined ? Buffer.alloc(0) : u16(Buffer.concat(extensions)),
  ]);
}

function message(content: Uint8Array, type = 1): Buffer {
  return Buffer.concat([
    Buffer.from([type, content.length >> 16, (content.length >> 8) & 0xff, content.length & 0xff]),
    content,
  ]);
}

/** Records with payloads that end at `cuts`. */
function records(content: Uint8Array, cuts: readonly number[] = [], version = 1): Buffer {
  const ends = [...cuts, content.length];
  const pieces = ends.map((end, index) => content.subarray(ends[index - 1] ?? 0, end));
  return Buffer.concat(pieces.flatMap((piece) => [Buffer.from([22, 3, version]), u16(piece)]));
}

function wire(extensions: readonly Uint8Array[] | undefined, parts: Parts = {}): Buffer {
  return records(message(body(extensions, parts)));
}

/** What a client of Node sends first. */
async function recordHello(options: ConnectionOptions): Promise<Buffer> {
  const chunks: Buffer[] = [];
  const server = createServer((socket) => {
    socket.on("error", () => socket.destroy());
    socket.on("data", (chunk) => {
      chunks.push(chunk);
      const bytes = Buffer.concat(chunks);
      if (bytes.length >= 5 && bytes.length >= 5 + bytes.readUInt16BE(3)) socket.destroy();
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  const client = connect({ host: "127.0.0.1", port, ...options });
  // The server hangs up on purpose: that is the client's error.
  await new Promise<void>((resolve) => client.once("error", () => resolve()).once("close", () => resolve()));
  client.destroy();
  await new Promise((resolve) => server.close(resolve));
  return Buffer.concat(chunks);
}

const tls12 = { minVersion: "TLSv1.2", maxVersion: "TLSv1.2" } as const;
const tls13 = { minVersion: "TLSv1.3", maxVersion: "TLSv1.3" } as const;
const clients: readonly { readonly options: ConnectionOptions; readonly expected: string }[] = [
  { options: { servername: "iam.example.com" }, expected: "iam.example.com" },
  {
    options: { servername: "iam.example.com", ALPNProtocols: ["h2", "http/1.1"] },
    expected: "iam.example.com h2,http/1.1",
  },
  { options: { ...tls12, servername: "Old.Example.COM" }, expected: "old.example.com" },
  {
    options: { ...tls13, servername: "a-b.xn--mnchen-3ya.de", ALPNProtocols: ["acme-tls/1"] },
    expected: "a-b.xn--mnchen-3ya.de acme-tls/1",
  },
  { options: {}, expected: "-" },
  { options: { ...tls12, ALPNProtocols: ["imap"] }, expected: "- imap" },
  { options: { ...tls13 }, expected: "-" },
];
const hellos: { bytes: Buffer; expected: string }[] = [];

before(async () => {
  for (const { options, expected } of clients) hellos.push({ bytes: await recordHello(options), expected });
});

test("what Node sends is read, with and without a name, TLS 1.2 and 1.3", () => {
  assert.equal(hellos.length, clients.length);
  for (const { bytes, expected } of hellos) {
    assert.ok(bytes.length > 100, `${bytes.length} bytes were recorded`);
    for (const surroundings of SURROUNDINGS) assert.equal(read(bytes, surroundings), expected);
  }
});

test("a hello that has not all come wants more at every cut, and never more than it has", () => {
  for (const { bytes, expected } of hellos) {
    for (let length = 0; length < bytes.length; length++) {
      const cut = read(bytes.subarray(0, length), SURROUNDINGS[length % SURROUNDINGS.length]);
      assert.match(cut, /^incomplete/);
      assert.ok(hello.needed > length && hello.needed <= bytes.length, `${cut} of ${bytes.length}`);
      // With the message's head the length is known.
      if (length >= 9) assert.equal(hello.needed, bytes.length);
    }
    assert.equal(read(Buffer.concat([bytes, Buffer.from("what follows")])), expected);
  }
});

test("a hello may be cut into two records at every byte, and into reads at any other", () => {
  const { bytes, expected } = hellos[1] ?? assert.fail("it was recorded");
  const content = bytes.subarray(5);
  for (let cut = 1; cut < content.length; cut++) {
    const input = records(content, [cut]);
    assert.equal(read(input), expected, `records of ${cut} and ${content.length - cut} bytes`);
    for (let length = cut % 7; length < input.length; length += 7) {
      assert.match(read(input.subarray(0, length)), /^incomplete/);
      assert.ok(hello.needed > length && hello.needed <= input.length, `${hello.needed} after ${length}`);
    }
  }
  const everyByte = records(
    content,
    Array.from({ length: content.length - 1 }, (_, index) => index + 1),
  );
  assert.equal(read(everyByte), expected, "a record for each byte");
});

test("what stands behind the hello in its last record is not of it", () => {
  const content = message(body([named("a.example")]));
  const more = Buffer.concat([content, Buffer.from([24, 0, 0, 1, 0])]);
  assert.equal(read(records(more)), "a.example");
  assert.equal(read(records(more, [30, 70])), "a.example");
  assert.equal(read(records(more, [30, content.length])), "a.example");
});

test("the bytes stay as they are, for the target", () => {
  const input = records(hellos[1]?.bytes.subarray(5) ?? assert.fail("it was recorded"), [3, 50, 51]);
  const end = place(arena, "a", START, input);
  const copy = Buffer.from(arena.bytes);
  assert.equal(readPlaced(end), hellos[1]?.expected);
  assert.ok(copy.equals(arena.bytes));
});

test("reserved values of RFC 8701 are passed over wherever they may stand", () => {
  const grease = [0x0a0a, 0x5a5a, 0xfafa].map((type, index) => extension(type, Buffer.alloc(index)));
  const list = protocols("\x2a\x2a", "h2", "\xfa\xfa", "http/1.1");
  assert.equal(read(wire([...grease, named("a.example"), list])), "a.example h2,http/1.1");
  assert.equal(read(wire([named("a.example"), list, ...grease])), "a.example h2,http/1.1");
});

test("a hello without extensions names nobody", () => {
  assert.equal(read(wire(undefined)), "-");
  assert.equal(read(wire([])), "-");
  assert.equal(read(wire([extension(10, Buffer.alloc(4))], { session: Buffer.alloc(0) })), "-");
});

test("the version of a record says nothing but that it is TLS", () => {
  const content = message(body([named("a.example")]));
  for (const version of [0, 1, 2, 3, 4]) assert.equal(read(records(content, [], version)), "a.example");
});

test("a host name is lower case without its final dot", () => {
  const good = { "A.Example": "a.example", "a.example.": "a.example", "my_service-1.x": "my_service-1.x", "1": "1" };
  for (const [sent, name] of Object.entries(good)) assert.equal(read(wire([named(sent)])), name);
  const longest = `${"a".repeat(63)}.`.repeat(4).slice(0, 255);
  assert.equal(read(wire([named(longest)])), longest);
});

test("a host name with bytes that none has is refused", () => {
  const bad = [
    ".",
    "..",
    ".a",
    "a..b",
    "a..",
    "a b",
    "a\0b",
    "a.example\0",
    "a/b",
    "a:443",
    "[::1]",
    "*.a",
    "ä.example",
    "a\r\nb",
    "a%2e",
  ];
  for (const name of [...bad, `${"a".repeat(63)}.`.repeat(4)]) {
    assert.equal(read(wire([named(name)])), "refused tls.serverName.hostName", JSON.stringify(name));
  }
});

test("server_name is a list with one host name", () => {
  const cases: Record<string, Uint8Array> = {
    "an empty extension": Buffer.alloc(0),
    "half a length": Buffer.alloc(1),
    "an empty list": u16(Buffer.alloc(0)),
    "an empty name": u16(serverName("")),
    "a list that is shorter than the data": Buffer.concat([u16(serverName("a")), Buffer.alloc(1)]),
    "a list that is longer than the data": u16(serverName("a")).fill(9, 1, 2),
    "a name that is longer than the list": Buffer.from([0, 4, 0, 0, 2, 0x61]),
    "a type alone": Buffer.from([0, 2, 0, 0]),
    "two host names": u16(Buffer.concat([serverName("a"), serverName("b")])),
    "the same host name twice": u16(Buffer.concat([serverName("a"), serverName("a")])),
  };
  for (const [what, data] of Object.entries(cases)) {
    assert.equal(read(wire([extension(0, data)])), "refused tls.serverName.invalid", what);
  }
  assert.equal(read(wire([named("a"), named("a")])), "refused tls.serverName.invalid");
  const other = serverName("\x01\x02", 7);
  assert.equal(read(wire([extension(0, u16(other)), named("a")])), "refused tls.serverName.invalid");
  assert.equal(read(wire([extension(0, u16(Buffer.concat([other, serverName("a"), other])))])), "a");
  assert.equal(read(wire([extension(0, u16(other))])), "-");
});

test("the first protocols are kept, and a list that is none is refused", () => {
  const many = Array.from({ length: PROTOCOLS_MAX + 3 }, (_, index) => `p${index}`);
  assert.equal(read(wire([protocols(...many)])), `- ${many.slice(0, PROTOCOLS_MAX).join(",")}`);
  const cases: Uint8Array[] = [Buffer.alloc(0), Buffer.alloc(1), Buffer.from([0, 0]), Buffer.from([0, 1, 0])];
  cases.push(Buffer.from([0, 2, 2, 0x61]), Buffer.from([0, 2, 1, 0x61, 0]), Buffer.from([0, 3, 1, 0x61, 0]));
  for (const data of cases) {
    assert.equal(read(wire([extension(16, data)])), "refused tls.protocols.invalid", Buffer.from(data).toString("hex"));
  }
  assert.equal(read(wire([protocols("h2"), protocols("h2")])), "refused tls.protocols.invalid");
});

test("what is no TLS is told at its first byte that differs", () => {
  const inputs = [
    "GET / HTTP/1.1\r\n\r\n",
    "SSH-2.0-x\r\n",
    "\x15\x03\x01\x00\x02",
    "\x16\x02",
    "\x80\x2e\x01\x03\x01",
    "\x16GET",
  ];
  for (const text of [...inputs, "PROXY TCP4 1.1.1.1 2.2.2.2 1 2\r\n"]) {
    const input = Buffer.from(text, "latin1");
    assert.equal(read(input), "refused tls.record.missing", JSON.stringify(text));
    assert.equal(read(input.subarray(0, 2)), "refused tls.record.missing", JSON.stringify(text));
  }
  assert.equal(read(Buffer.alloc(0)), "incomplete 9");
});

test("records within the hello are handshake records with bytes in them", () => {
  const content = message(body([named("a.example")]));
  const first = records(content.subarray(0, 20));
  const rest = content.subarray(20);
  const head = (type: number, length: number, version = 3) =>
    Buffer.from([type, version, 1, length >> 8, length & 0xff]);
  const bad = [head(20, 1), head(21, rest.length), head(23, rest.length), head(22, 0), head(22, 16385), head(22, 9, 2)];
  for (const second of bad) {
    assert.equal(read(Buffer.concat([first, second, rest])), "refused tls.record.invalid", second.toString("hex"));
  }
  assert.equal(read(Buffer.concat([head(22, 0), content])), "refused tls.record.invalid");
  assert.equal(read(Buffer.concat([head(22, 16385), content])), "refused tls.record.invalid");
});

test("the first message is a ClientHello", () => {
  for (const type of [0, 2, 11, 255]) {
    assert.equal(read(records(message(body([]), type))), "refused tls.hello.missing");
    assert.equal(read(records(message(body([]), type)).subarray(0, 6)), "refused tls.hello.missing");
  }
});

test("the parts of a hello fill it exactly", () => {
  const good = body([named("a.example")]);
  for (let length = 0; length < good.length; length++) {
    const noExtensions = body(undefined).length;
    const expected = length === noExtensions ? "-" : "refused tls.hello.invalid";
    assert.equal(read(records(message(good.subarray(0, length)))), expected, `${length} bytes`);
  }
  assert.equal(read(records(message(Buffer.concat([good, Buffer.alloc(1)])))), "refused tls.hello.invalid");
  const parts: Parts[] = [
    { session: Buffer.alloc(33) },
    { suites: Buffer.alloc(0) },
    { suites: Buffer.alloc(3) },
    { compression: Buffer.alloc(0) },
  ];
  for (const part of parts) assert.equal(read(wire([named("a")], part)), "refused tls.hello.invalid");
  assert.equal(read(wire([Buffer.from([0, 10, 0, 5, 1])])), "refused tls.hello.invalid");
  assert.equal(read(wire([Buffer.from([0, 10, 0])])), "refused tls.hello.invalid");
});

test("the limit counts record headers, and is told as soon as the length is", () => {
  const small = createClientHelloParser(arena, 400);
  const fill = (length: number) => {
    const rest = length - wire([named("a.example"), extension(21, Buffer.alloc(0))]).length;
    return wire([named("a.example"), extension(21, Buffer.alloc(rest))]);
  };
  assert.equal(readPlaced(place(arena, "a", START, fill(400)), small), "a.example");
  assert.equal(readPlaced(place(arena, "a", START, fill(401)), small), "refused tls.hello.tooLarge");
  assert.equal(readPlaced(place(arena, "a", START, fill(401).subarray(0, 9)), small), "refused tls.hello.tooLarge");
  const content = fill(391).subarray(5);
  assert.equal(readPlaced(place(arena, "a", START, records(content, [100, 200])), small), "refused tls.hello.tooLarge");
  assert.equal(readPlaced(place(arena, "a", START, records(content, [100])), small), "a.example");
  assert.equal(
    readPlaced(place(arena, "a", START, records(content.subarray(0, 300), [1, 2, 3])), small),
    "refused tls.hello.tooLarge",
  );
  const largest = fill(CLIENT_HELLO_BYTES_MAX);
  assert.equal(read(largest), "a.example");
  assert.equal(read(fill(CLIENT_HELLO_BYTES_MAX + 1)), "refused tls.hello.tooLarge");
});

test(`damaged hellos: no exception, nothing read outside, the same answer at every cut (seed ${seed})`, () => {
  const whole = [
    ...hellos.map(({ bytes }) => bytes),
    records(message(body([named("a.example"), protocols("h2")])), [2, 60]),
  ];
  const edit = fc.record({
    at: fc.nat(600),
    kind: fc.constantFrom("set", "set", "insert", "remove"),
    byte: fc.oneof(fc.nat(255), fc.constantFrom(0, 1, 3, 16, 22, 0x2e, 0xff)),
  });
  const outcomes = new Map<string, number>();
  fc.assert(
    fc.property(fc.constantFrom(...whole), fc.array(edit, { maxLength: 3 }), fc.nat(600), (bytes, edits, offset) => {
      const damaged = [...bytes];
      for (const { at, kind, byte } of edits) {
        damaged.splice(at % (damaged.length + 1), kind === "insert" ? 0 : 1, ...(kind === "remove" ? [] : [byte]));
      }
      const input = Uint8Array.from(damaged);
      const answers = new Set(SURROUNDINGS.map((surroundings) => read(input, surroundings)));
      answers.add(readAtEnd(input));
      assert.equal(answers.size, 1, "what lies around the input changes nothing");
      const [expected = ""] = answers;
      const outcome = /^(incomplete|refused)/.exec(expected)?.[1] ?? "complete";
      outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1);
      let answered = false;
      for (let length = offset % 13; length < input.length; length += 13) {
        const cut = read(input.subarray(0, length), SURROUNDINGS[length % SURROUNDINGS.length]);
        if (!cut.startsWith("incomplete")) assert.equal(cut, expected);
        else assert.ok(!answered && hello.needed > length && hello.needed <= CLIENT_HELLO_BYTES_MAX, cut);
        answered ||= !cut.startsWith("incomplete");
      }
    }),
    { seed, numRuns: 600 },
  );
  for (const outcome of ["complete", "refused", "incomplete"]) {
    assert.ok((outcomes.get(outcome) ?? 0) > 5, `${outcome} comes up: ${JSON.stringify([...outcomes])}`);
  }
});
