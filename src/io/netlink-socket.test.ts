// An exchange over a socket that does what kernels do on bad days; the socket and the clock are the test's own.

import assert from "node:assert/strict";
import { test } from "node:test";
import { bad, good } from "../core/failure.ts";
import { messageType } from "../wire/netlink/reader.ts";
import type { NetlinkRequest } from "../wire/netlink/writer.ts";
import type { CallResult } from "./libc.ts";
import { DUMP_ATTEMPTS_MAX, EXCHANGE_MS_MAX, type NetlinkPort, netlinkExchange } from "./netlink-socket.ts";

type Event = Buffer | string;

/** A socket that answers each receive with the next event: a datagram, or the name of an error. Then nothing comes in time. */
function fakePort(events: Event[], options: { readonly sends?: string[]; readonly receiveMs?: number } = {}) {
  const told = { sent: 0, closed: 0, ms: 0 };
  const failed = (name: string): CallResult => ({ ok: false, errno: 1, name });
  const port: NetlinkPort = {
    send: (bytes) => {
      const error = options.sends?.shift();
      if (error !== undefined) return failed(error);
      told.sent++;
      return { ok: true, value: bytes.length };
    },
    receive: (into) => {
      told.ms += options.receiveMs ?? 0;
      const event = events.shift() ?? "EAGAIN";
      if (typeof event === "string") return failed(event);
      event.copy(into);
      return { ok: true, value: event.length };
    },
    now: () => told.ms,
    close: () => {
      told.closed++;
    },
  };
  return { told, port, exchange: netlinkExchange(() => good(port)) };
}

function message(type: number, sequence: number, payload: Buffer, flags = 0): Buffer {
  const bytes = Buffer.alloc(16 + payload.length);
  bytes.writeUInt32LE(bytes.length, 0);
  bytes.writeUInt16LE(type, 4);
  bytes.writeUInt16LE(flags, 6);
  bytes.writeUInt32LE(sequence, 8);
  payload.copy(bytes, 16);
  return bytes;
}

function answer(sequence: number, errno: number): Buffer {
  const payload = Buffer.alloc(20);
  payload.writeInt32LE(-errno, 0);
  return message(messageType.answer, sequence, payload, 0x100);
}

const done = (sequence: number, flags = 0) => message(messageType.done, sequence, Buffer.alloc(4), flags);
const item = (sequence: number, flags = 0) => message(0x0a12, sequence, Buffer.alloc(4), flags);

function request(first: number, last: number, batch = false): NetlinkRequest {
  return { bytes: new Uint8Array(20), first, last, batch };
}

const acknowledged = { ok: true, value: [] };
const codeOf = (result: { readonly ok: boolean; readonly failure?: { readonly code: string } }) => result.failure?.code;

test("the last message's acknowledgement ends an exchange", () => {
  const { exchange } = fakePort([answer(7, 0)]);
  assert.deepEqual(exchange.transact(request(5, 7)), acknowledged);
});

test("refusals of several messages are gathered until the last is answered", () => {
  const { exchange } = fakePort([Buffer.concat([answer(5, 2), answer(6, 2)]), answer(8, 17)]);
  const result = exchange.transact(request(5, 8));
  assert.deepEqual(result.ok && result.value.map(({ sequence, errno }) => [sequence, errno]), [
    [5, 2],
    [6, 2],
    [8, 17],
  ]);
});

test("the refusal of a batch's first message is the last answer", () => {
  const batch = fakePort([answer(5, 1)]);
  const result = batch.exchange.transact(request(5, 7, true));
  assert.deepEqual(result.ok && result.value.map(({ errno }) => errno), [1]);
});

test("answers to another request and messages that are no answers are passed over", () => {
  const { exchange } = fakePort([answer(4, 2), item(5), answer(9, 1), answer(5, 0)]);
  assert.deepEqual(exchange.transact(request(5, 5)), acknowledged);
});

test("an interrupted call is made again", () => {
  const { exchange, told } = fakePort(["EINTR", "EINTR", answer(5, 0)], { sends: ["EINTR"] });
  assert.deepEqual(exchange.transact(request(5, 5)), acknowledged);
  assert.equal(told.sent, 1);
});

test("a signal that comes again and again does not keep an exchange beyond its time", () => {
  const { exchange, told } = fakePort(new Array(1000).fill("EINTR"), { receiveMs: 100 });
  assert.equal(codeOf(exchange.transact(request(5, 5))), "netlink.unanswered");
  assert.ok(told.ms <= EXCHANGE_MS_MAX + 100);
});

