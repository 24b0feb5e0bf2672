import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { adapterFor, readerFor } from "./read-foreign.ts";

function folder(t: TestContext, files: readonly string[]): string {
  const directory = mkdtempSync(join(tmpdir(), "evenkeel-foreign-"));
  t.after(() => rmSync(directory, { recursive: true, force: true }));
  for (const file of files) {
    mkdirSync(join(directory, file, ".."), { recursive: true });
    writeFileSync(join(directory, file), `# ${file}`);
  }
  return directory;
}

test("wildcards match as glob(3) does: in order, no leading dot, no slash", (t) => {
  const home = folder(t, [
    "main.conf",
    "c/b.conf",
    "c/a.conf",
    "c/.h.conf",
    "c/d/e.conf",
    "c/a.txt",
    "x1/f.conf",
    "x2/f.conf",
    "xa/f.conf",
  ]);
  const read = readerFor(join(home, "main.conf"), "main file");
  const names = (pattern: string) => {
    const found = read(pattern, { file: join(home, "c/b.conf"), line: 1, column: 1 });
    return found.ok ? found.value.map(({ path }) => path.replace(`${home}/`, "")).join(" ") : found.failure.detail;
  };
  assert.equal(names("c/*.conf"), "c/a.conf c/b.conf");
  assert.equal(names("c/*"), `open() "${home}/c/d" failed (21: Is a directory)`);
  assert.equal(names("x[0-9]/?.conf"), "x1/f.conf x2/f.conf");
  assert.equal(names("x[!0-9]/f.conf"), "xa/f.conf");
  assert.equal(names("c/.*.conf"), "c/.h.conf");
  assert.equal(names("none/*.conf"), "");
  assert.equal(names("c/[z-a].conf"), "");
  assert.equal(names(join(home, "c/a.conf")), "c/a.conf");
  assert.equal(names("gone.conf"), `open() "${home}/gone.conf" failed (2: No such file or directory)`);
});

test("a relative path begins at the main file, or at the file that includes", (t) => {
  const home = folder(t, ["main.conf", "c/a.conf", "a.conf"]);
  const from = { file: join(home, "c/x.conf"), line: 1, column: 1 };
  const path = (base: "main file" | "including file") => {
    const found = readerFor(join(home, "main.conf"), base)("a.conf", from);
    return found.ok ? found.value[0]?.path : undefined;
  };
  assert.equal(path("main file"), join(home, "a.conf"));
  assert.equal(path("including file"), join(home, "c/a.conf"));
});

test("a file's adapter is known by its name, then by its folder", () => {
  const cases: Readonly<Record<string, string>> = {
    "nginx.conf": "nginx",
    "/etc/nginx/lb.conf": "nginx",
    "my-nginx-2.conf": "nginx",
    "/etc/keepalived/keepalived.conf": "keepalived",
    "/etc/keepalived/a.conf": "keepalived",
    "/etc/nginx/keepalived.conf": "keepalived",
    "/etc/nginx/lb.yaml": "native",
    "nginx.json": "native",
    "/srv/lb.conf": "native",
  };
  for (const [file, adapter] of Object.entries(cases)) assert.equal(adapterFor(file), adapter, file);
});
