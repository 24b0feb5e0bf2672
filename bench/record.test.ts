import assert from "node:assert/strict";
import { test } from "node:test";
import { decodeOptions } from "./options.ts";
import { formatJson, formatMarkdown, type RunRecord } from "./record.ts";
import { small } from "./workloads.ts";

function record(): RunRecord {
  const decoded = decodeOptions(["--rounds", "1"]);
  assert.ok(decoded.kind === "run");
  const rows = (system: string, cpuUs: number) => ({
    system,
    problems: [],
    rounds: [{ figures: { cpuUs }, problems: [] }],
  });
  return {
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
    settings: { nginx: "1 worker", evenkeel: "workers: 1" },
    results: [{ workload: small, rate: undefined, systems: [rows("nginx", 10), rows("evenkeel", 12.123456)] }],
  };
}

test("the Markdown holds the machine, the settings, the goals and every table", () => {
  const text = formatMarkdown(record());
  assert.match(text, /Example 9000, 2 cores \(virtual\), 8 GiB/);
  assert.match(text, /nginx 1\.22\.1, HAProxy 2\.6\.12, wrk 4\.1\.0/);
  assert.match(text, /^- evenkeel: workers: 1$/m);
  assert.match(text, /^\| small keep-alive request .* \| <= 1\.25 \| met \|$/m);
  assert.match(text, /^\| evenkeel \| 12\.12 \| 1\.21 \|/m);
});

test("the JSON holds every round and what was judged of it", () => {
  const read: unknown = JSON.parse(formatJson(record()));
  assert.ok(typeof read === "object" && read !== null && "results" in read && Array.isArray(read.results));
  const [result] = read.results;
  assert.deepEqual(result.systems[1].rounds, [{ figures: { cpuUs: 12.1235 }, problems: [] }]);
  assert.deepEqual(result.judged[0].systems[1].verdict, { kind: "met", close: false });
});
