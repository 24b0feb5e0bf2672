// What holds when several say something of one target, one test a rule; that any sequence of steps obeys them is in
// registry-model.test.ts.

import assert from "node:assert/strict";
import { test } from "node:test";
import { desiredTargetsMax, keptEntriesMax, leaseTtlMin, speakerMax } from "./desired.ts";
import { Registry } from "./registry.ts";
import {
  codeOf,
  consul,
  entryOf,
  leased,
  linesOf,
  must,
  patch,
  poolOf,
  put,
  remove,
  renew,
  targetOf,
} from "./test-pools.ts";

/** A registry whose pool `app` has 10.0.0.1:80 from the file. */
function withFile(fields: Parameters<typeof poolOf>[2] = {}): Registry {
  const registry = new Registry();
  registry.applyFile([poolOf("app", ["10.0.0.1:80"], fields)]);
  return registry;
}

test("targets stand in the file's order, then the source's, then the API's, those by the number of their address", () => {
  const registry = new Registry();
  registry.applyFile([poolOf("app", ["10.0.0.30:80", "10.0.0.4:80"], { source: consul })]);
  registry.applyReading("app", [targetOf("10.0.0.10:80"), targetOf("10.0.0.9:80"), targetOf("10.0.0.4:80")]);
  for (const address of [
    "[2001:db8::10]:80",
    "[2001:db8::9]:80",
    "10.0.0.2:443",
    "200.0.0.2:80",
    "10.0.0.2:80",
    "9.0.0.1:80",
  ]) {
    must(registry, address, put());
  }
  const order = registry.desired("app", 0)?.map(({ target, owner }) => `${owner} ${target.address}`);
  assert.deepEqual(order, [
    "file 10.0.0.30:80",
    "file 10.0.0.4:80",
    "consul 10.0.0.9:80",
    "consul 10.0.0.10:80",
    "api 9.0.0.1:80",
    "api 10.0.0.2:80",
    "api 10.0.0.2:443",
    "api 200.0.0.2:80",
    "api [2001:db8::9]:80",
    "api [2001:db8::10]:80",
  ]);
  assert.deepEqual(
    registry.desiredPool("app")?.targets.map(({ address }) => address),
    order?.map((line) => line.split(" ")[1]),
  );
});

test("a target of the API has the defaults, and the pool's slow start unless it says its own", () => {
  const registry = withFile({ slowStart: 30_000 });
  const { after, changes } = must(registry, "[2001:DB8:0::2]:80", put({ weight: 3 }));
  assert.deepEqual(after?.target, targetOf("[2001:db8::2]:80", { weight: 3, slowStart: 30_000 }));
  assert.equal(after?.owner, "api");
  assert.deepEqual(after?.patched, []);
  assert.deepEqual(
    changes.map(({ address, before, owner }) => ({ address, before, owner })),
    [{ address: "[2001:db8::2]:80", before: undefined, owner: "api" }],
  );
  assert.equal(must(registry, "10.0.0.3:80", put({ slowStart: 0 })).after?.target.slowStart, 0);
});

test("a PUT on another owner's target is fields over it, and no word that the target exists", () => {
  const registry = withFile({ source: consul });
  registry.applyReading("app", [targetOf("10.0.0.2:80", { weight: 7 })]);
  must(registry, "10.0.0.1:80", put({ weight: 5 }));
  must(registry, "10.0.0.2:80", put({ intent: "drain" }));
  assert.deepEqual(linesOf(registry), [
    "10.0.0.1:80 file w5 patched:weight",
    "10.0.0.2:80 consul w7 drain patched:intent",
  ]);
  registry.applyReading("app", []);
  assert.deepEqual(linesOf(registry), ["10.0.0.1:80 file w5 patched:weight"]);
  assert.equal(registry.entries().length, 2, "the other one waits");
  registry.applyReading("app", [targetOf("10.0.0.2:80", { weight: 8 })]);
  assert.deepEqual(linesOf(registry)?.[1], "10.0.0.2:80 consul w8 drain patched:intent");
});

test("a PUT says all fields anew, and one that says nothing of another owner's target takes the API's word back", () => {
  const registry = withFile();
  must(registry, "10.0.0.1:80", put({ weight: 5, backup: true }));
  must(registry, "10.0.0.1:80", put({ maxFails: 9 }));
  assert.deepEqual(registry.entry("app", "10.0.0.1:80")?.patch, { maxFails: 9 });
  assert.equal(must(registry, "10.0.0.1:80", put()).keeps, true);
  assert.deepEqual(registry.entries(), []);
  assert.equal(must(registry, "10.0.0.1:80", put()).keeps, false);
});

