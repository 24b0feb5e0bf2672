import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { runCommandLine } from "./program.ts";

async function validate(t: TestContext, files: Record<string, string>, args: readonly string[]) {
  const folder = mkdtempSync(join(tmpdir(), "evenkeel-validate-"));
  t.after(() => rmSync(folder, { recursive: true }));
  for (const [name, text] of Object.entries(files)) writeFileSync(join(folder, name), text);
  const said = { out: "", err: "", code: -1 };
  await runCommandLine(["validate", ...args.map((arg) => (Object.hasOwn(files, arg) ? join(folder, arg) : arg))], {
    out: (text) => {
      said.out += text;
    },
    err: (text) => {
      said.err += text.replaceAll(`${folder}/`, "");
    },
    environment: {},
    setExitCode: (code) => {
      said.code = code;
    },
  });
  return said;
}

const node = (priority: number, rest = "") => `
ha:
  tracks: { chk: { command: [/bin/sh], weight: -5 } }
  virtualRouters:
    VI_1: { interface: eth0, vrid: 51, priority: ${priority}, addresses: [192.0.2.99], track: [chk]${rest} }
`;

test("two files that fit together are valid", async (t) => {
  const files = { "a.yaml": node(100), "b.yaml": node(98) };
  const said = await validate(t, files, ["--elsewhere", "-c", "a.yaml", "--peer", "b.yaml"]);
  assert.deepEqual(said, { out: "both configurations are valid and fit together\n", err: "", code: 0 });
});

test("what the two disagree in is told with both places, and the exit code is 1", async (t) => {
  const files = { "a.yaml": node(100), "b.yaml": node(90, ", advertisementInterval: 2s") };
  const said = await validate(t, files, ["--elsewhere", "-c", "a.yaml", "--peer", "b.yaml"]);
  assert.equal(
    said.err,
    [
      "warning: a.yaml:5:5: advertisementInterval: 1s here, 2s there: the active node's holds, so it changes with every failover (b.yaml:5:116); expected the same on all nodes",
      "a.yaml:5:88: `chk`: its weight -5 never moves the addresses: with every track down the priority is 95, and the other node has 90 (b.yaml:5:50); expected weights of more than 10 together, or weight 0",
      "",
    ].join("\n"),
  );
  assert.deepEqual([said.out, said.code], ["", 1]);
});

test("a peer's file that is wrong by itself is told as such", async (t) => {
  const files = { "a.yaml": node(100), "b.yaml": node(300) };
  const said = await validate(t, files, ["--elsewhere", "-c", "a.yaml", "--peer", "b.yaml"]);
  assert.match(said.err, /^b\.yaml:5:50: priority: 300 is out of range/);
  assert.deepEqual([said.out, said.code], ["", 1]);
});

test("the peer's interfaces are not looked for on this machine", async (t) => {
  const files = { "a.yaml": "listeners: {}\n", "b.yaml": node(90).replace("eth0", "no-such-if") };
  const said = await validate(t, files, ["-c", "a.yaml", "--peer", "b.yaml"]);
  assert.match(said.err, /virtual router `VI_1` \(vrid 51, IPv4\) is on this node alone/);
  assert.doesNotMatch(said.err, /no-such-if/);
  assert.equal(said.code, 1);
});
