// `evenkeel release` on real services under a load that must not notice: every target is replaced over the proxy engine, with
// the pool in the balancers themselves, in Consul and in etcd; a version that is never well stops at the first target; the
// command is killed at every boundary of its steps; the guard and the lock are seen to act.

import assert from "node:assert/strict";
import { existsSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, test } from "node:test";
import { consulMissing, startConsul } from "./consul-kit.ts";
import { needsEtcd, put as putEtcd, startEtcd } from "./etcd-kit.ts";
import { type Balancer, type ConfigFile, isInstalled, listener, startBalancer } from "./http-kit.ts";
import {
  ask,
  evenkeel,
  freePort,
  isAlive,
  type Program,
  type Scope,
  startProgram,
  temporaryDirectory,
  until,
} from "./kit.ts";
import {
  type Fleet,
  intentsAt,
  runRelease,
  said,
  startFleet,
  startRelease,
  startWrk,
  writeRelease,
} from "./release-kit.ts";

const exchangesMin = 20_000;
const noWrk = isInstalled("wrk") ? false : "wrk is not installed (tools/setup.sh --tests installs it)";

type World = {
  readonly fleet: Fleet;
  readonly balancers: readonly Balancer[];
  readonly port: number;
  /** `balancers` and `store` of a release file. */
  readonly file: Readonly<Record<string, unknown>>;
};

async function startServices(scope: Scope, count: number): Promise<Fleet> {
  const services = [];
  for (let number = 0; number < count; number++) services.push({ host: "127.0.0.1", port: await freePort() });
  return startFleet(scope, services);
}

async function startWorld(scope: Scope, fleet: Fleet, pool: ConfigFile, store?: ConfigFile): Promise<World> {
  // Two keep a release between them; of those that read a store one is as good.
  const ports = store === undefined ? [await freePort(), await freePort()] : [await freePort()];
  const start = (port: number) =>
    startBalancer(scope, { listeners: { web: listener(port, [{ pool: "app" }]) }, pools: { app: pool } });
  const balancers = await Promise.all(ports.map(start));
  const file = { balancers: balancers.map(({ socket }) => ({ socket })), ...(store === undefined ? {} : { store }) };
  return { fleet, balancers, port: ports[0] ?? 0, file };
}

/** Two balancers that keep the release themselves. */
async function embedded(scope: Scope, count = 4): Promise<World> {
  const fleet = await startServices(scope, count);
  return startWorld(scope, fleet, { targets: Object.fromEntries(fleet.addresses.map((address) => [address, {}])) });
}

async function inConsul(scope: Scope, count = 4) {
  const fleet = await startServices(scope, count);
  const consul = await startConsul(scope, { servers: 1 });
  for (const address of fleet.addresses) await consul.put(`upstreams/app/${address}`, '{"weight":1,"max_fails":2}');
  const store = { type: "consul", endpoints: consul.endpoints, prefix: "upstreams/app/" };
  return { consul, world: await startWorld(scope, fleet, { source: { ...store, wait: "2s" } }, store) };
}

async function inEtcd(scope: Scope): Promise<World> {
  const fleet = await startServices(scope, 4);
  const members = await startEtcd(scope, 1);
  const [member] = members;
  assert.ok(member !== undefined);
  for (const address of fleet.addresses) await putEtcd(member, `upstreams/app/${address}`, '{"weight":1}');
  const store = { type: "etcd", endpoints: [member.endpoint], prefix: "upstreams/app/" };
  return startWorld(scope, fleet, { source: store }, store);
}

/** All targets take work at every balancer, and every service has the version. */
async function assertServing({ fleet, balancers }: World, version: string): Promise<void> {
  for (const { socket } of balancers) {
    const intents = await intentsAt(socket);
    assert.deepEqual(intents, Object.fromEntries(fleet.addresses.map((address) => [address, "up"])));
  }
  for (const { port } of fleet.services) assert.equal((await ask({ port })).body.trim(), version);
}