test("a PATCH lays fields over what was said, undefined takes one back, and an empty override disappears", () => {
  const registry = withFile();
  must(registry, "10.0.0.1:80", patch({ weight: 5 }));
  must(registry, "10.0.0.1:80", patch({ intent: "down" }));
  assert.deepEqual(linesOf(registry), ["10.0.0.1:80 file w5 down patched:weight,intent"]);
  must(registry, "10.0.0.1:80", patch({ weight: undefined }));
  assert.deepEqual(registry.entry("app", "10.0.0.1:80")?.patch, { intent: "down" });
  const last = must(registry, "10.0.0.1:80", patch({ intent: undefined }));
  assert.deepEqual(last.before?.patched, ["intent"]);
  assert.deepEqual(last.after?.patched, []);
  assert.deepEqual(registry.entries(), []);
  assert.equal(codeOf(registry, "10.0.0.9:80", patch({ weight: 1 })), "target.unknown");
});

test("a PATCH that leaves the API's own target without fields leaves the target", () => {
  const registry = withFile();
  must(registry, "10.0.0.2:80", put({ weight: 5 }));
  assert.equal(must(registry, "10.0.0.2:80", patch({ weight: undefined })).after?.target.weight, 1);
  assert.equal(registry.entries().length, 1);
});

test("the same said again changes nothing, writes nothing, and who said it first stays who said it", () => {
  const registry = withFile();
  must(registry, "10.0.0.2:80", put({ weight: 5 }), { by: "api token:a", wallMs: 1 });
  const entry = registry.entry("app", "10.0.0.2:80");
  const pools = registry.desiredPools();
  for (const order of [put({ weight: 5 }), patch({ weight: 5 }), patch({})]) {
    const step = must(registry, "10.0.0.2:80", order, { by: "api token:b", wallMs: 2 });
    assert.deepEqual(
      { ...step, before: 0, after: 0, undo: 0 },
      {
        changes: [],
        pools: [],
        keeps: false,
        overflows: [],
        before: 0,
        after: 0,
        undo: 0,
      },
    );
  }
  assert.equal(registry.entry("app", "10.0.0.2:80"), entry);
  assert.equal(registry.desiredPools(), pools);
});

test("DELETE takes the API's own target, or what the API said of another's; that one's own word is not the API's", () => {
  const registry = withFile();
  must(registry, "10.0.0.2:80", put());
  must(registry, "10.0.0.1:80", patch({ weight: 5 }));
  assert.equal(must(registry, "10.0.0.2:80", remove()).after, undefined);
  assert.equal(must(registry, "10.0.0.1:80", remove()).after?.target.weight, 1);
  assert.equal(codeOf(registry, "10.0.0.1:80", remove()), "target.owned");
  assert.equal(codeOf(registry, "10.0.0.2:80", remove()), "target.unknown");
});

test("DELETE of the API's target whose address a source has brought since leaves the target to the source", () => {
  const registry = withFile({ source: consul });
  must(registry, "10.0.0.2:80", put({ weight: 5 }));
  const { changes, pools } = registry.applyReading("app", [targetOf("10.0.0.2:80", { maxFails: 2 })]);
  assert.deepEqual(pools, ["app"]);
  assert.equal(changes[0]?.owner, "consul");
  assert.deepEqual(linesOf(registry)?.[1], "10.0.0.2:80 consul w5 patched:weight");
  must(registry, "10.0.0.2:80", remove());
  assert.deepEqual(linesOf(registry)?.[1], "10.0.0.2:80 consul w1");
  assert.deepEqual(registry.entries(), []);
});

test("a file that adds the API's address becomes its owner, and the target is still there when the file drops it", () => {
  const registry = withFile();
  must(registry, "10.0.0.2:80", put({ weight: 5 }));
  registry.applyFile([poolOf("app", ["10.0.0.2:80", "10.0.0.1:80"])]);
  assert.deepEqual(linesOf(registry), ["10.0.0.2:80 file w5 patched:weight", "10.0.0.1:80 file w1"]);
  must(registry, "10.0.0.2:80", put({ weight: 6 }));
  registry.applyFile([poolOf("app", ["10.0.0.1:80"])]);
  assert.deepEqual(linesOf(registry), ["10.0.0.1:80 file w1", "10.0.0.2:80 api w6"]);
});

