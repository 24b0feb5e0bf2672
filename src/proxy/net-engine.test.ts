// The portable engine on real sockets of the loopback: each promise of engine.ts, seen from the other side.

import assert from "node:assert/strict";
import net from "node:net";
import { after, test } from "node:test";
import { createEventClock } from "../core/event-clock.ts";
import { createArena } from "../wire/arena.ts";
import type { Wire, WireOwner } from "./engine.ts";
import { ARENA_BYTES, OUT, READ } from "./layout.ts";
import { createNetEngine, serverOptions } from "./net-engine.ts";

const DEADLINE_MS = 5_000;
const arena = createArena(ARENA_BYTES);
const engine = createNetEngine(
  arena,
  READ,
  createEventClock(() => performance.now()),
);
const open: (net.Server | net.Socket)[] = [];

after(() => {
  for (const one of open) {
    if (one instanceof net.Server) one.close();
    else one.destroy();
  }
});

/** Waits for what is asked; the event loop turns meanwhile. */
async function until(what: string, condition: () => boolean): Promise<void> {
  const deadline = performance.now() + DEADLINE_MS;
  while (!condition()) {
    assert(performance.now() < deadline, `in time: ${what}`);
    await new Promise((resolve) => setImmediate(resolve));
  }
}

/** Writes down what it is told. */
class Witness implements WireOwner {
  wire: Wire | undefined = undefined;
  connected = 0;
  data = "";
  drains = 0;
  ends = 0;
  closes: string[] = [];

  onConnect(): void {
    this.connected += 1;
  }

  onData(start: number, end: number): void {
    assert.equal(start, READ.start);
    this.data += arena.bytes.toString("latin1", start, end);
    // The range is the core's: it may write there.
    arena.bytes.fill(0x21, start - 16, end + 16);
  }

  onDrain(): void {
    this.drains += 1;
  }

  onEnd(): void {
    this.ends += 1;
  }

  onClose(errorCode: string): void {
    this.closes.push(errorCode);
  }

  send(text: string): boolean {
    const length = arena.bytes.write(text, OUT, "latin1");
    const taken = this.wire?.send(OUT, OUT + length) ?? false;
    // What was sent is the engine's no more, and not yet the kernel's perhaps.
    arena.bytes.fill(0x3f, OUT, OUT + length);
    return taken;
  }
}

/** A wire that the engine opened, and the plain socket at its other end. */
async function connected(): Promise<{ readonly witness: Witness; readonly peer: net.Socket }> {
  let peer: net.Socket | undefined;
  const server = net.createServer({ allowHalfOpen: true }, (socket) => {
    peer = socket;
    socket.on("error", () => {}); // resets are part of the tests
  });
  open.push(server);
  const port = await listening(server);
  const witness = new Witness();
  witness.wire = engine.connect("127.0.0.1", port, witness);
  await until("both ends know", () => peer !== undefined && witness.connected === 1);
  assert(peer !== undefined);
  open.push(peer);
  return { witness, peer };
}

async function listening(server: net.Server): Promise<number> {
  server.listen(0, "127.0.0.1");
  await until("the server listens", () => server.listening);
  const address = server.address();
  assert(typeof address === "object" && address !== null);
  return address.port;
}

/** Everything that the socket gets, as it comes. */
function hear(socket: net.Socket): { text: string; over: boolean; error: string } {
  const heard = { text: "", over: false, error: "" };
  socket.on("data", (bytes: Buffer) => {
    heard.text += bytes.toString("latin1");
  });
  socket.on("end", () => {
    heard.over = true;
  });
  socket.on("error", (error: NodeJS.ErrnoException) => {
    heard.error = error.code ?? "";
  });
  return heard;
}

test("bytes go out and come in, in the read area", async () => {
  const { witness, peer } = await connected();
  const heard = hear(peer);
  witness.send("hello");
  await until("they arrive", () => heard.text === "hello");
  peer.write("world");
  await until("the answer arrives", () => witness.data === "world");
  assert.equal(witness.wire?.remoteAddress, "127.0.0.1");
  assert.equal(witness.wire?.localPort, peer.remotePort);
});

