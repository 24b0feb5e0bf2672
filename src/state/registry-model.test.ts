// Any sequence of steps against a model that keeps what was said as three plain lists and works everything out from scratch
// each time. EVENKEEL_SEED repeats a failure; the seed is printed.

import assert from "node:assert/strict";
import { env } from "node:process";
import { test } from "node:test";
import fc from "fast-check";
import type { Milliseconds } from "../core/clock.ts";
import { type Pool, type Target, targetDefaults } from "../model/pool.ts";
import type { DesiredTarget, KeptEntry, Lease, Owner, TargetOrder, TargetPatch } from "./desired.ts";
import { type OrderUndo, Registry, type RegistryStep } from "./registry.ts";
import { consul, poolOf, targetOf } from "./test-pools.ts";

const seed = Number(env["EVENKEEL_SEED"] ?? Math.floor(Math.random() * 2 ** 31));
const runs = Number(env["EVENKEEL_RUNS"] ?? 400);

/** In the order that targets without one have. */
const addresses = [
  "9.0.0.1:80",
  "10.0.0.2:80",
  "10.0.0.2:443",
  "10.0.0.10:80",
  "[2001:db8::9]:80",
  "[2001:db8::10]:80",
];
const fields = ["weight", "intent", "slowStart"] as const;
const poolNames = ["app", "other", "third"];

type Said = { readonly entry: KeptEntry; deadlineMs: Milliseconds | undefined };
type Model = {
  file: readonly Pool[];
  readonly readings: Map<string, readonly Target[]>;
  said: Said[];
};

type Step =
  | { readonly type: "file"; readonly pools: readonly Pool[] }
  | { readonly type: "reading"; readonly pool: string; readonly targets: readonly Target[] | undefined }
  | {
      readonly type: "order";
      readonly pool: string;
      readonly address: string;
      readonly order: TargetOrder;
      readonly undone: boolean;
    }
  /** The last order of the script once more. */
  | { readonly type: "again" }
  | { readonly type: "expire" }
  | { readonly type: "restart" };

type PlainStep = Exclude<Step, { readonly type: "again" }>;

const address = fc.constantFrom(...addresses);
const patchArbitrary: fc.Arbitrary<TargetPatch> = fc.record(
  { weight: fc.nat(2), intent: fc.constantFrom("up", "drain"), slowStart: fc.constantFrom(0, 30_000) },
  { requiredKeys: [], noNullPrototype: true },
);
const leaseArbitrary: fc.Arbitrary<Lease> = fc
  .tuple(fc.constantFrom("a", "b"), fc.constantFrom(1_000, 3_000))
  .map(([holder, ttlMs]) => ({ holder, ttlMs }));
const orderArbitrary: fc.Arbitrary<TargetOrder> = fc.oneof(
  fc.record({ type: fc.constant("put"), patch: patchArbitrary, lease: fc.option(leaseArbitrary, { nil: undefined }) }),
  fc.record({
    type: fc.constant("patch"),
    patch: fc.record(
      { weight: fc.option(fc.nat(2), { nil: undefined }), intent: fc.constantFrom(undefined, "up", "drain") },
      { requiredKeys: [] },
    ),
  }),
  fc.record({ type: fc.constant("remove"), holder: fc.constantFrom(undefined, "a", "b") }),
  fc.record({ type: fc.constant("renew"), holder: fc.constantFrom("a", "b") }),
);
const targetsArbitrary = fc
  .uniqueArray(fc.tuple(address, fc.nat(2)), { selector: ([text]) => text, maxLength: 4 })
  .map((list) => list.map(([text, weight]) => targetOf(text, { weight })));
const fileArbitrary = fc
  .tuple(
    fc.shuffledSubarray(poolNames),
    fc.array(targetsArbitrary, { minLength: 3, maxLength: 3 }),
    fc.nat(7),
    fc.nat(7),
  )
  .map(([names, targets, sources, slow]) =>
    names.map((name, index) =>
      poolOf(name, [], {
        targets: targets[index] ?? [],
        source: (sources >> index) & 1 ? consul : undefined,
        slowStart: (slow >> index) & 1 ? 5_000 : 0,
      }),
    ),
  );
