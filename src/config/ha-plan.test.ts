import assert from "node:assert/strict";
import { test } from "node:test";
import { routerOf } from "../ha/test-network.ts";
import { planOf } from "./ha-plan.ts";

const nodes = ["lb-1", "lb-2", "lb-3"];
const routers = ["a", "b", "c", "d", "e", "f"].map((name) => routerOf({ name }));

test("without a spread there is no plan", () => {
  assert.equal(planOf({ spreadNodes: [], virtualRouters: routers }), undefined);
});

test("each node carries its share, and the share of a lost one goes to all others", () => {
  const plan = planOf({ spreadNodes: nodes, virtualRouters: routers });
  assert.ok(plan !== undefined);
  const [whole, ...others] = plan.carried;
  assert.deepEqual(
    nodes.map((node) => whole?.by[node]?.length),
    [2, 2, 2],
  );
  for (const { lost, by } of others) {
    const left = nodes.filter((node) => node !== lost);
    assert.deepEqual(
      left.map((node) => by[node]?.length),
      [3, 3],
      `without ${lost}`,
    );
    for (const node of left) {
      for (const name of whole?.by[node] ?? []) assert.ok(by[node]?.includes(name), "what is carried already stays");
    }
  }
  for (const { name, priorities } of plan.virtualRouters) {
    const [best] = Object.entries(priorities).sort(([, one], [, other]) => other - one);
    assert.ok(whole?.by[best?.[0] ?? ""]?.includes(name), "the highest priority carries it");
  }
});

test("members of a sync group have one plan", () => {
  const grouped = [routerOf({ name: "in", syncGroup: "G" }), routerOf({ name: "out", syncGroup: "G" }), ...routers];
  const plan = planOf({ spreadNodes: nodes, virtualRouters: grouped });
  const [inside, outside] = plan?.virtualRouters ?? [];
  assert.deepEqual(inside?.priorities, outside?.priorities);
});
