// Random walks: clients, targets and the clock do what they like in any order. Whatever happens, what a target reads are
// requests that some client meant, a client gets nothing but its own responses, nobody takes half of one for the whole,
// a POST is never sent twice, the books balance, and when all fall silent every connection ends by itself.

import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { type Random, seededRandom } from "../core/random.ts";
import { SLOT_COUNT } from "./layout.ts";
import { TargetConnection } from "./target-connection.ts";
import type { TestWire } from "./test-engine.ts";
import { readRequests, readResponses } from "./test-reader.ts";
import { poolAction, route, target, testRetry, World, type WorldOptions } from "./test-world.ts";

const seed = Date.now() & 0x7fffffff;
console.log(`seed ${seed}`);

const CLIENTS = 4;
const timeouts = {
  clientHeader: 1_000,
  clientBody: 1_100,
  keepAlive: 1_500,
  connect: 500,
  send: 1_200,
  firstByte: 900,
  idle: 800,
  exchange: 0,
  tunnel: 1_300,
};
/** All of the timeouts one after the other, with room for a few tries each and for lingering. */
const SILENCE = 25_000;

type Asked = {
  readonly id: string;
  readonly method: string;
  readonly body: string;
  readonly version: string;
  readonly bytes: string;
};

type Actor = {
  readonly wire: TestWire;
  readonly asked: readonly Asked[];
  readonly script: string;
  sent: number;
  ended: boolean;
};

type Answering = { script: string; given: number; answers: number; refusesMore: boolean };

/** How a response says whose it is: nothing else is in its body. */
function bodyOf(id: string, copies: number): string {
  return `<${id}>`.repeat(copies);
}

function copiesOf(id: string): number {
  let sum = 0;
  for (let at = 0; at < id.length; at++) sum = (sum * 31 + id.charCodeAt(at)) & 0xffff;
  return sum % 40;
}

function pickOf<T>(random: Random, choices: readonly T[]): T {
  return choices[Math.floor(random() * choices.length)]!;
}

function chunked(random: Random, body: string): string {
  let out = "";
  for (let at = 0; at < body.length; ) {
    const length = 1 + Math.floor(random() * 40);
    const part = body.slice(at, at + length);
    out += `${part.length.toString(16)}${pickOf(random, ["", ";a=b", ';q="x;y"'])}\r\n${part}\r\n`;
    at += length;
  }
  return `${out}0\r\n${pickOf(random, ["", "X-Trailer: 1\r\n"])}\r\n`;
}

function ask(random: Random, id: string): Asked {
  const method = pickOf(random, ["GET", "GET", "POST", "PUT", "HEAD", "GET"]);
  const version = pickOf(random, ["1.1", "1.1", "1.1", "1.0"]);
  const upgrades = method === "GET" && version === "1.1" && random() < 0.1;
  const lines = `Host: h\r\n${pickOf(random, ["", "X: y\r\n", "Connection: keep-alive\r\n", "Connection: x\r\nX: 1\r\n"])}`;
  const path = pickOf(random, ["/", "http://other/", "//", "/a/../"]) + id;
  const head = `${method} ${path} HTTP/${version}\r\n${upgrades ? "Host: h\r\nConnection: upgrade\r\nUpgrade: x\r\n" : lines}`;
  if (method !== "POST" && method !== "PUT") return { id, method, body: "", version, bytes: `${head}\r\n` };
  // A body that reads like a request: whoever loses its framing sends it on as one.
  const body = `GET /evil-${id} HTTP/1.1\r\nHost: h\r\n\r\n`.repeat(Math.floor(random() * 4));
  const bytes =
    version === "1.1" && random() < 0.5
      ? `${head}Transfer-Encoding: chunked\r\n\r\n${chunked(random, body)}`
      : `${head}Content-Length: ${body.length}\r\n\r\n${body}`;
  return { id, method, body, version, bytes };
}

