import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import {
  chmodSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { fileURLToPath } from "node:url";

const script = fileURLToPath(new URL("./setup.sh", import.meta.url));

/** What stands in for npm: lays down a `node` that tells a version, and writes down that it was called. */
const goodNpm = `#!/bin/sh
echo "npm $*" >>calls
mkdir -p node_modules/.bin node_modules/node/bin
printf '{\\n  "version": "24.0.1"\\n}\\n' >node_modules/node/package.json
printf '#!/bin/sh\\necho v24.0.1\\n' >node_modules/node/bin/node
chmod 755 node_modules/node/bin/node
ln -sf ../node/bin/node node_modules/.bin/node
`;

/** A checkout of its own with an npm of its own. */
function checkout(t: TestContext, npm: string): { readonly folder: string; readonly path: string } {
  const folder = mkdtempSync(join(tmpdir(), "evenkeel-setup-"));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  mkdirSync(join(folder, "tools"));
  mkdirSync(join(folder, "bin"));
  copyFileSync(script, join(folder, "tools/setup.sh"));
  writeFileSync(join(folder, "package-lock.json"), "{}\n");
  writeFileSync(join(folder, "bin/npm"), npm);
  chmodSync(join(folder, "bin/npm"), 0o755);
  return { folder, path: `${join(folder, "bin")}:${process.env["PATH"]}` };
}

type Ran = { readonly code: number | null; readonly stdout: string; readonly stderr: string };

function setup(at: { readonly folder: string; readonly path: string }): Promise<Ran> {
  const child = spawn("sh", [join(at.folder, "tools/setup.sh")], { cwd: "/", env: { ...process.env, PATH: at.path } });
  let stdout = "";
  let stderr = "";
  child.stdout.setEncoding("utf8").on("data", (text: string) => {
    stdout += text;
  });
  child.stderr.setEncoding("utf8").on("data", (text: string) => {
    stderr += text;
  });
  return new Promise((resolve) => child.once("close", (code) => resolve({ code, stdout, stderr })));
}

const callsOf = (folder: string): number => readFileSync(join(folder, "calls"), "utf8").trimEnd().split("\n").length;

test("a fresh checkout is installed once, and then setup is silent", async (t) => {
  const at = checkout(t, goodNpm);
  const first = await setup(at);
  assert.equal(first.code, 0, first.stderr);
  assert.match(first.stderr, /^evenkeel: installing [^\n]*\nevenkeel: ready, with Node v24\.0\.1\n$/);
  assert.equal(first.stdout, "");
  const second = await setup(at);
  assert.deepEqual(second, { code: 0, stdout: "", stderr: "" });
  assert.equal(callsOf(at.folder), 1);
});

test("a changed lock is installed again", async (t) => {
  const at = checkout(t, goodNpm);
  await setup(at);
  writeFileSync(join(at.folder, "package-lock.json"), '{ "changed": 1 }\n');
  assert.match((await setup(at)).stderr, /ready/);
  assert.equal(callsOf(at.folder), 2);
});

test("two setups at once install once", async (t) => {
  const at = checkout(t, `${goodNpm}sleep 0.2\n`);
  const both = await Promise.all([setup(at), setup(at)]);
  assert.deepEqual(
    both.map((ran) => ran.code),
    [0, 0],
    both.map((ran) => ran.stderr).join("\n"),
  );
  assert.equal(callsOf(at.folder), 1);
});

test("what npm changes in the lock is taken back", async (t) => {
  const at = checkout(t, `${goodNpm}echo '{ "resolved": "elsewhere" }' >package-lock.json\n`);
  assert.equal((await setup(at)).code, 0);
  assert.equal(readFileSync(join(at.folder, "package-lock.json"), "utf8"), "{}\n");
  assert.equal((await setup(at)).stderr, "");
});

test("a failed install is told with npm's words, leaves the lock alone, and is tried again", async (t) => {
  const at = checkout(t, "#!/bin/sh\necho >package-lock.json\necho 'npm error: no such luck' >&2\nexit 7\n");
  const failed = await setup(at);
  assert.equal(failed.code, 1);
  assert.match(failed.stderr, /evenkeel: npm install failed\n[\s\S]*npm error: no such luck/);
  assert.equal(readFileSync(join(at.folder, "package-lock.json"), "utf8"), "{}\n");
  writeFileSync(join(at.folder, "bin/npm"), goodNpm);
  assert.equal((await setup(at)).code, 0);
});

test("an npm that runs no install scripts still ends in a Node of our own", async (t) => {
  const npm = `#!/bin/sh
mkdir -p node_modules/.bin node_modules/node
printf '{ "type": "commonjs",\\n  "version": "24.0.1"\\n}\\n' >node_modules/node/package.json
cat >node_modules/node/installArchSpecificPackage.js <<'END'
const { mkdirSync, writeFileSync } = require("node:fs");
mkdirSync("bin");
writeFileSync("bin/node", "#!/bin/sh\\necho v24.0.1\\n", { mode: 0o755 });
END
`;
  const at = checkout(t, npm);
  const ran = await setup(at);
  assert.equal(ran.code, 0, ran.stderr);
  assert.match(ran.stderr, /without it\nevenkeel: ready, with Node v24\.0\.1\n$/);
});

test("a Node of the wrong version is refused", async (t) => {
  const at = checkout(t, `${goodNpm}printf '#!/bin/sh\\necho v20.0.0\\n' >node_modules/node/bin/node\n`);
  writeFileSync(join(at.folder, "bin/node"), "#!/bin/sh\nexit 0\n", { mode: 0o755 });
  const ran = await setup(at);
  assert.equal(ran.code, 1);
  assert.match(ran.stderr, /should be v24\.0\.1 and is 'v20\.0\.0'/);
  assert.equal(existsSync(join(at.folder, "node_modules/.evenkeel-lock")), false);
});

test("an unknown argument is refused", async (t) => {
  const at = checkout(t, goodNpm);
  const child = spawn("sh", [join(at.folder, "tools/setup.sh"), "--test"]);
  assert.equal(await new Promise((resolve) => child.once("close", resolve)), 1);
});

/** What stands in for apt-get: writes down how it was called and which list it was given, and installs what it is asked to. */
const fakeApt = `#!/bin/sh
[ "$1" != indextargets ] || { echo "Debian http://mirror.test/debian/"; exit 0; }
list=
for argument; do
  case $argument in Dir::Etc::sourcelist=*) list=$(cat "\${argument#*=}") ;; esac
done
{ echo "apt-get $*"; echo "list: $list"; } >>"$CALLS"
found=no
for argument; do
  [ "$found" = no ] || { case $argument in -o | *=*) ;; *) printf '#!/bin/sh\n' >"$BIN/$argument"; chmod 755 "$BIN/$argument" ;; esac; }
  [ "$argument" != install ] || found=yes
done
`;

const cannotHide =
  process.getuid?.() !== 0 || spawnSync("unshare", ["--mount", "true"]).status !== 0
    ? "needs root and namespaces"
    : false;

test("a package of another release comes by a list of its own, which nobody sees afterwards", {
  skip: cannotHide,
}, async (t) => {
  const at = checkout(t, goodNpm);
  assert.equal((await setup(at)).code, 0);
  const bin = join(at.folder, "bin");
  const lists = join(at.folder, "tmp");
  mkdirSync(join(at.folder, "sbin"));
  mkdirSync(lists);
  writeFileSync(join(bin, "apt-get"), fakeApt, { mode: 0o755 });
  // Its folder of policies is ours for this, and so is its lock; what it finds installed is what we lay down.
  const inside = `mount --bind ${at.folder}/sbin /usr/sbin; mount -t tmpfs none /run; exec sh ${at.folder}/tools/setup.sh --tests`;
  const essential = [
    "sh",
    "cat",
    "id",
    "mkdir",
    "mktemp",
    "chmod",
    "mv",
    "rm",
    "sed",
    "head",
    "tail",
    "sort",
    "cmp",
    "dirname",
    "flock",
  ];
  for (const name of essential) symlinkSync(join("/usr/bin", name), join(bin, name));
  symlinkSync("/usr/bin/cp", join(bin, "cp"));
  const own = [
    "nginx",
    "haproxy",
    "wrk",
    "curl",
    "ip",
    "nft",
    "conntrack",
    "ps",
    "keepalived",
    "tshark",
    "etcd",
    "nsd",
  ];
  for (const name of own) writeFileSync(join(bin, name), "#!/bin/sh\n", { mode: 0o755 });
  const env = { PATH: bin, TMPDIR: lists, BIN: bin, CALLS: join(at.folder, "apt") };
  const run = () =>
    spawnSync("/usr/bin/unshare", ["--mount", "/bin/sh", "-c", inside.replaceAll("mount ", "/usr/bin/mount ")], {
      env,
      encoding: "utf8",
    });
  const ran = run();
  assert.equal(ran.status, 0, ran.stderr);
  assert.match(ran.stderr, /^evenkeel: installing Debian packages for the tests: .*consul/);
  const calls = readFileSync(env.CALLS, "utf8");
  const list =
    "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] http://mirror.test/debian/ bullseye main";
  const [update, install] = calls.split("\n").filter((line) => line.includes("Dir::Etc::sourcelist="));
  assert.match(update ?? "", /Dir::Etc::sourceparts=\/dev\/null -o Dir::State::lists=\S+ .* update$/);
  assert.match(install ?? "", / install consul$/);
  assert.equal(calls.split(`list: ${list}\n`).length, 3, calls);
  assert.deepEqual(readdirSync(lists), []);
  assert.deepEqual(readdirSync(join(at.folder, "sbin")), [], "the policy is taken back");
  assert.ok(existsSync(join(bin, "consul")));
});
