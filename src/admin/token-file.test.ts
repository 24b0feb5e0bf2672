import assert from "node:assert/strict";
import { chmodSync, mkdtempSync, rmSync, utimesSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import type { Log } from "../core/log.ts";
import { createToken, findToken, isTokenName, parseTokens, TokenFile, tokenFileBytesMax } from "./token-file.ts";

function somewhere(t: TestContext): string {
  const directory = mkdtempSync(join(tmpdir(), "ek-token-"));
  t.after(() => rmSync(directory, { recursive: true }));
  return join(directory, "token");
}

function logged(): { readonly log: Log; readonly lines: string[] } {
  const lines: string[] = [];
  const take = (level: string) => (message: string, fields?: Readonly<Record<string, unknown>>) => {
    lines.push(`${level} ${message} ${String(fields?.["reason"] ?? fields?.["problem"] ?? "")}`.trim());
  };
  return { log: { debug: take("debug"), info: take("info"), warn: take("warn"), error: take("error") }, lines };
}

test("a token is 256 bits of chance, and its line lets it in without holding it", () => {
  const made = createToken("deploy", "write");
  assert.match(made.token, /^ek_[A-Za-z0-9_-]{43}$/);
  assert.match(made.line, /^deploy sha256:[0-9a-f]{64}\n$/);
  assert.notEqual(made.token, createToken("deploy", "write").token);
  const { entries } = parseTokens(`${createToken("a", "read").line}${made.line}${createToken("b", "write").line}`);
  assert.equal(findToken(entries, made.token)?.name, "deploy");
  assert.equal(findToken(entries, `${made.token} `), undefined);
  assert.equal(findToken(entries, ""), undefined);
  assert.deepEqual(
    entries.map(({ rights }) => rights),
    ["read", "write", "write"],
  );
});

test("lines that are none let nobody in and are told; comments and blanks are passed over", () => {
  const hex = "A0".repeat(32);
  const text = [
    "# tokens of lb-1",
    "",
    `good sha256:${hex} # for the pipeline`,
    `good sha256:${"b1".repeat(32)}`,
    `short sha256:${hex.slice(2)}`,
    `plain ${hex}`,
    `name with blanks sha256:${hex}`,
    `more sha256:${hex} write`,
    `../x sha256:${hex}`,
    `\treader\tsha256:${hex}\tread\r`,
  ].join("\n");
  const { entries, problems } = parseTokens(text);
  assert.deepEqual(
    entries.map(({ name, rights }) => `${name} ${rights}`),
    ["good write", "reader read"],
  );
  assert.deepEqual(
    problems.map((problem) => problem.split(" ", 2)[1]?.replace(":", "")),
    ["4", "5", "6", "7", "8", "9"],
  );
  assert.deepEqual(["a", "a.b-c_1", "", ".a", "-a", "a b", "a".repeat(65)].map(isTokenName), [
    true,
    true,
    ...Array.from({ length: 5 }, () => false),
  ]);
});

test("the file is read when it changes and at no other time", (t) => {
  const path = somewhere(t);
  const { log, lines } = logged();
  const file = new TokenFile(path, log);
  const [one, two] = [createToken("one", "write"), createToken("two", "read")];
  assert.equal(file.find(one.token), undefined);
  assert.match(lines.splice(0).join("|"), /^error no token is valid there is no such file/);
  writeFileSync(path, one.line, { mode: 0o600 });
  assert.equal(file.find(one.token)?.name, "one");
  assert.equal(file.find(one.token)?.name, "one");
  assert.deepEqual(lines.splice(0), ["info token file read"]);
  writeFileSync(path, two.line);
  utimesSync(path, 1, 1);
  assert.deepEqual([file.find(one.token), file.find(two.token)?.name], [undefined, "two"]);
  rmSync(path);
  assert.equal(file.find(two.token), undefined);
});

test("a file that others may write, or that is too large, lets nobody in", (t) => {
  const path = somewhere(t);
  const { log, lines } = logged();
  const file = new TokenFile(path, log);
  const { token, line } = createToken("one", "write");
  writeFileSync(path, line, { mode: 0o600 });
  assert.equal(file.find(token)?.name, "one");
  chmodSync(path, 0o660);
  assert.equal(file.find(token), undefined);
  assert.match(lines.at(-1) ?? "", /others than its owner may write it/);
  chmodSync(path, 0o600);
  assert.equal(file.find(token)?.name, "one");
  writeFileSync(path, `${line}${"#".repeat(tokenFileBytesMax)}`);
  assert.equal(file.find(token), undefined);
  assert.match(lines.at(-1) ?? "", /more than 262144 bytes/);
});