function answer(random: Random, id: string, method: string, upgrades: boolean): { bytes: string; ends: boolean } {
  const body = bodyOf(id, copiesOf(id));
  const lines = `X-Id: ${id}\r\n`;
  const interim = pickOf(random, ["", "", `HTTP/1.1 103 Early Hints\r\n${lines}\r\n`, "HTTP/1.1 100 Continue\r\n\r\n"]);
  const kind = pickOf(random, [
    "length",
    "length",
    "chunked",
    "chunked",
    "close",
    "304",
    "503",
    "garbage",
    "short",
    "more",
  ]);
  if (upgrades && random() < 0.7) {
    return {
      bytes: `HTTP/1.1 101 Switching Protocols\r\n${lines}Connection: upgrade\r\nUpgrade: x\r\n\r\n`,
      ends: false,
    };
  }
  if (kind === "304") return { bytes: `${interim}HTTP/1.1 304 Not Modified\r\n${lines}\r\n`, ends: false };
  if (kind === "garbage") return { bytes: `${interim}what is this?\r\n\r\n`, ends: false };
  const status = kind === "503" ? "503 Busy" : "200 OK";
  const head = `${interim}HTTP/1.1 ${status}\r\n${lines}`;
  const none = method === "HEAD";
  if (kind === "chunked")
    return { bytes: `${head}Transfer-Encoding: chunked\r\n\r\n${none ? "" : chunked(random, body)}`, ends: false };
  if (kind === "close") return { bytes: `${head}\r\n${none ? "" : body}`, ends: true };
  const length = `${head}Content-Length: ${body.length}\r\n\r\n`;
  if (none) return { bytes: length, ends: false };
  if (kind === "short") return { bytes: length + body.slice(0, body.length >> 1), ends: true };
  return {
    bytes: length + body + (kind === "more" ? `HTTP/1.1 200 OK\r\nX-Id: evil\r\nContent-Length: 0\r\n\r\n` : ""),
    ends: kind === "more",
  };
}

class Walk {
  readonly world: World;
  readonly actors: Actor[] = [];
  readonly answering = new Map<TestWire, Answering>();
  readonly random: Random;
  readonly byId = new Map<string, Asked>();
  private readonly options: WorldOptions;
  private readonly connecting: TestWire[] = [];

  constructor(scriptSeed: number) {
    this.random = seededRandom(scriptSeed);
    const { random } = this;
    const retry = { ...testRetry, statuses: pickOf(random, [[], [503]]) };
    const action = poolAction({ upgrade: pickOf(random, ["tunnel", "refuse"] as const), retry });
    const listener = { forwarded: random() < 0.5, timeouts };
    this.options = {
      routes: [route({ action, timeouts, bodyBytesMax: pickOf(random, [0, 0, 100]) })],
      targets: [target(1, { maxFails: 0 }), target(2), target(3, { connectionsMax: 1 })],
      listener,
      pool: { idleConnectionsMax: 2, idleTimeout: 1_700 },
    };
    this.world = new World(this.options, scriptSeed);
    // Most connects succeed before anybody looks; the others are left to act 1.
    this.world.engine.onConnect = (wire) => {
      if (this.random() < 0.8) this.connecting.push(wire);
    };
    for (let client = 0; client < CLIENTS; client++) this.meet(client);
  }

  private meet(client: number): void {
    const asked = Array.from({ length: 1 + Math.floor(this.random() * 6) }, (_, index) =>
      ask(this.random, `c${client}r${index}`),
    );
    for (const one of asked) this.byId.set(one.id, one);
    const ending = pickOf(this.random, ["", "", "", "BAD\r\n\r\n", "GET / HTTP/1.1\r\n"]);
    const script = asked.map(({ bytes }) => bytes).join("") + ending;
    this.actors.push({ wire: this.world.client(), asked, script, sent: 0, ended: false });
  }

