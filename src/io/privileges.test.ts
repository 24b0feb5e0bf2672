import assert from "node:assert/strict";
import { test } from "node:test";
import { capability, parseCapabilities, requireCapabilities } from "./privileges.ts";
import { bootClock } from "./realtime.ts";
import { socketFailure } from "./socket-failure.ts";

test("the capabilities in effect are read from the kernel's line", () => {
  const status = "Name:\tnode\nCapPrm:\t000001ffffffffff\nCapEff:\t0000000000003000\nCapBnd:\t000001ffffffffff\n";
  assert.deepEqual([...parseCapabilities(status)], [capability.netAdmin, capability.netRaw]);
  assert.equal(parseCapabilities("Name:\tnode\n").size, 0);
  assert.ok(parseCapabilities("CapEff:\t000001fffeffffff\n").has(40));
});

test("a missing capability is named together with how to give it", () => {
  // No kernel has it.
  const result = requireCapabilities([63]);
  assert.ok(!result.ok);
  assert.equal(result.failure.code, "privilege.missing");
  assert.match(result.failure.detail, /capability 63.*AmbientCapabilities/);
});

test("the boot-time clock goes on and is never behind the monotonic one", () => {
  const now = bootClock();
  const before = now();
  const monotonic = Number(process.hrtime.bigint()) / 1e6;
  const after = now();
  assert.ok(before <= after);
  assert.ok(after >= monotonic);
});

test("what a refused call means depends on what was tried", () => {
  const said = (call: string, name: string, source?: string) =>
    socketFailure({ code: "vrrp.socket", interface: "eth0", source }, call, { ok: false, errno: 1, name }).failure.code;
  assert.equal(said("socket", "EPERM"), "vrrp.socket.denied");
  assert.equal(said("sendmsg", "EPERM"), "vrrp.socket.blocked");
  assert.equal(said("SO_BINDTODEVICE", "ENODEV"), "vrrp.socket.interfaceMissing");
  assert.equal(said("bind", "EADDRNOTAVAIL", "10.0.0.1"), "vrrp.socket.sourceMissing");
  assert.equal(said("bind", "EINVAL"), "vrrp.socket.failed");
  assert.equal(said("sendmsg", "ENETDOWN"), "vrrp.socket.linkDown");
  assert.equal(said("sendto", "ENOBUFS"), "vrrp.socket.busy");
  assert.equal(said("socket", "EMFILE"), "vrrp.socket.limit");
});
