import assert from "node:assert/strict";
import { test } from "node:test";
import { decodeOptions, systemNames } from "./options.ts";
import { workloads } from "./workloads.ts";

test("without flags every workload and system runs, five rounds of three seconds, and nothing is kept", () => {
  const decoded = decodeOptions([]);
  assert.ok(decoded.kind === "run");
  const { options } = decoded;
  assert.deepEqual(
    options.only,
    workloads.map(({ name }) => name),
  );
  assert.deepEqual(options.systems, systemNames);
  assert.deepEqual([options.rounds, options.seconds, options.saveAs], [5, 3, undefined]);
});

test("every wrong flag is told at once", () => {
  const decoded = decodeOptions(["--rounds", "0", "--only", "smal", "--log", "xml", "--load-cores", "one"]);
  assert.ok(decoded.kind === "wrong");
  assert.equal(decoded.problems.length, 4);
});

test("an unknown flag is refused", () => {
  assert.equal(decodeOptions(["--round", "3"]).kind, "wrong");
  assert.equal(decodeOptions(["small"]).kind, "wrong");
});

test("a full run is kept under the plain name", () => {
  const decoded = decodeOptions(["--save"]);
  assert.ok(decoded.kind === "run");
  assert.equal(decoded.options.saveAs, "http");
});

test("a partial run never replaces the full results", () => {
  assert.equal(decodeOptions(["--only", "small", "--save"]).kind, "wrong");
  assert.equal(decodeOptions(["--systems", "nginx,evenkeel", "--name", "http"]).kind, "wrong");
  const decoded = decodeOptions(["--only", "small", "--name", "small-only"]);
  assert.ok(decoded.kind === "run");
  assert.equal(decoded.options.saveAs, "small-only");
});
