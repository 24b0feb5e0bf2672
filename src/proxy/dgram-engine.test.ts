import assert from "node:assert/strict";
import { createSocket, type Socket } from "node:dgram";
import { type TestContext, test } from "node:test";
import { createEventClock } from "../core/event-clock.ts";
import { createArena } from "../wire/arena.ts";
import { type ClientSocket, LostCode, type TargetSocketOwner } from "./datagram-engine.ts";
import { createDgramEngine } from "./dgram-engine.ts";
import { ARENA_BYTES, OUT, READ } from "./layout.ts";

const arena = createArena(ARENA_BYTES);
let clockLooks = 0;
const clock = createEventClock(() => ++clockLooks);
const engine = createDgramEngine(arena, READ, clock);

/** A socket of the other side on a port of loopback. */
async function other(t: TestContext, host = "127.0.0.1"): Promise<Socket> {
  const socket = createSocket(host.includes(":") ? "udp6" : "udp4");
  let open = true;
  socket.on("close", () => {
    open = false;
  });
  t.after(() => (open ? socket.close() : undefined));
  await new Promise<void>((resolve) => socket.bind(0, host, resolve));
  return socket;
}

function nextMessage(socket: Socket): Promise<{ readonly text: string; readonly port: number }> {
  return new Promise((resolve) =>
    socket.once("message", (message, { port }) => resolve({ text: message.toString("latin1"), port })),
  );
}

/** Waits for callbacks: each resolves the oldest wait. */
class Heard implements TargetSocketOwner {
  readonly events: string[] = [];
  private waiting: (() => void) | undefined;
  onDatagram(start: number, end: number): void {
    this.put(arena.bytes.toString("latin1", start, end));
  }
  onUnopened(errorCode: string): void {
    this.put(`unopened ${errorCode}`);
  }
  onError(errorCode: string, unsent: boolean): void {
    this.put(`${errorCode}${unsent ? " unsent" : ""}`);
  }
  async next(): Promise<string> {
    while (this.events.length === 0) {
      await new Promise<void>((resolve) => {
        this.waiting = resolve;
      });
    }
    return this.events.shift() ?? "";
  }
  protected put(event: string): void {
    this.events.push(event);
    this.waiting?.();
  }
}

class HeardClient extends Heard {
  client: ClientSocket | undefined;
  from: { address: string; port: number } = { address: "", port: 0 };
  override onDatagram(start: number, end: number, address = "", port = 0): void {
    this.from = { address, port };
    super.onDatagram(start, end);
  }
  onLost(errorCode: string): void {
    this.put(`lost ${errorCode}`);
  }
}

function put(text: string): [start: number, end: number] {
  return [OUT, OUT + arena.bytes.write(text, OUT, "latin1")];
}

async function attached(t: TestContext, host = "127.0.0.1") {
  const socket = await other(t, host);
  const heard = new HeardClient();
  const close = engine.attach(socket, (client) => {
    heard.client = client;
    return heard;
  });
  return { socket, heard, close };
}

for (const host of ["127.0.0.1", "::1"]) {
  test(`datagrams of every size pass whole between a target and us, over ${host}`, async (t) => {
    const target = await other(t, host);
    const heard = new Heard();
    const ours = engine.connect(host, target.address().port, heard);
    t.after(() => ours.close());
    for (const text of ["hello", "", "x".repeat(host === "::1" ? 65_527 : 65_507)]) {
      const coming = nextMessage(target);
      ours.send(...put(text));
      const { text: got, port } = await coming;
      assert.equal(got.length, text.length);
      assert.equal(got, text);
      target.send(Buffer.from(text, "latin1"), port, host);
      assert.equal(await heard.next(), text);
    }
  });

  test(`a client is heard with its address, and answered, over ${host}`, async (t) => {
    const { socket, heard } = await attached(t, host);
    const client = await other(t, host);
    client.send("question", socket.address().port, host);
    assert.equal(await heard.next(), "question");
    assert.deepEqual(heard.from, { address: host, port: client.address().port });
    const coming = nextMessage(client);
    heard.client?.send(...put("answer"), heard.from.address, heard.from.port);
    assert.deepEqual(await coming, { text: "answer", port: socket.address().port });
  });
}