test("answers to others without end do not keep an exchange beyond its time", () => {
  const { exchange, told } = fakePort(new Array(1000).fill(answer(4, 0)), { receiveMs: 100 });
  assert.equal(codeOf(exchange.transact(request(5, 5))), "netlink.unanswered");
  assert.ok(told.ms <= EXCHANGE_MS_MAX + 100);
});

for (const [event, code] of [
  ["EAGAIN", "netlink.unanswered"],
  ["ENOBUFS", "netlink.overrun"],
  ["ENOMEM", "netlink.failed"],
  [Buffer.from("1400000002000000", "hex"), "netlink.malformed"],
  [message(messageType.answer, 5, Buffer.alloc(4)), "netlink.malformed"],
  [Buffer.alloc(64 * 1024 + 1), "netlink.malformed"],
] as const) {
  test(`after ${typeof event === "string" ? event : `${event.length} wrong bytes`} the socket is closed, and opened anew for the next`, () => {
    const { exchange, told } = fakePort([event, answer(6, 0)]);
    assert.equal(codeOf(exchange.transact(request(5, 5))), code);
    assert.equal(told.closed, 1);
    assert.deepEqual(exchange.transact(request(6, 6)), acknowledged);
    assert.equal(told.closed, 1);
  });
}

test("a socket that cannot be opened is the exchange's failure", () => {
  const failure = { code: "netlink.unsupported", origin: "self", retrySafe: false, detail: "" } as const;
  const exchange = netlinkExchange(() => bad(failure));
  assert.deepEqual(exchange.transact(request(5, 5)), { ok: false, failure });
});

test("a request above the socket's buffer says what to raise", () => {
  const { exchange } = fakePort([], { sends: ["EMSGSIZE"] });
  const result = exchange.transact(request(5, 5));
  assert.ok(!result.ok && result.failure.detail.includes("net.core.wmem_max"));
});

test("a dump gives each of its messages, to its end", () => {
  const { exchange } = fakePort([Buffer.concat([item(5), item(5)]), item(5), done(5)]);
  let taken = 0;
  const result = exchange.dump(
    request(5, 5),
    () => {
      taken++;
      return good(true);
    },
    () => assert.fail("no restart"),
  );
  assert.deepEqual([result, taken], [good(undefined), 3]);
});

test("a dump during which the tables changed is read to its end and begun anew", () => {
  const { exchange, told } = fakePort([item(5), item(5, 0x10), done(5), item(5), done(5)]);
  let taken = 0;
  let restarts = 0;
  const result = exchange.dump(
    request(5, 5),
    () => {
      taken++;
      return good(true);
    },
    () => {
      restarts++;
      taken = 0;
    },
  );
  assert.deepEqual([result, taken, restarts, told.sent], [good(undefined), 1, 1, 2]);
});

test("tables that change during every dump are told", () => {
  const { exchange, told } = fakePort(new Array(100).fill(done(5, 0x10)));
  const result = exchange.dump(
    request(5, 5),
    () => good(true),
    () => {},
  );
  assert.equal(codeOf(result), "netlink.interrupted");
  assert.equal(told.sent, DUMP_ATTEMPTS_MAX);
});

test("a refused dump gives the refusal", () => {
  const { exchange } = fakePort([answer(5, 1)]);
  const result = exchange.dump(
    request(5, 5),
    () => good(true),
    () => {},
  );
  assert.equal(result.ok && result.value?.errno, 1);
});

test("a message that its reader refuses ends the dump and the socket", () => {
  const { exchange, told } = fakePort([item(5), item(5)]);
  const failure = { code: "netlink.malformed", origin: "self", retrySafe: false, detail: "" } as const;
  const result = exchange.dump(
    request(5, 5),
    () => bad(failure),
    () => {},
  );
  assert.deepEqual([result, told.closed], [{ ok: false, failure }, 1]);
});

test("sequence numbers are never 0, never of two requests, and begin anew before they run out", () => {
  const { exchange } = fakePort([]);
  assert.deepEqual([exchange.sequence(3), exchange.sequence(1), exchange.sequence(1)], [1, 4, 5]);
  exchange.sequence(0xfffffff0);
  assert.equal(exchange.sequence(100), 1);
});
