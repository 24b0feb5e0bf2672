// What the joining of registry, disk and sources promises when the disk does not do its part. That orders work is in
// test/e2e/live-targets.test.ts.

import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import * as fs from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import type { KeptFileCalls } from "../../io/kept-file.ts";
import type { TargetOrder } from "../../state/desired.ts";
import { EventLog } from "../event-log.ts";
import { testConfig, testPool, testTarget } from "../metrics/test-metrics.ts";
import { keepAgainDelay, keepPatience, LiveTargets } from "./live-targets.ts";

const quiet = () => {};
const address = "10.0.0.1:80";

/** Serving one pool, on a disk whose calls a test may change while it runs. */
async function start(t: TestContext) {
  const stateDirectory = mkdtempSync(join(tmpdir(), "evenkeel-live-"));
  t.after(() => rmSync(stateDirectory, { recursive: true, force: true }));
  const calls: KeptFileCalls = { ...fs };
  const told: string[] = [];
  const log = { debug: quiet, info: (message: string) => told.push(message), warn: quiet, error: quiet };
  const live = new LiveTargets({
    log,
    clock: () => 0,
    wallClock: () => 0,
    random: () => 0.5,
    events: new EventLog(() => 0),
    changed: quiet,
    settled: () => Promise.resolve({ generation: 1, settled: true }),
    calls,
  });
  t.after(() => live.close());
  const config = { ...testConfig, stateDirectory, pools: [testPool("app", [testTarget(address)])] };
  const weigh = (weight: number) => {
    const order: TargetOrder = { type: "patch", patch: { weight } };
    return live.order({ pool: "app", address, order, by: "test", isExpected: () => true });
  };
  const onDisk = () => /"weight":(\d+)/.exec(readFileSync(join(stateDirectory, "targets.json"), "utf8"))?.[1];
  const weight = () => live.desired("app")?.[0]?.target.weight;
  return { live, config, calls, weigh, weight, onDisk, told };
}

async function codeOf(order: ReturnType<LiveTargets["order"]>): Promise<string | undefined> {
  const outcome = await order;
  return outcome.ok ? undefined : outcome.failure.code;
}

test("before the first configuration is in force an order is refused as one to ask again, and after the end for good", async (t) => {
  const { live, config, weigh } = await start(t);
  assert.equal(await codeOf(weigh(2)), "node.starting");
  assert.deepEqual(await live.open(config), []);
  assert.equal(await codeOf(weigh(2)), "node.starting");
  live.commit(config);
  assert.equal(await codeOf(weigh(2)), undefined);
  await live.close();
  assert.equal(await codeOf(weigh(3)), "node.draining");
  assert.deepEqual(
    (await live.prepare(config)).map(({ code }) => code),
    ["node.draining"],
    "whoever is closed opens no source any more",
  );
});

test("a refused order that is on disk all the same is not there for long", async (t) => {
  const { live, config, calls, weigh, weight, onDisk, told } = await start(t);
  assert.deepEqual(await live.open(config), []);
  live.commit(config);
  assert.equal(await codeOf(weigh(2)), undefined);
  t.mock.timers.enable({ apis: ["setTimeout"] });
  const { open } = calls;
  // The new file is in its place, and the disk cannot say so.
  calls.open = async (path, flags, mode) => {
    const handle = await open(path, flags, mode);
    if (mode !== undefined) return handle;
    await handle.close();
    throw Object.assign(new Error("EIO: directory"), { code: "EIO" });
  };
  assert.equal(await codeOf(weigh(3)), "state.unwritable");
  assert.deepEqual([weight(), onDisk()], [2, "3"]);
  calls.open = open;
  t.mock.timers.tick(keepAgainDelay);
  t.mock.timers.reset();
  // To its very end: it would clear its timer among those of the next test.
  const done = () => told.includes("what the API said is on disk again");
  for (let turn = 0; !done() && turn < 5_000; turn++) await new Promise((resolve) => setTimeout(resolve, 1));
  assert.deepEqual([weight(), onDisk()], [2, "2"]);
});

test("a disk that hangs refuses orders after a time, and takes them when it goes on", async (t) => {
  const { live, config, calls, weigh, weight, onDisk } = await start(t);
  assert.deepEqual(await live.open(config), []);
  live.commit(config);
  t.mock.timers.enable({ apis: ["setTimeout"] });
  const { rename } = calls;
  const hung = Promise.withResolvers<void>();
  const reached = Promise.withResolvers<void>();
  calls.rename = async (from, to) => {
    reached.resolve();
    await hung.promise;
    await rename(from, to);
  };
  const refused = codeOf(weigh(2));
  await reached.promise;
  t.mock.timers.tick(keepPatience);
  assert.equal(await refused, "state.unwritable");
  assert.equal(weight(), 1);
  calls.rename = rename;
  hung.resolve();
  assert.equal(await codeOf(weigh(4)), undefined);
  assert.deepEqual([weight(), onDisk()], [4, "4"]);
});
