// The nft command's ways to end, with programs of the test's own under its name: a real one is asked in test/e2e.

import assert from "node:assert/strict";
import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { runCommand } from "./bounded-command.ts";
import { applyRuleset, checkRuleset, listTable, nftVersion } from "./nft-command.ts";

/** Puts a shell script under the name `nft` in front of the PATH; gives the folder. */
function fakeNft(t: TestContext, script: string): string {
  const folder = mkdtempSync(join(tmpdir(), "evenkeel-nft-"));
  const path = process.env["PATH"];
  t.after(() => {
    process.env["PATH"] = path;
    rmSync(folder, { recursive: true, force: true });
  });
  writeFileSync(join(folder, "nft"), `#!/bin/sh\n${script}\n`);
  chmodSync(join(folder, "nft"), 0o755);
  process.env["PATH"] = `${folder}:${path}`;
  return folder;
}

const codeOf = (result: Awaited<ReturnType<typeof applyRuleset>>) => (result.ok ? "applied" : result.failure.code);

test("the text goes in whole, in English, with the administrators' folders in the PATH", async (t) => {
  const folder = fakeNft(t, 'cd "$(dirname "$0")"; echo "$* $LC_ALL $PATH" >called; cat >text');
  const text = `${"table inet evenkeel { }\n".repeat(20_000)}`;
  assert.equal(codeOf(await applyRuleset(text)), "applied");
  assert.equal(readFileSync(join(folder, "text"), "utf8"), text);
  const called = readFileSync(join(folder, "called"), "utf8");
  assert.match(called, /^-f - C .*:\/usr\/sbin:\/sbin$/m);
  assert.equal(codeOf(await checkRuleset("")), "applied");
  assert.match(readFileSync(join(folder, "called"), "utf8"), /^-c -f - /);
});

test("nft's words are in the failure, cut where they are endless", async (t) => {
  fakeNft(t, 'echo "stdin:1:1-5: Error: syntax error" >&2; exit 1');
  const refused = await applyRuleset("x");
  assert.ok(!refused.ok);
  assert.equal(refused.failure.code, "nft.refused");
  assert.ok(refused.failure.detail.endsWith("stdin:1:1-5: Error: syntax error"));
  fakeNft(t, "head -c 100000 /dev/zero | tr '\\0' x >&2; exit 1");
  const endless = await applyRuleset("x");
  assert.ok(!endless.ok && endless.failure.detail.length < 2_100);
});

test("a program that ends without reading its input is judged by its exit code", async (t) => {
  fakeNft(t, "exit 0");
  assert.equal(codeOf(await applyRuleset("x".repeat(1_000_000))), "applied");
});

test("a missing right has its remedy", async (t) => {
  fakeNft(t, 'echo "netlink: Error: cache initialization failed: Operation not permitted" >&2; exit 1');
  const denied = await applyRuleset("x");
  assert.ok(!denied.ok && denied.failure.code === "nft.denied" && denied.failure.detail.includes("CAP_NET_ADMIN"));
});

test("an nft that was killed is a failure", async (t) => {
  fakeNft(t, "kill -9 $$");
  const killed = await applyRuleset("x");
  assert.ok(!killed.ok && killed.failure.code === "nft.failed" && killed.failure.detail.includes("SIGKILL"));
});

test("a table that is not there is no failure, and a name is never an option", async (t) => {
  fakeNft(t, 'echo "Error: No such file or directory" >&2; exit 1');
  assert.deepEqual(await listTable("evenkeel"), { ok: true, value: undefined });
  for (const name of ["", "-f", "a b", "x;y", "1x"]) assert.equal((await listTable(name)).ok, false, name);
  fakeNft(t, 'echo "$*"');
  assert.deepEqual(await listTable("evenkeel"), { ok: true, value: "list table inet evenkeel\n" });
});

test("the version is found in what nft says", async (t) => {
  fakeNft(t, 'echo "nftables v1.0.6 (Lester Gooch #5)"');
  assert.deepEqual(nftVersion(), { ok: true, value: "1.0.6" });
  fakeNft(t, "echo nothing");
  const none = nftVersion();
  assert.equal(!none.ok && none.failure.code, "nft.failed");
});

test("a program that does not end is killed and left", async () => {
  const end = await runCommand({
    program: "sh",
    args: ["-c", "echo slow >&2; exec sleep 60"],
    input: "",
    timeMax: 300,
  });
  assert.equal(end.kind, "late");
});

test("a program that is not there never ran", async () => {
  const end = await runCommand({ program: "evenkeel-no-such-program", args: [], input: "", timeMax: 1000 });
  assert.deepEqual(end, { kind: "failed", error: "ENOENT" });
});