test("what was said of a pool that the file no longer names waits, stays kept, can be taken back, and holds again", () => {
  const registry = new Registry();
  registry.applyFile([poolOf("app", ["10.0.0.1:80"]), poolOf("other", [])]);
  must(registry, "10.0.0.1:80", patch({ weight: 5 }));
  must(registry, "10.0.0.2:80", put());
  must(registry, "10.0.0.3:80", put());
  const gone = registry.applyFile([poolOf("other", [])]);
  assert.deepEqual(gone.pools, ["app"]);
  assert.equal(gone.keeps, false);
  assert.deepEqual(
    gone.changes.map(({ address, after }) => [address, after]),
    [
      ["10.0.0.1:80", undefined],
      ["10.0.0.2:80", undefined],
      ["10.0.0.3:80", undefined],
    ],
  );
  assert.equal(registry.desired("app", 0), undefined);
  assert.equal(registry.entries().length, 3);
  assert.equal(codeOf(registry, "10.0.0.1:80", patch({ weight: 6 })), "pool.unknown");
  assert.equal(codeOf(registry, "10.0.0.4:80", put()), "pool.unknown");
  assert.equal(codeOf(registry, "10.0.0.3:80", remove()), undefined);
  registry.applyFile([poolOf("app", ["10.0.0.1:80"])]);
  assert.deepEqual(linesOf(registry), ["10.0.0.1:80 file w5 patched:weight", "10.0.0.2:80 api w1"]);
});

test("what was kept on disk holds after a start, whichever of file, source and kept entries comes first", () => {
  const kept = [
    entryOf("app", "10.0.0.1:80", { exists: false, patch: { weight: 5 } }),
    entryOf("app", "10.0.0.2:80", { exists: false, patch: { intent: "drain" } }),
    entryOf("app", "10.0.0.3:80"),
    entryOf("elsewhere", "10.0.0.4:80"),
  ];
  const steps = [
    (registry: Registry) => registry.applyFile([poolOf("app", ["10.0.0.1:80"], { source: consul })]),
    (registry: Registry) => registry.applyReading("app", [targetOf("10.0.0.2:80")]),
    (registry: Registry) => registry.applyKept(kept, 0),
  ];
  for (const order of [
    [0, 1, 2],
    [2, 0, 1],
    [1, 2, 0],
  ]) {
    const registry = new Registry();
    for (const index of order) assert.equal(steps[index]?.(registry).keeps, false);
    assert.deepEqual(linesOf(registry), [
      "10.0.0.1:80 file w5 patched:weight",
      "10.0.0.2:80 consul w1 drain patched:intent",
      "10.0.0.3:80 api w1",
    ]);
    assert.deepEqual(registry.entries(), kept);
  }
});

test("a pool whose source was taken out of the file loses its targets, one whose source was changed keeps them till it answers", () => {
  const registry = withFile({ source: consul });
  registry.applyReading("app", [targetOf("10.0.0.2:80")]);
  registry.applyFile([poolOf("app", [], { source: { ...consul, startTimeout: 1_000 } })]);
  assert.deepEqual(linesOf(registry), ["10.0.0.2:80 consul w1"]);
  registry.applyReading("app", undefined);
  assert.deepEqual(linesOf(registry), []);
  registry.applyReading("app", [targetOf("10.0.0.2:80")]);
  registry.applyFile([poolOf("app", [])]);
  assert.deepEqual(linesOf(registry), []);
  assert.deepEqual(
    registry.applyReading("app", [targetOf("10.0.0.2:80")]).changes,
    [],
    "an answer that comes too late",
  );
});

