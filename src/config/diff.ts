// What a change of configuration changes, as plain data: for the log of a reload and for a plan that is shown before it
// is applied. On the change's way. Names the things an operator knows (listener, route, pool, target) and the model's
// fields; says nothing about how a change is carried out.

import { formatSocketAddress } from "../core/address.ts";
import { same } from "../core/same.ts";
import type { Config } from "../model/config.ts";
import type { HaConfig } from "../model/ha.ts";
import type { Listener, Route, TcpRoute } from "../model/listener.ts";
import type { Pool, Target } from "../model/pool.ts";
import { describeSource, type Source } from "../model/source.ts";

/** One field that differs, with both values as JSON data; undefined is absent. */
export type FieldChange = { readonly field: string; readonly before: unknown; readonly after: unknown };

/** Names by what happened to them; unchanged ones are left out, `changed` says what differs. */
export type NamedChanges<Change> = {
  readonly added: readonly string[];
  readonly removed: readonly string[];
  readonly changed: readonly Change[];
};

export type TargetChange = { readonly address: string; readonly fields: readonly FieldChange[] };
export type PoolChange = {
  readonly name: string;
  readonly fields: readonly FieldChange[];
  readonly targets: NamedChanges<TargetChange>;
  /** Targets that stay, in another order: it is the order of round robin. */
  readonly targetsReordered: boolean;
};
export type RouteChange = { readonly name: string; readonly fields: readonly FieldChange[] };
export type ListenerChange = {
  readonly name: string;
  /** Present when it moves: connections on the old address finish, new ones are accepted on the new one. */
  readonly bind: { readonly before: string; readonly after: string } | undefined;
  readonly fields: readonly FieldChange[];
  readonly routes: NamedChanges<RouteChange>;
  /** Routes that stay, in another order. */
  readonly routesReordered: boolean;
};

/** A virtual router, track, sync group, service, or who is told of one. */
export type ThingChange = { readonly name: string; readonly fields: readonly FieldChange[] };

export type HaDiff = {
  readonly fields: readonly FieldChange[];
  readonly virtualRouters: NamedChanges<ThingChange>;
  readonly syncGroups: NamedChanges<ThingChange>;
  readonly tracks: NamedChanges<ThingChange>;
  /** By whom it is about. */
  readonly notify: NamedChanges<ThingChange>;
  readonly services: NamedChanges<ThingChange>;
};

export type ConfigDiff = {
  readonly empty: boolean;
  /** Of the node itself: node, admin, stateDirectory, workers, drainTimeout, accessLog, kernel. */
  readonly fields: readonly FieldChange[];
  readonly listeners: NamedChanges<ListenerChange>;
  readonly pools: NamedChanges<PoolChange>;
  readonly ha: HaDiff;
};

/** Compares two decoded configurations; a renamed thing counts as one removed and one added. */
export function diffConfig(before: Config, after: Config): ConfigDiff {
  const fields = diffFields(before, after, ["listeners", "pools", "ha"]);
  const listeners = diffNamed(before.listeners, after.listeners, (one) => one.name, diffListener);
  const pools = diffNamed(before.pools, after.pools, (one) => one.name, diffPool);
  const ha = diffHa(before.ha, after.ha);
  const empty = fields.length === 0 && isEmpty(listeners) && isEmpty(pools) && isHaEmpty(ha);
  return { empty, fields, listeners, pools, ha };
}

function diffHa(before: HaConfig, after: HaConfig): HaDiff {
  const named = <Thing extends { readonly name: string }>(old: readonly Thing[], next: readonly Thing[]) =>
    diffNamed(old, next, (one) => one.name, diffThing);
  const told = (config: HaConfig) =>
    config.notify.map((rule) => ({ ...rule, name: `${wordOf[rule.of]} ${rule.name}` }));
  return {
    fields: diffFields(before, after, ["virtualRouters", "syncGroups", "tracks", "notify", "services"]),
    virtualRouters: named(before.virtualRouters, after.virtualRouters),
    syncGroups: named(before.syncGroups, after.syncGroups),
    tracks: named(before.tracks, after.tracks),
    notify: named(told(before), told(after)),
    services: named(before.services, after.services),
  };
}