  act(kind: number, index: number, amount: number): void {
    const { world } = this;
    const actor = this.actors[index % this.actors.length]!;
    const { connects } = world.engine;
    const wire = connects[connects.length - 1 - (index % Math.max(1, Math.min(6, connects.length)))];
    switch (kind) {
      case 0:
        if (actor.ended) return;
        actor.wire.put(actor.script.slice(actor.sent, actor.sent + amount));
        actor.sent += amount;
        break;
      case 1:
        if (wire !== undefined && wire.ending === "") world.target(connects.indexOf(wire));
        break;
      case 2:
        if (wire !== undefined) this.answer(wire, amount);
        break;
      case 3:
        this.stall(wire !== undefined && amount % 2 === 0 ? wire : actor.wire, amount);
        break;
      case 4:
        for (const one of [wire, actor.wire]) one?.take(amount % 3 === 0 ? Number.POSITIVE_INFINITY : amount);
        break;
      case 5:
        world.advance([100, 300, 700, 1_400][amount % 4]!);
        break;
      case 6:
        this.disturb(actor, wire, amount);
        break;
      default:
        throw new Error(`no such act: ${kind}`);
    }
    world.run();
    for (const one of this.connecting.splice(0))
      if (one.ending === "") world.target(world.engine.connects.indexOf(one));
  }

  private stall(wire: TestWire, amount: number): void {
    wire.room = 0;
    wire.heldMax = amount;
  }

  private disturb(actor: Actor, wire: TestWire | undefined, amount: number): void {
    const { world } = this;
    switch (amount % 7) {
      case 0:
        if (!actor.ended) actor.wire.putEnd();
        actor.ended = true;
        return;
      case 1:
        actor.wire.putClose("ECONNRESET");
        return;
      case 2:
        wire?.putClose("ECONNRESET");
        return;
      case 3:
        if (wire !== undefined) this.endTarget(wire);
        return;
      case 4:
        world.apply({ ...this.options, targets: [target(1, { maxFails: 0 }), target(4 + (amount % 2))] });
        return;
      case 5: {
        // Unasked for; within a response it would be its body.
        const state = wire === undefined ? undefined : this.answering.get(wire);
        if (state !== undefined && state.given === state.script.length && !state.refusesMore) wire?.put("x");
        return;
      }
      default:
        world.apply(this.options);
    }
  }

  /** Not within a response that ends so: that end nobody could tell from the real one. */
  private endTarget(wire: TestWire): void {
    const state = this.answering.get(wire);
    if (state !== undefined && !(state.refusesMore && state.given < state.script.length)) wire.putEnd();
  }

  /** Up to `amount` bytes of the response to what the target has been asked, or of a tunnel's echo. */
  private answer(wire: TestWire, amount: number): void {
    if (wire.ending !== "") return;
    const state = this.answering.get(wire) ?? { script: "", given: 0, answers: 0, refusesMore: false };
    this.answering.set(wire, state);
    if (state.given === state.script.length) {
      const { messages } = readRequests(Buffer.concat(wire.taken));
      const next = messages[state.answers];
      // Most targets read the whole request first, some don't.
      if (next === undefined || state.refusesMore || (!next.complete && amount % 4 !== 0)) return;
      const id = idOf(next.head);
      const answered = answer(this.random, id, next.head.split(" ")[0] ?? "", next.head.includes("Upgrade: x"));
      state.script += answered.bytes;
      state.refusesMore = answered.ends;
      state.answers += 1;
    }
    wire.put(state.script.slice(state.given, state.given + amount));
    state.given = Math.min(state.script.length, state.given + amount);
    if (state.refusesMore && state.given === state.script.length) wire.putEnd();
  }

  /** What must hold after every act. */
  check(): void {
    const { engine } = this.world;
    let busy = 0;
    const targets = new Set<TargetConnection["target"]>();
    for (const { owner, ending } of engine.connects) {
      assert(owner instanceof TargetConnection);
      targets.add(owner.target);
      if (ending === "" && owner.delivery !== undefined) busy += 1;
    }
    let active = 0;
    for (const one of targets) active += one.active;
    assert.equal(active, busy, "every exchange at a target has one connection, and every busy connection one exchange");
    const open = this.world.clients.filter((wire) => wire.ending === "").length;
    assert.equal(this.world.context.clients.length, open, "every open client is known");
  }

  checkSlots(): void {
    assert(SLOT_COUNT - this.world.freeSlots() <= this.world.context.clients.length, "a client has at most one slot");
  }

