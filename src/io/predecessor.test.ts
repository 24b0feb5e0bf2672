import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { test } from "node:test";
import { succeedPredecessor } from "./predecessor.ts";

const now = () => performance.now();
const module = new URL("predecessor.ts", import.meta.url).href;

/** Another process that has the name, once this resolves. */
async function holder(name: string) {
  const script = `const { succeedPredecessor } = await import(${JSON.stringify(module)});
    const taken = succeedPredecessor({ now: () => performance.now(), timeMax: 0 }, ${JSON.stringify(name)});
    process.stdout.write(taken.ok ? "held" : taken.failure.code);
    setInterval(() => {}, 1000);`;
  const child = spawn(process.execPath, ["--input-type=module", "-e", script], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  const [said] = await once(child.stdout, "data");
  assert.equal(String(said), "held");
  return child;
}

test("a name is free when its holder was killed, and until then a successor waits no longer than it was told", async (t) => {
  const name = `evenkeel-test-${process.pid}`;
  const child = await holder(name);
  t.after(() => child.kill("SIGKILL"));
  const refused = succeedPredecessor({ now, timeMax: 50 }, name);
  assert.ok(!refused.ok);
  assert.equal(refused.failure.code, "predecessor.alive");
  child.kill("SIGKILL");
  await once(child, "exit");
  const taken = succeedPredecessor({ now, timeMax: 0 }, name);
  assert.ok(taken.ok);
});
