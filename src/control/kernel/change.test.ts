import assert from "node:assert/strict";
import { test } from "node:test";
import type { Layer4Listener } from "../../model/listener.ts";
import type { Target } from "../../model/pool.ts";
import { changeStructure, contentsOf, slotChange, type TableContents, targetsGone } from "./change.ts";
import { type KernelPlan, nothingPlanned, planKernel } from "./plan.ts";
import { takeStock } from "./table-stock.ts";
import { baseText, type SlotOwner } from "./table-text.ts";
import { poolOf, targetOf, tcpOf, udpOf } from "./test-kit.ts";

const first = targetOf("10.1.0.1:80");
const second = targetOf("10.1.0.2:80");

function planOf(
  listeners: readonly Layer4Listener[] = [tcpOf("echo", "10.0.0.9", 80)],
  targets: readonly Target[] = [first, second],
  countTraffic = false,
): KernelPlan {
  return planKernel(listeners, [poolOf("app", targets)], { routeLocalnet: false, countTraffic });
}

const limited = tcpOf("echo", "10.0.0.9", 80, { limitStated: true });

const nobodyAnywhere = (): SlotOwner[] => [];

function change(from: KernelPlan, to: KernelPlan) {
  return changeStructure(contentsOf(from), to, nobodyAnywhere);
}

test("a plan that is carried out needs no change, nor does another health, weight or intent", () => {
  const nothing = { prepare: "", switch: "", clean: "" };
  assert.deepEqual(change(planOf(), planOf()), nothing);
  assert.deepEqual(change(planOf(), planOf(undefined, [first, targetOf(second.address, { intent: "down" })])), nothing);
});