test("unchanged pools stay the same objects, whatever happens to the others", () => {
  const registry = new Registry();
  const file = () => [poolOf("app", ["10.0.0.1:80"]), poolOf("other", ["10.0.0.2:80"], { source: consul })];
  registry.applyFile(file());
  registry.applyReading("other", [targetOf("10.0.0.3:80")]);
  const [app, other] = registry.desiredPools();
  must(registry, "10.0.0.9:80", put());
  assert.notEqual(registry.desiredPools()[0], app);
  assert.equal(registry.desiredPools()[1], other);
  assert.deepEqual(registry.applyReading("other", [targetOf("10.0.0.3:80")]).pools, []);
  assert.deepEqual(registry.applyFile(file()).pools, []);
  assert.equal(registry.desiredPools()[1], other);
  const moved = registry.applyFile([...file()].reverse());
  assert.deepEqual(moved.pools, []);
  assert.equal(registry.desiredPools()[0], other);
  const tuned = registry.applyFile([poolOf("app", ["10.0.0.1:80"], { idleTimeout: 1 }), ...file().slice(1)]);
  assert.deepEqual(tuned, { changes: [], pools: ["app"], keeps: false, overflows: [] });
  assert.equal(registry.desiredPool("app")?.idleTimeout, 1);
});

test("a file that lists its targets in another order changes the pool and no target", () => {
  const registry = new Registry();
  registry.applyFile([poolOf("app", ["10.0.0.1:80", "10.0.0.2:80"])]);
  const step = registry.applyFile([poolOf("app", ["10.0.0.2:80", "10.0.0.1:80"])]);
  assert.deepEqual(step, { changes: [], pools: ["app"], keeps: false, overflows: [] });
});

test("an order is refused with a code: for its address, its fields, its lease", () => {
  const registry = withFile();
  assert.equal(codeOf(registry, "10.0.0.2:80", put(), { pool: "none" }), "pool.unknown");
  for (const address of ["app.example.com:80", "10.0.0.2", "10.0.0.2:0", "0.0.0.0:80", "[::]:80", "10.0.0.02:80"]) {
    assert.equal(codeOf(registry, address, put()), "target.address", address);
  }
  for (const weight of [-1, 1.5, 65_536, Number.NaN]) {
    assert.equal(codeOf(registry, "10.0.0.2:80", put({ weight })), "target.field");
    assert.equal(codeOf(registry, "10.0.0.1:80", patch({ weight })), "target.field");
  }
  assert.equal(codeOf(registry, "10.0.0.2:80", leased("a", leaseTtlMin - 1)), "target.lease.ttl");
  assert.equal(codeOf(registry, "10.0.0.2:80", leased("a", 1000.5)), "target.lease.ttl");
  assert.equal(codeOf(registry, "10.0.0.2:80", leased("", 1000)), "target.lease.holder");
  assert.equal(codeOf(registry, "10.0.0.2:80", leased("x".repeat(129), 1000)), "target.lease.holder");
  assert.deepEqual(registry.entries(), []);
});

test("who said something is kept to its first characters", () => {
  const registry = withFile();
  must(registry, "10.0.0.2:80", put(), { by: "x".repeat(1000) });
  assert.equal(registry.entry("app", "10.0.0.2:80")?.by.length, speakerMax);
});

test("a lease runs out: the API's own target goes, another owner's loses what was said with it", () => {
  const registry = withFile();
  must(registry, "10.0.0.2:80", leased("b", 2_000), { nowMs: 0 });
  must(registry, "10.0.0.1:80", leased("a", 1_000, { weight: 5 }), { nowMs: 100 });
  assert.deepEqual(linesOf(registry, "app", 600), [
    "10.0.0.1:80 file w5 patched:weight lease:a:500",
    "10.0.0.2:80 api w1 lease:b:1400",
  ]);
  assert.equal(registry.nextExpiryAt(), 1_100);
  assert.deepEqual(registry.expire(1_099), { changes: [], pools: [], keeps: false, overflows: [] });
  const first = registry.expire(1_100);
  assert.equal(first.keeps, true);
  assert.deepEqual(
    first.changes.map(({ owner, after }) => [owner, after?.weight]),
    [["file", 1]],
  );
  assert.equal(registry.nextExpiryAt(), 2_000);
  const second = registry.expire(5_000);
  assert.deepEqual(
    second.changes.map(({ owner, after }) => [owner, after]),
    [["api", undefined]],
  );
  assert.equal(registry.nextExpiryAt(), undefined);
  assert.deepEqual(registry.entries(), []);
});

