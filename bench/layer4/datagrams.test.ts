import assert from "node:assert/strict";
import { createSocket } from "node:dgram";
import { once } from "node:events";
import { test } from "node:test";
import { Stage } from "../stage.ts";
import { addressNumber, placeOf, serialAt, socketAddress, targetAt } from "./datagram.ts";
import type { DatagramTotals } from "./datagram-client.ts";
import { datagramProblems, openDatagrams, parseDatagrams, shareProblems } from "./datagrams.ts";
import { startEcho } from "./targets.ts";

const sound: DatagramTotals = {
  answered: 400,
  durationUs: 1,
  lost: 0,
  stray: 0,
  wrongSize: 0,
  shares: [100, 101, 99, 100],
};

test("a socket address holds family, port and host as the kernel reads them", () => {
  assert.deepEqual([...socketAddress("10.20.30.40", 0x1234).subarray(0, 8)], [2, 0, 0x12, 0x34, 10, 20, 30, 40]);
});

test("no two flows of a space have socket and address in common", () => {
  const space = { sockets: 8, first: addressNumber("10.20.128.1") };
  const places = Array.from({ length: 10_000 }, (_, flow) => placeOf(space, flow));
  assert.equal(new Set(places.map(({ socket, address }) => `${socket} ${address}`)).size, places.length);
  assert.equal(Math.max(...places.map(({ address }) => address)), addressNumber("10.20.128.1") + 1249);
});

test("a lost, a doubled and a cut datagram are problems, a sound round has none", () => {
  assert.deepEqual(datagramProblems(sound), []);
  assert.deepEqual(datagramProblems({ ...sound, lost: 1, stray: 2, wrongSize: 3 }), [
    "1 of 401 datagrams lost",
    "2 answers doubled or later than a second",
    "3 answers of another size",
  ]);
  assert.deepEqual(datagramProblems({ ...sound, answered: 0 }), ["no answer"]);
});

test("a target with more than its share is a problem, one that got nothing as well", () => {
  assert.deepEqual(shareProblems(sound, 4), []);
  assert.equal(shareProblems({ ...sound, shares: [120, 80, 100, 100] }, 4).length, 1);
  assert.equal(shareProblems({ ...sound, shares: [133, 133, 134] }, 4).length, 1);
});

test("what is no report of the client is refused", () => {
  assert.deepEqual(parseDatagrams(JSON.stringify(sound)), sound);
  assert.throws(() => parseDatagrams('{"answered":1}'), /datagram client printed/);
});

/** Large receive buffers are asked for beyond the machine's limit. */
const skip = process.getuid?.() === 0 ? false : "needs root";
const load = { targets: ["127.0.0.1"], first: "127.1.0.1", lanes: 8, seconds: 20, bytes: 64, cores: "0" };

test("client and echo server count every datagram", { skip }, async () => {
  const stage = new Stage();
  try {
    const targets = ["127.0.0.2", "127.0.0.3"];
    const port = await startEcho(stage, { cores: "0", targets });
    const client = await openDatagrams(stage, { ...load, targets, port, fresh: true, flowsMax: 500 });
    const totals = await client.work();
    await client.end();
    assert.deepEqual(datagramProblems(totals), []);
    assert.deepEqual([totals.answered, ...totals.shares], [500, 250, 250]);
  } finally {
    await stage.strike();
  }
});

test("the client sees each datagram that a server loses, doubles or answers with another length", {
  skip,
}, async () => {
  const stage = new Stage();
  const server = createSocket("udp4");
  const flows = new Set<string>();
  server.on("message", (bytes, from) => {
    flows.add(`${from.address}:${from.port}`);
    const serial = bytes.readUInt32LE(serialAt);
    bytes[targetAt] = 0;
    if (serial === 7) return;
    if (serial === 9) server.send(bytes, from.port, from.address);
    if (serial === 11) server.send(bytes.subarray(0, 20), from.port, from.address);
    server.send(bytes, from.port, from.address);
  });
  server.bind(0, "127.0.0.1");
  await once(server, "listening");
  try {
    const { port } = server.address();
    const client = await openDatagrams(stage, { ...load, port, fresh: true, flowsMax: 200 });
    const totals = await client.work();
    await client.end();
    const { answered, lost, stray, wrongSize } = totals;
    assert.deepEqual({ answered, lost, stray, wrongSize }, { answered: 199, lost: 1, stray: 1, wrongSize: 1 });
    assert.equal(flows.size, 200);
  } finally {
    server.close();
    await stage.strike();
  }
});
