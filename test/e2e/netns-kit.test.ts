// The kit itself: a machine is gone with its scope, with a test process that goes down, and after one that was killed with
// the next that begins.

import assert from "node:assert/strict";
import { existsSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { atEnd, isAlive, root, runProgram, type Scope, temporaryDirectory } from "./kit.ts";
import { cable, machine, noMachines } from "./netns-kit.ts";

const skip = noMachines;
const exists = (namespace: string) => existsSync(`/run/netns/${namespace}`);

/** A process that makes a machine, tells its name and ends as the text says; gives the name. */
async function madeByAnother(t: TestContext, end: string): Promise<string> {
  const script = join(temporaryDirectory(t), "make.ts");
  const kit = join(root, "test/e2e/netns-kit.ts");
  writeFileSync(
    script,
    `import { machine } from ${JSON.stringify(kit)};
    process.stdout.write(machine({ after() {} }, "other").namespace, () => { ${end} });\n`,
  );
  const ran = await runProgram(t, process.execPath, [script]);
  assert.match(ran.stdout, /^ekt-\d+-1-other$/, ran.stderr);
  return ran.stdout;
}

test("a machine and what runs on it end with the scope, also when something before it failed", { skip }, async () => {
  const ends: (() => void | Promise<void>)[] = [];
  const scope: Scope = { after: (end) => ends.push(end) };
  const one = machine(scope, "one");
  const sleeper = one.start(scope, "sleep", ["1000"]);
  atEnd(scope, () => {
    throw new Error("as wanted");
  });
  assert.ok(exists(one.namespace));
  await assert.rejects(async () => {
    for (const end of ends) await end();
  });
  assert.equal(exists(one.namespace), false);
  assert.equal(isAlive(sleeper.pid), false);
});

test("a machine goes down with a test process that ends in an exception", { skip }, async (t) => {
  assert.equal(exists(await madeByAnother(t, 'throw new Error("as wanted")')), false);
});

test("a machine of a killed test process is removed by the next", { skip }, async (t) => {
  const left = await madeByAnother(t, 'process.kill(process.pid, "SIGKILL")');
  assert.equal(exists(left), true);
  await madeByAnother(t, "process.exit()");
  assert.equal(exists(left), false);
});

test("machines see each other over a cable and nobody else, and ip's words are in the error", { skip }, async (t) => {
  const [one, other] = [machine(t, "one"), machine(t, "other")];
  cable({ machine: one, device: "eth0" }, { machine: other, device: "eth0" });
  one.ip("addr add 10.0.0.1/24 dev eth0", "addr add fd00::1/64 dev eth0 nodad");
  const seen = await one.run(t, "ip", ["-br", "addr"]);
  assert.match(seen.stdout, /^eth0@\S+ +UP +10\.0\.0\.1\/24 fd00::1\/64/m);
  assert.equal(seen.stdout.trim().split("\n").length, 2);
  assert.throws(() => one.ip("addr add nonsense dev eth0"), /nonsense/);
  one.sysctl({ "net.ipv4.ip_forward": 1 });
  assert.equal((await one.run(t, "sysctl", ["-n", "net.ipv4.ip_forward"])).stdout, "1\n");
  assert.equal((await other.run(t, "sysctl", ["-n", "net.ipv4.ip_forward"])).stdout, "0\n");
});
