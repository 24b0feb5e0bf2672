// What netfilter's answers become for the caller. The exchange is the test's own; test/e2e/netfilter-io.test.ts asks a kernel.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { bad, good } from "../core/failure.ts";
import type { NetlinkAnswer } from "../wire/netlink/answer.ts";
import { decodeMessages } from "../wire/netlink/reader.ts";
import { hostNumber } from "../wire/netlink/registers.ts";
import type { NetlinkRequest } from "../wire/netlink/writer.ts";
import { netfilterOver } from "./netfilter.ts";
import type { NetlinkExchange } from "./netlink-socket.ts";

const { talks } = JSON.parse(readFileSync(new URL("../../test/oracles/netlink.json", import.meta.url), "utf8"));

/** Answers each transaction with the next refusals (their sequence numbers count from the request's first), each dump with a recorded one. */
function fakeExchange(answers: {
  readonly refusals?: Refusal[][];
  readonly dumps?: string[];
  readonly restarts?: number;
}) {
  const sent: NetlinkRequest[] = [];
  let next = 1;
  const exchange: NetlinkExchange = {
    sequence: (count) => {
      next += count;
      return next - count;
    },
    transact: (request) => {
      sent.push(request);
      const refusals = answers.refusals?.shift() ?? [];
      return good(refusals.map((refusal): NetlinkAnswer => ({ ...refusal, sequence: request.first + refusal.index })));
    },
    dump: (request, take, restart) => {
      sent.push(request);
      const name = answers.dumps?.shift();
      for (let round = 0; round <= (answers.restarts ?? 0); round++) {
        if (round > 0) restart();
        const recorded: string[] = name === undefined ? [] : talks[name].answers;
        for (const hex of recorded) {
          // Memory that is used again, as the socket's is.
          const room = Buffer.from(hex, "hex");
          const messages = decodeMessages(room);
          assert.ok(messages.ok);
          for (const message of messages.value) {
            const taken = take(message);
            if (!taken.ok) return taken;
          }
          room.fill(0xee);
        }
      }
      return good(undefined);
    },
    close: () => {},
  };
  return { sent, netfilter: netfilterOver(exchange) };
}

type Refusal = Omit<NetlinkAnswer, "sequence"> & { readonly index: number };

function refusal(errno: number, index = 0, text?: string): Refusal {
  return { errno, index, text, offset: undefined };
}

const change = [{ map: "slots", remove: [hostNumber(1)], add: [] }];
const target = { protocol: "tcp", target: { host: "10.45.2.21", port: 9000 } } as const;
const replies = "connections of IPv4, reply";
const originals = "connections of IPv4, original";

test("nothing to change asks nobody", () => {
  const { sent, netfilter } = fakeExchange({});
  assert.deepEqual(netfilter.changeElements("t", []), good(true));
  assert.deepEqual(netfilter.changeElements("t", [{ map: "slots", remove: [], add: [] }]), good(true));
  assert.equal(sent.length, 0);
});

test("a name that no table has is refused before it is sent", () => {
  const { sent, netfilter } = fakeExchange({});
  for (const name of ["", "a b", "name\0", "é", "n".repeat(256)]) {
    const result = netfilter.changeElements(name, change);
    assert.equal(!result.ok && result.failure.code, "netfilter.notFound");
    const counters = netfilter.readCounters(name);
    assert.equal(!counters.ok && counters.failure.code, "netfilter.notFound");
  }
  assert.equal(sent.length, 0);
});

for (const [errno, code, words] of [
  [1, "netfilter.denied", "CAP_NET_ADMIN"],
  [2, "netfilter.notFound", "map `slots`"],
  [17, "netfilter.conflict", "EEXIST"],
  [16, "netfilter.conflict", "EBUSY"],
  [22, "netfilter.refused", "EINVAL (said so)"],
] as const) {
  test(`a refusal with error ${errno} is ${code}`, () => {
    const { netfilter } = fakeExchange({ refusals: [[refusal(errno, 1, "said so")]] });
    const result = netfilter.changeElements("t", change);
    assert.ok(!result.ok);
    assert.equal(result.failure.code, code);
    assert.ok(result.failure.detail.includes(words), result.failure.detail);
  });
}

