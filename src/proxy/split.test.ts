// However the bytes of a client and of its target arrive, both see the same messages: every session at every split point
// of either side, and byte by byte. Chunk boundaries alone may differ, and are gone once the bytes are read back.

import assert from "node:assert/strict";
import { test } from "node:test";
import type { TestWire } from "./test-engine.ts";
import { type Reading, readRequests, readResponses } from "./test-reader.ts";
import { poolAction, route, World, type WorldOptions, withoutDate } from "./test-world.ts";

type Session = {
  readonly name: string;
  readonly client: string;
  readonly methods: readonly string[];
  /** One per request that reaches a target. */
  readonly responses: readonly string[];
  /** The target half-closes behind its last response. */
  readonly ends?: boolean;
  readonly options?: WorldOptions;
};

const HEAD = "Host: h\r\n\r\n";
const OK = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
const tunnels = [route({ action: poolAction({ upgrade: "tunnel", connect: "tunnel" }) })];
const rules = [
  route({
    requestHeaders: { set: [{ name: "X-Who", value: "$clientAddress$path" }], add: [], remove: ["accept"] },
    responseHeaders: { set: [{ name: "Server", value: "evenkeel" }], add: [{ name: "A", value: "b" }], remove: ["x"] },
    action: poolAction({ rewritePrefix: "/v1/" }),
  }),
];