const cases: readonly {
  readonly name: string;
  readonly skip: string | false;
  readonly start: (scope: Scope) => Promise<World>;
}[] = [
  { name: "the balancers", skip: noWrk, start: (scope) => embedded(scope) },
  { name: "Consul", skip: noWrk || consulMissing, start: async (scope) => (await inConsul(scope)).world },
  { name: "etcd", skip: noWrk || needsEtcd, start: inEtcd },
];

for (const { name, skip, start } of cases) {
  test(`with the pool in ${name} all four services are replaced, and no exchange fails`, { skip }, async (t) => {
    const world = await start(t);
    const { fleet, port, file } = world;
    const [before] = fleet.services.map((service) => fleet.pidOf(service));
    const load = startWrk(t, `http://127.0.0.1:${port}/`);
    await until("load", async () => (await exchangesOf(world)) > 500);
    const startedAt = performance.now();
    const ran = await runRelease(t, "run", writeRelease(fleet, "release", file));
    const tookMs = Math.round(performance.now() - startedAt);
    await until("enough exchanges", async () => (await exchangesOf(world)) > exchangesMin, {
      timeoutMs: 30_000,
      everyMs: 200,
    });
    const { requests, failed, text } = await load.stop();
    t.diagnostic(`${requests} exchanges, ${failed} failed; the release took ${tookMs} ms`);
    assert.equal(ran.code, 0, said(ran));
    assert.equal(failed, 0, `${text}\n${said(ran)}`);
    assert.ok(requests >= exchangesMin, `only ${requests} exchanges`);
    await assertServing(world, "v2");
    assert.notEqual(fleet.pidOf(fleet.services[0] ?? { host: "", port: 0 }), before);
    const commands = fleet.addresses.flatMap((address) =>
      ["stop", "deploy", "start"].map((step) => `${step} ${address} v2 1`),
    );
    assert.deepEqual(fleet.ran(), commands);
    // Whoever asks a balancer sees it, wherever it is kept.
    for (const { socket } of world.balancers) {
      await until("the release at the balancer", async () => {
        const { body } = await ask({ socketPath: socket, path: "/v1/releases/app" });
        return JSON.parse(body).record?.state.phase === "done";
      });
    }
  });
}

async function exchangesOf({ balancers }: World): Promise<number> {
  const status = await balancers[0]?.status();
  return Number(status?.listeners[0]?.counters["exchanges"] ?? 0);
}

