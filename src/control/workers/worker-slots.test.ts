// The slots machine as scripts in virtual time: inputs go in, the effects that came out are compared as short words.

import assert from "node:assert/strict";
import { test } from "node:test";
import { seededRandom } from "../../core/random.ts";
import {
  initialSlots,
  nextTimerAt,
  type SlotsConfig,
  type SlotsEffect,
  type SlotsInput,
  slotsConfigDefault,
  stepSlots,
} from "./worker-slots.ts";

const config: SlotsConfig = slotsConfigDefault;
const web = { key: "web 0.0.0.0:80", name: "web" };
const api = { key: "api 0.0.0.0:81", name: "api" };

function script() {
  let state = initialSlots();
  let now = 0;
  const feed = (input: SlotsInput): string[] => {
    const step = stepSlots(config, state, input, now);
    state = step.state;
    return step.effects.map(word);
  };
  return {
    feed,
    get state() {
      return state;
    },
    get now() {
      return now;
    },
    pass: (ms: number) => {
      now += ms;
      return feed({ type: "tick" });
    },
    /** Jumps to the next timer and fires it. */
    wake: () => {
      now = nextTimerAt(state) ?? now;
      return feed({ type: "tick" });
    },
    change: (generation: number, listeners = [web], count = 1) =>
      feed({ type: "change", generation, listeners, count }),
    pools: (generation: number) => feed({ type: "poolsChange", generation }),
    applied: (slot: number, generation: number) => feed({ type: "applied", slot, generation }),
    serve: (slot: number, generation = 1, listeners = [web]) => [
      ...feed({ type: "started", slot, pid: 100 + slot }),
      ...feed({ type: "ready", slot }),
      ...feed({ type: "applied", slot, generation }),
      ...listeners.flatMap(({ name }) => feed({ type: "listening", slot, listener: name })),
    ],
    exit: (slot: number, code: number | null = 1, signal: string | null = null) =>
      feed({ type: "exited", slot, code, signal }),
  };
}

function word(effect: SlotsEffect): string {
  switch (effect.type) {
    case "spawn":
    case "sendSnapshot":
    case "serving":
      return `${effect.type} ${effect.slot}`;
    case "sendPools":
      return `sendPools ${effect.slot} since ${effect.since}`;
    case "sendListen":
      return `sendListen ${effect.slot} ${effect.listener.name}`;
    case "sendDrain":
      return `sendDrain ${effect.slot} ${effect.deadlineMs}`;
    case "kill":
      return `kill ${effect.slot}`;
    case "crashed":
      return `crashed ${effect.slot} restart in ${effect.restartInMs}`;
    case "allApplied":
    case "settled":
      return `${effect.type} ${effect.generation}`;
    case "allGone":
      return "allGone";
    default:
      return effect satisfies never;
  }
}

test("a worker is asked for one thing at a time, from its start to serving on every listener", () => {
  const run = script();
  assert.deepEqual(run.change(1, [web, api]), ["spawn 0"]);
  assert.deepEqual(run.feed({ type: "started", slot: 0, pid: 7 }), []);
  assert.deepEqual(run.feed({ type: "ready", slot: 0 }), ["sendSnapshot 0"]);
  assert.deepEqual(run.feed({ type: "applied", slot: 0, generation: 1 }), ["sendListen 0 web", "allApplied 1"]);
  assert.deepEqual(run.feed({ type: "listening", slot: 0, listener: "web" }), ["sendListen 0 api"]);
  assert.deepEqual(run.feed({ type: "listening", slot: 0, listener: "api" }), ["serving 0", "settled 1"]);
  assert.equal(nextTimerAt(run.state), undefined);
});

test("a generation is settled only when every worker serves", () => {
  const run = script();
  run.change(1, [web], 2);
  assert.deepEqual(run.serve(0).at(-1), "serving 0");
  assert.deepEqual(run.serve(1).slice(-2), ["serving 1", "settled 1"]);
});

