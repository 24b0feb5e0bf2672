// Which worker processes there should be and how far each has come: a pure machine, one slot a worker. The supervisor
// feeds it what processes said and how they ended, and performs its effects; time is a number that comes with the input,
// timers are numbers in the state. It never gives a slot up while it runs: a worker that crashes again and again is
// started again and again, ever later up to a limit. The change's way; no process, no clock, no log in here.
//
//   waiting --spawn--> starting --ready--> applying --applied--> listening --all listen--> serving
//      ^                  any of these, process ended: waiting again          serving --change--> applying
//      '--- backoff       any of these, drain: draining --process ended--> gone
//
// A worker that has not answered is sent nothing newer: however many changes come meanwhile, the next message takes it
// to the newest generation. So a thousand changes in a row cost a slow worker two messages, and no queue grows.

import type { Milliseconds } from "../../core/clock.ts";

export type SlotsConfig = {
  /** From the start of the process to its `ready`. */
  readonly startMax: Milliseconds;
  /** From a snapshot or a handle sent to its answer. A worker that keeps silent longer is killed and replaced. */
  readonly answerMax: Milliseconds;
  /** A worker that lived at least this long crashed for a new reason: its next start is immediate again. */
  readonly stableAfter: Milliseconds;
  /** The second crash in a row waits this long, each further one twice as long as the one before, up to the limit. */
  readonly backoffMin: Milliseconds;
  readonly backoffMax: Milliseconds;
  /** What a draining worker gets beyond its deadline before it is killed. */
  readonly drainGrace: Milliseconds;
};

export const slotsConfigDefault: SlotsConfig = {
  startMax: 20_000,
  answerMax: 5_000,
  stableAfter: 10_000,
  backoffMin: 100,
  backoffMax: 2_000,
  drainGrace: 2_000,
};

export type SlotPhase = "waiting" | "starting" | "applying" | "listening" | "serving" | "draining" | "gone";

export type Slot = {
  readonly index: number;
  readonly phase: SlotPhase;
  readonly pid: number | undefined;
  readonly startedAt: Milliseconds;
  /** Processes of this slot that ended without being asked to. */
  readonly crashes: number;
  readonly crashesInRow: number;
  /** What it stands for follows from the phase: the next start, the last moment for an answer, the kill. */
  readonly timerAt: Milliseconds | undefined;
  /** SIGKILL is on its way: nothing more is asked of it or awaited from it. */
  readonly killed: boolean;
  /** Has come as far as serving; told once a process. */
  readonly served: boolean;
  /** The generation last sent, and last applied; 0 before the first. */
  readonly sent: number;
  readonly applied: number;
  /** The newest that it has applied and has had every socket for; 0 before the first. */
  readonly settled: number;
  /** Keys of the sockets it accepts on, and the one it was handed and has not confirmed. */
  readonly listening: readonly string[];
  readonly asked: string | undefined;
};

/** A listener as the machine needs it: a key that changes when the bound address does, and the name workers know. */
export type DesiredListener = { readonly key: string; readonly name: string };

export type SlotsState = {
  readonly generation: number;
  /** The last one that differs in more than pools: a worker of an older one needs the whole snapshot. */
  readonly wholeGeneration: number;
  readonly listeners: readonly DesiredListener[];
  readonly slots: readonly Slot[];
  readonly draining: boolean;
  /** The newest generation that was told to be applied, and settled, by every slot that counts. */
  readonly appliedTold: number;
  readonly settledTold: number;
  readonly goneTold: boolean;
};

export type SlotsInput =
  | {
      readonly type: "change";
      readonly generation: number;
      readonly listeners: readonly DesiredListener[];
      readonly count: number;
    }
  /** The next generation differs from the one before in pools alone. */
  | { readonly type: "poolsChange"; readonly generation: number }
  | { readonly type: "started"; readonly slot: number; readonly pid: number }
  | { readonly type: "ready"; readonly slot: number }
  | { readonly type: "applied"; readonly slot: number; readonly generation: number }
  | { readonly type: "listening"; readonly slot: number; readonly listener: string }
  /** It gave the socket of this listener back when it was full, and has room again. */
  | { readonly type: "room"; readonly slot: number; readonly listener: string }
  /** A handle or a message could not be sent, the worker broke the protocol, or it hangs: it is replaced. */
  | { readonly type: "broken"; readonly slot: number; readonly reason: string }
  | { readonly type: "exited"; readonly slot: number; readonly code: number | null; readonly signal: string | null }
  /** Everybody out within the deadline; again with a shorter one to hurry. */
  | { readonly type: "drain"; readonly deadlineMs: Milliseconds }
  | { readonly type: "tick" };

