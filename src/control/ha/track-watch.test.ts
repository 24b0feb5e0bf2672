// The watch of tracks over probers that the test answers for, and time that it turns; and the kinds that only look.

import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { performance } from "node:perf_hooks";
import { type TestContext, test } from "node:test";
import type { LogFields } from "../../core/log.ts";
import type { Standing } from "../../ha/tracks.ts";
import { haNone, type Track, type Watch } from "../../model/ha.ts";
import type { LinkEntry } from "../../wire/netlink/route.ts";
import { testTime } from "./test-time.ts";
import { createTrackProbers, judgeDataPlane, judgeInterface, type TrackOutcome } from "./track-probers.ts";
import { TrackWatch } from "./track-watch.ts";

const passed: TrackOutcome = { verdict: "passed", code: "probe.passed", text: "good" };
const failed: TrackOutcome = { verdict: "failed", code: "probe.command.exit", text: "exit 1" };
const unable: TrackOutcome = { verdict: "unable", code: "probe.self.EMFILE", text: "out of descriptors" };

function command(name: string, changes: Partial<Track> = {}, words: readonly string[] = ["/bin/true"]): Track {
  const watch: Watch = { kind: "command", command: words, user: undefined, interval: 1_000, timeout: 400 };
  return { name, watch, rise: 1, fall: 1, ...changes };
}

function world() {
  const time = testTime();
  const logged: { readonly level: string; readonly message: string; readonly fields: LogFields }[] = [];
  const write =
    (level: string) =>
    (message: string, fields: LogFields = {}) =>
      logged.push({ level, message, fields });
  const asked: { readonly track: string; readonly timeout: number; readonly end: (outcome: TrackOutcome) => void }[] =
    [];
  const closed: string[] = [];
  const watch = new TrackWatch({
    log: { debug: write("debug"), info: write("info"), warn: write("warn"), error: write("error") },
    clock: time.clock,
    alarm: time.alarm,
    createProber: (track) => ({
      start: (timeout, end) => asked.push({ track: track.name, timeout, end }),
      close: () => closed.push(track.name),
    }),
  });
  const changes: string[] = [];
  watch.onChange((name, standing, reason) => changes.push(`${name} ${standing}: ${reason}`));
  const apply = (...tracks: readonly Track[]) => watch.apply({ ...haNone, tracks });
  const answer = (outcome: TrackOutcome) => asked.splice(0, 1)[0]?.end(outcome);
  const standing = (name: string): Standing | undefined => watch.results().find((each) => each.name === name)?.standing;
  return { watch, time, asked, closed, changes, logged, apply, answer, standing };
}

test("a track is asked at once and then in its interval, counted from start to start", () => {
  const run = world();
  run.apply(command("chk"));
  assert.deepEqual(
    run.asked.map(({ track, timeout }) => [track, timeout]),
    [["chk", 400]],
  );
  run.time.pass(300);
  run.answer(passed);
  run.time.pass(699);
  assert.equal(run.asked.length, 0);
  run.time.pass(1);
  assert.equal(run.asked.length, 1);
});

test("a question is never asked twice at a time, and one that took longer than its interval is followed at once", () => {
  const run = world();
  run.apply(command("chk"));
  run.time.pass(10_000);
  assert.equal(run.asked.length, 1);
  run.answer(failed);
  run.time.pass(0);
  assert.equal(run.asked.length, 1);
});

test("the first outcome decides alone, later ones by rise and fall, and each change is told and logged once", () => {
  const run = world();
  run.apply(command("chk", { rise: 2, fall: 3 }));
  for (const outcome of [passed, failed, failed, failed, failed, passed, passed]) {
    run.answer(outcome);
    run.time.pass(1_000);
  }
  assert.deepEqual(run.changes, ["chk up: good", "chk down: exit 1", "chk up: good"]);
  assert.deepEqual(
    run.logged.map(({ level, message }) => `${level} ${message}`),
    ["info track up", "warn track down", "info track up"],
  );
});

test("trouble of our own judges nothing and is logged once for each kind", () => {
  const run = world();
  run.apply(command("chk"));
  run.answer(unable);
  assert.deepEqual(run.watch.results()[0]?.standing, "unknown");
  assert.equal(run.watch.results()[0]?.reason, "out of descriptors");
  run.time.pass(1_000);
  run.answer(passed);
  for (let count = 0; count < 3; count++) {
    run.time.pass(1_000);
    run.answer(unable);
  }
  assert.equal(run.standing("chk"), "up");
  assert.deepEqual(run.changes, ["chk up: good"]);
  assert.equal(run.logged.filter(({ message }) => message === "track not judged").length, 2);
});

test("an unchanged track goes on over a reload, also with another rise and fall", () => {
  const run = world();
  run.apply(command("chk"));
  run.answer(passed);
  run.apply(command("chk", { fall: 2 }));
  assert.deepEqual([run.closed, run.asked.length, run.standing("chk")], [[], 0, "up"]);
  run.time.pass(1_000);
  run.answer(failed);
  assert.equal(run.standing("chk"), "up");
});

test("a track that watches something else stands as before until its first outcome, which decides alone", () => {
  const run = world();
  run.apply(command("chk", { fall: 3 }));
  const [old] = run.asked.splice(0);
  old?.end(passed);
  run.time.pass(1_000);
  const [late] = run.asked.splice(0);
  run.apply(command("chk", { fall: 3 }, ["/bin/false"]));
  assert.deepEqual([run.closed, run.standing("chk"), run.asked.length], [["chk"], "up", 1]);
  late?.end(failed);
  assert.equal(run.standing("chk"), "up", "what the old one still said counts for nothing");
  run.answer(failed);
  assert.equal(run.standing("chk"), "down");
});