test("the first crash is followed by a start at once, the next ones ever later up to the limit", () => {
  const run = script();
  run.change(1);
  run.serve(0);
  assert.deepEqual(run.exit(0, null, "SIGKILL"), ["crashed 0 restart in 0", "spawn 0"]);
  const waits: string[] = [];
  for (let crash = 0; crash < 8; crash++) {
    waits.push(run.exit(0)[0] ?? "");
    assert.deepEqual(run.wake(), ["spawn 0"]);
  }
  const delays = waits.map((wait) => Number(wait.split(" ").at(-1)));
  assert.deepEqual(delays, [100, 200, 400, 800, 1_600, 2_000, 2_000, 2_000]);
  assert.equal(run.state.slots[0]?.crashes, 9);
});

test("a worker that lived long enough before it crashed is started at once again", () => {
  const run = script();
  run.change(1);
  run.serve(0);
  run.exit(0);
  run.serve(0);
  run.pass(config.stableAfter);
  assert.deepEqual(run.exit(0), ["crashed 0 restart in 0", "spawn 0"]);
});

test("a worker that ends with code 0 unasked counts as crashed", () => {
  const run = script();
  run.change(1);
  run.serve(0);
  assert.deepEqual(run.exit(0, 0), ["crashed 0 restart in 0", "spawn 0"]);
});

test("a change sends the snapshot to all and then only the sockets that are new", () => {
  const run = script();
  run.change(1, [web], 2);
  run.serve(0);
  run.serve(1);
  assert.deepEqual(run.change(2, [web, api], 2), ["sendSnapshot 0", "sendSnapshot 1"]);
  assert.deepEqual(run.feed({ type: "applied", slot: 0, generation: 2 }), ["sendListen 0 api"]);
  assert.deepEqual(run.feed({ type: "applied", slot: 1, generation: 2 }), ["sendListen 1 api", "allApplied 2"]);
  assert.deepEqual(run.feed({ type: "listening", slot: 0, listener: "api" }), []);
  assert.deepEqual(run.feed({ type: "listening", slot: 1, listener: "api" }), ["settled 2"]);
});

test("a listener that moved to another address is handed over again, one that is gone is not", () => {
  const run = script();
  run.change(1, [web, api]);
  run.serve(0, 1, [web, api]);
  run.change(2, [{ key: "web 0.0.0.0:8080", name: "web" }]);
  assert.deepEqual(run.feed({ type: "applied", slot: 0, generation: 2 }), ["sendListen 0 web", "allApplied 2"]);
  assert.deepEqual(run.feed({ type: "listening", slot: 0, listener: "web" }), ["settled 2"]);
  assert.deepEqual(run.state.slots[0]?.listening, ["web 0.0.0.0:8080"]);
});

test("a change while a socket is on its way waits for the socket's answer before the next one", () => {
  const run = script();
  run.change(1, [web, api]);
  run.feed({ type: "ready", slot: 0 });
  run.feed({ type: "applied", slot: 0, generation: 1 });
  assert.deepEqual(run.change(2, [web, api]), ["sendSnapshot 0"]);
  assert.deepEqual(run.feed({ type: "listening", slot: 0, listener: "web" }), []);
  assert.deepEqual(run.feed({ type: "applied", slot: 0, generation: 2 }), ["sendListen 0 api", "allApplied 2"]);
});

test("a worker that does not apply a snapshot in time is killed and does not hold the change up", () => {
  const run = script();
  run.change(1, [web], 2);
  run.serve(0);
  run.serve(1);
  run.change(2, [web], 2);
  run.feed({ type: "applied", slot: 0, generation: 2 });
  assert.deepEqual(run.pass(config.answerMax), ["kill 1", "allApplied 2", "settled 2"]);
  assert.deepEqual(run.exit(1, null, "SIGKILL"), ["crashed 1 restart in 0", "spawn 1"]);
  assert.deepEqual(run.feed({ type: "ready", slot: 1 }), ["sendSnapshot 1"]);
  assert.deepEqual(run.feed({ type: "applied", slot: 1, generation: 2 }), ["sendListen 1 web"]);
});

test("a worker that never says ready is killed", () => {
  const run = script();
  run.change(1);
  assert.deepEqual(run.pass(config.startMax - 1), []);
  assert.deepEqual(run.pass(1), ["kill 0", "allApplied 1"]);
});

test("more workers are started beside those that serve, and never fewer", () => {
  const run = script();
  run.change(1);
  run.serve(0);
  assert.deepEqual(run.change(2, [web], 3), ["sendSnapshot 0", "spawn 1", "spawn 2"]);
  run.feed({ type: "applied", slot: 0, generation: 2 });
  run.serve(1, 2);
  assert.deepEqual(run.serve(2, 2).at(-1), "settled 2");
  assert.deepEqual(run.change(3, [web], 1), ["sendSnapshot 0", "sendSnapshot 1", "sendSnapshot 2"]);
});

