import assert from "node:assert/strict";
import { chmodSync, readdirSync, readFileSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { findToken, parseTokens } from "../admin/token-file.ts";
import { runCli, temporaryDirectory } from "./test-cli.ts";

test("a token is printed once, its hash is added, and the file is its owner's alone", async (t) => {
  const directory = temporaryDirectory(t);
  const file = join(directory, "token");
  const one = await runCli(["token", "new", "deploy", "--file", file]);
  assert.deepEqual([one.code, /^ek_[A-Za-z0-9_-]{43}\n$/.test(one.out)], [0, true]);
  assert.match(one.err, /the only time/);
  const two = await runCli(["token", "new", "prometheus", "--read", "--file", file]);
  assert.equal(statSync(file).mode & 0o777, 0o600);
  const text = readFileSync(file, "utf8");
  const { entries, problems } = parseTokens(text);
  assert.deepEqual(
    [findToken(entries, one.out.trim())?.name, findToken(entries, two.out.trim())?.rights],
    ["deploy", "read"],
  );
  assert.deepEqual([problems, text.includes(one.out.trim())], [[], false]);
  assert.equal(
    (await runCli(["token", "ls", "--file", file])).out,
    "NAME        MAY\ndeploy      write\nprometheus  read\n",
  );
  assert.deepEqual(readdirSync(directory), ["token"]);
});

test("a name that is taken, unknown or none is refused, and the file stays as it was", async (t) => {
  const directory = temporaryDirectory(t);
  const file = join(directory, "token");
  await runCli(["token", "new", "deploy", "--file", file]);
  const before = readFileSync(file, "utf8");
  const cases: [string[], number, RegExp][] = [
    [["new", "deploy"], 3, /has a token deploy already/],
    [["rm", "other"], 3, /has no token other/],
    [["new", "two words"], 1, /is no name of a token/],
  ];
  for (const [args, code, pattern] of cases) {
    const said = await runCli(["token", ...args, "--file", file]);
    assert.match(said.err, pattern);
    assert.deepEqual([said.code, said.out], [code, ""]);
  }
  assert.deepEqual([readFileSync(file, "utf8"), readdirSync(directory)], [before, ["token"]]);
});

test("rm takes out one line, and keeps the comments and the link that leads to the file", async (t) => {
  const directory = temporaryDirectory(t);
  const [file, link] = [join(directory, "real"), join(directory, "token")];
  writeFileSync(file, "# ours", { mode: 0o644 });
  chmodSync(file, 0o644);
  symlinkSync(file, link);
  await runCli(["token", "new", "one", "--file", link]);
  await runCli(["token", "new", "two", "--file", link]);
  assert.equal((await runCli(["token", "rm", "one", "--file", link])).code, 0);
  const text = readFileSync(file, "utf8");
  assert.deepEqual([text.startsWith("# ours\ntwo sha256:"), statSync(file).mode & 0o777], [true, 0o600]);
  assert.deepEqual(readdirSync(directory), ["real", "token"]);
});

test("who comes while another one changes the file, or finds none, is told so", async (t) => {
  const directory = temporaryDirectory(t);
  const file = join(directory, "token");
  writeFileSync(`${file}.new`, "");
  const busy = await runCli(["token", "new", "deploy", "--file", file]);
  assert.deepEqual([busy.code, /token\.new exists: somebody is changing the tokens now/.test(busy.err)], [1, true]);
  const none = await runCli(["token", "ls", "--file", file]);
  assert.deepEqual([none.code, /ENOENT/.test(none.err)], [1, true]);
  const nowhere = await runCli(["token", "new", "deploy", "--file", join(directory, "no", "token")]);
  assert.deepEqual([nowhere.code, nowhere.out], [1, ""]);
  writeFileSync(file, "nonsense\n");
  const damaged = await runCli(["token", "ls", "--file", file]);
  assert.deepEqual([damaged.code, /line 1 is no/.test(damaged.err)], [2, true]);
});