test("a refused connect is told once, with the system's code, and never from within the call", async () => {
  const server = net.createServer();
  const port = await listening(server);
  server.close();
  const witness = new Witness();
  witness.wire = engine.connect("127.0.0.1", port, witness);
  assert.deepEqual(witness.closes, []);
  await until("the refusal is told", () => witness.closes.length > 0);
  assert.deepEqual(witness.closes, ["ECONNREFUSED"]);
  assert.equal(witness.connected, 0);
  assert.equal(witness.send("to nobody"), true);
  witness.wire.end();
  witness.wire.finish();
  witness.wire.kill();
  witness.wire.reset();
});

test("a half-close of either side leaves the other way open, and both make an orderly end", async () => {
  const { witness, peer } = await connected();
  const heard = hear(peer);
  witness.wire?.end();
  await until("the peer sees it", () => heard.over);
  peer.write("still");
  await until("reading goes on", () => witness.data === "still");
  peer.end();
  await until("its end is told", () => witness.ends === 1);
  await until("then it is closed", () => witness.closes.length === 1);
  assert.deepEqual(witness.closes, [""]);
});

test("a paused wire is not read until it is resumed", async () => {
  const { witness, peer } = await connected();
  witness.wire?.pause();
  witness.wire?.pause();
  peer.write("wait");
  const other = await connected();
  other.peer.write("x");
  await until("bytes written later on another wire are there", () => other.witness.data === "x");
  assert.equal(witness.data, "");
  witness.wire?.resume();
  await until("and now they come", () => witness.data === "wait");
});

// Small pieces go out as text, larger ones as a copy, and the largest is in no memory that is kept for sends.
const pieceSizes = {
  small: [500, 8_000, 3],
  large: [20_000, 64_000, 120_000],
  mixed: [500, 20_000, 8_000, 120_000, 64_000, 7],
};

for (const [name, sizes] of Object.entries(pieceSizes))
  test(`what the other side does not take is held, counted down, and followed by one drain: ${name} pieces`, () =>
    heldAndDrained(sizes));

async function heldAndDrained(sizes: readonly number[]): Promise<void> {
  const { witness, peer } = await connected();
  peer.pause();
  let sent = "";
  let taken = true;
  for (let piece = 0; taken; piece++) {
    assert(piece < 10_000, "the kernel's buffers end somewhere");
    const text = String.fromCharCode(97 + (piece % 26)).repeat(sizes[piece % sizes.length] ?? 1);
    sent += text;
    taken = witness.send(text);
  }
  const held = witness.wire?.held() ?? 0;
  assert(held > 0);
  sent += "and more";
  witness.send("and more");
  assert((witness.wire?.held() ?? 0) >= held);
  const heard = hear(peer);
  peer.resume();
  await until("all of it arrives", () => heard.text.length >= sent.length);
  assert(heard.text === sent, "byte by byte what was sent");
  await until("the drain is told", () => witness.drains > 0);
  assert.equal(witness.drains, 1);
  assert.equal(witness.wire?.held(), 0);
}

for (const size of [8_000, 64_000])
  for (const how of ["finish", "kill"] as const)
    test(`${how} with pieces of ${size} bytes: ${how === "finish" ? "what is held goes out" : "it does not wait"}, and it is not told of`, () =>
      leaveWithHeldBytes(how, size));

async function leaveWithHeldBytes(how: "finish" | "kill", size: number): Promise<void> {
  const { witness, peer } = await connected();
  peer.pause();
  let sent = size;
  while (witness.send("x".repeat(size))) sent += size;
  assert((witness.wire?.held() ?? 0) > 0);
  witness.wire?.[how]();
  const heard = hear(peer);
  peer.resume();
  await until(`the ${how} is seen`, () => heard.over || heard.error !== "");
  if (how === "finish") assert.equal(heard.text.length, sent);
  else assert(heard.text.length < sent);
  assert.deepEqual(witness.closes, []);
}

