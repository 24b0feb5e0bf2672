// Priorities for many virtual routers on many nodes, so that each node carries its share, and the loss of any node spreads
// that share over all the others instead of doubling the load of one. Pure: every node computes the same plan from the same
// names, and an operator can be shown it. The change's way. It must not look at the present state: a plan that moved with
// it would move addresses.

import { assert } from "../core/assert.ts";

export const spreadNodesMax = 64;
const priorityFirst = 240;
const stepMax = 20;

export type SpreadPlan = {
  /** Router, then node: its priority. */
  readonly priorities: ReadonlyMap<string, ReadonlyMap<string, number>>;
  /** Router: its nodes, the one that carries it first. */
  readonly orders: ReadonlyMap<string, readonly string[]>;
  /** The distance between two neighbours' priorities: a track's weight must exceed it to move an address. */
  readonly step: number;
};

/**
 * The plan for these nodes and virtual routers; the order in which they are named does not matter. Each virtual router
 * in turn gets its order of nodes, rank by rank: the node that has the fewest to take when all before it in this order are
 * lost, among equals the one with the fewest at all, among equals the next one in the circle.
 */
export function planSpread(nodeNames: readonly string[], routerNames: readonly string[]): SpreadPlan {
  const nodes = [...new Set(nodeNames)].sort();
  const routers = [...new Set(routerNames)].sort();
  assert(nodes.length >= 1 && nodes.length <= spreadNodesMax, `${nodes.length} nodes`);
  const step = Math.max(1, Math.min(stepMax, Math.floor((priorityFirst - 1) / Math.max(1, nodes.length - 1))));
  const takes = new Map<string, number>();
  const ranks = new Map<string, number>();
  const orders = new Map<string, readonly string[]>();
  for (const [index, router] of routers.entries()) {
    const order: string[] = [];
    while (order.length < nodes.length) {
      // Whoever of the lost ones it came from, the load is the same: the set counts, not its order.
      const lost = [...order].sort().join("\n");
      const next = best(nodes, order, index, (node) => [
        takes.get(`${lost}\t${node}`) ?? 0,
        ranks.get(`${order.length}\t${node}`) ?? 0,
      ]);
      count(takes, `${lost}\t${next}`);
      count(ranks, `${order.length}\t${next}`);
      order.push(next);
    }
    orders.set(router, order);
  }
  const priorities = new Map(
    [...orders].map(([router, order]) => [
      router,
      new Map(order.map((node, rank) => [node, priorityFirst - rank * step])),
    ]),
  );
  return { priorities, orders, step };
}

function count(counts: Map<string, number>, key: string): void {
  counts.set(key, (counts.get(key) ?? 0) + 1);
}

function best(
  nodes: readonly string[],
  taken: readonly string[],
  start: number,
  costsOf: (node: string) => readonly [number, number],
): string {
  let found: { readonly node: string; readonly costs: readonly [number, number] } | undefined;
  for (let turn = 0; turn < nodes.length; turn++) {
    const node = nodes[(start + turn) % nodes.length];
    if (node === undefined || taken.includes(node)) continue;
    const costs = costsOf(node);
    const better =
      found === undefined || costs[0] < found.costs[0] || (costs[0] === found.costs[0] && costs[1] < found.costs[1]);
    if (better) found = { node, costs };
  }
  assert(found !== undefined, "a node that is not taken");
  return found.node;
}

/** Who carries what when these nodes are lost: every node that is left, with its virtual routers. */
export function afterLoss(plan: SpreadPlan, lost: readonly string[]): ReadonlyMap<string, readonly string[]> {
  const carried = new Map<string, string[]>();
  for (const [router, order] of plan.orders) {
    for (const node of order) if (!lost.includes(node) && !carried.has(node)) carried.set(node, []);
    const heir = order.find((node) => !lost.includes(node));
    if (heir !== undefined) carried.get(heir)?.push(router);
  }
  return carried;
}
