import assert from "node:assert/strict";
import { chmodSync, chownSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { findInsecure, runsAsRoot } from "./program-safety.ts";

const skip = process.getuid?.() === 0 ? false : "only root can give files away";
const [nobody, adm] = [65_534, 4];

function place(t: TestContext): { readonly folder: string; readonly script: string } {
  const folder = mkdtempSync(join(tmpdir(), "evenkeel-safety-"));
  t.after(() => rmSync(folder, { recursive: true }));
  const script = join(folder, "script");
  writeFileSync(script, "#!/bin/sh\n", { mode: 0o755 });
  return { folder, script };
}

test("root's own program below a sticky folder is safe, and so is one of root's group", { skip }, async (t) => {
  const { folder, script } = place(t);
  assert.equal(await findInsecure(script), undefined);
  assert.equal(await findInsecure("/bin/sh"), undefined);
  chmodSync(script, 0o775);
  assert.equal(await findInsecure(script), undefined);
  assert.equal(await findInsecure(join(folder, "none")), undefined);
});

test("a program that another owns, its group or everybody may write is not", { skip }, async (t) => {
  const { script } = place(t);
  chmodSync(script, 0o757);
  assert.deepEqual(await findInsecure(script), { path: script, why: "others" });
  chmodSync(script, 0o775);
  chownSync(script, 0, adm);
  assert.deepEqual(await findInsecure(script), { path: script, why: "group" });
  chmodSync(script, 0o755);
  chownSync(script, nobody, 0);
  assert.deepEqual(await findInsecure(script), { path: script, why: "owner" });
});

test("a folder on the way counts, also behind a link, and so does the link's owner", { skip }, async (t) => {
  const { folder, script } = place(t);
  const loose = join(folder, "loose");
  mkdirSync(loose);
  writeFileSync(join(loose, "x"), "", { mode: 0o755 });
  chmodSync(loose, 0o777);
  assert.deepEqual(await findInsecure(join(loose, "x")), { path: loose, why: "others" });
  const link = join(folder, "link");
  symlinkSync(join("loose", "x"), link);
  assert.deepEqual(await findInsecure(link), { path: loose, why: "others" });
  chmodSync(loose, 0o1777);
  assert.equal(await findInsecure(link), undefined, "sticky");
  const circle = join(folder, "circle");
  symlinkSync(circle, circle);
  assert.equal(await findInsecure(circle), undefined);
  assert.equal(await findInsecure(script), undefined);
});

test("root is who has its user or group, or gets it by the program's bits", { skip }, async (t) => {
  const { script } = place(t);
  assert.equal(await runsAsRoot(script, undefined), true);
  assert.equal(await runsAsRoot(script, "root"), true);
  assert.equal(await runsAsRoot(script, "nobody"), false);
  chmodSync(script, 0o4755);
  assert.equal(await runsAsRoot(script, "nobody"), true);
});
