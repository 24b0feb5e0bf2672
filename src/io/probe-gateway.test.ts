// The gateway probe over a line that the test answers for; whose name it asks in. Real routers: test/e2e/ha-tracks.test.ts.

import assert from "node:assert/strict";
import { performance } from "node:perf_hooks";
import { type TestContext, test } from "node:test";
import { bad, good, type Result } from "../core/failure.ts";
import type { ProbeOutcome } from "../model/health-check.ts";
import { type AddressEntry, addressFlag } from "../wire/netlink/route.ts";
import { type GatewayLine, pickLinkLocal, pickSender } from "./gateway.ts";
import { createGatewayProber } from "./probe-gateway.ts";

function refusal(code: string) {
  return bad({ code, origin: "self", retrySafe: true, detail: "because" });
}

function world(t: TestContext) {
  const seen = { opened: 0, closed: 0, asked: 0 };
  /** The question that is answered, counted over all; 0: none. */
  let answersTo = 1;
  let answered = false;
  let current: Result<boolean> = good(true);
  let opening: Result<true> = good(true);
  const line: GatewayLine = {
    ask: () => {
      if (++seen.asked === answersTo) answered = true;
      return good(true);
    },
    hear: () => {
      const heard = answered;
      answered = false;
      return good(heard);
    },
    isCurrent: () => current,
    close: () => {
      seen.closed++;
    },
  };
  const open = () => {
    seen.opened++;
    return opening.ok ? good(line) : opening;
  };
  const router = { address: "10.0.0.1", interface: "eth0" };
  const prober = createGatewayProber(router, open, () => performance.now());
  t.after(() => prober.close());
  return {
    seen,
    ask: (timeout = 300) => new Promise<ProbeOutcome>((resolve) => prober.start(timeout, resolve)),
    answerTo: (question: number) => {
      answersTo = question;
      seen.asked = 0;
    },
    leaveAnswer: () => {
      answered = true;
    },
    current: (value: Result<boolean>) => {
      current = value;
    },
    opening: (value: Result<true>) => {
      opening = value;
    },
  };
}

test("an answer passes, over a way that stays open", async (t) => {
  const run = world(t);
  assert.equal((await run.ask()).verdict, "passed");
  run.answerTo(1);
  assert.equal((await run.ask()).verdict, "passed");
  assert.deepEqual(run.seen, { opened: 1, closed: 0, asked: 1 });
});

test("a lost question is followed by another; three without an answer fail at the timeout", async (t) => {
  const run = world(t);
  run.answerTo(3);
  assert.equal((await run.ask()).verdict, "passed");
  run.answerTo(0);
  const { verdict, code } = await run.ask();
  assert.deepEqual([verdict, code, run.seen.asked], ["failed", "probe.gateway.silent", 3]);
});

test("an answer to an earlier probe counts for nothing", async (t) => {
  const run = world(t);
  await run.ask();
  run.answerTo(0);
  run.leaveAnswer();
  assert.equal((await run.ask()).code, "probe.gateway.silent");
});

test("a changed interface is opened anew, one that is gone or down fails at once, and trouble of our own judges nothing", async (t) => {
  const run = world(t);
  await run.ask();
  run.current(good(false));
  run.answerTo(1);
  assert.equal((await run.ask()).verdict, "passed");
  assert.deepEqual([run.seen.opened, run.seen.closed], [2, 1]);
  run.current(refusal("gateway.linkDown"));
  const down = await run.ask(60_000);
  assert.deepEqual([down.verdict, down.code], ["failed", "gateway.linkDown"]);
  run.opening(refusal("interface.missing"));
  assert.deepEqual((await run.ask(60_000)).verdict, "failed");
  run.opening(refusal("arp.socket.denied"));
  assert.deepEqual((await run.ask(60_000)).verdict, "unable");
});

function own(address: string, prefixLength: number, flags = 0): AddressEntry {
  const family = address.includes(":") ? 6 : 4;
  const rest = { scope: 0, label: undefined, protocol: 0, validSeconds: undefined, preferredSeconds: undefined };
  return { address, prefixLength, interfaceIndex: 2, family, flags, ...rest };
}

test("over IPv4 it asks in the name of an own address in the router's network, never of a virtual one", () => {
  const virtual = own("10.0.0.99", 24);
  const addresses = [virtual, own("fe80::1", 64), own("192.168.7.2", 16), own("10.0.0.7", 24)];
  assert.equal(pickSender("10.0.0.1", addresses, ["10.0.0.99"]), "10.0.0.7");
  assert.equal(pickSender("192.168.200.1", addresses, []), "192.168.7.2");
  assert.equal(pickSender("172.16.0.1", addresses, []), "0.0.0.0");
  assert.equal(pickSender("10.0.0.1", [virtual, own("10.0.0.98", 32)], ["10.0.0.99"]), "0.0.0.0");
});

test("over IPv6 it asks in the name of a link-local address that is usable and not virtual", () => {
  const addresses = [
    own("fd00::1", 64),
    own("fe80::99", 64),
    own("fe80::5", 64, addressFlag.tentative),
    own("fe80::7", 64),
  ];
  assert.equal(pickLinkLocal(addresses, ["fe80::99"]), "fe80::7");
  assert.equal(pickLinkLocal([own("fd00::1", 64)], []), undefined);
});
