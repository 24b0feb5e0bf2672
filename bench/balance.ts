// What one pick costs, in nanoseconds, for each policy and pools of 2 to 10,000 members, and what making the picker costs.
// Every member takes work, every weight differs from its neighbour's, each pick is counted as under way until 64 later.
// Median of five rounds. Run with `node bench/balance.ts`; a few seconds.

import { performance } from "node:perf_hooks";
import { mix } from "../src/balance/hash.ts";
import { observeLatency } from "../src/balance/peak-ewma.ts";
import { createPicker } from "../src/balance/picker.ts";
import { membersOf, pickOf, policies } from "../src/balance/test-kit.ts";
import { seededRandom } from "../src/core/random.ts";
import type { Balance } from "../src/model/pool.ts";

const sizes = [2, 10, 100, 1_000, 10_000];
const rounds = 5;
const roundMs = 25;
const underWay = 64;

const addresses = Array.from({ length: 1_024 }, (_, index) => `10.${mix(index) & 255}.${(mix(index) >>> 8) & 255}.7`);

function measure(balance: Balance, size: number): { readonly pickNs: number; readonly buildMs: number } {
  const members = membersOf(Array.from({ length: size }, (_, index) => 1 + (index % 5)));
  for (const [index, member] of members.entries()) observeLatency(member, 5 + (index % 7), 0);
  const buildStart = performance.now();
  const picker = createPicker(balance, members, seededRandom(1));
  const buildMs = performance.now() - buildStart;

  const pick = pickOf();
  let serial = 0;
  const ring = new Int32Array(underWay).fill(-1);
  const run = (picks: number): void => {
    for (let i = 0; i < picks; i++) {
      serial = (serial + 1) | 0;
      pick.keyHash = mix(serial);
      pick.clientAddress = addresses[serial & 1_023]!;
      const place = serial & (underWay - 1);
      const done = ring[place]!;
      if (done >= 0) members[done]!.active--;
      const index = picker.pick(pick);
      members[index]!.active++;
      ring[place] = index;
    }
  };

  const times: number[] = [];
  for (let round = -1; round < rounds; round++) {
    let picks = 0;
    const start = performance.now();
    let elapsed = 0;
    for (; elapsed < roundMs; elapsed = performance.now() - start) {
      run(256);
      picks += 256;
    }
    if (round >= 0) times.push((elapsed * 1e6) / picks);
  }
  return { pickNs: times.sort((a, b) => a - b)[rounds >> 1]!, buildMs };
}

const table = policies.map((balance) => {
  const results = sizes.map((size) => measure(balance, size));
  return {
    policy: balance.policy,
    ...Object.fromEntries(sizes.map((size, at) => [`${size} members, ns`, Math.round(results[at]!.pickNs)])),
    "picker of 1,000, ms": Number(results[3]!.buildMs.toFixed(2)),
  };
});
console.table(table);