const wordOf = { virtualRouter: "virtual router", syncGroup: "sync group" } as const;

function diffThing(before: { readonly name: string }, after: { readonly name: string }): ThingChange | undefined {
  const fields = diffFields(before, after, []);
  return fields.length === 0 ? undefined : { name: before.name, fields };
}

function isHaEmpty({ fields, ...named }: HaDiff): boolean {
  return fields.length === 0 && Object.values(named).every(isEmpty);
}

function isEmpty(changes: NamedChanges<unknown>): boolean {
  return changes.added.length + changes.removed.length + changes.changed.length === 0;
}

function diffListener(before: Listener, after: Listener): ListenerChange | undefined {
  const fields = diffFields(before, after, ["bind", "routes"]);
  const [old, next] = [routesOf(before), routesOf(after)];
  const routes = diffNamed(old, next, (route) => route.name, diffRoute);
  const moved = !same(before.bind, after.bind);
  const routesReordered = reordered(old, next, (route) => route.name);
  if (fields.length === 0 && isEmpty(routes) && !moved && !routesReordered) return undefined;
  const bind = { before: formatSocketAddress(before.bind), after: formatSocketAddress(after.bind) };
  return { name: before.name, bind: moved ? bind : undefined, fields, routes, routesReordered };
}

type AnyRoute = Route | TcpRoute;

function routesOf(listener: Listener): readonly AnyRoute[] {
  return listener.protocol === "udp" ? [] : listener.routes;
}

function reordered<Thing>(
  before: readonly Thing[],
  after: readonly Thing[],
  nameOf: (thing: Thing) => string,
): boolean {
  const kept = (things: readonly Thing[], others: readonly Thing[]) => {
    const known = new Set(others.map(nameOf));
    return things.map(nameOf).filter((name) => known.has(name));
  };
  return !same(kept(before, after), kept(after, before));
}

function diffRoute(before: AnyRoute, after: AnyRoute): RouteChange | undefined {
  const fields = diffFields(before, after, []);
  return fields.length === 0 ? undefined : { name: before.name, fields };
}

function diffPool(before: Pool, after: Pool): PoolChange | undefined {
  const fields = [...diffFields(before, after, ["targets", "source"]), ...diffSource(before.source, after.source)];
  // A target that follows its pool says nothing new when the pool's own does.
  const followed = before.slowStart === after.slowStart ? [] : ["slowStart"];
  const follows = (old: Target, next: Target) =>
    old.slowStart === before.slowStart && next.slowStart === after.slowStart;
  const targets = diffNamed(
    before.targets,
    after.targets,
    (target) => target.address,
    (old, next) => diffTarget(old, next, follows(old, next) ? followed : []),
  );
  const targetsReordered = reordered(before.targets, after.targets, (target) => target.address);
  if (fields.length === 0 && isEmpty(targets) && !targetsReordered) return undefined;
  return { name: before.name, fields, targets, targetsReordered };
}

/** Field by field where it stays of one type; else what it was and is as a whole, in words. */
function diffSource(before: Source | undefined, after: Source | undefined): FieldChange[] {
  if (before !== undefined && before.type === after?.type) {
    return diffFields(before, after, []).map((change) => ({ ...change, field: `source.${change.field}` }));
  }
  const [was, is] = [before, after].map((source) => (source === undefined ? undefined : describeSource(source)));
  return was === is ? [] : [{ field: "source", before: was, after: is }];
}

function diffTarget(before: Target, after: Target, except: readonly string[]): TargetChange | undefined {
  const fields = diffFields(before, after, except);
  return fields.length === 0 ? undefined : { address: before.address, fields };
}

