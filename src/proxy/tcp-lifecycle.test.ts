// TCP listeners over time: limits, reloads, protocols that change, drains, and random walks after which the books balance.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { testSeed } from "../wire/test-kit.ts";
import type { TestWire } from "./test-engine.ts";
import { scenario, snapshot, target, testTcpListener, World } from "./test-world.ts";

const seed = testSeed();

describe("a full listener", () => {
  test("asks not to be given more, and has room again when clients have left", () => {
    scenario({ tcp: { limits: { connectionsMax: 4 } }, workerCount: 2 }, (world) => {
      const first = world.client();
      assert.deepEqual(world.full, []);
      world.client();
      assert.deepEqual(world.full, ["web true"]);
      assert.equal(world.counters.limits["listener.connections"], 1);
      first.putClose("ECONNRESET");
      world.run();
      assert.deepEqual(world.full, ["web true", "web false"]);
    });
  });

  test("whose client leaves within its own accept is not full", () => {
    scenario({ tcp: { limits: { connectionsMax: 1 } }, targets: [] }, (world) => {
      for (let index = 0; index < 3; index++) assert.equal(world.client().ending, "reset");
      assert.deepEqual(world.full, []);
      assert.equal(world.counters.connectionsAccepted, 3);
    });
  });
});

describe("a reload", () => {
  test("that takes a target away leaves its tunnels to it, and sends new clients elsewhere", () => {
    scenario({ tcp: {}, targets: [target(1)] }, (world) => {
      const old = world.client();
      const far = world.target();
      world.apply({ tcp: {}, targets: [target(2)] });
      world.client();
      assert.equal(world.target().remoteAddress, "10.0.0.2");
      world.say(old, "still here");
      assert.equal(world.hear(far), "still here");
      old.putClose("ECONNRESET");
      world.run();
      assert.deepEqual(
        [world.tunnels[0]?.targetAddress, world.tunnels[0]?.errorCode],
        ["10.0.0.1:8080", "client.gone"],
      );
    });
  });

  test("that takes the listener away leaves its tunnels, those being connected too", () => {
    scenario({ tcp: {} }, (world) => {
      const [one, two] = [world.client(), world.client("early")];
      const far = world.target(0);
      world.applySnapshot({ ...snapshot(2), listeners: [] });
      world.advance(5_000 - 4_000);
      world.say(one, "still here");
      assert.equal(world.hear(far), "still here");
      assert.equal(world.hear(world.target(1)), "early");
      for (const wire of [one, two]) wire.putEnd();
      for (const wire of world.engine.connects) wire.putEnd();
      world.run();
      assert.deepEqual([one.ending, two.ending], ["finish", "finish"]);
      assert.equal(world.tunnels.length, 2);
    });
  });

  test("that changes the protocol of a name holds for the next client, and not for those that are there", () => {
    scenario({ tcp: {} }, (world) => {
      const old = world.client();
      const far = world.target();
      world.apply({});
      const next = world.client("GET / HTTP/1.1\r\nHost: h\r\n\r\n");
      world.say(world.target(), "HTTP/1.1 204 No Content\r\n\r\n");
      assert.match(world.hear(next), /^HTTP\/1\.1 204 /);
      world.say(old, "GET / HTTP/1.1\r\n\r\n");
      assert.equal(world.hear(far), "GET / HTTP/1.1\r\n\r\n");
      world.apply({ tcp: {} });
      const last = world.client("raw");
      assert.equal(world.hear(world.target()), "raw");
      for (const wire of [old, next, last]) wire.putClose("ECONNRESET");
      world.run();
    });
  });

  test("that changes the protocol of a full listener gives its name room again", () => {
    scenario({ tcp: { limits: { connectionsMax: 1 } } }, (world) => {
      const old = world.client();
      world.apply({});
      assert.deepEqual(world.full, ["web true", "web false"]);
      old.putClose("ECONNRESET");
      world.run();
      assert.deepEqual(world.full, ["web true", "web false"]);
    });
  });
});

describe("a drain", () => {
  test("leaves tunnels alone until its deadline, then resets both sides", () => {
    scenario({ tcp: {} }, (world) => {
      let done = 0;
      const [one, two] = [world.client(), world.client()];
      const [farOne, farTwo] = [world.target(0), world.target(1)];
      world.dataPlane.drain(30_000, () => {
        done++;
      });
      world.advance(10_000);
      world.say(one, "still here");
      assert.equal(world.hear(farOne), "still here");
      one.putEnd();
      farOne.putEnd();
      world.run();
      assert.deepEqual([one.ending, done], ["finish", 0]);
      world.advance(20_000);
      assert.deepEqual([two.ending, farTwo.ending, done], ["reset", "reset", 1]);
      assert.deepEqual([world.tunnels[1]?.errorCode, world.tunnels[1]?.status], ["drain.deadline", 500]);
    });
  });

  test("lets a client that has just come find its target", () => {
    scenario({ tcp: {} }, (world) => {
      world.dataPlane.drain(30_000, () => {});
      world.client("x");
      world.advance(1_500);
      assert.equal(world.hear(world.target()), "x");
    });
  });
});