const stepArbitrary: fc.Arbitrary<Step> = fc.oneof(
  { weight: 2, arbitrary: fc.record({ type: fc.constant("file"), pools: fileArbitrary }) },
  {
    weight: 3,
    arbitrary: fc.record({
      type: fc.constant("reading"),
      pool: fc.constantFrom(...poolNames),
      targets: fc.option(targetsArbitrary, { nil: undefined, freq: 8 }),
    }),
  },
  {
    weight: 10,
    arbitrary: fc.record({
      type: fc.constant("order"),
      pool: fc.constantFrom(...poolNames),
      address,
      order: orderArbitrary,
      undone: fc.nat(5).map((number) => number === 0),
    }),
  },
  { weight: 2, arbitrary: fc.record({ type: fc.constant("again") }) },
  { weight: 3, arbitrary: fc.record({ type: fc.constant("expire") }) },
  { weight: 1, arbitrary: fc.record({ type: fc.constant("restart") }) },
);
/** Each step so many milliseconds after the one before. */
const script = fc
  .array(fc.tuple(fc.constantFrom(0, 1, 400, 1_000, 2_500), stepArbitrary), { maxLength: 60, size: "max" })
  .map((steps) => {
    let last: PlainStep = { type: "expire" };
    return steps.map(([passed, step]): readonly [Milliseconds, PlainStep] => {
      const plain = step.type === "again" ? last : step;
      if (plain.type === "order") last = plain;
      return [passed, plain];
    });
  });

function foreignOf(model: Model, pool: string, text: string): { owner: Owner; target: Target } | undefined {
  const file = model.file.find(({ name }) => name === pool);
  const ofFile = file?.targets.find((target) => target.address === text);
  if (ofFile !== undefined) return { owner: "file", target: ofFile };
  const read = file?.source && model.readings.get(pool)?.find((target) => target.address === text);
  return read && { owner: "consul", target: read };
}

function targetsOf(model: Model, { name, slowStart, targets }: Pool, nowMs: Milliseconds): DesiredTarget[] {
  const fileOrder = targets.map((target) => target.address);
  const ranks = { file: 0, consul: 1, etcd: 1, dns: 1, api: 2 } as const;
  const list = addresses.flatMap((text): DesiredTarget[] => {
    const said = model.said.find(({ entry }) => entry.pool === name && entry.address === text);
    const foreign = foreignOf(model, name, text);
    if (foreign === undefined && said?.entry.exists !== true) return [];
    const below = foreign?.target ?? { ...targetOf(text, { ...targetDefaults, slowStart }) };
    const target = { ...below, ...said?.entry.patch };
    const patched = fields.filter((field) => foreign !== undefined && said?.entry.patch[field] !== undefined);
    const lease = said?.entry.lease && {
      ...said.entry.lease,
      leftMs: Math.max(0, (said.deadlineMs ?? 0) - nowMs),
    };
    return [{ target, owner: foreign?.owner ?? "api", patched, lease }];
  });
  const place = (one: DesiredTarget) =>
    one.owner === "file" ? fileOrder.indexOf(one.target.address) : addresses.indexOf(one.target.address);
  return list.sort((one, other) => ranks[one.owner] - ranks[other.owner] || place(one) - place(other));
}

function poolsOf(model: Model): Pool[] {
  return model.file.map((pool) => ({ ...pool, targets: targetsOf(model, pool, 0).map(({ target }) => target) }));
}