function diffNamed<Thing, Change>(
  before: readonly Thing[],
  after: readonly Thing[],
  nameOf: (thing: Thing) => string,
  diff: (before: Thing, after: Thing) => Change | undefined,
): NamedChanges<Change> {
  const old = new Map(before.map((thing) => [nameOf(thing), thing]));
  const names = new Set(after.map(nameOf));
  return {
    added: [...names].filter((name) => !old.has(name)),
    removed: [...old.keys()].filter((name) => !names.has(name)),
    changed: after.flatMap((thing) => {
      const counterpart = old.get(nameOf(thing));
      const change = counterpart === undefined ? undefined : diff(counterpart, thing);
      return change === undefined ? [] : [change];
    }),
  };
}

/** Fields that differ; a field that is an object in both is compared key by key: `timeouts.idle`. */
function diffFields(before: object, after: object, except: readonly string[]): FieldChange[] {
  const changes: FieldChange[] = [];
  for (const field of new Set([...Object.keys(before), ...Object.keys(after)])) {
    if (except.includes(field)) continue;
    const [left, right]: unknown[] = [Reflect.get(before, field), Reflect.get(after, field)];
    if (isRecord(left) && isRecord(right)) {
      for (const inner of diffFields(left, right, [])) changes.push({ ...inner, field: `${field}.${inner.field}` });
    } else if (!same(left, right)) changes.push({ field, before: shown(field, left), after: shown(field, right) });
  }
  return changes;
}

/** A diff goes to logs and terminals, and a password or a header with a token must not. */
const hiddenFields = ["password", "webhooks", "environment"];

function shown(field: string, value: unknown): unknown {
  return value === undefined || !hiddenFields.includes(field) ? value : "(hidden)";
}

function isRecord(value: unknown): value is object {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** The changes as lines for a log or a terminal, `+` added, `-` removed, `~` changed; none when nothing changed. */
export function describeDiff(diff: ConfigDiff): string[] {
  return [
    ...diff.fields.map((change) => `~ ${describeField(change)}`),
    ...describeNamed("listener ", diff.listeners, describeListener),
    ...describeNamed("pool ", diff.pools, describePool),
    ...describeHa(diff.ha),
  ];
}

function describeHa(diff: HaDiff): string[] {
  const things = (start: string, changes: NamedChanges<ThingChange>) =>
    describeNamed(start, changes, ({ name, fields }) => describeFields(`${start}${name}: `, fields));
  return [
    ...describeFields("ha: ", diff.fields),
    ...things("virtual router ", diff.virtualRouters),
    ...things("sync group ", diff.syncGroups),
    ...things("track ", diff.tracks),
    ...things("notify of ", diff.notify),
    ...things("service ", diff.services),
  ];
}

function describeListener(change: ListenerChange): string[] {
  const start = `listener ${change.name}: `;
  const { bind } = change;
  return [
    ...(bind === undefined ? [] : [`~ ${start}bind ${bind.before} -> ${bind.after}`]),
    ...describeFields(start, change.fields),
    ...describeNamed(`${start}route `, change.routes, (route) =>
      describeFields(`${start}route ${route.name}: `, route.fields),
    ),
    ...(change.routesReordered ? [`~ ${start}routes in another order`] : []),
  ];
}

function describePool(change: PoolChange): string[] {
  const start = `pool ${change.name}: `;
  return [
    ...describeFields(start, change.fields),
    ...describeNamed(`${start}target `, change.targets, (target) =>
      describeFields(`${start}target ${target.address}: `, target.fields),
    ),
    ...(change.targetsReordered ? [`~ ${start}targets in another order`] : []),
  ];
}

function describeNamed<Change>(
  start: string,
  changes: NamedChanges<Change>,
  describe: (change: Change) => string[],
): string[] {
  return [
    ...changes.added.map((name) => `+ ${start}${name}`),
    ...changes.removed.map((name) => `- ${start}${name}`),
    ...changes.changed.flatMap(describe),
  ];
}

function describeFields(start: string, changes: readonly FieldChange[]): string[] {
  return changes.map((change) => `~ ${start}${describeField(change)}`);
}

function describeField(change: FieldChange): string {
  const text = (value: unknown) => (value === undefined ? "(none)" : JSON.stringify(value));
  return `${change.field} ${text(change.before)} -> ${text(change.after)}`;
}
