import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import type { VirtualRouter } from "../model/virtual-router.ts";
import { announceDefault } from "../model/virtual-router.ts";
import { isWithoutEffect, reachOf } from "./reach.ts";
import { effectivePriority, type Standing } from "./tracks.ts";

const plain: VirtualRouter = {
  name: "VI_1",
  interface: "eth0",
  vrid: 51,
  version: 3,
  family: 4,
  priority: 100,
  advertisementInterval: 1000,
  advertisementCopies: 1,
  downAdvertisements: 3,
  preempt: true,
  preemptDelay: 0,
  startAs: "backup",
  addresses: [{ address: "10.0.4.99", prefixLength: 32, interface: undefined }],
  silentAddresses: [],
  sourceAddress: undefined,
  unicastPeers: [],
  password: undefined,
  announce: announceDefault,
  tracks: [],
  syncGroup: undefined,
  v3ChecksumAsV2: false,
  addressMismatch: "warn",
};

const weight = fc.oneof(fc.integer({ min: -253, max: 253 }), fc.integer({ min: -3, max: 3 }));
const routers = fc
  .record({
    priority: fc.oneof(fc.integer({ min: 1, max: 255 }), fc.constantFrom(1, 2, 253, 254, 255)),
    entries: fc.array(fc.record({ weight, reverse: fc.boolean() }), { maxLength: 5 }),
  })
  .map(({ priority, entries }) => ({
    ...plain,
    priority,
    tracks: entries.map((entry, index) => ({ ...entry, name: `t${index}` })),
  }));

/** What the machine advertises in every combination of standings. */
function allPriorities(router: VirtualRouter): Map<string, number> {
  const found = new Map<string, number>();
  for (let bits = 0; bits < 2 ** router.tracks.length; bits++) {
    const standings: Record<string, Standing> = {};
    for (const [index, { name }] of router.tracks.entries()) standings[name] = (bits >> index) & 1 ? "up" : "down";
    found.set(bits.toString(2).padStart(router.tracks.length, "0"), effectivePriority(router, standings));
  }
  return found;
}

test("the reach is that of the machine's own count over every combination of standings", () => {
  fc.assert(
    fc.property(routers, (router) => {
      const priorities = [...allPriorities(router).values()];
      assert.deepEqual(reachOf(router), { healthy: Math.max(...priorities), worst: Math.min(...priorities) });
    }),
    { seed: 40, numRuns: 500 },
  );
});

test("a track without effect is one that changes the priority in no combination", () => {
  fc.assert(
    fc.property(routers, (router) => {
      const priorities = allPriorities(router);
      for (const [index, { weight: own }] of router.tracks.entries()) {
        if (own === 0) continue;
        const at = router.tracks.length - 1 - index;
        const flip = (bits: string) => `${bits.slice(0, at)}${bits[at] === "0" ? "1" : "0"}${bits.slice(at + 1)}`;
        const changes = [...priorities].some(([bits, priority]) => priorities.get(flip(bits)) !== priority);
        // Said of fewer than it holds for, never of one that has an effect.
        if (isWithoutEffect(router, index)) assert.equal(changes, false);
      }
    }),
    { seed: 41, numRuns: 500 },
  );
});

test("a priority of 254 cannot rise, one of 1 cannot fall, and 255 cannot move", () => {
  const cut = (priority: number, own: number) =>
    isWithoutEffect({ priority, tracks: [{ weight: own, reverse: false }] }, 0);
  assert.deepEqual(
    [cut(254, 20), cut(253, 20), cut(1, -20), cut(2, -20), cut(255, -20)],
    [true, false, true, false, true],
  );
});