export type SlotsEffect =
  | { readonly type: "spawn"; readonly slot: number }
  | { readonly type: "sendSnapshot"; readonly slot: number }
  /** The pools that have changed since the generation that it has. */
  | { readonly type: "sendPools"; readonly slot: number; readonly since: number }
  | { readonly type: "sendListen"; readonly slot: number; readonly listener: DesiredListener }
  | { readonly type: "sendDrain"; readonly slot: number; readonly deadlineMs: Milliseconds }
  | { readonly type: "kill"; readonly slot: number; readonly reason: string }
  | { readonly type: "serving"; readonly slot: number }
  | {
      readonly type: "crashed";
      readonly slot: number;
      readonly pid: number | undefined;
      readonly code: number | null;
      readonly signal: string | null;
      readonly restartInMs: Milliseconds;
    }
  /** Every worker that counts has swapped this generation in, or a newer one: what it no longer names may be closed. */
  | { readonly type: "allApplied"; readonly generation: number }
  /** Every worker that counts serves this generation, or a newer one, on every listener. */
  | { readonly type: "settled"; readonly generation: number }
  /** Draining, and the last process is gone. */
  | { readonly type: "allGone" };

export type SlotsStep = { readonly state: SlotsState; readonly effects: readonly SlotsEffect[] };

export function initialSlots(): SlotsState {
  return {
    generation: 0,
    wholeGeneration: 0,
    listeners: [],
    slots: [],
    draining: false,
    appliedTold: 0,
    settledTold: 0,
    goneTold: false,
  };
}

/** The next moment at which a `tick` has something to do; undefined when there is none. */
export function nextTimerAt(state: SlotsState): Milliseconds | undefined {
  let next: Milliseconds | undefined;
  for (const { timerAt } of state.slots) {
    if (timerAt !== undefined && (next === undefined || timerAt < next)) next = timerAt;
  }
  return next;
}

/** One step of the machine. `now` is monotonic and must not go back between steps; it is that of waking-clock.ts. */
export function stepSlots(config: SlotsConfig, before: SlotsState, input: SlotsInput, now: Milliseconds): SlotsStep {
  const effects: SlotsEffect[] = [];
  const moved = { ...before, ...move(config, before, input, now, effects) };
  return { state: tellProgress(moved, effects), effects };
}

function move(
  config: SlotsConfig,
  state: SlotsState,
  input: SlotsInput,
  now: Milliseconds,
  effects: SlotsEffect[],
): Partial<SlotsState> {
  const onSlot = (index: number, change: (slot: Slot) => Slot): Partial<SlotsState> => ({
    slots: state.slots.map((slot) => (slot.index === index ? change(slot) : slot)),
  });
  switch (input.type) {
    case "change":
      return takeChange(config, state, input, now, effects);
    case "poolsChange": {
      if (state.draining) return {};
      const desired = { ...state, generation: input.generation };
      const slots = state.slots.map((slot) => advance(config, desired, slot, now, effects));
      return { generation: input.generation, slots };
    }
    case "started":
      return onSlot(input.slot, (slot) => ({ ...slot, pid: input.pid }));
    case "ready":
      return onSlot(input.slot, (slot) =>
        slot.phase === "starting" ? advance(config, state, { ...slot, phase: "applying" }, now, effects) : slot,
      );
    case "applied":
      return onSlot(input.slot, (slot) => takeApplied(config, state, slot, input.generation, now, effects));
    case "listening":
      return onSlot(input.slot, (slot) => takeListening(config, state, slot, input.listener, now, effects));
    case "room":
      return onSlot(input.slot, (slot) => takeRoom(config, state, slot, input.listener, now, effects));
    case "broken":
      return onSlot(input.slot, (slot) => kill(slot, input.reason, effects));
    case "exited":
      return onSlot(input.slot, (slot) => takeExit(config, state, slot, input, now, effects));
    case "drain":
      return {
        draining: true,
        slots: state.slots.map((slot) => startDrain(config, slot, input.deadlineMs, now, effects)),
      };
    case "tick":
      return {
        slots: state.slots.map((slot) =>
          slot.timerAt !== undefined && slot.timerAt <= now ? takeTimer(config, slot, now, effects) : slot,
        ),
      };
    default:
      return input satisfies never;
  }
}

