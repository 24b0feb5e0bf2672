import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { test } from "node:test";
import type { CommandOutcome } from "../../io/kept-command.ts";
import { quoteWord, runStepCommand, wordsOf } from "./command.ts";
import { downOf, withDown } from "./upsync-down.ts";

const values = { host: "10.0.0.1", port: "80", address: "10.0.0.1:80", version: "v2", pool: "app", release: "r" };
const ssh = { host: "{host}", user: "deploy", port: 2222, identityFile: "/k", options: ["ProxyJump=gate-{pool}"] };

test("a command here is its words, with what they name filled in", () => {
  const words = wordsOf({ words: ["install", "{version}", "a b"], on: "here" }, { ssh, values, names: {} });
  assert.deepEqual(words, ["install", "v2", "a b"]);
});

test("a command by ssh is one line that the shell on the other side reads as the same words", () => {
  const hostile = ["printf", "%s\n", "it's", "$(id)", "a  b", "", "`x`", "{{}}", "-n;*"];
  const names = { EVENKEEL_RELEASE_STEP: "stop" };
  const words = wordsOf({ words: hostile, on: "target" }, { ssh, values, names });
  const host = words.indexOf("10.0.0.1");
  assert.equal(words[host - 1], "--");
  for (const one of ["ProxyJump=gate-app", "BatchMode=yes", "deploy", "2222", "/k"])
    assert.ok(words.includes(one), one);
  assert.equal(words.length, host + 2);
  const line = words.at(-1) ?? "";
  assert.match(line, /^env EVENKEEL_RELEASE_STEP=stop printf /);
  const printed = execFileSync("/bin/sh", ["-c", line], { encoding: "utf8" });
  assert.equal(printed, "it's\n$(id)\na  b\n\n`x`\n{}\n-n;*\n");
});

test("plain words are not quoted", () => {
  assert.equal(quoteWord("/opt/app-v2.tar.gz"), "/opt/app-v2.tar.gz");
  assert.equal(quoteWord(""), "''");
});

const ends: readonly (readonly [CommandOutcome["end"], string, RegExp])[] = [
  [{ type: "exit", code: 7 }, "release.command.exit", /exited with 7/],
  [{ type: "signal", signal: "SIGSEGV" }, "release.command.signal", /ended by SIGSEGV/],
  [{ type: "unstarted", error: "ENOENT" }, "release.command.missing", /there is no program deploy/],
  [{ type: "timeout" }, "release.command.timeout", /did not end within 5 s/],
  [{ type: "held" }, "release.command.output", /holds its output/],
];

for (const [end, code, detail] of ends) {
  test(`an end by ${end.type} is told as ${code} with the end of the output`, async () => {
    const run = () => Promise.resolve({ end, output: "said" });
    const words = ["deploy"];
    const { signal } = new AbortController();
    const whole = { run, words, names: {}, environment: {}, directory: "/", timeout: 5_000, signal };
    const outcome = await runStepCommand(whole);
    assert.ok(outcome.type === "failed");
    assert.equal(outcome.code, code);
    assert.match(outcome.detail, detail);
    assert.equal(outcome.output, "said");
  });
}

test("an entry's `down` is changed, and nothing else that stands there", () => {
  assert.deepEqual(downOf('{"weight":3}'), { ok: true, value: "0" });
  assert.equal(withDown('{"weight":3,"max_fails":2}', "1"), '{"weight":3,"max_fails":2,"down":1}');
  assert.equal(withDown('{"Down":"1","x":[1]}', "0"), '{"Down":0,"x":[1]}');
  assert.equal(withDown("", "1"), '{"down":1}');
  assert.equal(downOf("weight=1").ok, false);
});
