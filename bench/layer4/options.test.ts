import assert from "node:assert/strict";
import { test } from "node:test";
import { decodeLayer4Options, layer4SystemNames } from "./options.ts";
import { layer4Workloads } from "./workloads.ts";

test("without flags every workload and system runs, and nothing is kept", () => {
  const decoded = decodeLayer4Options([]);
  assert.ok(decoded.kind === "run");
  assert.equal(decoded.options.only.length, layer4Workloads.length);
  assert.deepEqual(decoded.options.systems, layer4SystemNames);
  assert.equal(decoded.options.saveAs, undefined);
});

test("every wrong flag is told at once", () => {
  const decoded = decodeLayer4Options([
    "--rounds",
    "0",
    "--only",
    "flips",
    "--systems",
    "envoy",
    "--load-cores",
    "one",
  ]);
  assert.ok(decoded.kind === "wrong");
  assert.equal(decoded.problems.length, 4);
  assert.equal(decodeLayer4Options(["--round", "3"]).kind, "wrong");
});

test("a partial run never replaces the full results", () => {
  assert.equal(decodeLayer4Options(["--only", "flow", "--save"]).kind, "wrong");
  assert.equal(decodeLayer4Options(["--systems", "nginx", "--name", "layer4"]).kind, "wrong");
  const decoded = decodeLayer4Options(["--save"]);
  assert.ok(decoded.kind === "run");
  assert.equal(decoded.options.saveAs, "layer4");
});

test("names of workloads are unique, and goals are for systems that there are", () => {
  assert.equal(new Set(layer4Workloads.map(({ name }) => name)).size, layer4Workloads.length);
  const systems = new Set<string>(layer4SystemNames);
  for (const { measures } of layer4Workloads) {
    for (const { goals } of measures) for (const name of Object.keys(goals)) assert.ok(systems.has(name), name);
  }
});