function takeChange(
  config: SlotsConfig,
  state: SlotsState,
  input: SlotsInput & { readonly type: "change" },
  now: Milliseconds,
  effects: SlotsEffect[],
): Partial<SlotsState> {
  if (state.draining) return {};
  const { generation, listeners } = input;
  // Other sockets for the generation that they have are no reason to send it again.
  const wholeGeneration = generation > state.generation ? generation : state.wholeGeneration;
  const desired = { generation, wholeGeneration, listeners };
  const slots = state.slots.map((slot) => advance(config, desired, slot, now, effects));
  // Only ever more slots: taking a socket out of a group that shares an address loses what waits in its backlog.
  while (slots.length < input.count) slots.push(spawn(config, newSlot(slots.length), now, effects));
  return { ...desired, slots };
}

function newSlot(index: number): Slot {
  return {
    index,
    phase: "waiting",
    pid: undefined,
    startedAt: 0,
    crashes: 0,
    crashesInRow: 0,
    timerAt: undefined,
    killed: false,
    served: false,
    sent: 0,
    applied: 0,
    settled: 0,
    listening: [],
    asked: undefined,
  };
}

function spawn(config: SlotsConfig, slot: Slot, now: Milliseconds, effects: SlotsEffect[]): Slot {
  effects.push({ type: "spawn", slot: slot.index });
  return {
    ...newSlot(slot.index),
    phase: "starting",
    startedAt: now,
    crashes: slot.crashes,
    crashesInRow: slot.crashesInRow,
    timerAt: now + config.startMax,
  };
}

/**
 * Asks the worker for the next thing it lacks: the newest snapshot, then each socket in turn, then pools that have changed.
 * One handle at a time, and nothing newer before the last has been answered. Sockets come before pools, or a worker that
 * was started while changes stream in would never accept anybody.
 */
function advance(
  config: SlotsConfig,
  desired: Pick<SlotsState, "generation" | "wholeGeneration" | "listeners">,
  slot: Slot,
  now: Milliseconds,
  effects: SlotsEffect[],
): Slot {
  const inService = slot.phase === "applying" || slot.phase === "listening" || slot.phase === "serving";
  if (!inService || slot.killed) return slot;
  const sent: Partial<Slot> = { phase: "applying", sent: desired.generation, timerAt: now + config.answerMax };
  if (slot.applied < slot.sent) return slot;
  if (slot.applied < desired.wholeGeneration) {
    effects.push({ type: "sendSnapshot", slot: slot.index });
    return { ...slot, ...sent };
  }
  const keys = new Set(desired.listeners.map((listener) => listener.key));
  const listening = slot.listening.filter((key) => keys.has(key));
  if (slot.asked !== undefined) return { ...slot, phase: "listening", listening };
  const missing = desired.listeners.find((listener) => !listening.includes(listener.key));
  if (missing !== undefined) {
    effects.push({ type: "sendListen", slot: slot.index, listener: missing });
    return { ...slot, phase: "listening", listening, asked: missing.key, timerAt: now + config.answerMax };
  }
  if (!slot.served) effects.push({ type: "serving", slot: slot.index });
  const serving: Slot = {
    ...slot,
    phase: "serving",
    served: true,
    settled: slot.applied,
    listening,
    timerAt: undefined,
  };
  if (slot.applied === desired.generation) return serving;
  effects.push({ type: "sendPools", slot: slot.index, since: slot.applied });
  return { ...serving, ...sent };
}

function takeApplied(
  config: SlotsConfig,
  state: SlotsState,
  slot: Slot,
  generation: number,
  now: Milliseconds,
  effects: SlotsEffect[],
): Slot {
  if (generation > slot.sent)
    return kill(slot, `it applied generation ${generation}, which it was never sent`, effects);
  return advance(config, state, { ...slot, applied: Math.max(slot.applied, generation) }, now, effects);
}

function takeListening(
  config: SlotsConfig,
  state: SlotsState,
  slot: Slot,
  name: string,
  now: Milliseconds,
  effects: SlotsEffect[],
): Slot {
  if (slot.asked === undefined) return kill(slot, `it listens for ${name}, for which it was sent nothing`, effects);
  const listening = [...slot.listening, slot.asked];
  return advance(config, state, { ...slot, listening, asked: undefined }, now, effects);
}