test("what came in goes out again within the same event, and once more after it", async (t) => {
  const target = await other(t);
  const socket = await other(t);
  const ours = engine.connect("127.0.0.1", target.address().port, new Heard());
  t.after(() => ours.close());
  engine.attach(socket, () => ({
    onDatagram(start, end) {
      ours.send(start, end);
      // A part of it is something else.
      ours.send(start, end - 1);
      setImmediate(() => ours.send(start, end));
    },
    onLost: () => assert.fail("all is sent"),
  }));
  const got: string[] = [];
  const three = new Promise<void>((resolve) =>
    target.on("message", (message) => {
      if (got.push(message.toString()) === 3) resolve();
    }),
  );
  const client = await other(t);
  client.send("whole", socket.address().port, "127.0.0.1");
  await three;
  assert.deepEqual(got, ["whole", "whol", "whole"]);
});

test("a port where nobody listens is told as refused, by the kernel's word on what was sent", async (t) => {
  const gone = await other(t);
  const { port } = gone.address();
  await new Promise<void>((resolve) => gone.close(() => resolve()));
  const heard = new Heard();
  const ours = engine.connect("127.0.0.1", port, heard);
  t.after(() => ours.close());
  ours.send(...put("one"));
  assert.equal(await heard.next(), "ECONNREFUSED");
  // The answer to the first is there before the second: that one does not go out, and is told as unsent.
  ours.send(...put("two"));
  ours.send(...put("three"));
  assert.equal(await heard.next(), "ECONNREFUSED unsent");
  // The socket is as good as before.
  ours.send(...put("four"));
  assert.equal(await heard.next(), "ECONNREFUSED");
});

test("a socket that cannot be opened says so after the call, and what is sent on it is lost", async () => {
  const heard = new Heard();
  // Broadcast needs a permission that no socket of ours has.
  const ours = engine.connect("255.255.255.255", 9, heard);
  ours.send(...put("lost"));
  assert.deepEqual(heard.events, []);
  assert.equal(await heard.next(), "unopened EACCES");
  ours.close();
  ours.close();
});

test("a datagram that is too large for the way is told as unsent", async (t) => {
  const target = await other(t);
  const heard = new Heard();
  const ours = engine.connect("127.0.0.1", target.address().port, heard);
  t.after(() => ours.close());
  ours.send(OUT, OUT + 65_508);
  assert.equal(await heard.next(), "EMSGSIZE unsent");
});

test("a client that sends from port 0 cannot be answered", async (t) => {
  const { heard } = await attached(t);
  heard.client?.send(...put("answer"), "127.0.0.1", 0);
  assert.deepEqual(heard.events, []);
  assert.equal(await heard.next(), `lost ${LostCode.noPort}`);
});

test("an answer that cannot be sent is told", async (t) => {
  const { heard } = await attached(t);
  heard.client?.send(...put("answer"), "255.255.255.255", 9);
  assert.equal(await heard.next(), "lost EACCES");
});

test("nothing is told, and nothing sent, after the end", async (t) => {
  const { socket, heard, close } = await attached(t);
  const { port } = socket.address();
  const client = await other(t);
  const target = await other(t);
  const told = new Heard();
  const ours = engine.connect("127.0.0.1", target.address().port, told);
  client.send("before", port, "127.0.0.1");
  assert.equal(await heard.next(), "before");
  ours.close();
  close();
  close();
  ours.send(...put("late"));
  heard.client?.send(...put("late"), "127.0.0.1", client.address().port);
  await new Promise((resolve) => setImmediate(() => setImmediate(resolve)));
  assert.deepEqual([heard.events, told.events], [[], []]);
});

test("the clock is read at most once in an event", async (t) => {
  const { socket, heard } = await attached(t);
  const client = await other(t);
  const before = clock.now();
  client.send("question", socket.address().port, "127.0.0.1");
  await heard.next();
  assert.equal(clock.now(), before + 1);
  assert.equal(clock.now(), before + 1);
});