/** Bytes `from` to `to` of what a side with this number says: its number first, then what no other side says. */
function speech(number: number, from: number, to: number): Buffer {
  const bytes = Buffer.alloc(to - from);
  for (let at = from; at < to; at++) bytes[at - from] = at === 0 ? number : (number * 13 + at * 7 + (at >> 8)) & 0xff;
  return bytes;
}

const SPEAKERS_MAX = 250;

/** A script of clients, targets, reloads and time, played over one world; every side is known by its place in `wires`. */
class Walk {
  readonly world: World;
  private readonly said = new Map<TestWire, number>();
  private readonly ended = new Set<TestWire>();
  private readonly connected = new Set<TestWire>();
  private readonly targets = [1, 2, 3].map((number) => target(number, { connectionsMax: 4, failTimeout: 1_000 }));

  constructor(scriptSeed: number) {
    this.world = new World({ ...this.options(3), workerCount: 1 }, scriptSeed);
  }

  act(kind: number, which: number, amount: number): void {
    const { world } = this;
    const { wires, connects } = world.engine;
    const wire = wires[which % Math.max(1, wires.length)];
    if (wire === undefined || kind === 0) {
      if (wires.length < SPEAKERS_MAX) world.client();
    } else if (kind === 1) this.connect(connects, amount);
    else if (kind === 2) this.say(wire, amount * 100);
    else if (kind === 3) wire.take(amount * 50);
    else if (kind === 4) wire.room = 0;
    else if (kind === 5) world.advance(amount * 20);
    else if (kind === 6) this.end(wire);
    else if (kind === 7 && amount % 3 === 0 && this.open(wire)) wire.putClose("ECONNRESET");
    else if (kind === 8) world.apply(this.options(1 + (amount % 3)));
    world.run();
  }

  /** Everyone takes what there is; then what each side has heard is checked, and time ends the rest. */
  finish(): void {
    const { world } = this;
    for (const wire of world.engine.wires) wire.take();
    world.run();
    for (const wire of world.engine.wires) this.checkHeard(wire);
    world.advance(200_000);
    for (const wire of world.engine.wires) assert.notEqual(wire.ending, "", "every connection ends by itself");
    world.assertQuiet();
    assert.equal(world.counters.connectionsAccepted, world.tunnels.length, "every client has one line");
  }

  private options(targetCount: number) {
    const timeouts = { ...testTcpListener.timeouts, tunnel: 30_000 };
    return { tcp: { timeouts }, targets: this.targets.slice(0, targetCount) };
  }

  private open(wire: TestWire): boolean {
    return wire.ending === "" && (this.world.clients.includes(wire) || this.connected.has(wire));
  }

  private connect(connects: readonly TestWire[], amount: number): void {
    const pending = connects.find((wire) => wire.ending === "" && !this.connected.has(wire));
    if (pending === undefined) return;
    if (amount % 4 === 0) pending.putClose("ECONNREFUSED");
    else {
      this.connected.add(pending);
      pending.putConnect();
    }
  }

  private say(wire: TestWire, length: number): void {
    if (!this.open(wire) || this.ended.has(wire)) return;
    const from = this.said.get(wire) ?? 0;
    wire.put(speech(this.world.engine.wires.indexOf(wire), from, from + length));
    this.said.set(wire, from + length);
  }

  private end(wire: TestWire): void {
    if (!this.open(wire) || this.ended.has(wire)) return;
    this.ended.add(wire);
    wire.putEnd();
  }

  private checkHeard(wire: TestWire): void {
    const heard = Buffer.concat(wire.taken);
    if (heard.length === 0) return;
    const speaker = heard[0] ?? 0;
    assert.ok(heard.equals(speech(speaker, 0, heard.length)), "one side hears one other, in its order, without a gap");
    const other = this.world.engine.wires[speaker];
    assert.ok(other !== undefined && this.world.clients.includes(other) !== this.world.clients.includes(wire));
    const orderly = wire.ended && wire.ending !== "reset" && wire.ending !== "closed" && other.ending !== "closed";
    if (orderly) assert.equal(heard.length, this.said.get(other), "who is told the end has heard all");
  }
}

test(`whatever clients, targets and the clock do, no bytes are mixed up and everything ends (seed ${seed})`, () => {
  const kind = fc.oneof(
    { weight: 3, arbitrary: fc.constant(0) },
    { weight: 6, arbitrary: fc.constant(1) },
    { weight: 8, arbitrary: fc.constant(2) },
    { weight: 3, arbitrary: fc.integer({ min: 3, max: 5 }) },
    { weight: 3, arbitrary: fc.constant(6) },
    { weight: 1, arbitrary: fc.integer({ min: 7, max: 8 }) },
  );
  const act = fc.tuple(kind, fc.nat(19), fc.integer({ min: 1, max: 900 }));
  fc.assert(
    fc.property(fc.integer(), fc.array(act, { minLength: 10, maxLength: 120 }), (scriptSeed, acts) => {
      const walk = new Walk(scriptSeed);
      for (const [what, which, amount] of acts) walk.act(what, which, amount);
      walk.finish();
    }),
    { seed, numRuns: 100 },
  );
});