test("a worker that confirms what it was never sent is killed", () => {
  const run = script();
  run.change(1);
  run.feed({ type: "ready", slot: 0 });
  assert.deepEqual(run.feed({ type: "applied", slot: 0, generation: 9 }).at(0), "kill 0");
  const other = script();
  other.change(1);
  other.serve(0);
  assert.deepEqual(other.feed({ type: "listening", slot: 0, listener: "web" }), ["kill 0"]);
});

test("a worker that was full is handed its socket once more, and again only when it has it", () => {
  const run = script();
  run.change(1, [web, api]);
  run.serve(0, 1, [web, api]);
  assert.deepEqual(run.feed({ type: "room", slot: 0, listener: "web" }), ["sendListen 0 web"]);
  assert.deepEqual(run.feed({ type: "room", slot: 0, listener: "web" }), []);
  assert.deepEqual(run.feed({ type: "room", slot: 0, listener: "api" }), []);
  assert.deepEqual(run.feed({ type: "listening", slot: 0, listener: "web" }), ["sendListen 0 api"]);
  assert.deepEqual(run.feed({ type: "listening", slot: 0, listener: "api" }), []);
  assert.deepEqual(run.feed({ type: "room", slot: 0, listener: "gone" }), []);
  assert.equal(run.state.slots[0]?.phase, "serving");
});

test("a worker that hangs is killed, whatever it was about to do, and replaced once it has ended", () => {
  const hangs = { type: "broken", slot: 0, reason: "it hangs" } as const;
  const applying = script();
  applying.change(1);
  applying.serve(0);
  applying.change(2);
  const listening = script();
  listening.change(1, [web, api]);
  listening.serve(0, 1, [web]);
  const serving = script();
  serving.change(1);
  serving.serve(0);
  for (const [phase, run] of Object.entries({ applying, listening, serving })) {
    assert.equal(run.state.slots[0]?.phase, phase);
    assert.equal(run.feed(hangs)[0], "kill 0");
    assert.deepEqual(run.feed(hangs), []);
    // What it had said before the signal reached it asks for nothing more.
    assert.deepEqual(run.feed({ type: "applied", slot: 0, generation: run.state.generation }), []);
    assert.equal(nextTimerAt(run.state), undefined);
    assert.deepEqual(run.exit(0, null, "SIGKILL"), ["crashed 0 restart in 0", "spawn 0"]);
  }
});

test("a worker that hangs while it drains is killed before its deadline, and one that drains as it is killed is gone", () => {
  const hangs = { type: "broken", slot: 0, reason: "it hangs" } as const;
  const drained = script();
  drained.change(1);
  drained.serve(0);
  drained.feed({ type: "drain", deadlineMs: 600_000 });
  assert.deepEqual(drained.feed(hangs), ["kill 0"]);
  assert.deepEqual(drained.exit(0, null, "SIGKILL"), ["allGone"]);
  const killed = script();
  killed.change(1);
  killed.serve(0);
  killed.feed(hangs);
  assert.deepEqual(killed.feed({ type: "drain", deadlineMs: 600_000 }), []);
  assert.deepEqual(killed.exit(0, null, "SIGKILL"), ["allGone"]);
});

test("a drain ends with all gone when the last worker has ended, and starts nobody again", () => {
  const run = script();
  run.change(1, [web], 2);
  run.serve(0);
  run.serve(1);
  assert.deepEqual(run.feed({ type: "drain", deadlineMs: 5_000 }), ["sendDrain 0 5000", "sendDrain 1 5000"]);
  assert.deepEqual(run.exit(0, 0), []);
  assert.deepEqual(run.exit(1, null, "SIGSEGV"), ["allGone"]);
  assert.equal(nextTimerAt(run.state), undefined);
});

test("a worker that outlives its drain is killed a grace after the deadline", () => {
  const run = script();
  run.change(1);
  run.serve(0);
  run.feed({ type: "drain", deadlineMs: 5_000 });
  assert.deepEqual(run.pass(5_000), []);
  assert.deepEqual(run.pass(config.drainGrace), ["kill 0"]);
  assert.deepEqual(run.exit(0, null, "SIGKILL"), ["allGone"]);
});