test("a track that is gone is closed and told no more of; after the stop nothing is asked", () => {
  const run = world();
  run.apply(command("one"), command("two"));
  run.apply(command("two"));
  assert.deepEqual([run.closed, run.watch.results().map(({ name }) => name)], [["one"], ["two"]]);
  for (const { end } of run.asked.splice(0)) end(passed);
  assert.deepEqual(run.changes, ["two up: good"]);
  run.watch.stop();
  run.time.pass(10_000);
  assert.deepEqual([run.asked.length, run.time.waiting()], [0, 0]);
});

test("a file's number is told as it is, with every change of it", () => {
  const run = world();
  run.apply(command("file"));
  for (const value of [5, 5, -20, 0]) {
    run.answer({ verdict: "number", value, code: "file.number", text: `says ${value}` });
    run.time.pass(1_000);
  }
  assert.deepEqual(run.changes, ["file 5: says 5", "file -20: says -20", "file 0: says 0"]);
});

function link(name: string, flags: number): LinkEntry {
  return { index: 2, name, hardwareType: 1, mac: "02:00:00:00:00:01", mtu: 1500, flags };
}

test("an interface is up with its carrier only", () => {
  const codeOf = (...list: readonly LinkEntry[]) => {
    const { verdict, code } = judgeInterface("eth0", { list });
    return `${verdict} ${code}`;
  };
  assert.equal(codeOf(link("eth0", 0x10041)), "passed interface.up");
  assert.equal(codeOf(link("eth0", 0x1)), "failed interface.noCarrier");
  assert.equal(codeOf(link("eth0", 0)), "failed interface.down");
  assert.equal(codeOf(link("eth1", 0x10041)), "failed interface.missing");
  const asked = judgeInterface("eth0", { failure: { code: "netlink.unanswered", detail: "late" } });
  assert.equal(asked.verdict, "unable");
});

test("the balancer is judged when its first worker serves, and is down without a worker or an eligible target", () => {
  const judge = (workers: number | undefined, pools: readonly string[], eligible: readonly string[]) => {
    const view = { workersServing: () => workers, hasEligibleTarget: (pool: string) => eligible.includes(pool) };
    const { verdict, code } = judgeDataPlane(pools, view);
    return `${verdict} ${code}`;
  };
  assert.equal(judge(undefined, [], []), "unable balancer.starting");
  assert.equal(judge(0, [], []), "failed balancer.noWorker");
  assert.equal(judge(2, ["web"], ["web"]), "passed balancer.serving");
  assert.equal(judge(2, ["web", "app"], ["web"]), "failed balancer.noTarget");
});

async function ask(t: TestContext, watch: Watch): Promise<TrackOutcome> {
  const probers = createTrackProbers(() => performance.now(), {
    workersServing: () => 1,
    hasEligibleTarget: () => true,
  });
  const track = { name: "probe", watch, rise: 1, fall: 1 };
  const prober = probers(track, { virtualAddresses: () => [] });
  t.after(() => prober.close());
  return new Promise((resolve) => prober.start(5_000, resolve));
}

function directory(t: TestContext): string {
  const path = mkdtempSync(join(tmpdir(), "evenkeel-track-"));
  t.after(() => rmSync(path, { recursive: true, force: true }));
  return path;
}

test("files are judged by being there, not being there, holding 0, or give their number", async (t) => {
  const path = join(directory(t), "file");
  const file = (upWhen: "present" | "absent" | "zero" | "number") =>
    ask(t, { kind: "file", path, upWhen, interval: 1_000 } as const);
  const verdicts = async () => [
    (await file("present")).verdict,
    (await file("absent")).verdict,
    (await file("zero")).verdict,
  ];
  assert.deepEqual(await verdicts(), ["failed", "passed", "passed"]);
  writeFileSync(path, " -7 because\n");
  assert.deepEqual(await verdicts(), ["passed", "failed", "failed"]);
  const read = await file("number");
  assert.equal(read.verdict === "number" && read.value, -7);
  const folder = await ask(t, { kind: "file", path: directory(t), upWhen: "number", interval: 1_000 });
  assert.equal(folder.verdict, "unable");
});

test("a command track knows its name, runs without a shell, and as the user that it names", async (t) => {
  const base = { kind: "command", interval: 1_000, timeout: 5_000, user: undefined } as const;
  const told = await ask(t, { ...base, command: ["/bin/sh", "-c", 'echo "$EVENKEEL_TRACK $0" "$@"', "a", "b c"] });
  assert.deepEqual([told.verdict, told.text], ["passed", "probe a b c"]);
  const unknown = await ask(t, { ...base, command: ["/bin/true"], user: "ek-no-such-user" });
  assert.deepEqual([unknown.verdict, unknown.code], ["failed", "user.missing"]);
  if (process.getuid?.() !== 0) return;
  const nobody = await ask(t, { ...base, command: ["/bin/sh", "-c", 'id -un; id -Gn; echo "$HOME"'], user: "nobody" });
  assert.equal(nobody.text, "nobody nogroup /nonexistent");
});

test("the tracks of interfaces and health checks ask the kernel and the network", async (t) => {
  assert.equal((await ask(t, { kind: "interface", interface: "ek-none0" })).code, "interface.missing");
  const check = { port: undefined, interval: 1_000, fastInterval: 1_000, jitterPercent: 0, timeout: 1_000 } as const;
  const probe = { ...check, probe: { kind: "tcp" }, rise: 1, fall: 1, initial: "healthy" } as const;
  const refused = await ask(t, { kind: "healthCheck", host: "127.0.0.1", port: 9, check: probe });
  assert.deepEqual([refused.verdict, refused.code], ["failed", "probe.connect.refused"]);
});
