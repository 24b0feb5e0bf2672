import assert from "node:assert/strict";
import { createServer } from "node:net";
import { type TestContext, test } from "node:test";
import { closeListening, socketInode } from "../io/listening-socket.ts";
import { type BoundAddress, closeDropped, desiredListeners, planSockets, type SocketPlan } from "./listener-sockets.ts";

/** Ports that were free a moment ago; all open at once while looking, so that they differ. */
async function somePorts(count: number): Promise<number[]> {
  const servers = Array.from({ length: count }, () => createServer());
  for (const server of servers) await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const ports = servers.map((server) => {
    const address = server.address();
    assert.ok(typeof address === "object" && address !== null);
    return address.port;
  });
  for (const server of servers) await new Promise<void>((resolve) => server.close(() => resolve()));
  return ports;
}

function listener(name: string, port: number) {
  return { name, bind: { host: "127.0.0.1", port }, backlog: 16 };
}

function plan(current: readonly BoundAddress[], listeners: ReturnType<typeof listener>[], slots: number): SocketPlan {
  const planned = planSockets(current, listeners, slots);
  return planned.ok ? planned.plan : assert.fail(planned.failures.map((failure) => failure.detail).join());
}

function closeAtEnd(t: TestContext, bounds: readonly BoundAddress[]): void {
  t.after(() => {
    for (const { descriptors } of bounds) for (const fd of descriptors) closeListening(fd);
  });
}

test("each address has one socket a worker, and more workers add to it", async (t) => {
  const [port = 0] = await somePorts(1);
  const first = plan([], [listener("web", port)], 2);
  const second = plan(first.next, [listener("web", port)], 3);
  closeAtEnd(t, second.next);
  const before = first.next[0]?.descriptors ?? [];
  const after = second.next[0]?.descriptors ?? [];
  assert.deepEqual(after.slice(0, 2), before);
  assert.equal(new Set(after.map(socketInode)).size, 3);
  assert.deepEqual(second.dropped, []);
});

test("a renamed listener keeps its sockets, though the workers are handed them again", async (t) => {
  const [port = 0] = await somePorts(1);
  const [old, renamed] = [listener("old", port), listener("new", port)];
  const first = plan([], [old], 1);
  const second = plan(first.next, [renamed], 1);
  closeAtEnd(t, second.next);
  assert.deepEqual(second.next, first.next);
  assert.deepEqual(second.dropped, []);
  assert.notDeepEqual(desiredListeners([old]), desiredListeners([renamed]));
});

test("a wider address on the same port may take the place of our own narrower one", async (t) => {
  const [port = 0] = await somePorts(1);
  const first = plan([], [listener("web", port)], 1);
  const second = plan(first.next, [{ ...listener("web", port), bind: { host: "0.0.0.0", port } }], 1);
  closeAtEnd(t, second.next);
  assert.deepEqual(second.dropped, first.next[0]?.descriptors);
  closeDropped(second.dropped);
});

test("one address that cannot be had undoes the whole plan, and every failure is told with its listener", async (t) => {
  const [free = 0, taken = 0, third = 0] = await somePorts(3);
  const holder = createServer();
  t.after(() => holder.close());
  await new Promise<void>((resolve) => holder.listen(taken, "127.0.0.1", resolve));
  const absent = { ...listener("absent", third), bind: { host: "192.0.2.1", port: third } };
  const planned = planSockets([], [listener("ok", free), listener("busy", taken), absent, listener("twin", free)], 2);
  assert.ok(!planned.ok);
  const told = planned.failures.map(({ code, detail }) => `${code} ${detail.split(":")[0]}`);
  assert.deepEqual(told, [
    "listener.bind.inUse listener busy",
    "listener.bind.addressNotAvailable listener absent",
    "listener.bind.duplicate listener twin",
  ]);
  // Nothing was left open: without SO_REUSEPORT the port is ours again.
  closeAtEnd(t, plan([], [listener("again", free)], 1).next);
});
