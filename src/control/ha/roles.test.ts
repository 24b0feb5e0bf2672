import assert from "node:assert/strict";
import { test } from "node:test";
import { routerOf } from "../../ha/test-network.ts";
import type { Mode } from "../../ha/virtual-router-state.ts";
import { haNone } from "../../model/ha.ts";
import type { Listener } from "../../model/listener.ts";
import { GateKeys, gatedRouter } from "./gate.ts";
import { groupEvent } from "./group-roles.ts";
import { withBalancer } from "./implied-balancer.ts";
import { missingInterfaces, takenAddresses } from "./judge-routers.ts";

const listeners = [{ name: "web" } as Listener];

test("a node that balances gives its addresses up when it does not, whatever is configured", () => {
  const ha = withBalancer({ ha: { ...haNone, virtualRouters: [routerOf()] }, listeners });
  assert.deepEqual(ha.virtualRouters[0]?.tracks, [{ name: "balancer", weight: 0, reverse: false }]);
  assert.deepEqual(
    ha.tracks.map(({ name }) => name),
    ["balancer"],
  );
  const bare = { ...haNone, virtualRouters: [routerOf()] };
  assert.equal(withBalancer({ ha: bare, listeners: [] }), bare, "without listeners there is nothing to track");
});

test("a virtual router that tracks the balancer by its own terms keeps them", () => {
  const track = { name: "balancer:web", watch: { kind: "balancer", pools: ["web"] }, rise: 1, fall: 1 } as const;
  const own = routerOf({ tracks: [{ name: "balancer:web", weight: -20, reverse: false }] });
  const ha = withBalancer({ ha: { ...haNone, tracks: [track], virtualRouters: [own] }, listeners });
  assert.deepEqual(ha.virtualRouters[0], own);
});

test("a group is what all of its members are, and in fault with the first", () => {
  const group = { name: "G", members: ["a", "b"] };
  const event = (a: Mode, b: Mode) =>
    groupEvent(
      group,
      new Map([
        ["a", a],
        ["b", b],
      ]),
    );
  assert.equal(event("active", "active"), "active");
  assert.equal(event("active", "backup"), undefined);
  assert.equal(event("backup", "backup"), "backup");
  assert.equal(event("active", "fault"), "fault");
  assert.equal(groupEvent(group, new Map()), "stop");
});

test("the gate guards what is on the virtual router's own interface and of its family", () => {
  const at = (address: string, device?: string) => ({ address, prefixLength: 32, interface: device });
  const router = routerOf({
    addresses: [at("10.0.0.100"), at("10.0.0.101", "eth1")],
    silentAddresses: [at("10.0.0.100"), at("fd00::1")],
  });
  assert.deepEqual(gatedRouter({ router, gateKey: 7 })?.addresses, ["10.0.0.100"]);
  const elsewhere = routerOf({ addresses: [at("10.0.0.101", "eth1")] });
  assert.equal(gatedRouter({ router: elsewhere, gateKey: 7 }), undefined);
});

test("a key is given once, and again only when its name has gone", () => {
  const keys = new GateKeys();
  const keyOf = (name: string) => keys.setupOf(routerOf({ name })).gateKey;
  assert.deepEqual([keyOf("a"), keyOf("b"), keyOf("a")], [1, 2, 1]);
  keys.keepOnly(new Set(["b"]));
  assert.deepEqual([keyOf("c"), keyOf("b")], [1, 2]);
});

test("an interface that is not there and is not awaited is an error, and so is an address of the machine's own", () => {
  const router = routerOf();
  assert.equal(missingInterfaces(router, [], [])[0]?.code, "interface.missing");
  assert.deepEqual(missingInterfaces(router, [], ["eth0"]), []);
  const entry = {
    address: "10.0.4.99",
    prefixLength: 24,
    interfaceIndex: 2,
    family: 4,
    scope: 0,
    flags: 0x80,
    label: undefined,
    protocol: 0,
    validSeconds: undefined,
    preferredSeconds: undefined,
  } as const;
  assert.equal(takenAddresses(router, [entry])[0]?.code, "vip.addressTaken");
  assert.deepEqual(takenAddresses(router, [{ ...entry, protocol: 112 }]), []);
  assert.deepEqual(takenAddresses(routerOf({ priority: 255 }), [entry]), []);
});