// Handed over once more like a socket that it never had. One that the change at hand has dropped is not.
function takeRoom(
  config: SlotsConfig,
  state: SlotsState,
  slot: Slot,
  name: string,
  now: Milliseconds,
  effects: SlotsEffect[],
): Slot {
  const key = state.listeners.find((listener) => listener.name === name)?.key;
  if (key === undefined || !slot.listening.includes(key)) return slot;
  return advance(config, state, { ...slot, listening: slot.listening.filter((held) => held !== key) }, now, effects);
}

function takeExit(
  config: SlotsConfig,
  state: SlotsState,
  slot: Slot,
  input: SlotsInput & { readonly type: "exited" },
  now: Milliseconds,
  effects: SlotsEffect[],
): Slot {
  if (slot.phase === "gone" || slot.phase === "waiting") return slot;
  if (state.draining) return { ...slot, phase: "gone", pid: undefined, timerAt: undefined };
  const crashesInRow = now - slot.startedAt >= config.stableAfter ? 1 : slot.crashesInRow + 1;
  const restartInMs = backoff(config, crashesInRow);
  const { code, signal } = input;
  effects.push({ type: "crashed", slot: slot.index, pid: slot.pid, code, signal, restartInMs });
  const crashed: Slot = { ...newSlot(slot.index), crashes: slot.crashes + 1, crashesInRow };
  return restartInMs === 0 ? spawn(config, crashed, now, effects) : { ...crashed, timerAt: now + restartInMs };
}

function backoff(config: SlotsConfig, crashesInRow: number): Milliseconds {
  if (crashesInRow <= 1) return 0;
  return Math.min(config.backoffMax, config.backoffMin * 2 ** (crashesInRow - 2));
}

function takeTimer(config: SlotsConfig, slot: Slot, now: Milliseconds, effects: SlotsEffect[]): Slot {
  switch (slot.phase) {
    case "waiting":
      return spawn(config, slot, now, effects);
    case "starting":
      return kill(slot, `it did not say ready within ${config.startMax} ms`, effects);
    case "applying":
      return kill(slot, `it did not apply generation ${slot.sent} within ${config.answerMax} ms`, effects);
    case "listening":
      return kill(slot, `it did not take a listening socket within ${config.answerMax} ms`, effects);
    case "draining":
      return kill(slot, "it did not end by its deadline", effects);
    case "serving":
    case "gone":
      return { ...slot, timerAt: undefined };
    default:
      return slot.phase satisfies never;
  }
}

function kill(slot: Slot, reason: string, effects: SlotsEffect[]): Slot {
  if (slot.killed || slot.phase === "waiting" || slot.phase === "gone") return slot;
  effects.push({ type: "kill", slot: slot.index, reason });
  return { ...slot, killed: true, timerAt: undefined };
}

function startDrain(
  config: SlotsConfig,
  slot: Slot,
  deadlineMs: Milliseconds,
  now: Milliseconds,
  effects: SlotsEffect[],
): Slot {
  if (slot.phase === "gone" || slot.killed) return slot;
  if (slot.phase === "waiting") return { ...slot, phase: "gone", timerAt: undefined };
  effects.push({ type: "sendDrain", slot: slot.index, deadlineMs });
  return { ...slot, phase: "draining", timerAt: now + deadlineMs + config.drainGrace };
}

// A slot counts for a generation unless its worker is being replaced: the replacement starts with the newest snapshot
// anyway, and a change must not wait for a worker that crashes in a loop. A first start counts.
function counts(slot: Slot): boolean {
  return !slot.killed && !((slot.phase === "waiting" || slot.phase === "starting") && slot.crashes > 0);
}

function tellProgress(state: SlotsState, effects: SlotsEffect[]): SlotsState {
  if (state.draining) {
    if (state.goneTold || !state.slots.every((slot) => slot.phase === "gone")) return state;
    effects.push({ type: "allGone" });
    return { ...state, goneTold: true };
  }
  const { generation } = state;
  const counting = state.slots.filter(counts);
  let told = state;
  // The newest when nobody is left who counts: then every worker is being replaced, and old snapshots went with them.
  const applied = Math.min(generation, ...counting.map((slot) => slot.applied));
  if (applied > told.appliedTold) {
    effects.push({ type: "allApplied", generation: applied });
    told = { ...told, appliedTold: applied };
  }
  const settled = Math.min(generation, ...counting.map((slot) => slot.settled));
  const somebodyServed = state.slots.some((slot) => slot.settled > 0) || state.settledTold > 0;
  if (somebodyServed && settled > told.settledTold) {
    effects.push({ type: "settled", generation: settled });
    told = { ...told, settledTold: settled };
  }
  return told;
}