test("counters of the table alone are given", () => {
  assert.deepEqual(fakeExchange({ dumps: ["counters"] }).netfilter.readCounters("talk"), {
    ok: true,
    value: new Map([
      ["empty", { packets: 0, bytes: 0 }],
      ["full", { packets: 7, bytes: 1_234_567_890_123 }],
    ]),
  });
  assert.deepEqual(fakeExchange({ dumps: ["counters"] }).netfilter.readCounters("other"), good(new Map()));
});

test("connections under way are counted in both directions, once after a restart", () => {
  for (const restarts of [0, 2]) {
    const { netfilter } = fakeExchange({ dumps: [replies, originals], restarts });
    assert.deepEqual(netfilter.countConnections(target), good(2));
  }
});

test("many targets are counted in one look, each as it would be alone", () => {
  const others = [
    { ...target, target: { host: "10.45.2.22", port: 9000 } },
    { ...target, target: { host: "10.45.2.21", port: 9001 } },
    { ...target, mark: 7 },
    { ...target, called: { port: 80 } },
    { ...target, called: { host: "10.45.1.2", port: 80 } },
    { ...target, direct: true },
  ] as const;
  for (const restarts of [0, 2]) {
    const { sent, netfilter } = fakeExchange({ dumps: ["connections of TCP over IPv4"], restarts });
    assert.deepEqual(netfilter.countEach([target, ...others]), good([2, 1, 0, 1, 2, 0, 1]));
    assert.equal(sent.length, 1);
  }
  const { sent, netfilter } = fakeExchange({});
  const six = { protocol: "udp", target: { host: "fd45:2::21", port: 9000 } } as const;
  assert.deepEqual(netfilter.countEach([target, six, target, { ...six, protocol: "tcp" }]), good([0, 0, 0, 0]));
  assert.equal(sent.length, 3);
  assert.deepEqual(netfilter.countEach([]), good([]));
});

test("a deletion counts what was there, and keeps names beyond the memory they were read in", () => {
  const { sent, netfilter } = fakeExchange({ dumps: [replies, originals], refusals: [[refusal(2, 1)]] });
  assert.deepEqual(netfilter.deleteConnections(target), good(2));
  const request = Buffer.from(sent[2]?.bytes ?? []).toString("hex");
  // 10.45.1.2 to 10.45.1.100 from ports 1001 and 1002, and from the target to port 1004.
  for (const port of ["03e9", "03ea", "03ec"]) assert.ok(request.includes(port));
  assert.ok(!request.includes("eeeeeeee"));
});

test("nothing found deletes nothing", () => {
  const { sent, netfilter } = fakeExchange({});
  assert.deepEqual(netfilter.deleteConnections(target), good(0));
  assert.equal(sent.length, 2);
});

test("a deletion that is refused for another reason is told", () => {
  const { netfilter } = fakeExchange({ dumps: [replies], refusals: [[refusal(1, 0)]] });
  const result = netfilter.deleteConnections(target);
  assert.equal(!result.ok && result.failure.code, "netfilter.denied");
});

test("a failure of the exchange is the caller's", () => {
  const failure = { code: "netlink.overrun", origin: "self", retrySafe: false, detail: "" } as const;
  const netfilter = netfilterOver({
    sequence: () => 1,
    transact: () => bad(failure),
    dump: () => bad(failure),
    close: () => {},
  });
  const expected = { ok: false, failure };
  assert.deepEqual(netfilter.changeElements("t", change), expected);
  assert.deepEqual(netfilter.readCounters("t"), expected);
  assert.deepEqual(netfilter.countConnections(target), expected);
  assert.deepEqual(netfilter.deleteConnections(target), expected);
});