  /** What clients and targets have read in the end. */
  checkReadings(): void {
    const seen = new Map<string, number>();
    for (const wire of this.world.engine.connects) this.checkTarget(wire, seen);
    for (const actor of this.actors) this.checkClient(actor);
    for (const [id, count] of seen) {
      if (this.byId.get(id)?.method === "POST") assert.equal(count, 1, `the POST ${id} is sent to one target only`);
    }
  }

  private checkTarget(wire: TestWire, seen: Map<string, number>): void {
    const { messages } = readRequests(Buffer.concat(wire.taken));
    for (const [index, { head, body, complete }] of messages.entries()) {
      const id = idOf(head);
      const asked = this.byId.get(id);
      assert(asked !== undefined && head.startsWith(`${asked.method} `), `a client meant ${JSON.stringify(head)}`);
      if (complete) assert.equal(body, asked.body);
      else assert(asked.body.startsWith(body), "what has come of a body is the client's");
      assert.match(head, /\r\nHost: [a-z]+\r\n/);
      assert(complete || index === messages.length - 1);
      seen.set(id, (seen.get(id) ?? 0) + 1);
    }
  }

  private checkClient({ wire, asked }: Actor): void {
    const clean = wire.over && wire.ending !== "reset" && wire.ending !== "closed";
    const methods = asked.map(({ method }) => method);
    const { messages } = readResponses(Buffer.concat(wire.taken), methods, clean);
    const finals = messages.filter(({ head }) => !/^HTTP\/1\.1 1(?!01)/.test(head));
    for (const { head } of messages) assert(!head.includes("X-Id: evil"), "what nobody asked for is nobody's response");
    for (const [index, { head, body, complete }] of finals.entries()) {
      const id = /\r\nX-Id: (.*)\r\n/.exec(head)?.[1];
      if (clean) assert(complete, "only a reset ends a response early");
      if (id === undefined) continue; // ours
      assert.equal(id, asked[index]?.id, "a client gets the responses to its own requests, in their order");
      const whole = bodyOf(id, copiesOf(id));
      assert(whole.startsWith(body), "nothing of anybody else is in it");
      const bodyless =
        asked[index]?.method === "HEAD" || head.startsWith("HTTP/1.1 304") || head.startsWith("HTTP/1.1 101");
      if (complete && !bodyless) assert.equal(body, whole, "a response that looks whole is whole");
    }
  }

  /** Everybody falls silent, half of them without taking what is held for them. */
  fallSilent(): void {
    const { world } = this;
    for (const [index, wire] of world.engine.wires.entries()) if (index % 2 === 0) wire.take();
    world.run();
    world.advance(SILENCE);
    this.check();
    for (const { wire } of this.actors) assert.notEqual(wire.ending, "", "every client connection ends by itself");
    world.assertQuiet();
    for (const wire of world.engine.connects)
      assert.notEqual(wire.ending, "", "every target connection ends by itself");
  }
}

function idOf(head: string): string {
  return /c\d+r\d+/.exec(head.split("\r\n")[0] ?? "")?.[0] ?? "";
}

test("whatever clients, targets and the clock do, nobody gets what is not his and everything ends", () => {
  const kind = fc.oneof(
    { weight: 12, arbitrary: fc.constant(0) },
    { weight: 1, arbitrary: fc.constant(1) },
    { weight: 16, arbitrary: fc.constant(2) },
    { weight: 1, arbitrary: fc.constant(3) },
    { weight: 3, arbitrary: fc.constant(4) },
    { weight: 1, arbitrary: fc.constant(5) },
    { weight: 1, arbitrary: fc.constant(6) },
  );
  const amount = fc.oneof(fc.integer({ min: 1, max: 8 }), fc.integer({ min: 20, max: 800 }));
  const act = fc.tuple(kind, fc.nat(7), amount);
  fc.assert(
    fc.property(fc.integer(), fc.array(act, { minLength: 20, maxLength: 160 }), (scriptSeed, acts) => {
      const walk = new Walk(scriptSeed);
      for (const [step, [kind, index, amount]] of acts.entries()) {
        walk.act(kind, index, amount);
        walk.check();
        if (step % 8 === 0) walk.checkSlots();
      }
      walk.fallSilent();
      walk.checkReadings();
    }),
    { seed, numRuns: 150 },
  );
});