test("a renewal moves the end of a lease and writes nothing", () => {
  const registry = withFile();
  must(registry, "10.0.0.2:80", leased("b", 2_000), { nowMs: 0 });
  const entry = registry.entry("app", "10.0.0.2:80");
  const step = must(registry, "10.0.0.2:80", renew("b"), { nowMs: 1_500 });
  assert.equal(step.keeps, false);
  assert.equal(step.after?.lease?.leftMs, 2_000);
  assert.equal(registry.entry("app", "10.0.0.2:80"), entry);
  assert.deepEqual(registry.expire(3_499).changes, []);
  assert.equal(registry.nextExpiryAt(), 3_500);
  must(registry, "10.0.0.2:80", leased("b", 2_000), { nowMs: 2_000 });
  assert.deepEqual(registry.expire(3_999).changes, [], "a PUT that says the same is a renewal as well");
  // Late, but the target is still there: nobody has called expire.
  assert.equal(must(registry, "10.0.0.2:80", renew("b"), { nowMs: 9_000 }).after?.lease?.leftMs, 2_000);
});

test("a lease belongs to its holder; an operator may overrule it", () => {
  const registry = withFile();
  must(registry, "10.0.0.2:80", leased("b", 2_000));
  for (const order of [renew("c"), remove("c"), leased("c", 5_000)]) {
    assert.equal(codeOf(registry, "10.0.0.2:80", order, { nowMs: 1_999 }), "target.lease.held");
  }
  assert.equal(codeOf(registry, "10.0.0.2:80", leased("c", 5_000), { nowMs: 2_000 }), undefined, "b's has run out");
  must(registry, "10.0.0.2:80", patch({ intent: "drain" }), { nowMs: 3_000 });
  assert.deepEqual(linesOf(registry, "app", 3_000)?.[1], "10.0.0.2:80 api w1 drain lease:c:4000");
  must(registry, "10.0.0.2:80", put());
  assert.equal(registry.nextExpiryAt(), undefined, "put without a lease it stays");
  assert.equal(codeOf(registry, "10.0.0.2:80", renew("c")), "target.lease.held");
  assert.equal(codeOf(registry, "10.0.0.2:80", remove("c")), "target.lease.held");
  assert.equal(codeOf(registry, "10.0.0.2:80", leased("c", 5_000)), undefined);
  assert.equal(codeOf(registry, "10.0.0.2:80", remove()), undefined);
  assert.equal(codeOf(registry, "10.0.0.2:80", renew("c")), "target.unknown");
  assert.equal(codeOf(registry, "10.0.0.1:80", renew("c")), "target.unknown");
});

test("who registers a target of the file by a lease keeps it when the file drops it, until the lease ends", () => {
  const registry = withFile();
  must(registry, "10.0.0.1:80", leased("a", 1_000));
  assert.deepEqual(linesOf(registry), ["10.0.0.1:80 file w1 lease:a:1000"]);
  registry.applyFile([poolOf("app", [])]);
  assert.deepEqual(linesOf(registry), ["10.0.0.1:80 api w1 lease:a:1000"]);
  must(registry, "10.0.0.1:80", remove("a"));
  assert.deepEqual(linesOf(registry), []);
});

test("after a restart a lease has its whole time again", () => {
  const registry = withFile();
  registry.applyKept([entryOf("app", "10.0.0.2:80", { lease: { holder: "b", ttlMs: 7_000 } })], 50_000);
  assert.equal(registry.nextExpiryAt(), 57_000);
  assert.deepEqual(linesOf(registry, "app", 52_000)?.[1], "10.0.0.2:80 api w1 lease:b:5000");
});

test("orders that could not be kept are taken back in whatever order, and what was renewed meanwhile stays renewed", () => {
  for (const reversed of [false, true]) {
    const registry = withFile();
    must(registry, "10.0.0.2:80", leased("b", 2_000, { weight: 4 }));
    const entries = registry.entries();
    const steps = [
      must(registry, "10.0.0.2:80", patch({ weight: 5 })),
      must(registry, "10.0.0.2:80", remove()),
      must(registry, "10.0.0.2:80", put({ weight: 6 })),
      must(registry, "10.0.0.2:80", remove()),
      must(registry, "10.0.0.3:80", put()),
    ];
    for (const { undo } of reversed ? steps.reverse() : steps) registry.undo(undo);
    assert.deepEqual(linesOf(registry), ["10.0.0.1:80 file w1", "10.0.0.2:80 api w4 lease:b:2000"]);
    assert.deepEqual(registry.entries(), entries);
    const patched = must(registry, "10.0.0.2:80", patch({ weight: 5 }));
    must(registry, "10.0.0.2:80", renew("b"), { nowMs: 1_000 });
    assert.equal(registry.undo(patched.undo).keeps, true);
    assert.deepEqual(linesOf(registry)?.[1], "10.0.0.2:80 api w4 lease:b:3000");
  }
});