test("a second drain hurries the workers that are still there", () => {
  const run = script();
  run.change(1, [web], 2);
  run.serve(0);
  run.serve(1);
  run.feed({ type: "drain", deadlineMs: 60_000 });
  run.exit(0, 0);
  assert.deepEqual(run.feed({ type: "drain", deadlineMs: 0 }), ["sendDrain 1 0"]);
  assert.deepEqual(run.pass(config.drainGrace), ["kill 1"]);
});

test("a drain during a crash's wait is over at once", () => {
  const run = script();
  run.change(1);
  run.exit(0);
  run.exit(0);
  assert.equal(run.state.slots[0]?.phase, "waiting");
  assert.deepEqual(run.feed({ type: "drain", deadlineMs: 1_000 }), ["allGone"]);
});

test("a change of pools sends those that changed since the worker's own generation", () => {
  const run = script();
  run.change(1, [web], 2);
  run.serve(0);
  run.serve(1);
  assert.deepEqual(run.pools(2), ["sendPools 0 since 1", "sendPools 1 since 1"]);
  assert.deepEqual(run.applied(0, 2), []);
  assert.deepEqual(run.applied(1, 2), ["allApplied 2", "settled 2"]);
  assert.equal(nextTimerAt(run.state), undefined);
});

test("a thousand changes before a worker answers are two messages to it, and the second has all of them", () => {
  const run = script();
  run.change(1);
  run.serve(0);
  assert.deepEqual(run.pools(2), ["sendPools 0 since 1"]);
  for (let generation = 3; generation <= 1_000; generation++) assert.deepEqual(run.pools(generation), []);
  assert.deepEqual(run.applied(0, 2), ["sendPools 0 since 2", "allApplied 2", "settled 2"]);
  assert.equal(run.state.slots[0]?.sent, 1_000);
  assert.deepEqual(run.applied(0, 1_000), ["allApplied 1000", "settled 1000"]);
});

test("a stream of changes that never ends does not keep one of them from being told as settled", () => {
  const run = script();
  run.change(1, [web], 2);
  run.serve(0);
  run.serve(1);
  run.pools(2);
  for (let generation = 3; generation < 20; generation += 2) {
    const sent = generation - 1;
    run.pools(generation);
    run.pools(generation + 1);
    run.applied(0, sent);
    const told = run.applied(1, sent);
    assert.deepEqual(told, [`sendPools 1 since ${sent}`, `allApplied ${sent}`, `settled ${sent}`]);
  }
});

test("a whole change waits for the answer to the pools before it, and supersedes those that came between", () => {
  const run = script();
  run.change(1);
  run.serve(0);
  run.pools(2);
  run.pools(3);
  assert.deepEqual(run.change(4, [web, api]), []);
  assert.deepEqual(run.pools(5), []);
  assert.deepEqual(run.applied(0, 2), ["sendSnapshot 0", "allApplied 2"]);
  assert.deepEqual(run.applied(0, 5), ["sendListen 0 api", "allApplied 5"]);
  assert.deepEqual(run.feed({ type: "listening", slot: 0, listener: "api" }), ["settled 5"]);
});

test("a worker that lacks a socket gets it before newer pools, and serves", () => {
  const run = script();
  run.change(1, [web, api]);
  run.feed({ type: "ready", slot: 0 });
  run.pools(2);
  assert.deepEqual(run.applied(0, 1), ["sendListen 0 web", "allApplied 1"]);
  run.pools(3);
  assert.deepEqual(run.feed({ type: "listening", slot: 0, listener: "web" }), ["sendListen 0 api"]);
  const served = run.feed({ type: "listening", slot: 0, listener: "api" });
  assert.deepEqual(served, ["serving 0", "sendPools 0 since 1", "settled 1"]);
  assert.deepEqual(run.applied(0, 3), ["allApplied 3", "settled 3"]);
});

test("a worker that is started anew gets the whole snapshot, whatever changed last", () => {
  const run = script();
  run.change(1, [web], 2);
  run.serve(0);
  run.serve(1);
  run.pools(2);
  run.applied(1, 2);
  run.exit(0);
  assert.deepEqual(run.pools(3), ["sendPools 1 since 2"]);
  assert.deepEqual(run.applied(1, 3), ["allApplied 3", "settled 3"]);
  assert.deepEqual(run.feed({ type: "ready", slot: 0 }), ["sendSnapshot 0"]);
  assert.deepEqual(run.applied(0, 3), ["sendListen 0 web"]);
});

