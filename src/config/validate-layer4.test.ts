// What `validate` refuses and what the control plane is told must be one thing: the property below decodes the same
// listener for each engine and compares. The wording is in cases/layer4-*.case.

import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { stringify } from "yaml";
import { kernelObstacles } from "../model/kernel-obstacles.ts";
import { type Decoded, decodeConfig } from "./decode.ts";
import { describeProblems } from "./problem.ts";

function decode(document: unknown): Decoded {
  const machine = { hostname: "host-1", cores: 2 };
  return decodeConfig(stringify(document), { file: "lb.yaml", environment: {}, machine });
}

/** Mostly the first, so that listeners that the kernel can carry are not rare. */
function mostly<T>(usual: T, ...others: readonly T[]): fc.Arbitrary<T> {
  return fc.oneof({ weight: 8, arbitrary: fc.constant(usual) }, { weight: 2, arbitrary: fc.constantFrom(...others) });
}

const target = fc.record(
  { weight: fc.nat(3), maxConnections: mostly(0, 1), backup: fc.boolean(), intent: fc.constantFrom("up", "drain") },
  { requiredKeys: [] },
);

const pool = fc.record(
  {
    balance: fc.oneof(
      mostly("roundRobin", "random", "leastConnections", "twoChoices", "ipHash"),
      fc.constant({ consistentHash: { key: "clientAddress" } }),
    ),
    targets: fc.dictionary(mostly("10.0.0.1:80", "10.0.0.2:80", "[2001:db8::1]:80", "[::1]:80"), target),
  },
  { requiredKeys: ["targets"] },
);

const bind = mostly("0.0.0.0:53", "10.0.4.99:53", "[::]:53", "[::1]:53");
const poolName = fc.constantFrom("a", "b");

const tcp = fc
  .record(
    {
      bind,
      protocol: fc.constant("tcp"),
      pool: poolName,
      proxyProtocol: fc.record({ receive: mostly(false, true), send: mostly("off", "v1", "v2") }),
    },
    { requiredKeys: ["bind", "protocol", "pool"] },
  )
  .chain((listener) => {
    const { pool: own, ...rest } = listener;
    const byName = { ...rest, routes: [{ host: "a.example", pool: own }, { pool: "b" }] };
    return fc.constantFrom<object>(listener, byName, { ...rest, routes: [{ pool: own }] });
  });

const udp = fc.record(
  { bind, protocol: fc.constant("udp"), pool: poolName, responses: mostly<unknown>("unlimited", 0, 1) },
  { requiredKeys: ["bind", "protocol", "pool"] },
);

test("`engine: kernel` is refused exactly where there is an obstacle, one complaint for each", () => {
  let refused = 0;
  let taken = 0;
  fc.assert(
    fc.property(fc.oneof(tcp, udp), pool, pool, (listener, a, b) => {
      const withEngine = (engine: string) => decode({ listeners: { one: { ...listener, engine } }, pools: { a, b } });
      const proxy = withEngine("proxy");
      const auto = withEngine("auto");
      assert(proxy.ok && auto.ok, describeProblems(proxy.ok ? [] : proxy.problems));
      const [one] = auto.config.listeners;
      assert(one !== undefined && one.protocol !== "http");
      const obstacles = kernelObstacles(one, auto.config.pools);
      const kernel = withEngine("kernel");
      assert.equal(kernel.ok, obstacles.length === 0);
      const problems = kernel.ok ? [] : kernel.problems;
      assert.deepEqual([...new Set(problems.map(({ code }) => code))], kernel.ok ? [] : ["config.engine.kernel"]);
      const told = problems.map(({ message }) => message.replace(", and listener `one` has `engine: kernel`", ""));
      assert.deepEqual(told.sort(), [...obstacles].sort());
      if (kernel.ok) taken++;
      else refused++;
    }),
    { numRuns: 400 },
  );
  assert(refused > 50 && taken > 10, `${refused} refused, ${taken} taken`);
});

test("what the proxy carries, it carries with the client's address refused", () => {
  fc.assert(
    fc.property(fc.oneof(tcp, udp), pool, pool, (listener, a, b) => {
      const keeping = (engine: string) =>
        decode({ listeners: { one: { ...listener, engine, preserveClientAddress: true } }, pools: { a, b } });
      const [proxy, auto, kernel] = [keeping("proxy"), keeping("auto"), keeping("kernel")];
      assert.equal(proxy.ok, false);
      // Auto comes to the proxy exactly where the kernel is refused.
      assert.equal(auto.ok, kernel.ok);
    }),
    { numRuns: 150 },
  );
});

test("every problem names a place in the file, whatever the listener leaves out or gets wrong", () => {
  const junk = fc.constantFrom<unknown>(null, 5, "x", [], {}, "10.0.0.1:80", true);
  const keys = ["bind", "protocol", "engine", "pool", "routes", "proxyProtocol", "timeouts", "limits", "responses"];
  fc.assert(
    fc.property(
      fc.oneof(tcp, udp),
      fc.dictionary(fc.constantFrom(...keys), junk, { minKeys: 1, maxKeys: 4 }),
      pool,
      (l, wrong, a) => {
        const decoded = decode({ listeners: { one: { ...l, engine: "kernel", ...wrong } }, pools: { a, b: a } });
        for (const problem of decoded.ok ? [] : decoded.problems) {
          assert(problem.line >= 1 && problem.path !== "" && problem.expected + (problem.suggestion ?? "") !== "");
        }
      },
    ),
    { numRuns: 500 },
  );
});
