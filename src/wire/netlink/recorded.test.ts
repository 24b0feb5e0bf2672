// What the kernel answered and what nft sends, recorded by test/oracles/record-netlink.ts: our requests are still those that
// were answered, and the answers mean what they did.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { decodeAnswer } from "./answer.ts";
import { type ConnectionFilter, dumpFilters, isUnderWay, leadsToTarget } from "./connection-filter.ts";
import {
  type Connection,
  decodeConnection,
  encodeConnectionDump,
  encodeDeletions,
  encodeProtocolDump,
} from "./conntrack.ts";
import {
  decodeCounter,
  type ElementChange,
  encodeCounterDump,
  encodeElementChanges,
  encodeGenerationQuestion,
  encodeTableTrial,
  findRefused,
} from "./nftables.ts";
import { decodeMessages, messageType, type NetlinkMessage } from "./reader.ts";
import { addressAndPort, addressBytes, hostNumber } from "./registers.ts";
import type { NetlinkRequest } from "./writer.ts";

type Recording = {
  readonly talks: Readonly<Record<string, { readonly request: string; readonly answers: readonly string[] }>>;
  readonly sentByNft: Readonly<Record<string, readonly string[]>>;
};

const recording: Recording = JSON.parse(
  readFileSync(new URL("../../../test/oracles/netlink.json", import.meta.url), "utf8"),
);

function talk(name: string): Recording["talks"][string] {
  return recording.talks[name] ?? assert.fail(`nothing recorded of ${name}`);
}

function answersTo(name: string): readonly NetlinkMessage[] {
  return talk(name).answers.flatMap((hex) => {
    const decoded = decodeMessages(Buffer.from(hex, "hex"));
    return decoded.ok ? decoded.value : assert.fail(decoded.failure.detail);
  });
}

/** The sequence number that the request had. */
function sequenceOf(name: string): number {
  return Buffer.from(talk(name).request, "hex").readUInt32LE(8);
}

function sends(name: string, request: NetlinkRequest): void {
  assert.equal(Buffer.from(request.bytes).toString("hex"), talk(name).request, name);
}

function answer(message: NetlinkMessage) {
  const decoded = decodeAnswer(message);
  return decoded.ok ? decoded.value : assert.fail(decoded.failure.detail);
}

function connections(name: string): readonly Connection[] {
  return answersTo(name).flatMap((message) => {
    const decoded = decodeConnection(message);
    assert.ok(decoded.ok);
    return decoded.value ?? [];
  });
}

const slot = (number: number, host: string) => ({
  key: hostNumber(number),
  data: addressAndPort({ host, port: 9000 }),
});

/** The changes of each recorded transaction, its table, and where its refusals point. */
const changes: readonly {
  readonly name: string;
  readonly table: string;
  readonly change: ElementChange;
  readonly refused: readonly { readonly errno: number; readonly place: ReturnType<typeof findRefused> }[];
}[] = [
  {
    name: "change",
    table: "talk",
    change: { map: "slots4", remove: [hostNumber(0)], add: [slot(0, "10.45.2.22")] },
    refused: [],
  },
  {
    name: "element to remove is not there",
    table: "talk",
    change: { map: "slots4", remove: [hostNumber(0), hostNumber(77)], add: [slot(0, "10.45.2.23")] },
    refused: [{ errno: 2, place: { map: "slots4", key: "4d000000" } }],
  },
  {
    name: "element to add is there",
    table: "talk",
    change: { map: "slots4", remove: [], add: [slot(0, "10.45.2.24")] },
    refused: [{ errno: 17, place: { map: "slots4", key: "00000000" } }],
  },
  {
    name: "no such table",
    table: "none",
    change: { map: "slots4", remove: [hostNumber(0)], add: [] },
    refused: [{ errno: 2, place: { map: undefined, key: undefined } }],
  },
  {
    name: "data of the wrong width",
    table: "talk",
    change: { map: "slots6", remove: [], add: [slot(1, "10.45.2.24")] },
    refused: [{ errno: 22, place: { map: "slots6", key: "01000000" } }],
  },
];

for (const { name, table, change, refused } of changes) {
  test(`the kernel's answer to a transaction is read: ${name}`, () => {
    const request = encodeElementChanges(table, [change], sequenceOf(name));
    assert.ok(request.ok);
    sends(name, request.value);
    const answers = answersTo(name).map(answer);
    assert.equal(answers.at(-1)?.sequence, request.value.last, "the last message is answered");
    const told = answers
      .filter(({ errno }) => errno !== 0)
      .map(({ errno, sequence, offset }) => ({ errno, place: findRefused(request.value.bytes, sequence, offset) }));
    assert.deepEqual(told, refused);
  });
}

test("elements are sent as nft sends them, but for the number of the set that it adds", () => {
  const byLine: Readonly<Record<string, ElementChange>> = {
    "delete element inet talk slots4 { 0 }": { map: "slots4", remove: [hostNumber(0)], add: [] },
    "add element inet talk slots4 { 3 : 10.45.2.23 . 443 }": {
      map: "slots4",
      remove: [],
      add: [{ key: hostNumber(3), data: addressAndPort({ host: "10.45.2.23", port: 443 }) }],
    },
    "add element inet talk slots6 { 2 : fd45:2::22 . 53 }": {
      map: "slots6",
      remove: [],
      add: [{ key: hostNumber(2), data: addressAndPort({ host: "fd45:2::22", port: 53 }) }],
    },
    "add element inet talk marks { 192.0.2.1 : 0x12 }": {
      map: "marks",
      remove: [],
      add: [{ key: addressBytes("192.0.2.1"), data: hostNumber(0x12) }],
    },
  };
  assert.deepEqual(Object.keys(recording.sentByNft), Object.keys(byLine));
  for (const [line, sent] of Object.entries(recording.sentByNft)) {
    const request = encodeElementChanges("talk", [byLine[line]!], 1);
    assert.ok(request.ok);
    // Between the batch's edges of 20 bytes, behind the headers of 20 bytes.
    const attributes = Buffer.from(request.value.bytes.subarray(40, -20)).toString("hex");
    assert.deepEqual(
      [attributes],
      sent.map((hex) => hex.replace(/08000400000000[0-9a-f]{2}/, "")),
      line,
    );
  }
});

