// A short run of the differential fuzzer, and every finding of the past.

import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { test } from "node:test";
import { seededRandom } from "../src/core/random.ts";
import { judgeRequests, judgeResponses, RESPONSE_METHODS } from "./http1-differential.ts";
import { generateCuts, generateRequests, generateResponses } from "./http1-generate.ts";

const SEED = 20240229;
const INPUTS = 6000;

test(`llhttp reads the requests that we accept as we do (seed ${SEED})`, () => {
  const random = seededRandom(SEED);
  let agreed = 0;
  for (let i = 0; i < INPUTS; i++) {
    const input = generateRequests(random);
    const verdict = judgeRequests(input, generateCuts(random, input.length));
    assert.equal(verdict.difference, undefined, JSON.stringify(input.toString("latin1")));
    agreed += verdict.agreed;
  }
  assert.ok(agreed > INPUTS / 3, `only ${agreed} requests were compared: the generator has gone astray`);
});

test(`llhttp reads the responses that we accept as we do (seed ${SEED})`, async () => {
  const random = seededRandom(SEED);
  let agreed = 0;
  for (let i = 0; i < INPUTS / 3; i++) {
    const input = generateResponses(random);
    const cuts = generateCuts(random, input.length);
    const method = RESPONSE_METHODS[i % RESPONSE_METHODS.length] ?? "GET";
    const verdict = await judgeResponses(input, cuts, method);
    assert.equal(verdict.difference, undefined, JSON.stringify(input.toString("latin1")));
    agreed += verdict.agreed;
  }
  assert.ok(agreed > INPUTS / 15, `only ${agreed} responses were compared: the generator has gone astray`);
});

test("what the fuzzer once found stays fixed", async () => {
  const folder = new URL("corpus/", import.meta.url);
  const files = readdirSync(folder).filter((name) => name.endsWith(".http"));
  assert.ok(files.length > 0, "the corpus is there");
  for (const file of files) {
    const input = readFileSync(new URL(file, folder));
    const method = /^response-([A-Z]+)-/.exec(file)?.[1];
    const everyCut = [...input.keys()];
    const verdict =
      method === undefined ? judgeRequests(input, everyCut) : await judgeResponses(input, everyCut, method);
    assert.equal(verdict.difference, undefined, file);
  }
});
