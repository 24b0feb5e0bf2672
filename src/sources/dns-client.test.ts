import assert from "node:assert/strict";
import { createSocket, type RemoteInfo } from "node:dgram";
import { once } from "node:events";
import { createServer, type Socket } from "node:net";
import { type TestContext, test } from "node:test";
import { messageBytes, nameBytes, pointer } from "../wire/dns/test-message.ts";
import { askDns, strayMax } from "./dns-client.ts";

const question = { name: "app.example.com", type: "A" } as const;
const asked = { name: "app.example.com", type: 1 };

type Query = { readonly id: number; readonly bytes: Buffer; readonly edns: boolean; readonly from: RemoteInfo };

/** A server on a loopback port: what it says by datagram to the nth query, and by TCP. */
async function serve(
  t: TestContext,
  says: {
    readonly datagrams?: (query: Query, count: number) => readonly Uint8Array[];
    readonly stream?: (query: Buffer, socket: Socket) => void;
  },
) {
  const queries: Query[] = [];
  const udp = createSocket("udp4");
  const tcp = createServer((socket) => {
    socket.on("error", () => {});
    socket.once("data", (bytes) => says.stream?.(bytes, socket));
  });
  t.after(() => {
    udp.close();
    tcp.close();
  });
  tcp.listen(0, "127.0.0.1");
  await once(tcp, "listening");
  const address = tcp.address();
  assert.ok(typeof address === "object" && address !== null);
  udp.on("message", (bytes, from) => {
    const query = { id: bytes.readUInt16BE(0), bytes, edns: bytes.readUInt16BE(10) === 1, from };
    queries.push(query);
    for (const answer of says.datagrams?.(query, queries.length) ?? []) udp.send(answer, from.port, from.address);
  });
  udp.bind(address.port, "127.0.0.1");
  await once(udp, "listening");
  return { queries, server: { host: "127.0.0.1", port: address.port } };
}

const answer = (id: number, last = 20, more: object = {}) =>
  messageBytes({ id, question: asked, answers: [{ name: pointer(12), type: 1, data: [10, 0, 4, last] }], ...more });
const framed = (bytes: Uint8Array) => Buffer.concat([Buffer.from([bytes.length >> 8, bytes.length & 255]), bytes]);

const ask = async (server: { readonly host: string; readonly port: number }, timeout = 2_000) => {
  const result = await askDns(question, { server, timeout, signal: new AbortController().signal });
  if (!result.ok) return `${result.failure.code}: ${result.failure.detail}`;
  return result.value.answers.map((record) => (record.type === "A" ? record.address : record.type)).join();
};

test("a datagram is asked, from another port and with another id each time", async (t) => {
  const { server, queries } = await serve(t, { datagrams: ({ id }) => [answer(id)] });
  for (let turn = 0; turn < 8; turn++) assert.equal(await ask(server), "10.0.4.20");
  assert.equal(queries.length, 8);
  assert.ok(queries.every(({ edns }) => edns));
  // That eight draws of one of 65,536 ids, or of about 28,000 ports, are all the same does not happen.
  assert.ok(new Set(queries.map(({ id }) => id)).size > 1);
  assert.ok(new Set(queries.map(({ from }) => from.port)).size > 1);
});

test("a lost datagram is sent again as it was", async (t) => {
  const { server, queries } = await serve(t, { datagrams: ({ id }, count) => (count === 3 ? [answer(id)] : []) });
  assert.equal(await ask(server, 300), "10.0.4.20");
  assert.equal(queries.length, 3);
  assert.ok(
    queries.every(({ bytes, from }) => bytes.equals(queries[0]?.bytes ?? bytes) && from.port === queries[0]?.from.port),
  );
});

test("what is not the answer is passed over: another id, another question, rubbish", async (t) => {
  const elsewhere = { question: { name: "other.example.com", type: 1 } };
  const { server } = await serve(t, {
    datagrams: ({ id }) => [
      answer((id + 1) & 0xffff, 66),
      answer(id, 66, elsewhere),
      answer(id, 66, { question: { ...asked, type: 28 } }),
      Buffer.from([id >> 8, id & 255]),
      Buffer.alloc(0),
      answer(id),
    ],
  });
  assert.equal(await ask(server), "10.0.4.20");
});

test("the case of the name does not matter", async (t) => {
  const { server } = await serve(t, {
    datagrams: ({ id }) => [answer(id, 20, { question: { name: "APP.example.COM", type: 1 } })],
  });
  assert.equal(await ask(server), "10.0.4.20");
});