test("a worker that does not apply pools in time is killed, however many changes have come since", () => {
  const run = script();
  run.change(1);
  run.serve(0);
  run.pools(2);
  assert.deepEqual(run.pass(config.answerMax - 1), []);
  run.pools(3);
  assert.deepEqual(run.pass(1), ["kill 0", "allApplied 3", "settled 3"]);
});

test("other sockets alone are no reason to send anything else", () => {
  const run = script();
  run.change(1);
  run.serve(0);
  run.pools(2);
  run.applied(0, 2);
  assert.deepEqual(run.change(2, [web, api]), ["sendListen 0 api"]);
  assert.deepEqual(run.feed({ type: "listening", slot: 0, listener: "api" }), []);
  assert.deepEqual(run.pools(3), ["sendPools 0 since 2"]);
});

test("a node that drains takes no pools up", () => {
  const run = script();
  run.change(1);
  run.serve(0);
  run.feed({ type: "drain", deadlineMs: 5_000 });
  assert.deepEqual(run.pools(2), []);
});

test("whatever happens in whatever order, the machine asks for one thing at a time and settles once left in peace", () => {
  const seed = Date.now() >>> 0;
  console.log(`seed ${seed}`);
  const random = seededRandom(seed);
  const any = (below: number) => Math.floor(random() * below);
  for (let round = 0; round < 200; round++) {
    const run = script();
    const outstanding = new Map<number, string>();
    const unanswered = new Set<number>();
    /** Generation that each worker has, and the last that is no change of pools alone. */
    const has = new Map<number, number>();
    let whole = 1;
    let generation = 1;
    const follow = (effects: readonly string[]) => {
      for (const effect of effects) {
        const [verb, slotText, name = "", since = ""] = effect.split(" ");
        const slot = Number(slotText);
        if (verb === "spawn") {
          outstanding.delete(slot);
          unanswered.delete(slot);
          has.delete(slot);
        }
        if (verb === "sendSnapshot" || verb === "sendPools") {
          assert.equal(unanswered.has(slot), false, `two generations on their way to ${slot}`);
          unanswered.add(slot);
        }
        if (verb === "sendPools") {
          assert.equal(Number(since), has.get(slot), "pools begin where the worker is");
          assert.ok(Number(since) >= whole, "a worker that needs the whole snapshot gets it");
        }
        if (verb === "sendListen") {
          assert.equal(outstanding.has(slot), false, `two handles on their way to ${slot}`);
          outstanding.set(slot, name);
        }
      }
    };
    const answer = (slot: number) => {
      const { phase, sent, applied, killed } = run.state.slots[slot] ?? assert.fail("no such slot");
      const handed = outstanding.get(slot);
      if (killed) return follow(run.exit(slot, null, "SIGKILL"));
      if (phase === "waiting") return follow(run.wake());
      if (phase === "starting") return follow(run.feed({ type: "ready", slot }));
      if (applied < sent) {
        unanswered.delete(slot);
        has.set(slot, sent);
        return follow(run.applied(slot, sent));
      }
      if (handed === undefined) return;
      outstanding.delete(slot);
      follow(run.feed({ type: "listening", slot, listener: handed }));
    };
    follow(run.change(generation, [web, api], 3));
    for (let move = 0; move < 60; move++) {
      const slot = any(3);
      const what = any(10);
      if (what === 0 && run.state.slots[slot]?.phase !== "waiting") follow(run.exit(slot));
      else if (what === 1) {
        whole = ++generation;
        follow(run.change(generation, any(2) === 0 ? [web] : [web, api], 3));
      } else if (what > 6) follow(run.pools(++generation));
      else if (what === 2) follow(run.pass(any(6_000)));
      else answer(slot);
    }
    for (let calm = 0; calm < 40; calm++) for (const slot of [0, 1, 2]) answer(slot);
    assert.equal(run.state.settledTold, generation);
    assert.ok(run.state.slots.every((slot) => slot.phase === "serving" && slot.applied === generation));
  }
});