test("a version that is never well stops at the first target, nobody notices, and a rollback brings it back", {
  skip: noWrk,
}, async (t) => {
  const world = await embedded(t);
  const { fleet, port, balancers, file } = world;
  const [first, ...others] = fleet.addresses;
  const healthCheck = { type: "http", path: "/healthz", for: "1s", every: "200ms" };
  const path = writeRelease(fleet, "bad", { ...file, version: "bad", healthCheck });
  const load = startWrk(t, `http://127.0.0.1:${port}/`);
  await until("load", async () => (await exchangesOf(world)) > 500);
  const ran = await runRelease(t, "run", path);
  assert.equal(ran.code, 1, said(ran));
  assert.match(ran.stdout, new RegExp(`FAIL  ${first}  healthy failed .*not healthy within 1 s .*status 500`));
  for (const { socket } of balancers) {
    const intents = await intentsAt(socket);
    assert.deepEqual(intents, { ...Object.fromEntries(others.map((one) => [one, "up"])), [first ?? ""]: "drain" });
  }
  const again = await runRelease(t, "run", path);
  assert.equal(again.code, 3, said(again));
  assert.match(again.stderr, /unfinished release .* \(failed, .*resume, rollback or abort/);
  const status = await runRelease(t, "status", path);
  assert.equal(status.code, 2, said(status));
  assert.match(status.stdout, /healthy failed: not healthy/);
  const back = await runRelease(t, "rollback", path);
  const { requests, failed, text } = await load.stop();
  t.diagnostic(`${requests} exchanges, ${failed} failed`);
  assert.equal(back.code, 0, said(back));
  assert.equal(failed, 0, text);
  await assertServing(world, "v1");
  assert.deepEqual(
    fleet.ran().map((line) => line.replace(/ \S+ \d+$/, "")),
    ["stop", "deploy", "start", "stop", "rollback", "start"].map((step) => `${step} ${first}`),
  );
});

describe("a release without load", { concurrency: 3 }, () => {
  test("a command that fails is told with what it said, and abort puts the intents back", async (t) => {
    const world = await embedded(t, 2);
    const { fleet, file } = world;
    const deploy = ["/bin/sh", "-c", "echo no space left on the disk; exit 7"];
    const path = writeRelease(fleet, "failing", { ...file, deploy });
    const ran = await runRelease(t, "run", path);
    assert.equal(ran.code, 1, said(ran));
    assert.match(ran.stdout, /deploy failed after .*: it exited with 7\n +\| no space left on the disk/);
    const aborted = await runRelease(t, "abort", path);
    assert.equal(aborted.code, 0, said(aborted));
    for (const { socket } of world.balancers) {
      assert.deepEqual(new Set(Object.values(await intentsAt(socket))), new Set(["up"]));
    }
    const none = await runRelease(t, "resume", path);
    assert.equal(none.code, 1, said(none));
    assert.match(none.stderr, /no unfinished release/);
  });

  const allSteps = ["guard", "out", "drained", "stop", "deploy", "start", "healthy", "in", "eligible"] as const;

  /** Kills the command that tells it, once for each event and step of the target. */
  function killer(fleet: Fleet, steps: readonly string[]): readonly string[] {
    const script = join(fleet.directory, "kill.sh");
    // Our parent is the keeper of this command, and its parent the release.
    writeFileSync(
      script,
      `[ "$EVENKEEL_RELEASE_TARGET" = "${fleet.addresses[0]}" ] || exit 0
mark="$1/killed.$EVENKEEL_RELEASE_EVENT.$EVENKEEL_RELEASE_STEP"
[ ! -e "$mark" ] || exit 0
case " $2 " in *" $EVENKEEL_RELEASE_STEP "*) ;; *) exit 0 ;; esac
touch "$mark"
kill -9 "$(sed -n 's/^PPid:[^0-9]*//p' /proc/$PPID/status)"
`,
    );
    return ["/bin/sh", script, fleet.directory, steps.join(" ")];
  }

  async function killedEverywhere(
    t: Scope & { diagnostic(text: string): void },
    world: World,
    { events, steps }: { readonly events: readonly string[]; readonly steps: readonly string[] },
  ): Promise<void> {
    const { fleet, file } = world;
    const path = writeRelease(fleet, "killed", {
      ...file,
      minEligible: 1,
      notify: [{ command: killer(fleet, steps), events }],
    });
    const kills: string[] = [];
    let order = "run";
    const boundaries = steps.flatMap((step) => events.map((event) => `${event}.${step}`));
    for (const boundary of boundaries) {
      const ran = await runRelease(t, order, path);
      assert.equal(ran.signal, "SIGKILL", `before ${boundary}: ${said(ran)}`);
      assert.ok(existsSync(join(fleet.directory, `killed.${boundary}`)), `${boundary}: ${said(ran)}`);
      kills.push(boundary);
      order = "resume";
    }
    const last = await runRelease(t, "resume", path);
    assert.equal(last.code, 0, said(last));
    await assertServing(world, "v2");
    const once = fleet.addresses.flatMap((address) => ["stop", "deploy", "start"].map((step) => `${step} ${address}`));
    assert.deepEqual(
      fleet.ran().map((line) => line.replace(/ \S+ \d+$/, "")),
      once,
    );
    t.diagnostic(`killed ${kills.length} times, each of ${once.length} commands ran once`);
  }

  test("killed at every boundary of its steps, the release goes on at the right one: in the balancers", async (t) => {
    await killedEverywhere(t, await embedded(t, 2), { events: ["step.begun", "step.done"], steps: allSteps });
  });

  test("killed after every step, the release goes on at the next one: in Consul", {
    skip: consulMissing,
  }, async (t) => {
    const { world, consul } = await inConsul(t, 2);
    await killedEverywhere(t, world, { events: ["step.done"], steps: ["out", "stop", "deploy", "start", "in"] });
    for (const address of world.fleet.addresses) {
      const [server] = consul.servers;
      const entry = await server?.ask("GET", `/v1/kv/upstreams/app/${address}?raw`);
      assert.deepEqual(JSON.parse(entry?.body ?? ""), { weight: 1, max_fails: 2, down: 0 });
    }
  });

  test("killed within a command, which dies with it; elsewhere it is resumed once the lock is over, here at once", async (t) => {
    const world = await embedded(t, 2);
    const { fleet, file } = world;
    const [address] = fleet.addresses;
    const path = writeRelease(fleet, "elsewhere", { ...file, minEligible: 1 });
    const slow = join(fleet.directory, "slow");
    writeFileSync(slow, "30");
    const deploying = async (release: Program) => {
      await until("the deploy", () => existsSync(`${slow}.begun`), { timeoutMs: 40_000, onTimeout: release.stdout });
      rmSync(`${slow}.begun`);
    };
    const first = startRelease(t, "run", path, [], elsewhere);
    await deploying(first);
    first.signal("SIGKILL");
    await first.exited();
    const held = await runRelease(t, "run", path);
    assert.equal(held.code, 3, said(held));
    const second = startRelease(t, "resume", path);
    await deploying(second);
    assert.match(second.stderr(), /held by .*waiting for its end/);
    const command = await commandOf(second);
    second.signal("SIGKILL");
    await until("the end of its command", () => !isAlive(command));
    rmSync(slow);
    const third = await runRelease(t, "resume", path);
    assert.equal(third.code, 0, said(third));
    assert.doesNotMatch(third.stderr, /waiting/);
    assert.match(third.stdout, /deploy .*attempt 3/);
    await assertServing(world, "v2");
    const own = fleet.ran().filter((line) => line.includes(address ?? ""));
    assert.deepEqual(
      own,
      ["stop v2 1", "deploy v2 1", "deploy v2 2", "deploy v2 3", "start v2 1"].map((line) =>
        line.replace(" ", ` ${address} `),
      ),
    );
  });

  /** With another boot's number, as another machine has it: whoever drives there cannot be asked whether he lives. */
  function elsewhere(scope: Scope, command: string, args: readonly string[]): Program {
    const file = join(temporaryDirectory(scope), "boot_id");
    writeFileSync(file, "00000000-0000-4000-8000-000000000000\n");
    const script = 'mount --bind "$1" /proc/sys/kernel/random/boot_id && shift && exec "$@"';
    return startProgram(scope, "unshare", ["--mount", "sh", "-c", script, "sh", file, command, ...args]);
  }

  /** The process that does what the release's command does: a child of its keeper. */
  async function commandOf(release: Program): Promise<number> {
    const childrenOf = (pid: number) =>
      readFileSync(`/proc/${pid}/task/${pid}/children`, "latin1").trim().split(" ").map(Number);
    return until("its command", () =>
      childrenOf(release.pid)
        .flatMap(childrenOf)
        .find((pid) => pid > 0),
    );
  }

  test("the guard refuses what would leave too few, before and in the middle of a release", async (t) => {
    const world = await embedded(t, 3);
    const { fleet, file, balancers } = world;
    const [first, second, third] = fleet.addresses;
    const setIntent = (balancer: Balancer | undefined, address: string | undefined, intent: string | null) =>
      ask({
        socketPath: balancer?.socket ?? "",
        method: "PATCH",
        path: `/v1/pools/app/targets/${address}`,
        headers: { "content-type": "application/json" },
        body: JSON.stringify({ intent }),
      });
    // Out at the second balancer alone, which counts as much as the first.
    await setIntent(balancers[1], third, "down");
    const path = writeRelease(fleet, "guarded", { ...file, minEligible: 2 });
    const refused = await runRelease(t, "run", path);
    assert.equal(refused.code, 3, said(refused));
    assert.match(refused.stderr, /minEligible is 2, and .* would have 1 of its 2 eligible targets/);
    assert.deepEqual(fleet.ran(), []);
    await setIntent(balancers[1], third, null);
    // Taken out when the first target is back.
    const command = [evenkeel, "target", "down", `app/${third}`, "--socket", balancers[1]?.socket];
    const notify = [{ command, events: ["batch.done"], timeout: "20s" }];
    const once = writeRelease(fleet, "guarded-later", { ...file, minEligible: 2, notify });
    const stood = await runRelease(t, "run", once);
    assert.equal(stood.code, 3, said(stood));
    assert.match(stood.stdout, new RegExp(`HELD  ${second}: 1 other targets would be eligible at`));
    assert.equal(fleet.ran().length, 3);
    assert.equal((await intentsAt(balancers[0]?.socket ?? ""))[first ?? ""], "up");
    await setIntent(balancers[1], third, null);
    const plain = writeRelease(fleet, "guarded-last", { ...file, minEligible: 2, slowStart: "500ms" });
    const resumed = await runRelease(t, "resume", plain);
    assert.equal(resumed.code, 0, said(resumed));
    assert.match(resumed.stdout, /has its whole share/);
    for (const { socket } of balancers) {
      const { body } = await ask({ socketPath: socket, path: `/v1/pools/app/targets/${second}` });
      assert.deepEqual([JSON.parse(body).patched, JSON.parse(body).desired.slowStart], [[], "0"]);
    }
    await assertServing(world, "v2");
  });

  test("a pause until resume, a signal, a command whose end nobody knows: it stands, and goes on when asked", async (t) => {
    const world = await embedded(t, 3);
    const { fleet, file } = world;
    const [first, second, third] = fleet.addresses;
    const path = writeRelease(fleet, "paused", { ...file, minEligible: 1, pause: "untilResume" });
    const stood = await runRelease(t, "run", path, ["--json"]);
    assert.equal(stood.code, 2, said(stood));
    const events = stood.stdout
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line));
    assert.deepEqual([events[0].event, events.at(-1).event], ["release.began", "release.paused"]);
    assert.ok(
      events.some(({ event, step, target }) => event === "step.done" && step === "eligible" && target === first),
    );
    // Two more wait: one is stopped by a signal and comes back first, the other is killed within its deploy.
    const deploy = { command: fleet.commands["deploy"], onInterrupted: "ask" };
    const on = writeRelease(fleet, "on", { ...file, minEligible: 1, deploy });
    const slow = join(fleet.directory, "slow");
    writeFileSync(slow, "1");
    const stopped = startRelease(t, "resume", on);
    await until("the deploy", () => existsSync(`${slow}.begun`), { onTimeout: stopped.stdout });
    stopped.signal("SIGINT");
    assert.equal((await stopped.exited(30_000)).code, 2, stopped.stdout());
    assert.match(
      stopped.stdout(),
      new RegExp(`${second}  eligible at every balancer[\\s\\S]*stands: stopped by SIGINT`),
    );
    assert.equal((await intentsAt(world.balancers[0]?.socket ?? ""))[second ?? ""], "up");
    rmSync(`${slow}.begun`);
    writeFileSync(slow, "30");
    const killed = startRelease(t, "resume", on);
    await until("the other deploy", () => existsSync(`${slow}.begun`), { onTimeout: killed.stdout });
    killed.signal("SIGKILL");
    await killed.exited();
    rmSync(slow);
    const asked = await runRelease(t, "resume", on);
    assert.equal(asked.code, 3, said(asked));
    assert.match(asked.stderr, new RegExp(`deploy of ${third} was under way .*--interrupted rerun`));
    const again = await runRelease(t, "resume", on, ["--interrupted", "rerun"]);
    assert.equal(again.code, 0, said(again));
    await assertServing(world, "v2");
  });

  test("two releases of a pool: the second is refused by name; one that has lost its lock does nothing more", {
    skip: consulMissing,
  }, async (t) => {
    const { world, consul } = await inConsul(t, 2);
    const { fleet, file } = world;
    const path = writeRelease(fleet, "locked", { ...file, minEligible: 1 });
    writeFileSync(join(fleet.directory, "slow"), "30");
    const first = startRelease(t, "run", path);
    await until("the deploy", () => existsSync(join(fleet.directory, "slow.begun")), { onTimeout: first.stdout });
    const second = await runRelease(t, "run", path);
    assert.equal(second.code, 3, said(second));
    assert.match(second.stderr, new RegExp(`held by .*\\(process ${first.pid}\\)`));
    const [server] = consul.servers;
    const lock = JSON.parse((await server?.ask("GET", "/v1/kv/evenkeel/releases/app/lock"))?.body ?? "");
    await server?.ask("PUT", `/v1/session/destroy/${lock[0].Session}`, "");
    const lost = await first.exited();
    assert.equal(lost.code, 1, first.stderr());
    assert.match(first.stderr(), /lock of the release of pool app is lost/);
    rmSync(join(fleet.directory, "slow"));
    const resumed = await runRelease(t, "resume", path);
    assert.equal(resumed.code, 0, said(resumed));
    await assertServing(world, "v2");
    const after = JSON.parse((await server?.ask("GET", "/v1/kv/evenkeel/releases/app/lock"))?.body ?? "");
    assert.ok(after[0].LockIndex > lock[0].LockIndex, "the fencing number grows with each holder");
  });

  test("dry-run tells the plan and everything that is wrong, and changes nothing", async (t) => {
    const world = await embedded(t, 2);
    const { fleet, file } = world;
    const good = await runRelease(t, "run", writeRelease(fleet, "plan", { ...file, minEligible: 1 }), ["--dry-run"]);
    assert.equal(good.code, 0, said(good));
    assert.match(good.stdout, /2 targets in 2 batches, minEligible 1/);
    const wrong = {
      ...file,
      pool: "nowhere",
      order: ["127.0.0.1:1"],
      stop: ["/nowhere/stop"],
      deploy: { command: ["true"], on: "target" },
      ssh: { host: "127.0.0.1", port: 1, options: ["ConnectTimeout=2"] },
    };
    const bad = await runRelease(t, "run", writeRelease(fleet, "wrong", wrong), ["--dry-run"]);
    assert.equal(bad.code, 1, said(bad));
    for (const problem of [/there is no pool nowhere/, /ssh to 127\.0\.0\.1 does not work: .*refused/])
      assert.match(bad.stderr, problem);
    const few = await runRelease(t, "run", writeRelease(fleet, "few", { ...file, minEligible: 2 }), [
      "--dry-run",
      "--json",
    ]);
    assert.equal(few.code, 3, said(few));
    assert.match(few.stdout, /"code": "release.guard"/);
    const typo = await runRelease(
      t,
      "run",
      writeRelease(fleet, "typo", { ...file, minElegible: 1, stop: ["stop", "{adress}"] }),
    );
    assert.equal(typo.code, 1, said(typo));
    assert.match(typo.stderr, /typo\.json:\d+:\d+: .*did you mean `minEligible`\?/);
    assert.match(typo.stderr, /typo\.json:\d+:\d+: .*`\{adress\}` stands for nothing.*did you mean `\{address\}`\?/);
    assert.deepEqual(fleet.ran(), []);
    assert.equal((await ask({ socketPath: world.balancers[0]?.socket ?? "", path: "/v1/releases" })).body.trim(), "[]");
  });
});
