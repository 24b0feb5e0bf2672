// `npm run fuzz`: differential fuzzing of the HTTP/1.x wire layer against llhttp (see http1-differential.ts for what is
// compared). `--seconds N` (default 30) or `--count N` ends it, `--seed N` repeats it. A finding is written to
// fuzz/corpus/, where a test replays it for ever, and the exit code is 1.

import { createHash } from "node:crypto";
import { mkdirSync, writeFileSync } from "node:fs";
import { parseArgs } from "node:util";
import { type Random, seededRandom } from "../src/core/random.ts";
import { judgeRequests, judgeResponses, RESPONSE_METHODS, type Verdict } from "./http1-differential.ts";
import { generateCuts, generateRequests, generateResponses } from "./http1-generate.ts";

const FINDINGS_MAX = 20;
const corpus = new URL("corpus/", import.meta.url);

type Round = { readonly kind: string; readonly input: Buffer; readonly verdict: Verdict };

async function round(random: Random, index: number): Promise<Round> {
  // Requests are where smuggling lives, responses cost more time.
  if (index % 3 !== 0) {
    const input = generateRequests(random);
    const cuts = generateCuts(random, input.length);
    return { kind: "request", input, verdict: judged(() => judgeRequests(input, cuts)) };
  }
  const input = generateResponses(random);
  const cuts = generateCuts(random, input.length);
  const method = RESPONSE_METHODS[(index / 3) % RESPONSE_METHODS.length] ?? "GET";
  return { kind: `response-${method}`, input, verdict: await judgeResponses(input, cuts, method) };
}

/** A throw out of the wire layer is a finding like any other. */
function judged(judge: () => Verdict): Verdict {
  try {
    return judge();
  } catch (thrown) {
    return { difference: `thrown: ${thrown instanceof Error ? thrown.stack : String(thrown)}`, agreed: 0 };
  }
}

/** The corpus names a file by what it is: `request-<digest>.http`, `response-GET-<digest>.http`. */
function keep(found: Round): string {
  mkdirSync(corpus, { recursive: true });
  const name = `${found.kind}-${createHash("sha256").update(found.input).digest("hex").slice(0, 12)}.http`;
  writeFileSync(new URL(name, corpus), found.input);
  return name;
}

const { values } = parseArgs({
  options: { seconds: { type: "string" }, count: { type: "string" }, seed: { type: "string" } },
});
const seed = Number(values.seed ?? Date.now() % 0xffffffff) >>> 0;
const count = values.count === undefined ? Number.POSITIVE_INFINITY : Number(values.count);
const seconds =
  values.seconds === undefined ? (values.count === undefined ? 30 : Number.POSITIVE_INFINITY) : Number(values.seconds);
if (Number.isNaN(count) || Number.isNaN(seconds)) throw new Error("--count and --seconds take numbers");
console.log(`seed ${seed}`);

const random = seededRandom(seed);
const started = performance.now();
let done = 0;
let agreed = 0;
let findings = 0;
while (done < count && performance.now() - started < seconds * 1000 && findings < FINDINGS_MAX) {
  const one = await round(random, done);
  done++;
  agreed += one.verdict.agreed;
  if (one.verdict.difference === undefined) continue;
  findings++;
  console.log(`${keep(one)}: ${one.verdict.difference.slice(0, 1000)}`);
}
const took = ((performance.now() - started) / 1000).toFixed(1);
console.log(`${done} inputs in ${took} s, ${agreed} messages read alike by both, ${findings} differences`);
process.exitCode = findings === 0 ? 0 : 1;
