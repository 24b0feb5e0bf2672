import assert from "node:assert/strict";
import { createSocket } from "node:dgram";
import { fstatSync } from "node:fs";
import { connect, createServer } from "node:net";
import { test } from "node:test";
import { encodeKernelAddress } from "./kernel-address.ts";
import { listenSocket } from "./libc.ts";
import {
  bindShared,
  closeListening,
  duplicate,
  probeAddress,
  socketInode,
  startListening,
  unshareAddress,
} from "./listening-socket.ts";

/** A port that was free a moment ago. */
async function somePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  await new Promise<void>((resolve) => server.close(() => resolve()));
  assert.ok(typeof address === "object" && address !== null);
  return address.port;
}

function fd(result: ReturnType<typeof bindShared>): number {
  return result.ok ? result.value : assert.fail(result.failure.detail);
}

function code(result: ReturnType<typeof probeAddress>): string {
  return result.ok ? "free" : result.failure.code;
}

test("addresses are laid out as sockaddr_in and sockaddr_in6", () => {
  const v4 = encodeKernelAddress("10.1.2.3", 0x1234);
  assert.equal(Buffer.from(v4?.bytes ?? []).toString("hex"), "020012340a0102030000000000000000");
  const v6 = encodeKernelAddress("2001:db8::1", 80);
  assert.equal(
    Buffer.from(v6?.bytes ?? []).toString("hex"),
    "0a0000500000000020010db800000000000000000000000100000000",
  );
  assert.equal(encodeKernelAddress("example.com", 80), undefined);
});

test("sisters share an address, and a probe finds them even so", async (t) => {
  const bind = { host: "127.0.0.1", port: await somePort() };
  const sisters = [fd(bindShared(bind)), fd(bindShared(bind))];
  t.after(() => {
    for (const sister of sisters) closeListening(sister);
  });
  for (const sister of sisters) assert.equal(startListening(sister, bind, 16).ok, true);
  assert.equal(code(probeAddress(bind)), "listener.bind.inUse");
  const told = probeAddress(bind);
  assert.ok(!told.ok && told.failure.detail.includes(`process ${process.pid} (`), "the holder is named");
  const own = new Set(sisters.map(socketInode));
  assert.equal(code(probeAddress(bind, own)), "free");
  own.delete(socketInode(sisters[0] ?? -1));
  assert.equal(code(probeAddress(bind, own)), "listener.bind.inUse");
});

test("a port that another kind of server holds is in use", async (t) => {
  const server = createServer();
  t.after(() => server.close());
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  assert.ok(typeof address === "object" && address !== null);
  assert.equal(code(probeAddress({ host: "0.0.0.0", port: address.port })), "listener.bind.inUse");
});

test("an address that no interface has says so", () => {
  // TEST-NET-1, RFC 5737.
  const told = probeAddress({ host: "192.0.2.1", port: 8080 });
  assert.equal(code(told), "listener.bind.addressNotAvailable");
  assert.ok(!told.ok && told.failure.detail.includes("ip addr"));
});

test("a floating address is bound before the machine has it, in both families", () => {
  for (const host of ["192.0.2.77", "2001:db8::77"]) {
    for (const transport of ["tcp", "udp"] as const) {
      const bind = { host, port: 18_080, transport };
      assert.equal(code(probeAddress(bind)), "listener.bind.addressNotAvailable");
      assert.equal(code(probeAddress({ ...bind, floating: true })), "free");
      closeListening(fd(bindShared({ ...bind, floating: true })));
    }
  }
});

test("a v6 wildcard leaves the v4 port alone", async (t) => {
  const port = await somePort();
  const v6 = bindShared({ host: "::", port });
  if (!v6.ok) {
    assert.equal(v6.failure.code, "listener.bind.addressNotAvailable");
    t.skip("this kernel has no IPv6");
    return;
  }
  t.after(() => closeListening(v6.value));
  startListening(v6.value, { host: "::", port }, 16);
  assert.equal(code(probeAddress({ host: "0.0.0.0", port })), "free");
});

test("sisters for datagrams share an address, have room for a burst, and nobody else may join them", async (t) => {
  const bind = { host: "127.0.0.1", port: await somePort(), transport: "udp" } as const;
  const sisters = [fd(bindShared(bind)), fd(bindShared(bind))];
  t.after(() => {
    for (const sister of sisters) closeListening(sister);
  });
  assert.equal(code(probeAddress(bind)), "listener.bind.inUse");
  const told = probeAddress(bind);
  assert.ok(!told.ok && told.failure.detail.includes(`process ${process.pid} (`), "the holder is named");
  assert.equal(code(probeAddress(bind, new Set(sisters.map(socketInode)))), "free");
  const reader = createSocket("udp4");
  reader.bind({ fd: fd(duplicate(sisters[0] ?? -1)), exclusive: true });
  t.after(() => reader.close());
  assert.ok(reader.getRecvBufferSize() > 212_992, `${reader.getRecvBufferSize()} bytes`);
  // Node has let others share the address; a stranger could now take its datagrams away.
  const stranger = async () => {
    const socket = createSocket({ type: "udp4", reuseAddr: true });
    const came = await new Promise<string>((resolve) => {
      socket.once("error", (error: NodeJS.ErrnoException) => resolve(error.code ?? ""));
      socket.bind({ port: bind.port, address: bind.host, exclusive: true }, () => resolve("bound"));
    });
    await new Promise<void>((resolve) => socket.close(() => resolve()));
    return came;
  };
  assert.equal(await stranger(), "EADDRINUSE", "the other sister still minds");
  for (const sister of sisters.slice(1)) {
    const open = createSocket("udp4");
    open.bind({ fd: fd(duplicate(sister)), exclusive: true });
    t.after(() => open.close());
  }
  assert.equal(await stranger(), "bound");
  for (const sister of sisters) assert.ok(unshareAddress(sister, bind).ok);
  assert.equal(await stranger(), "EADDRINUSE");
});

test("a probe leaves nothing behind", async () => {
  const bind = { host: "127.0.0.1", port: await somePort() };
  for (let round = 0; round < 5; round++) assert.equal(code(probeAddress(bind)), "free");
});

test("a duplicate is the same socket and outlives the first descriptor", async () => {
  const bind = { host: "127.0.0.1", port: await somePort() };
  const first = fd(bindShared(bind));
  startListening(first, bind, 16);
  const second = fd(duplicate(first));
  assert.equal(fstatSync(second).ino, socketInode(first));
  closeListening(first);
  const client = connect(bind.port, bind.host);
  await new Promise<void>((resolve, reject) => client.once("connect", resolve).once("error", reject));
  client.destroy();
  closeListening(second);
});

test("a call on a descriptor that is none gives the error's name", () => {
  const result = listenSocket(1_000_000, 1);
  assert.deepEqual(result, { ok: false, errno: 9, name: "EBADF" });
});
