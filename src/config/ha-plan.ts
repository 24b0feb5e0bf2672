// The plan behind `spread: true`, for an operator to look at before it is needed: each node's priority for each virtual
// router, and who carries what when one node is lost. On the change's way; pure. Made from the same words as the priorities
// themselves (build-ha.ts), so that it cannot say anything else.

import { afterLoss, planSpread } from "../ha/spread.ts";
import type { HaConfig } from "../model/ha.ts";

export type HaPlan = {
  readonly nodes: readonly string[];
  readonly virtualRouters: readonly {
    readonly name: string;
    readonly priorities: Readonly<Record<string, number>>;
  }[];
  /** Without a lost node first, then with each node lost in turn. */
  readonly carried: readonly {
    readonly lost: string | undefined;
    readonly by: Readonly<Record<string, readonly string[]>>;
  }[];
};

/** Undefined without `spread: true`. */
export function planOf(ha: Pick<HaConfig, "spreadNodes" | "virtualRouters">): HaPlan | undefined {
  const { spreadNodes: nodes, virtualRouters } = ha;
  if (nodes.length === 0) return undefined;
  const unitOf = ({ name, syncGroup }: HaConfig["virtualRouters"][number]) => syncGroup ?? name;
  const plan = planSpread(nodes, [...new Set(virtualRouters.map(unitOf))]);
  const names = (units: readonly string[]) =>
    virtualRouters.filter((router) => units.includes(unitOf(router))).map(({ name }) => name);
  return {
    nodes,
    virtualRouters: virtualRouters.map((router) => ({
      name: router.name,
      priorities: Object.fromEntries(plan.priorities.get(unitOf(router)) ?? []),
    })),
    carried: [undefined, ...nodes].map((lost) => {
      const units = afterLoss(plan, lost === undefined ? [] : [lost]);
      return { lost, by: Object.fromEntries([...units].map(([node, list]) => [node, names(list)])) };
    }),
  };
}