test("a new listener is built where nobody reaches it, then reached, and nothing is removed", () => {
  const { prepare, switch: switched, clean } = change(nothingPlanned, planOf());
  const [carried] = planOf().carried;
  const { chain, slots } = carried!.names;
  assert.match(prepare, new RegExp(`add chain inet evenkeel ${chain}\n`));
  assert.match(prepare, new RegExp(`add map inet evenkeel ${slots} `));
  assert.match(prepare, /add element inet evenkeel hide-bind4 \{ 10\.0\.0\.9 \. tcp \. 80 \. 10\.1\.0\.1 \. 80, /);
  assert.doesNotMatch(prepare, /add element inet evenkeel bind4/);
  assert.equal(switched, `add element inet evenkeel bind4 { 10.0.0.9 . tcp . 80 : goto ${chain} }\n`);
  assert.equal(clean, "");
});

test("a listener that goes is unreached before anything of it is removed", () => {
  const { prepare, switch: switched, clean } = change(planOf(), nothingPlanned);
  assert.equal(prepare, "");
  assert.equal(switched, "delete element inet evenkeel bind4 { 10.0.0.9 . tcp . 80 }\n");
  const order = ["delete element", "flush chain", "delete chain", "delete map", "delete counter"];
  const verbs = clean
    .trimEnd()
    .split("\n")
    .map((line) => line.split(" ").slice(0, 2).join(" "));
  assert.deepEqual(
    verbs.map((verb) => order.indexOf(verb)),
    verbs.map((verb) => order.indexOf(verb)).toSorted(),
  );
  assert.ok(
    verbs.every((verb) => order.includes(verb)),
    clean,
  );
});

test("another number of slots is another chain and map beside the old, switched in one transaction; the limit stays", () => {
  const before = planOf([limited]);
  const after = planOf([limited], [first, targetOf(second.address, { weight: 6 })]);
  const { prepare, switch: switched, clean } = change(before, after);
  const [old, next] = [before.carried[0]!.names, after.carried[0]!.names];
  assert.notEqual(old.chain, next.chain);
  assert.ok(old.room !== undefined && old.room === next.room);
  assert.equal(
    switched,
    "delete element inet evenkeel bind4 { 10.0.0.9 . tcp . 80 }\n" +
      `add element inet evenkeel bind4 { 10.0.0.9 . tcp . 80 : goto ${next.chain} }\n`,
  );
  assert.doesNotMatch(prepare + clean, /(?:add|delete|flush) (?:chain|rule) inet evenkeel room-echo/);
  assert.doesNotMatch(prepare + clean, /counter/);
  assert.ok(clean.includes(`delete map inet evenkeel ${old.slots}\n`));
});

test("a limit that the file does not state costs no rule; stated, its chain comes with it and goes with it", () => {
  const [bare, bound] = [planOf(), planOf([limited])];
  const { chain, room } = bound.carried[0]!.names;
  assert.notEqual(bare.carried[0]!.names.chain, chain);
  assert.doesNotMatch(change(nothingPlanned, bare).prepare, /ct count|jump/);
  const stated = change(bare, bound);
  assert.match(
    stated.prepare,
    new RegExp(`add rule inet evenkeel ${room} ct count over 10000 counter name full-echo drop`),
  );
  assert.match(stated.prepare, new RegExp(`add rule inet evenkeel ${chain} jump ${room}\n`));
  // What it refused stays counted when it is withdrawn.
  assert.doesNotMatch(stated.prepare + stated.clean, /(?:add|delete) counter/);
  assert.ok(change(bound, bare).clean.includes(`delete chain inet evenkeel ${room}\n`));
});

test("traffic is counted where it is asked for: no packet of a connection under way meets a rule otherwise", () => {
  const [plain, counting] = [planOf(), planOf(undefined, undefined, true)];
  assert.doesNotMatch(baseText() + change(nothingPlanned, plain).prepare, /type filter hook/);
  assert.equal(contentsOf(plain).counters.size, 1 + 2);
  const on = change(plain, counting);
  assert.equal(on.switch, "");
  assert.equal(on.clean, "");
  assert.match(on.prepare, /add chain inet evenkeel traffic-in \{ type filter hook prerouting priority -80; /);
  assert.match(on.prepare, /add element inet evenkeel count-from-bind4 /);
  const off = change(counting, plain);
  assert.equal(off.prepare + off.switch, "");
  // Nothing is deleted that something still leads to.
  assert.match(
    off.clean,
    /^(?:delete element .*\n){2}(?:flush chain .*\n){2}(?:delete chain .*\n){2}(?:delete counter .*\n){4}$/,
  );
  assert.equal(planOf([], undefined, true).countTraffic, false);
});

test("a target that comes or goes takes its counters along; its neighbours keep theirs", () => {
  const three = targetOf("10.1.0.3:80");
  const counting = (targets: readonly Target[]) => planOf(undefined, targets, true);
  const { prepare } = change(counting([first, second]), counting([first, second, three]));
  assert.match(prepare, /add counter inet evenkeel to-echo-10\.1\.0\.3_80\n/);
  assert.doesNotMatch(prepare, /counter inet evenkeel \S+10\.1\.0\.1_80\n/);
  const { clean } = change(counting([first, second, three]), counting([first, second]));
  assert.match(clean, /delete counter inet evenkeel from-echo-10\.1\.0\.3_80\n/);
});

test("of a predecessor's table everything that could differ under the same name is written anew, the rest is kept or removed", () => {
  const plan = planOf([limited], undefined, true);
  const { chain, slots, room = "", full } = plan.carried[0]!.names;
  const known: TableContents = {
    chains: new Set([chain, room, "go-other-0123456789", "traffic-in", "traffic-out"]),
    maps: new Set([slots, "slots-other-0123456789"]),
    counters: new Set([full, "full-other"]),
    elements: undefined,
  };
  const owners = [first, undefined, second];
  const { prepare, switch: switched, clean } = changeStructure(known, plan, () => owners);
  assert.match(prepare, /flush set inet evenkeel hide-any6\n/);
  assert.match(prepare, /flush map inet evenkeel count-to-bind4\nadd element/);
  assert.ok(prepare.includes(`flush map inet evenkeel ${slots}\n`));
  assert.ok(prepare.includes(`add element inet evenkeel ${slots} { 0 : 10.1.0.1 . 80, 2 : 10.1.0.2 . 80 }\n`));
  assert.ok(!prepare.includes("add chain"));
  assert.match(switched, /^flush map inet evenkeel bind4\nadd element inet evenkeel bind4 /);
  assert.match(clean, /delete chain inet evenkeel go-other-0123456789\n/);
  assert.match(clean, /delete counter inet evenkeel full-other\n/);
  assert.doesNotMatch(clean, /echo-10|hide/);
});

test("a slot changes hands by removal and addition, appears and disappears alone, and stays out of it when nothing changes", () => {
  const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString("hex");
  const changed = slotChange("m", [first, first, undefined, second], [first, second, first, undefined]);
  assert.deepEqual(changed?.remove.map(hex), ["01000000", "03000000"]);
  assert.deepEqual(
    changed?.add.map(({ key, data }) => `${hex(key)} ${hex(data)}`),
    ["01000000 0a01000200500000", "02000000 0a01000100500000"],
  );
  assert.equal(slotChange("m", [first], [targetOf(first.address, { weight: 3 })]), undefined);
});

test("a target that a listener has no more is gone; a listener that goes lets its clients finish", () => {
  const without = planOf(undefined, [second]);
  assert.deepEqual(
    targetsGone(planOf(), without).map(({ carried, target }) => `${carried.listener} ${target.address}`),
    ["echo 10.1.0.1:80"],
  );
  assert.deepEqual(targetsGone(planOf(), nothingPlanned), []);
  // Renamed, the clients call the same address still.
  assert.equal(targetsGone(planOf(), planOf([tcpOf("other", "10.0.0.9", 80)], [second])).length, 1);
});

test("no two names are the same that stand for different things, and none needs quotes", () => {
  const listeners = [
    tcpOf("a", "10.0.0.9", 80),
    tcpOf("a-10.1.0.1_80", "10.0.0.9", 81),
    udpOf("9.b_c-", "0.0.0.0", 80),
    tcpOf("d", "0.0.0.0", 82, { limits: { connectionsMax: 5 }, limitStated: true }),
  ];
  const { chains, maps, counters } = contentsOf(planOf(listeners, undefined, true));
  const names = [...chains, ...maps, ...counters];
  assert.equal(new Set(names).size, names.length);
  assert.equal(counters.size, 4 + 4 * 2 * 3);
  for (const name of names) assert.match(name, /^[a-z][A-Za-z0-9_.-]*$/);
});

test("stock is taken by names: none, ours, or another layout's", () => {
  assert.deepEqual(takeStock(undefined), { kind: "none" });
  // What nft prints has a tab where the text has a space.
  const listing = baseText()
    .replaceAll(/^ (?=chain|map|set)/gm, "\t")
    .replace(
      "\tchain dispatch",
      "\tcounter full-echo {\n\t}\n\tmap slots-echo-1 {\n\t}\n\tchain go-echo-1 {\n\t}\n\tchain dispatch",
    );
  const stock = takeStock(listing);
  assert.ok(stock.kind === "known");
  assert.deepEqual([...stock.contents.chains], ["go-echo-1"]);
  assert.deepEqual([...stock.contents.maps], ["slots-echo-1"]);
  assert.deepEqual([...stock.contents.counters], ["full-echo"]);
  assert.deepEqual(takeStock(listing.replace("chain layout-1", "chain layout-0")), { kind: "foreign" });
  assert.deepEqual(takeStock(listing.replace("map any4", "map none4")), { kind: "foreign" });
});