/** The code of the refusal, or undefined when the model has taken the order. */
function orderModel(model: Model, asked: Step & { type: "order" }, nowMs: Milliseconds): string | undefined {
  const { pool, address: text, order } = asked;
  const index = model.said.findIndex(({ entry }) => entry.pool === pool && entry.address === text);
  const former = model.said[index];
  const isNamed = model.file.some(({ name }) => name === pool);
  if (!isNamed && !(order.type === "remove" && former !== undefined)) return "pool.unknown";
  const foreign = foreignOf(model, pool, text);
  const say = (entry: Pick<KeptEntry, "exists" | "patch" | "lease">, deadlineMs: Milliseconds | undefined) => {
    const sorted: TargetPatch = JSON.parse(JSON.stringify(entry.patch));
    const word = { exists: entry.exists, patch: sorted, lease: entry.lease };
    if (index >= 0) model.said.splice(index, 1);
    if (!word.exists && word.lease === undefined && Object.keys(sorted).length === 0) return;
    const isAsBefore = former !== undefined && isSame({ ...former.entry, ...word }, former.entry);
    const signature = isAsBefore ? former.entry : { by: `api ${nowMs}`, atMs: nowMs };
    model.said.push({ entry: { pool, address: text, ...word, by: signature.by, atMs: signature.atMs }, deadlineMs });
  };
  const isAnothers = (holder: string) => former?.entry.lease?.holder !== holder;
  switch (order.type) {
    case "put": {
      const { lease } = order;
      if (lease && former?.entry.lease && (former.deadlineMs ?? 0) > nowMs && isAnothers(lease.holder)) {
        return "target.lease.held";
      }
      const exists = foreign === undefined || former?.entry.exists === true || lease !== undefined;
      say({ exists, patch: order.patch, lease }, lease && nowMs + lease.ttlMs);
      return undefined;
    }
    case "patch": {
      if (foreign === undefined && former?.entry.exists !== true) return "target.unknown";
      const { exists = false, lease, patch = {} } = former?.entry ?? {};
      say({ exists, patch: { ...patch, ...(order.patch as TargetPatch) }, lease }, former?.deadlineMs);
      return undefined;
    }
    case "remove":
      if (former === undefined) return foreign === undefined ? "target.unknown" : "target.owned";
      if (order.holder !== undefined && isAnothers(order.holder)) return "target.lease.held";
      model.said.splice(index, 1);
      return undefined;
    case "renew":
      if (former === undefined) return "target.unknown";
      if (isAnothers(order.holder)) return "target.lease.held";
      former.deadlineMs = nowMs + (former.entry.lease?.ttlMs ?? 0);
      return undefined;
    default:
      return order satisfies never;
  }
}

function isSame(one: unknown, other: unknown): boolean {
  try {
    assert.deepEqual(one, other);
    return true;
  } catch (error) {
    if (error instanceof assert.AssertionError) return false;
    throw error;
  }
}

function entriesOf(model: Model): KeptEntry[] {
  const rank = ({ pool, address: text }: KeptEntry) => poolNames.indexOf(pool) * 100 + addresses.indexOf(text);
  return model.said.map(({ entry }) => entry).sort((one, other) => rank(one) - rank(other));
}

function applyFileModel(model: Model, pools: readonly Pool[]): void {
  model.file = pools;
  for (const name of poolNames) {
    if (pools.find((pool) => pool.name === name)?.source === undefined) model.readings.delete(name);
  }
}

/** Both take the step; gives what the registry said of it, or undefined after a restart. */
function take(
  both: { registry: Registry; model: Model },
  step: PlainStep,
  nowMs: Milliseconds,
): RegistryStep | undefined {
  const { registry, model } = both;
  switch (step.type) {
    case "file":
      applyFileModel(model, step.pools);
      return registry.applyFile(structuredClone(step.pools));
    case "reading": {
      const file = model.file.find(({ name }) => name === step.pool);
      if (step.targets === undefined || (file !== undefined && file.source === undefined)) {
        model.readings.delete(step.pool);
      } else model.readings.set(step.pool, step.targets);
      return registry.applyReading(step.pool, structuredClone(step.targets));
    }
    case "order":
      return takeOrder(both, step, nowMs);
    case "expire":
      model.said = model.said.filter(({ deadlineMs }) => deadlineMs === undefined || deadlineMs > nowMs);
      return registry.expire(nowMs);
    case "restart": {
      const entries = registry.entries();
      both.registry = new Registry();
      for (const said of model.said) said.deadlineMs = said.entry.lease && nowMs + said.entry.lease.ttlMs;
      both.registry.applyKept(structuredClone(entries), nowMs);
      both.registry.applyFile(model.file);
      for (const [pool, targets] of model.readings) both.registry.applyReading(pool, targets);
      return undefined;
    }
    default:
      return step satisfies never;
  }
}

