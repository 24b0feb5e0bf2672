import assert from "node:assert/strict";
import { test } from "node:test";
import type { Round, SystemRounds } from "../rounds.ts";
import { poolOfTargets } from "./flip-pool.ts";
import { parseKernelFlips } from "./flips.ts";
import { decodeLayer4Options } from "./options.ts";
import {
  formatLayer4Json,
  formatLayer4Markdown,
  type Layer4Record,
  layer4Notes,
  layer4Summary,
  layer4Tables,
} from "./report.ts";
import { deductRouting, type Layer4Rounds, takesPart } from "./rounds.ts";
import { parseCheck } from "./system.ts";
import { type Layer4Workload, layer4Workloads } from "./workloads.ts";

function workload(name: string): Layer4Workload {
  const found = layer4Workloads.find((one) => one.name === name);
  assert.ok(found !== undefined);
  return found;
}

function rows(system: string, figures: readonly Round["figures"][], problems: readonly string[] = []): SystemRounds {
  return { system, problems, rounds: figures.map((one) => ({ figures: one, problems: [] })) };
}

const result: Layer4Rounds = {
  workload: workload("connection"),
  systems: [
    rows("routing", [{ systemUs: 30, cpuUs: 0 }]),
    rows("nginx", [{ systemUs: 110, netUs: 80, cpuUs: 70, foreignShare: 0.01 }]),
    rows("nginx-again", [{ systemUs: 114, netUs: 84, cpuUs: 70 }]),
    rows("evenkeel-proxy", [{ systemUs: 230, netUs: 200, cpuUs: 150 }]),
    rows("evenkeel-kernel", [{ systemUs: 50, netUs: 20, cpuUs: 0.1 }]),
    rows("evenkeel-kernel-preserve", [{ systemUs: 46, netUs: 16, cpuUs: 0.1 }]),
  ],
};

test("what routing took in the same round is deducted, and nothing is compared without it", () => {
  const round = { figures: { systemUs: 50, cpuUs: 3 }, problems: [] };
  assert.deepEqual(deductRouting(round, 30).figures, { systemUs: 50, cpuUs: 3, netUs: 20 });
  assert.equal(deductRouting(round, undefined).figures.netUs, undefined);
});

test("UDP is for those who carry it, larger buffers are for bodies", () => {
  const [connection, bulk, datagram] = ["connection", "bulk", "datagram"].map(workload);
  assert.ok(connection?.kind === "tcp" && bulk?.kind === "tcp" && datagram?.kind === "udp");
  const tuned = { udp: false, bulkOnly: true };
  assert.deepEqual(
    [connection, bulk, datagram].map((one) => takesPart(tuned, one)),
    [false, true, false],
  );
  assert.equal(takesPart({ udp: false, bulkOnly: false }, datagram), false);
});

test("the first table compares the machine's CPU and shows what it holds of routing, the second a process's own", () => {
  const [first, second] = layer4Tables(result);
  assert.ok(first !== undefined && second !== undefined);
  assert.match(first.title, /^new TCP connection .*\(64 at a time\)$/);
  assert.deepEqual(first.table.head.slice(2), ["to nginx", "to haproxy", "with routing", "others"]);
  assert.deepEqual(first.table.rows[0], ["routing", "", "-", "-", "30.00", ""]);
  assert.deepEqual(first.table.rows[4], ["evenkeel-kernel", "20.00", "0.25", "-", "50.00", ""]);
  assert.deepEqual(second.table.rows[3], ["evenkeel-proxy", "150.00", "2.14", "-"]);
});

test("each engine has its own goal, and a system without one is shown and not judged", () => {
  const summary = layer4Summary([result]);
  assert.deepEqual(
    summary?.rows.map((row) => [row[2], row[5], row[7], row[8]]),
    [
      ["evenkeel-proxy", "2.50", "<= 2.3", "missed"],
      ["evenkeel-kernel", "0.25", "<= 0.35", "met"],
      ["evenkeel-kernel-preserve", "0.20", "none", ""],
    ],
  );
});

test("a flip is judged by its milliseconds, whatever nginx needs", () => {
  const flips = (flipMs: number): Layer4Rounds => ({
    workload: workload("flip1000"),
    systems: [rows("evenkeel-kernel", [{ flipMs, flipCpuMs: 1 }])],
  });
  assert.equal(layer4Summary([flips(4.9)])?.rows[0]?.at(-1), "met");
  assert.equal(layer4Summary([flips(5.1)])?.rows[0]?.at(-1), "missed");
});

test("a system on other terms is void, and foreign work is told", () => {
  const [routed, ...others] = result.systems;
  assert.ok(routed !== undefined);
  const busy = rows("nginx", [{ netUs: 80, foreignShare: 0.2 }], ["TCP connections: 4 targets should get 8 each"]);
  const notes = layer4Notes({ ...result, systems: [routed, busy, ...others.slice(1)] });
  assert.ok(notes.some((note) => note.startsWith("nginx is INVALID here: TCP connections")));
  assert.ok(notes.some((note) => note.includes("foreign processes took 20 %")));
});

test("both files hold the machine, what was chosen, every table and every round", () => {
  const decoded = decodeLayer4Options(["--rounds", "1"]);
  assert.ok(decoded.kind === "run");
  const record: Layer4Record = {
    machine: {
      processor: "Example 9000",
      cores: 2,
      memoryBytes: 8 * 1024 ** 3,
      kernel: "6.1.0",
      system: "Debian",
      hypervisor: true,
      loadBefore: 0.1,
      versions: { node: "v24", nginx: "1.22.1", haproxy: "2.6.12", wrk: "4.1.0" },
    },
    options: decoded.options,
    settings: { nginx: "stream module" },
    flips: { nginx: "SIGHUP" },
    results: [result],
  };
  const text = formatLayer4Markdown(record);
  assert.match(text, /^# Layer-4 benchmark$/m);
  assert.match(text, /^- nginx: SIGHUP$/m);
  assert.match(text, /^\| evenkeel-kernel \| 20\.00 \| 0\.25 \|/m);
  const read: unknown = JSON.parse(formatLayer4Json(record));
  assert.ok(typeof read === "object" && read !== null && "results" in read && Array.isArray(read.results));
  assert.deepEqual(read.results[0].systems[4].rounds[0].figures, { systemUs: 50, netUs: 20, cpuUs: 0.1 });
});

test("what is no report of a program is refused", () => {
  assert.deepEqual(parseCheck('{"problems":["x"]}\n').problems, ["x"]);
  assert.throws(() => parseCheck("{}"), /the check printed/);
  assert.deepEqual(parseKernelFlips('{"ms":[1,2],"cpuMs":3}'), { ms: [1, 2], cpuMs: 3 });
  assert.throws(() => parseKernelFlips('{"ms":[],"cpuMs":3}'), /printed/);
});

test("a pool of a thousand targets has a thousand addresses", () => {
  const targets = poolOfTargets(1000);
  assert.equal(new Set(targets).size, 1000);
  assert.deepEqual(
    [targets[0], targets[250], targets[999]],
    ["10.250.0.1:9000", "10.250.1.1:9000", "10.250.3.250:9000"],
  );
});
