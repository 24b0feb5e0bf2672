import assert from "node:assert/strict";
import { test } from "node:test";
import { addressFlag } from "../wire/netlink/route.ts";
import { foreignOf, placeOf } from "./surroundings.ts";
import { testAddress, testLink, testSetup } from "./test-edges.ts";

const ownMark = 112;
const { router } = testSetup();
const none: ReadonlySet<string> = new Set();

test("the source is the interface's first address of the family that does not move along", () => {
  const addresses = [
    testAddress("10.9.9.9", { interfaceIndex: 3 }),
    testAddress("10.0.0.100"),
    testAddress("10.0.0.3", { protocol: ownMark }),
    testAddress("10.0.0.4", { flags: addressFlag.duplicate }),
    testAddress("10.0.0.1"),
    testAddress("10.0.0.2"),
  ];
  const around = { links: [testLink], addresses };
  assert.equal(placeOf(router, around, new Set(["10.0.0.100"]), ownMark).source, "10.0.0.1");
  const configured = { ...router, sourceAddress: "10.0.0.2" };
  assert.equal(placeOf(configured, around, none, ownMark).source, "10.0.0.2");
});

test("an owner speaks from the address that moves, having no other", () => {
  const around = { links: [testLink], addresses: [testAddress("10.0.0.100")] };
  assert.equal(placeOf(router, around, new Set(["10.0.0.100"]), ownMark).source, "10.0.0.100");
});

test("over IPv6 it is the link-local one, and to peers of other networks a global one", () => {
  const v6 = { family: 6, prefixLength: 64 } as const;
  const addresses = [testAddress("2001:db8::1", v6), testAddress("fe80::1", v6)];
  const around = { links: [testLink], addresses };
  const multicast = { ...router, family: 6 } as const;
  assert.equal(placeOf(multicast, around, none, ownMark).source, "fe80::1");
  const unicast = { ...multicast, unicastPeers: [{ address: "2001:db8::2", ttlMin: 255 }] };
  assert.equal(placeOf(unicast, around, none, ownMark).source, "2001:db8::1");
});

test("each way of having no place has its cause", () => {
  const addresses = [testAddress("10.0.0.1")];
  const cause = (links: (typeof testLink)[], there = addresses) =>
    placeOf(router, { links, addresses: there }, none, ownMark).fault?.cause;
  assert.equal(cause([]), "interfaceMissing");
  assert.equal(cause([{ ...testLink, flags: 0x1 }]), "linkDown");
  assert.equal(cause([testLink], []), "addressMissing");
  assert.equal(cause([testLink]), undefined);
});

test("what the machine has of the virtual addresses is foreign, but for what we have put there", () => {
  const addresses = [testAddress("10.0.0.100", { interfaceIndex: 7 })];
  assert.deepEqual(foreignOf(router, { links: [], addresses }, ownMark), ["10.0.0.100"]);
  const ours = [testAddress("10.0.0.100", { protocol: ownMark })];
  assert.deepEqual(foreignOf(router, { links: [], addresses: ours }, ownMark), []);
});