test("the generation is asked for and a table tried out as recorded", () => {
  sends("generation", encodeGenerationQuestion(sequenceOf("generation")));
  sends("trial", encodeTableTrial("trial", sequenceOf("trial")));
  const [generation, ...acknowledged] = answersTo("generation");
  assert.equal(generation?.type, 0x0a0f);
  assert.deepEqual(acknowledged.map(answer), [{ sequence: 1, errno: 0, text: undefined, offset: undefined }]);
  assert.deepEqual(
    answersTo("trial")
      .map(answer)
      .map(({ errno }) => errno),
    [0],
  );
});

test("counters are read with all their digits", () => {
  sends("counters", encodeCounterDump("talk", sequenceOf("counters")));
  const read = answersTo("counters").map((message) => {
    const counter = decodeCounter(message);
    return counter.ok ? counter.value : assert.fail(counter.failure.detail);
  });
  assert.deepEqual(read, [
    { table: "talk", name: "empty", packets: 0, bytes: 0 },
    { table: "talk", name: "full", packets: 7, bytes: 1_234_567_890_123 },
    undefined,
  ]);
  const none = answersTo("counters of no table");
  assert.deepEqual(
    none.map(({ type }) => type),
    [messageType.done],
  );
});

const target4: ConnectionFilter = { protocol: "tcp", target: { host: "10.45.2.21", port: 9000 } };
const target6: ConnectionFilter = { protocol: "udp", target: { host: "fd45:2::21", port: 9000 } };

function clientPorts(found: readonly Connection[], filter: ConnectionFilter, direction: "reply" | "original") {
  const wanted = dumpFilters(filter).find((each) => each.direction === direction)!;
  return found
    .filter((connection) => leadsToTarget(connection, wanted))
    .map(({ original, reply }) => (direction === "reply" ? original.source.port : reply.source.port));
}

test("connections are asked for by the end that packets come from, and judged again", () => {
  const dumps = [
    { name: "connections of IPv4, reply", filter: target4, index: 0 },
    { name: "connections of IPv4, original", filter: target4, index: 1 },
    { name: "connections of IPv4 with a mark", filter: { ...target4, mark: 7 }, index: 0 },
    { name: "connections of IPv6", filter: target6, index: 0 },
  ] as const;
  for (const { name, filter, index } of dumps) {
    sends(name, encodeConnectionDump(dumpFilters(filter)[index]!, sequenceOf(name)));
  }
  const all = "connections of TCP over IPv4";
  sends(all, encodeProtocolDump({ protocol: 6, addressBytes: 4 }, sequenceOf(all)));
  assert.equal(connections(all).length, 5);
  // 1003 went to the target itself: no address translation.
  const replies = connections("connections of IPv4, reply");
  assert.deepEqual(replies.map(({ original }) => original.source.port).toSorted(), [1001, 1002, 1003]);
  assert.deepEqual(clientPorts(replies, target4, "reply").toSorted(), [1001, 1002]);
  assert.deepEqual(clientPorts(replies, { ...target4, mark: 8 }, "reply"), [1002]);
  assert.deepEqual(clientPorts(replies, { ...target4, protocol: "udp" }, "reply"), []);
  assert.deepEqual(clientPorts(replies, { ...target4, target: { host: "10.45.2.21", port: 9001 } }, "reply"), []);
  const begunByTarget = connections("connections of IPv4, original");
  assert.deepEqual(clientPorts(begunByTarget, target4, "original"), [1004]);
  assert.deepEqual(clientPorts(begunByTarget, target4, "reply"), []);
  const marked = connections("connections of IPv4 with a mark");
  assert.deepEqual(clientPorts(marked, { ...target4, mark: 7 }, "reply"), [1001]);
});

test("the kernel sends every IPv6 connection of the port, because its own filter of addresses is wrong", () => {
  const found = connections("connections of IPv6");
  assert.deepEqual(found.map(({ original }) => original.source.port).toSorted(), [1006, 1007]);
  assert.deepEqual(clientPorts(found, target6, "reply"), [1006]);
});

test("a connection that has ended is not under way", () => {
  const over = connections("connections of IPv4, reply").filter((each) => !isUnderWay(each));
  assert.deepEqual(
    over.map(({ original }) => original.source.port),
    [1002],
  );
  assert.ok(connections("connections of IPv6").every(isUnderWay));
});

test("a deletion names what was read, and only what is gone is answered", () => {
  const name = "deletions, the second and third of one";
  const [first, second] = connections("connections of IPv4, reply");
  assert.ok(first !== undefined && second !== undefined);
  const request = encodeDeletions([first.name, second.name, second.name], sequenceOf(name));
  sends(name, request);
  assert.deepEqual(
    answersTo(name)
      .map(answer)
      .map(({ errno, sequence }) => [errno, sequence - request.first]),
    [[2, 2]],
  );
});