test("the answer of another address never arrives", async (t) => {
  const spoofer = createSocket("udp4");
  t.after(() => {
    spoofer.close();
  });
  const { server } = await serve(t, {
    datagrams: ({ id, from }, count) => {
      // From the second on the right one: the spoofer's has been on the wire for long by then.
      if (count > 1) return [answer(id)];
      spoofer.send(answer(id, 66), from.port, from.address);
      return [];
    },
  });
  assert.equal(await ask(server, 1_000), "10.0.4.20");
});

test("one who guesses ids drives us to TCP", async (t) => {
  const { server } = await serve(t, {
    datagrams: ({ id }) => Array.from({ length: strayMax }, (_, index) => answer((id + 1 + index) & 0xffff, 66)),
    stream: (query, socket) => socket.end(framed(answer(query.readUInt16BE(2)))),
  });
  assert.equal(await ask(server), "10.0.4.20");
});

test("a truncated answer is asked for by TCP, which may come a byte at a time", async (t) => {
  const { server } = await serve(t, {
    datagrams: ({ id }) => [messageBytes({ id, question: asked, flags: 0x8780 })],
    stream: (query, socket) => {
      assert.equal(query.readUInt16BE(0), query.length - 2);
      const bytes = framed(answer(query.readUInt16BE(2), 21));
      const next = (at: number) => {
        if (at < bytes.length) socket.write(bytes.subarray(at, at + 1), () => setImmediate(next, at + 1));
      };
      socket.setNoDelay(true);
      next(0);
    },
  });
  assert.equal(await ask(server), "10.0.4.21");
});

test("what comes by TCP and is not the answer, or is cut, is a failure", async (t) => {
  const truncated = { datagrams: ({ id }: Query) => [messageBytes({ id, question: asked, flags: 0x8780 })] };
  const said: readonly ((query: Buffer) => Uint8Array)[] = [
    (query) => framed(answer((query.readUInt16BE(2) + 1) & 0xffff)),
    (query) => framed(messageBytes({ id: query.readUInt16BE(2), question: asked, flags: 0x8780 })),
  ];
  for (const say of said) {
    const { server } = await serve(t, { ...truncated, stream: (query, socket) => socket.end(say(query)) });
    assert.match(await ask(server), /^source\.answer\.invalid: 127\.0\.0\.1:\d+: what came by TCP is not the answer/);
  }
  const { server } = await serve(t, {
    ...truncated,
    stream: (query, socket) => socket.end(framed(answer(query.readUInt16BE(2))).subarray(0, 20)),
  });
  assert.match(await ask(server), /^source\.answer\.cut/);
});

test("a server that does not know EDNS is asked without", async (t) => {
  for (const rcode of [1, 4]) {
    const { server, queries } = await serve(t, {
      datagrams: ({ id, edns }) => [edns ? messageBytes({ id, flags: 0x8180 | rcode }) : answer(id)],
    });
    assert.equal(await ask(server), "10.0.4.20");
    assert.deepEqual(
      queries.map(({ edns }) => edns),
      [true, false],
    );
  }
});

test("refusals are answers, and their meaning is the caller's business", async (t) => {
  const { server } = await serve(t, { datagrams: ({ id }) => [messageBytes({ id, question: asked, flags: 0x8185 })] });
  const result = await askDns(question, { server, timeout: 2_000, signal: new AbortController().signal });
  assert.equal(result.ok && result.value.rcode, 5);
});

test("silence is told with what was wrong with the last message", async (t) => {
  const loop = { question: asked, answers: [{ name: nameBytes("x"), type: 5, data: pointer(46) }] };
  const { server } = await serve(t, { datagrams: ({ id }) => [messageBytes({ id, ...loop })] });
  assert.match(
    await ask(server, 200),
    /^source\.timeout: .*more than 200 ms; the last message .*\(dns\.name\.pointer\)$/,
  );
  const silent = await serve(t, {});
  assert.match(
    await ask(silent.server, 100),
    /^source\.timeout: 127\.0\.0\.1:\d+: waiting for the answer took more than 100 ms$/,
  );
});

test("a port where nobody listens is told at once", async () => {
  const socket = createSocket("udp4");
  socket.bind(0, "127.0.0.1");
  await once(socket, "listening");
  const { port } = socket.address();
  await new Promise<void>((resolve) => socket.close(() => resolve()));
  assert.match(await ask({ host: "127.0.0.1", port }, 10_000), /^source\.connect\.refused/);
});

test("a question that nobody wants to know any more ends at once, before and while it is asked", async (t) => {
  const { server } = await serve(t, {});
  const ending = new AbortController();
  const asking = askDns(question, { server, timeout: 60_000, signal: ending.signal });
  ending.abort();
  for (const result of [await asking, await askDns(question, { server, timeout: 60_000, signal: ending.signal })]) {
    assert.equal(result.ok ? "read" : result.failure.code, "source.closed");
  }
});
