// What a worker is sent of a pool that has changed: the whole of it, or, of a large one of which little is another, the
// targets that are new and where those that stay stand in what it has. Plain data: it crosses the process border as JSON,
// and ten thousand targets are 1.6 MB of that. The change's way; pure.

import type { Pool, Target } from "../model/pool.ts";

/** So many targets, from that place of the list that the worker has. */
export type KeptTargets = readonly [from: number, count: number];

export type PoolChange =
  | { readonly kind: "whole"; readonly pool: Pool }
  | {
      readonly kind: "part";
      /** The pool without its targets. */
      readonly rules: Pool;
      /** In their order. */
      readonly targets: readonly (Target | KeptTargets)[];
    };

/** Pools of fewer targets are sent whole: telling the difference would not be shorter. */
export const wholePoolMax = 64;

/** The shortest way from `before`, which the worker has, to `after`. A target that stays is the same object in both. */
export function changeOfPool(before: Pool | undefined, after: Pool): PoolChange {
  const whole = { kind: "whole", pool: after } as const;
  if (before === undefined || after.targets.length <= wholePoolMax) return whole;
  const places = new Map(before.targets.map((target, index) => [target, index]));
  const targets: (Target | [number, number])[] = [];
  let fresh = 0;
  let run: [number, number] | undefined;
  for (const target of after.targets) {
    const at = places.get(target);
    if (at === undefined) {
      targets.push(target);
      run = undefined;
      fresh += 1;
    } else if (run !== undefined && at === run[0] + run[1]) run[1] += 1;
    else {
      run = [at, 1];
      targets.push(run);
    }
  }
  // Shuffled targets are many short runs, and new ones are sent as they are.
  if (targets.length > after.targets.length / 2 || fresh > after.targets.length / 2) return whole;
  return { kind: "part", rules: { ...after, targets: [] }, targets };
}

export function nameOfChange(change: PoolChange): string {
  return change.kind === "whole" ? change.pool.name : change.rules.name;
}

/** The pool after the change; targets that stay are the objects of `before`. */
export function changedPool(before: Pool, change: PoolChange): Pool {
  if (change.kind === "whole") return change.pool;
  const targets = change.targets.flatMap((one) =>
    isKept(one) ? before.targets.slice(one[0], one[0] + one[1]) : [one],
  );
  return { ...change.rules, targets };
}

function isKept(one: Target | KeptTargets): one is KeptTargets {
  return Array.isArray(one);
}
