import assert from "node:assert/strict";
import { test } from "node:test";
import { listenerTotals, targetTotals } from "../../state/counters.ts";
import {
  addListenerCounts,
  addTargetCounts,
  readCarried,
  targetKey,
  withoutListenerTraffic,
  withoutTargetTraffic,
} from "./kernel-status.ts";
import { planKernel } from "./plan.ts";
import { poolOf, targetOf, udpOf } from "./test-kit.ts";

const targets = [targetOf("10.1.0.1:53"), targetOf("10.1.0.2:53")];
const counters = new Map([
  ["begun-dns-10.1.0.1_53", { packets: 3, bytes: 120 }],
  ["begun-dns-10.1.0.2_53", { packets: 4, bytes: 160 }],
  ["to-dns-10.1.0.1_53", { packets: 30, bytes: 3_000 }],
  ["from-dns-10.1.0.1_53", { packets: 20, bytes: 2_000 }],
  ["to-dns-10.1.0.2_53", { packets: 10, bytes: 1_000 }],
  ["full-dns", { packets: 2, bytes: 80 }],
]);

function carried(countTraffic: boolean) {
  const plan = planKernel([udpOf("dns", "0.0.0.0", 53)], [poolOf("app", targets)], {
    routeLocalnet: false,
    countTraffic,
  });
  return readCarried(plan, counters, (pairs) => pairs.map((_, index) => index + 1));
}

test("a listener has the sum of its targets, each target its own", () => {
  const { listeners, targets: byTarget } = carried(true);
  const sum = listenerTotals();
  addListenerCounts(sum, listeners.get("dns")!);
  assert.deepEqual([sum.flowsOpened, sum.flowsOpen, sum.limits], [7, 3, { "listener.flows": 2 }]);
  assert.deepEqual([sum.datagramsFromClients, sum.bytesFromClients], [40, 4_000]);
  assert.deepEqual([sum.datagramsToClients, sum.bytesToClients], [20, 2_000]);
  const first = targetTotals();
  for (const counts of byTarget.get(targetKey("app", "10.1.0.1:53")) ?? []) addTargetCounts(first, counts);
  assert.deepEqual([first.exchanges, first.datagramsToTarget, first.bytesFromTarget], [3, 30, 2_000]);
});

test("connections are counted without traffic too, and what is not counted is told by nobody", () => {
  const { listeners, targets: byTarget } = carried(false);
  const [counts] = byTarget.get(targetKey("app", "10.1.0.2:53")) ?? [];
  assert.deepEqual(counts, { protocol: "udp", open: 2, begun: 4, traffic: undefined });
  assert.equal(listeners.get("dns")?.traffic, undefined);
  assert.deepEqual(
    Object.keys({ ...withoutListenerTraffic(listenerTotals()), ...withoutTargetTraffic(targetTotals()) }).filter(
      (name) => /bytes|datagrams/.test(name),
    ),
    [],
  );
});