const sessions: readonly Session[] = [
  {
    name: "three pipelined requests",
    client: `GET /1 HTTP/1.1\r\n${HEAD}HEAD /2 HTTP/1.1\r\n${HEAD}GET /3 HTTP/1.1\r\nX: y\r\n${HEAD}`,
    methods: ["GET", "HEAD", "GET"],
    responses: [OK, "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n", "HTTP/1.1 304 Not Modified\r\nETag: 1\r\n\r\n"],
  },
  {
    name: "bodies of every framing, with requests behind them",
    client: `POST /1 HTTP/1.1\r\nContent-Length: 5\r\n${HEAD}helloPUT /2 HTTP/1.1\r\nTransfer-Encoding: chunked\r\n${HEAD}3;a=b\r\nabc\r\n00c\r\nGET / HTTP/1\r\n0\r\nX-Sum: 1\r\nHost: no\r\n\r\nPUT /3 HTTP/1.1\r\nTransfer-Encoding: chunked\r\n${HEAD}0\r\n\r\nGET /4 HTTP/1.1\r\n${HEAD}`,
    methods: ["POST", "PUT", "PUT", "GET"],
    responses: [OK, OK, "HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n", OK],
  },
  {
    name: "chunked responses",
    client: `GET /1 HTTP/1.1\r\n${HEAD}GET /2 HTTP/1.1\r\n${HEAD}GET /3 HTTP/1.1\r\n${HEAD}`,
    methods: ["GET", "GET", "GET"],
    responses: [
      "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4;x\r\nabcd\r\n1\r\ne\r\n0\r\n\r\n",
      "HTTP/1.1 200 OK\r\nConnection: a\r\nA: 1\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\nX-T: 1\r\nTE: x\r\n\r\n",
      "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    ],
  },
  {
    name: "an HTTP/1.0 client and a chunked response",
    client: `GET /1 HTTP/1.0\r\n${HEAD}`,
    methods: ["GET"],
    responses: ["HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nabcd\r\n1\r\ne\r\n0\r\nX: y\r\n\r\n"],
  },
  {
    name: "a response that ends with its connection",
    client: `GET /1 HTTP/1.1\r\n${HEAD}`,
    methods: ["GET"],
    responses: ["HTTP/1.0 200 OK\r\nServer: x\r\n\r\nsome bytes\r\n0\r\n\r\n"],
    ends: true,
  },
  {
    name: "interim responses and an expectation",
    client: `PUT /1 HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 3\r\n${HEAD}abcGET /2 HTTP/1.1\r\n${HEAD}`,
    methods: ["PUT", "GET"],
    responses: [
      `HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: <a>\r\n\r\n${OK}`,
      `HTTP/1.1 100 Continue\r\nX: 1\r\n\r\nHTTP/1.1 102 P\r\n\r\n${OK}`,
    ],
  },
  {
    name: "rules, a rewrite, and our own responses between",
    client: `GET /a%20b?q HTTP/1.1\r\nAccept: x\r\n${HEAD}GET /../ HTTP/1.1\r\n${HEAD}POST http://other/x HTTP/1.1\r\nContent-Length: 1\r\n${HEAD}yTRACE / HTTP/1.1\r\n${HEAD}\r\n\r\nGET / HTTP/1.1\r\n${HEAD}`,
    methods: ["GET", "GET", "POST", "TRACE", "GET"],
    responses: [OK, "HTTP/1.1 200 OK\r\nX: 1\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n", OK],
    options: { routes: rules, listener: { forwarded: true } },
  },
  {
    name: "an error that ends the connection",
    client: `GET /1 HTTP/1.1\r\n${HEAD}GET /2 HTTP/1.1\r\nBad Name: 1\r\n${HEAD}GET /3 HTTP/1.1\r\n${HEAD}`,
    methods: ["GET", "GET"],
    responses: [OK],
  },
  {
    name: "a tunnel, with bytes right behind both heads",
    client: "GET /ws HTTP/1.1\r\nHost: h\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\nfrom the client\r\n\r\n",
    methods: ["GET"],
    responses: ["HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\nfrom the target\r\n\r\n"],
    options: { routes: tunnels },
  },
  {
    name: "CONNECT",
    client: "CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\nGET / HTTP/1.1\r\n\r\n",
    methods: ["CONNECT"],
    responses: ["HTTP/1.1 200 Fine\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello"],
    options: { routes: tunnels },
  },
];

type Cut = { readonly client: number; readonly target: number; readonly step?: number };
type Outcome = { readonly asked: readonly Reading[]; readonly answered: Reading; readonly ending: string };

/** Plays the session with the client's bytes cut at `cut.client`, the target's all together cut at `cut.target`. */
function play(session: Session, cut: Cut): Outcome {
  const world = new World({ listener: { forwarded: false }, ...session.options });
  const said: { [connection: number]: number } = {};
  let given = 0;
  let bytesGiven = 0;
  const client = world.client();
  const answer = (): boolean => {
    let moved = false;
    for (let index = 0; index < world.opened; index++) {
      const wire = world.target(index);
      if (wire.ending !== "") continue;
      const { messages } = readRequests(Buffer.concat(wire.taken));
      const whole = messages.filter(({ complete }) => complete).length;
      while ((said[index] ?? 0) < whole && given < session.responses.length) {
        const response = session.responses[given] ?? "";
        put(wire, response, cut.target - bytesGiven, cut.step);
        bytesGiven += response.length;
        given += 1;
        said[index] = (said[index] ?? 0) + 1;
        if (session.ends === true && given === session.responses.length) wire.putEnd();
        world.run();
        moved = true;
      }
    }
    return moved;
  };
  for (const part of parts(session.client, cut.client, cut.step)) {
    client.put(part);
    world.run();
    while (answer()) world.run();
  }
  const answered = readResponses(Buffer.concat(client.taken), session.methods, client.over);
  const asked = world.engine.connects.map((wire) => readRequests(Buffer.concat(wire.taken)));
  const outcome = { asked, answered, ending: client.over ? "over" : "open" };
  world.settle();
  return outcome;
}

function parts(text: string, at: number, step: number | undefined): string[] {
  if (step === undefined) return [text.slice(0, at), text.slice(at)];
  return Array.from({ length: Math.ceil(text.length / step) }, (_, index) =>
    text.slice(index * step, (index + 1) * step),
  );
}

function put(wire: TestWire, text: string, at: number, step: number | undefined): void {
  for (const part of parts(text, Math.max(0, at), step)) wire.put(part);
}

function comparable(outcome: Outcome): string {
  return withoutDate(JSON.stringify(outcome).replaceAll("\\r\\n", "\r\n"));
}

for (const session of sessions) {
  test(`${session.name}: the same however the bytes arrive`, () => {
    const whole = play(session, { client: session.client.length, target: Number.MAX_SAFE_INTEGER });
    const expected = comparable(whole);
    const finals = whole.answered.messages.filter(({ head }) => !/^HTTP\/1\.1 1(?!01)/.test(head));
    assert.equal(finals.length, session.methods.length, expected);
    assert.ok(finals.every(({ complete }) => complete));
    const { length } = session.client;
    for (let at = 1; at < length; at++) {
      assert.equal(
        comparable(play(session, { client: at, target: Number.MAX_SAFE_INTEGER })),
        expected,
        `client cut at ${at}`,
      );
    }
    const responseBytes = session.responses.join("").length;
    for (let at = 1; at < responseBytes; at++) {
      assert.equal(comparable(play(session, { client: length, target: at })), expected, `target cut at ${at}`);
    }
    for (const step of [1, 2, 3, 7]) {
      assert.equal(comparable(play(session, { client: 0, target: 0, step })), expected, `in steps of ${step}`);
    }
  });
}
