// What the kernel shall do for the listeners that it carries: which targets, by which rule, under which names in the table
// `inet evenkeel`. Pure; the change's way, cut anew from each configuration. Names are made of what they stand for, so
// that two plans agree on the name of whatever is the same, and a difference of plans is a difference of names: that is
// what lets a reload, or a new process after a crash, leave alone what has not changed. Says nothing about health.

import { createHash } from "node:crypto";
import { sourceSlotCount } from "../../balance/source-table.ts";
import { turnSlotCount } from "../../balance/turn-table.ts";
import { parseIp } from "../../core/address.ts";
import { assert } from "../../core/assert.ts";
import { reachesTarget } from "../../model/kernel-obstacles.ts";
import type { BindAddress, Layer4Listener } from "../../model/listener.ts";
import type { Balance, Pool, Target } from "../../model/pool.ts";

export type CarriedTarget = Pick<Target, "address" | "host" | "port" | "weight" | "backup" | "intent">;

/** `turns` by counting, `chance` by drawing lots, `source` by the client's address. */
export type Choice = "turns" | "chance" | "source";

export type Carried = {
  readonly listener: string;
  readonly protocol: "tcp" | "udp";
  readonly family: 4 | 6;
  readonly bind: BindAddress;
  /** `0.0.0.0` or `::`: every address of this machine. */
  readonly wildcard: boolean;
  /** Clients of this machine that call 127.0.0.1 are carried too; of a wildcard only. */
  readonly loopback: boolean;
  /** Targets see this machine's address instead of the client's. */
  readonly masquerade: boolean;
  /** Connections or flows at a time, the next one is dropped; undefined: no limit but the machine's nf_conntrack_max. */
  readonly connectionsMax: number | undefined;
  readonly pool: string;
  readonly choice: Choice;
  readonly targets: readonly CarriedTarget[];
  readonly slotCount: number;
  readonly names: CarriedNames;
};

export type CarriedNames = {
  /** Chain that its clients' first packets go to, and the map of slots in there. */
  readonly chain: string;
  readonly slots: string;
  /** Chain that holds its limit, if it has one: it outlives the other, or the count would begin anew. */
  readonly room: string | undefined;
  /** Counter of what met the limit. It is there without one too: by it the table is known to be whole. */
  readonly full: string;
};

export type KernelPlan = {
  readonly carried: readonly Carried[];
  /** Packets and bytes are counted for each target; false where there is none. */
  readonly countTraffic: boolean;
};

export const nothingPlanned: KernelPlan = { carried: [], countTraffic: false };

/** Rules of another shape under the same names would be taken for the same: count it up with any change of rules. */
export const rulesVersion = 1;

export type PlanOptions = {
  /** The machine lets 127.0.0.1 out of the loopback interface (net.ipv4.conf.all.route_localnet). */
  readonly routeLocalnet: boolean;
  readonly countTraffic: boolean;
};

/** `listeners` are those that the kernel is to carry: kernelObstacles found none, and each one's pool is in `pools`. */
export function planKernel(
  listeners: readonly Layer4Listener[],
  pools: readonly Pool[],
  options: PlanOptions,
): KernelPlan {
  const byName = new Map(pools.map((pool) => [pool.name, pool]));
  const carried = listeners.map((listener) => carry(listener, byName, options));
  return { carried, countTraffic: options.countTraffic && carried.length > 0 };
}

function carry(listener: Layer4Listener, pools: ReadonlyMap<string, Pool>, options: PlanOptions): Carried {
  const pool = pools.get(poolOf(listener));
  const address = parseIp(listener.bind.host);
  assert(pool !== undefined && address !== undefined, `listener ${listener.name} is validated`);
  const wildcard = address.bytes.every((byte) => byte === 0);
  const reached = pool.targets.filter((target) => reachesTarget(listener.bind.host, target));
  const targets = reached.map(({ address, host, port, weight, backup, intent }) => ({
    address,
    host,
    port,
    weight,
    backup,
    intent,
  }));
  const choice = choiceOf(pool.balance);
  const rules = {
    listener: listener.name,
    protocol: listener.protocol,
    family: address.family,
    wildcard,
    loopback: address.family === 4 && wildcard && options.routeLocalnet,
    connectionsMax: limitOf(listener),
    choice,
    slotCount: choice === "source" ? sourceSlotCount : turnSlotCount(groupWeights(targets)),
  } as const;
  return {
    ...rules,
    bind: listener.bind,
    masquerade: !listener.preserveClientAddress,
    pool: pool.name,
    targets,
    names: namesOf(rules),
  };
}

/** The pool of a listener that the kernel can carry: it has one. */
export function poolOf(listener: Layer4Listener): string {
  return listener.protocol === "tcp" ? (listener.routes[0]?.pool ?? "") : listener.pool;
}

// A count goes through those under way whenever one begins: who has not asked for it shall not pay for it.
function limitOf(listener: Layer4Listener): number | undefined {
  if (!listener.limitStated) return undefined;
  return listener.protocol === "tcp" ? listener.limits.connectionsMax : listener.limits.flowsMax;
}

function choiceOf({ policy }: Balance): Choice {
  if (policy === "roundRobin") return "turns";
  if (policy === "random") return "chance";
  assert(policy === "consistentHash", `the kernel does not balance by ${policy}`);
  return "source";
}

function groupWeights(targets: readonly CarriedTarget[]): number[][] {
  return [false, true].map((backup) =>
    targets.filter((target) => target.backup === backup).map((target) => target.weight),
  );
}

type Rules = Pick<
  Carried,
  "listener" | "protocol" | "family" | "wildcard" | "loopback" | "connectionsMax" | "choice" | "slotCount"
>;

// What decides the text of the chain is in its name. Targets and weights are not: they are elements, which may change.
function namesOf(rules: Rules): CarriedNames {
  const { listener, protocol, family, connectionsMax } = rules;
  const room = connectionsMax === undefined ? undefined : `room-${listener}-${digest([protocol, connectionsMax])}`;
  const chain = digest([
    listener,
    protocol,
    family,
    rules.wildcard,
    rules.loopback,
    rules.choice,
    rules.slotCount,
    room ?? "",
  ]);
  return {
    chain: `go-${listener}-${chain}`,
    slots: `slots-${listener}-${chain}`,
    room,
    full: `full-${listener}`,
  };
}

function digest(parts: readonly (string | number | boolean)[]): string {
  return createHash("sha256")
    .update(JSON.stringify([rulesVersion, ...parts]))
    .digest("hex")
    .slice(0, 10);
}

export const countKinds = ["begun", "to", "from"] as const;
/** Connections begun, packets and bytes to the target, packets and bytes from it. */
export type CountKind = (typeof countKinds)[number];

/** What a plan counts of every target. */
export function kindsCounted({ countTraffic }: KernelPlan): readonly CountKind[] {
  return countTraffic ? countKinds : ["begun"];
}

/** Name of a counter: `to-echo-10.0.4.20_8080`, `to-echo-2001_db8__1_8080`. No two targets of a node share one. */
export function counterName(kind: CountKind, listener: string, target: CarriedTarget): string {
  return `${kind}-${listener}-${target.host.replaceAll(":", "_")}_${target.port}`;
}