test("an order that is taken back leaves what was said later", () => {
  const registry = withFile();
  const first = must(registry, "10.0.0.2:80", put({ weight: 4 }));
  must(registry, "10.0.0.2:80", put({ weight: 5 }));
  assert.deepEqual(registry.undo(first.undo), { changes: [], pools: [], keeps: false, overflows: [] });
  assert.deepEqual(linesOf(registry)?.[1], "10.0.0.2:80 api w5");
});

const addressOf = (index: number) => `10.${index >> 16}.${(index >> 8) & 255}.${index & 255}:80`;

test("a pool takes no more targets than its limit: the last of the order wait, and the API is refused", () => {
  const registry = new Registry();
  registry.applyFile([poolOf("app", ["10.200.0.1:80"], { source: consul })]);
  must(registry, "10.255.0.1:80", put());
  const read = Array.from({ length: desiredTargetsMax + 1 }, (_, index) => targetOf(addressOf(index)));
  const step = registry.applyReading("app", read);
  assert.deepEqual(step.overflows, [{ pool: "app", leftOut: 3 }]);
  assert.equal(registry.leftOut("app"), 3);
  assert.equal(registry.desiredPool("app")?.targets.length, desiredTargetsMax);
  assert.equal(registry.desiredPool("app")?.targets.at(-1)?.address, addressOf(desiredTargetsMax - 2));
  assert.equal(registry.desiredTarget("app", "10.255.0.1:80", 0), undefined);
  assert.equal(codeOf(registry, "10.255.0.2:80", put()), "target.limit");
  assert.equal(codeOf(registry, "10.200.0.1:80", put({ weight: 2 })), undefined, "it is there already");
  assert.equal(codeOf(registry, "10.255.0.1:80", remove()), undefined, "it waited");
  assert.deepEqual(registry.applyReading("app", read.slice(0, 9)).overflows, [{ pool: "app", leftOut: 0 }]);
});

test("the API's entries have a limit over all pools", () => {
  const registry = new Registry();
  const pools = Array.from({ length: 20 }, (_, index) => `pool-${index}`);
  registry.applyFile([...pools.map((name) => poolOf(name, [])), poolOf("app", ["10.0.0.1:80"])]);
  const entries = Array.from({ length: keptEntriesMax }, (_, index) =>
    entryOf(`pool-${index % 20}`, addressOf(index), { exists: false, patch: { weight: 1 } }),
  );
  registry.applyKept(entries, 0);
  assert.equal(registry.entryCount, keptEntriesMax);
  assert.equal(codeOf(registry, "10.0.0.2:80", put()), "target.limit");
  assert.equal(codeOf(registry, "10.0.0.1:80", patch({ weight: 2 })), "target.limit");
  assert.equal(codeOf(registry, addressOf(0), remove(), { pool: "pool-0" }), undefined);
  assert.equal(codeOf(registry, "10.0.0.1:80", patch({ weight: 2 })), undefined);
});

test("a thousand orders in a row end in the state of the last, in a pool of ten thousand", () => {
  const registry = new Registry();
  registry.applyFile([
    poolOf(
      "app",
      Array.from({ length: 9_000 }, (_, index) => addressOf(index)),
    ),
    poolOf("other", ["10.0.0.1:80"]),
  ]);
  const [, other] = registry.desiredPools();
  const weights = new Map<string, number>();
  for (let order = 0; order < 1_000; order++) {
    const address = addressOf(((order * 7919) % 300) + 8_850);
    if (order % 10 === 9 && weights.has(address)) {
      must(registry, address, remove());
      weights.delete(address);
    } else {
      must(registry, address, put({ weight: order }));
      weights.set(address, order);
    }
  }
  for (let index = 8_850; index < 9_150; index++) {
    const target = registry.desiredTarget("app", addressOf(index), 0)?.target;
    assert.equal(target?.weight, weights.get(addressOf(index)) ?? (index < 9_000 ? 1 : undefined), addressOf(index));
  }
  assert.equal(registry.entries().length, weights.size);
  assert.equal(registry.desiredPools()[1], other);
});