function takeOrder(both: { registry: Registry; model: Model }, step: Step & { type: "order" }, nowMs: Milliseconds) {
  const { registry, model } = both;
  const former = structuredClone(model.said);
  const code = orderModel(model, step, nowMs);
  const { pool, address: text, order } = step;
  const [before, asked] = [registry.desiredTarget(pool, text, nowMs), structuredClone(order)];
  const ordered = registry.order({ pool, address: text, order: asked, by: `api ${nowMs}`, nowMs, wallMs: nowMs });
  assert.equal(ordered.ok ? undefined : ordered.failure.code, code);
  if (!ordered.ok) return { changes: [], pools: [], keeps: false, overflows: [] };
  const { undo, after, ...rest } = ordered.value;
  assert.deepEqual(rest.before, before);
  assert.deepEqual(after, registry.desiredTarget(pool, text, nowMs));
  if (!step.undone || !rest.keeps)
    return { changes: rest.changes, pools: rest.pools, keeps: rest.keeps, overflows: [] };
  const find = (list: readonly Said[]) => list.find(({ entry }) => entry.pool === pool && entry.address === text);
  const [was, is] = [find(former), find(model.said)];
  // The order is taken back, not that its holder lives.
  if (was?.entry.lease !== undefined && was.entry.lease.holder === is?.entry.lease?.holder) {
    was.deadlineMs = Math.max(was.deadlineMs ?? 0, is.deadlineMs ?? 0);
  }
  model.said = former;
  return undoneStep(registry, undo, rest);
}

/** As one step that changed nothing, when the second took the first one back exactly. */
function undoneStep(registry: Registry, undo: OrderUndo, step: RegistryStep): RegistryStep | undefined {
  const back = registry.undo(undo);
  assert.deepEqual(
    back.changes.map(({ address: text, before, after }) => [text, before, after]),
    step.changes.map(({ address: text, before, after }) => [text, after, before]),
  );
  return undefined;
}

function compare(registry: Registry, model: Model, nowMs: Milliseconds): void {
  assert.deepEqual(registry.desiredPools(), poolsOf(model));
  for (const name of poolNames) {
    const pool = model.file.find((one) => one.name === name);
    assert.deepEqual(registry.desired(name, nowMs), pool && targetsOf(model, pool, nowMs));
    assert.deepEqual(registry.desiredPool(name), pool && poolsOf(model).find((one) => one.name === name));
  }
  assert.deepEqual(registry.entries(), entriesOf(model));
  const deadlines = model.said.flatMap(({ deadlineMs }) => deadlineMs ?? []);
  const next = registry.nextExpiryAt();
  assert.equal(next === undefined, deadlines.length === 0);
  assert.ok((next ?? 0) <= Math.min(...deadlines));
}

/** What the step said is what differs between before and after, and what does not differ is the same object. */
function compareStep(step: RegistryStep, before: readonly Pool[], after: readonly Pool[]): void {
  const targets = (pools: readonly Pool[]) =>
    new Map(pools.flatMap((pool) => pool.targets.map((target) => [`${pool.name} ${target.address}`, target] as const)));
  const [old, next] = [targets(before), targets(after)];
  const names = [...new Set([...old.keys(), ...next.keys()])].filter((name) => !isSame(old.get(name), next.get(name)));
  const told = step.changes.map((change) => `${change.pool} ${change.address}`);
  assert.deepEqual([...told].sort(), names.sort());
  for (const { pool, address: text, before: was, after: is } of step.changes) {
    assert.deepEqual([was, is], [old.get(`${pool} ${text}`), next.get(`${pool} ${text}`)]);
  }
  for (const name of poolNames) {
    const [was, is] = [before, after].map((pools) => pools.find((pool) => pool.name === name));
    assert.equal(step.pools.includes(name), !isSame(was, is), `pool ${name}`);
    if (isSame(was, is)) assert.equal(was, is);
    else if (was !== undefined && is !== undefined && isSame(was.targets, is.targets)) {
      assert.equal(was.targets, is.targets);
    }
  }
}

test("whatever is said in whatever order, the registry has what a model works out from scratch", (t) => {
  t.diagnostic(`seed ${seed}`);
  const property = fc.property(script, (steps) => {
    const both = { registry: new Registry(), model: { file: [], readings: new Map(), said: [] } as Model };
    let nowMs = 0;
    for (const [passed, step] of steps) {
      nowMs += passed;
      const [before, entries] = [both.registry.desiredPools(), both.registry.entries()];
      const told = take(both, step, nowMs);
      compare(both.registry, both.model, nowMs);
      if (told === undefined) continue;
      compareStep(told, before, both.registry.desiredPools());
      assert.equal(told.keeps, !isSame(entries, both.registry.entries()));
    }
    both.registry.expire(Number.POSITIVE_INFINITY);
    assert.equal(both.registry.nextExpiryAt(), undefined);
  });
  fc.assert(property, { seed, numRuns: runs });
});
