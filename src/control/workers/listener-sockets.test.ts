import assert from "node:assert/strict";
import { createSocket } from "node:dgram";
import { createServer } from "node:net";
import { type TestContext, test } from "node:test";
import { closeListening, socketInode } from "../../io/listening-socket.ts";
import {
  type BoundAddress,
  closeDropped,
  desiredListeners,
  type ListenerToBind,
  planSockets,
  type SocketPlan,
} from "./listener-sockets.ts";

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

function listener(name: string, port: number, protocol: ListenerToBind["protocol"] = "http"): ListenerToBind {
  return { name, protocol, bind: { host: "127.0.0.1", port }, backlog: 16 };
}

function plan(
  current: readonly BoundAddress[],
  listeners: readonly ListenerToBind[],
  slots: number,
  machine: readonly string[] = [],
): SocketPlan {
  const planned = planSockets(current, listeners, slots, machine);
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
  const first = plan([], [listener("old", port)], 1);
  const second = plan(first.next, [listener("new", port)], 1);
  closeAtEnd(t, second.next);
  assert.deepEqual(second.next[0]?.descriptors, first.next[0]?.descriptors);
  assert.deepEqual(second.dropped, []);
  assert.notDeepEqual(desiredListeners(first.next), desiredListeners(second.next));
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

function everywhere(name: string, port: number): ListenerToBind {
  return { name, protocol: "udp", bind: { host: "0.0.0.0", port } };
}

const addressesOf = ({ next }: SocketPlan): string[] => next.map(({ bind }) => bind.host);

test("TCP and UDP have a port each, and a change of transport is another socket", async (t) => {
  const [port = 0] = await somePorts(1);
  const first = plan([], [listener("a", port, "udp"), listener("b", port, "tcp")], 2);
  const second = plan(first.next, [listener("a", port, "tcp")], 2);
  closeAtEnd(t, second.next);
  assert.deepEqual(second.next[0]?.descriptors, first.next[1]?.descriptors);
  assert.deepEqual(second.dropped, first.next[0]?.descriptors);
  closeDropped(second.dropped);
  assert.notEqual(desiredListeners(first.next)[0]?.key, desiredListeners(second.next)[0]?.key);
});

test("a UDP port that somebody has is refused with his name", async (t) => {
  const holder = createSocket("udp4");
  t.after(() => holder.close());
  await new Promise<void>((resolve) => holder.bind(0, "127.0.0.1", resolve));
  const { port } = holder.address();
  for (const wanted of [listener("a", port, "udp"), everywhere("a", port)]) {
    const planned = planSockets([], [wanted], 2);
    assert.ok(!planned.ok);
    const [failure] = planned.failures;
    assert.equal(failure?.code, "listener.bind.inUse");
    assert.ok(failure.detail.includes(`in use by process ${process.pid} (`), failure.detail);
  }
});

test("a UDP listener on every address has sockets on each address of the machine, one a worker", async (t) => {
  const [port = 0] = await somePorts(1);
  const first = plan([], [everywhere("a", port)], 2, ["127.0.0.1", "127.0.0.2", "::1"]);
  closeAtEnd(t, first.next);
  assert.deepEqual(addressesOf(first), ["0.0.0.0", "127.0.0.1", "127.0.0.2"]);
  assert.equal(new Set(first.next.flatMap(({ descriptors }) => descriptors)).size, 6);
  assert.equal(new Set(desiredListeners(first.next).map(({ key }) => key)).size, 3);
  const tcp = plan([], [{ ...everywhere("t", port), protocol: "tcp" }], 1, ["127.0.0.1"]);
  closeAtEnd(t, tcp.next);
  assert.deepEqual(addressesOf(tcp), ["0.0.0.0"]);
});

test("an address that comes is added, one that goes keeps its sockets, one that cannot be bound yet is left out", async (t) => {
  const [port = 0] = await somePorts(1);
  const first = plan([], [everywhere("a", port)], 2, ["127.0.0.1"]);
  // TEST-NET-1, RFC 5737: gone again before it was bound.
  const second = plan(first.next, [everywhere("a", port)], 2, ["127.0.0.2", "192.0.2.1"]);
  assert.deepEqual(addressesOf(second), ["0.0.0.0", "127.0.0.1", "127.0.0.2"]);
  assert.deepEqual(second.next.slice(0, 2), first.next);
  assert.deepEqual(second.dropped, []);
  const third = plan(second.next, [listener("a", port, "udp")], 2, ["127.0.0.1", "127.0.0.2"]);
  closeAtEnd(t, third.next);
  assert.deepEqual(third.next[0]?.descriptors, first.next[1]?.descriptors);
  assert.equal(third.dropped.length, 4);
  closeDropped(third.dropped);
});