test("an end lets out what is held before it", async () => {
  const { witness, peer } = await connected();
  peer.pause();
  let sent = 8_000;
  while (witness.send("x".repeat(8_000))) sent += 8_000;
  witness.wire?.end();
  const heard = hear(peer);
  peer.resume();
  await until("the end is seen", () => heard.over);
  assert.equal(heard.text.length, sent);
});

test("a reset right behind an end closes the connection all the same", async () => {
  const before = sockets();
  const { witness, peer } = await connected();
  peer.resume();
  let closed = false;
  peer.on("close", () => {
    closed = true;
  });
  witness.wire?.end();
  witness.wire?.reset();
  peer.end();
  await until("nothing of it is left", () => closed && sockets() <= before);

  function sockets(): number {
    return process.getActiveResourcesInfo().filter((resource) => resource === "TCPSocketWrap").length;
  }
});

test("a write to a connection that the other side has reset ends it, told once", async () => {
  const { witness, peer } = await connected();
  witness.wire?.pause();
  peer.resetAndDestroy();
  await until("a write fails", () => {
    witness.send("into the void");
    return witness.closes.length > 0;
  });
  assert.equal(witness.closes.length, 1);
  assert.match(witness.closes[0] ?? "", /^(EPIPE|ECONNRESET)$/);
});

test("reset is no end of a stream to the other side", async () => {
  const { witness, peer } = await connected();
  const heard = hear(peer);
  witness.send("half");
  await until("it arrives", () => heard.text === "half");
  witness.wire?.reset();
  await until("the reset is seen", () => heard.error !== "");
  assert.equal(heard.error, "ECONNRESET");
  assert.equal(heard.over, false);
});

test("a reset of the other side is told once, with its code", async () => {
  const { witness, peer } = await connected();
  peer.resetAndDestroy();
  await until("it is told", () => witness.closes.length > 0);
  assert.deepEqual(witness.closes, ["ECONNRESET"]);
});

test("accepted connections are wires too: bytes sent before anybody looked are there, and each has its own", async () => {
  const server = net.createServer(serverOptions);
  const witnesses: Witness[] = [];
  engine.accept(server, (wire) => {
    const witness = new Witness();
    witness.wire = wire;
    witnesses.push(witness);
    return witness;
  });
  open.push(server);
  const port = await listening(server);
  const sockets = ["a", "b", "c"].map((letter) => {
    const socket = net.connect({ port, host: "127.0.0.1", allowHalfOpen: true });
    open.push(socket);
    socket.write(letter.repeat(1_000));
    return socket;
  });
  await until(
    "all have been read",
    () => witnesses.length === 3 && witnesses.every(({ data }) => data.length === 1_000),
  );
  assert.deepEqual(witnesses.map(({ data }) => data[0]).sort(), ["a", "b", "c"]);
  const heard = sockets.map(hear);
  for (const witness of witnesses) {
    assert.equal(witness.wire?.localPort, port);
    witness.send(`to ${witness.data[0]}`);
    witness.wire?.finish();
  }
  await until("each has its answer and the end", () => heard.every(({ over }) => over));
  assert.deepEqual(
    heard.map(({ text }) => text),
    ["to a", "to b", "to c"],
  );
});

test("a wire that is killed while it is accepted is not read", async () => {
  const server = net.createServer(serverOptions);
  const witness = new Witness();
  engine.accept(server, (wire) => {
    wire.kill();
    return witness;
  });
  open.push(server);
  const socket = net.connect({ port: await listening(server), host: "127.0.0.1" });
  open.push(socket);
  const heard = hear(socket);
  socket.write("anybody?");
  await until("the client sees the end", () => heard.over || heard.error !== "");
  assert.equal(witness.data, "");
  assert.deepEqual(witness.closes, []);
});
