// What becoming active, becoming backup and resigning consist of, for every place of the machine that does it. The
// change's way; pure. The order of effects is the order in which they must be performed: an address is there before it is
// announced, and its successor has spoken before it goes.

import type { Milliseconds } from "../core/clock.ts";
import { movingAddresses, type VirtualRouter } from "../model/virtual-router.ts";
import { type Advertisement, priorityOwner, priorityResigning } from "../wire/vrrp/advertisement.ts";
import { copyDelay, downInterval, firstRefresh, handoverTime } from "./timing.ts";
import { effectivePriority } from "./tracks.ts";
import type {
  Mode,
  ModeCause,
  Resigning,
  Timers,
  VirtualRouterEffect,
  VirtualRouterState,
} from "./virtual-router-state.ts";

/** One step under way: its effects are collected here. */
export type Turn = {
  readonly router: VirtualRouter;
  readonly now: Milliseconds;
  readonly effects: VirtualRouterEffect[];
};

export const noTimers: Timers = {
  down: undefined,
  advertise: undefined,
  copy: undefined,
  announce: undefined,
  refresh: undefined,
  announceLower: undefined,
  resign: undefined,
};

/** What this node sends for the virtual router. */
export function advertisementOf(router: VirtualRouter, priority: number): Advertisement {
  return {
    version: router.version,
    family: router.family,
    vrid: router.vrid,
    priority,
    interval: router.advertisementInterval,
    password: router.version === 2 ? router.password : undefined,
    addresses: router.addresses.map(({ address }) => address),
  };
}

export function advertise(turn: Turn, priority: number): void {
  turn.effects.push({ type: "advertise", advertisement: advertisementOf(turn.router, priority) });
}

/** Says who is active, and begins a new beat with it. */
export function speak(turn: Turn, state: VirtualRouterState): VirtualRouterState {
  advertise(turn, state.priority);
  const timers = { advertise: turn.now + turn.router.advertisementInterval, copy: copyAt(turn, 1) };
  return { ...state, copiesSent: 1, timers: { ...state.timers, ...timers } };
}

/** The last word once more, whatever it was. */
export function repeatWord(turn: Turn, state: VirtualRouterState): VirtualRouterState {
  advertise(turn, state.resigning === undefined ? state.priority : priorityResigning);
  const copiesSent = state.copiesSent + 1;
  return { ...state, copiesSent, timers: { ...state.timers, copy: copyAt(turn, copiesSent) } };
}

/** When a word that was said so often is said again. */
function copyAt({ router, now }: Turn, sent: number): Milliseconds | undefined {
  return sent < router.advertisementCopies ? now + copyDelay(router) : undefined;
}

export function announce(turn: Turn, repeat: number): void {
  if (repeat === 0) return;
  turn.effects.push({ type: "announce", addresses: movingAddresses(turn.router), repeat });
}

export function setMode(turn: Turn, state: VirtualRouterState, mode: Mode, cause: ModeCause): VirtualRouterState {
  if (state.mode === mode) return state;
  turn.effects.push({ type: "mode", from: state.mode, to: mode, cause, priority: state.priority });
  return { ...state, mode, cause, since: turn.now };
}

/** The whole down interval from now on, by what the active says of its interval. */
export function downAt(turn: Turn, state: VirtualRouterState): Milliseconds {
  return turn.now + downInterval(turn.router, state.priority, state.activeInterval);
}

/** Brings the effective priority up to date. A backup's timer moves by what its skew changes, as keepalived moves it. */
export function setPriority(turn: Turn, state: VirtualRouterState): VirtualRouterState {
  const { router } = turn;
  const priority = state.byHand?.priority ?? effectivePriority(router, state.standings);
  if (priority === state.priority) return state;
  turn.effects.push({ type: "priority", from: state.priority, to: priority });
  const { down } = state.timers;
  if (down === undefined) return { ...state, priority };
  const before = downInterval(router, state.priority, state.activeInterval);
  const after = downInterval(router, priority, state.activeInterval);
  return { ...state, priority, timers: { ...state.timers, down: down + after - before } };
}

/** RFC 9568 sections 6.4.1 and 6.4.2. Addresses first: a predecessor takes its own away as soon as it hears us. */
export function becomeActive(turn: Turn, state: VirtualRouterState, cause: ModeCause): VirtualRouterState {
  const { router, now, effects } = turn;
  const { delay, repeat } = router.announce;
  const first = firstRefresh(router);
  const held = movingAddresses(router).filter(({ address }) => !state.foreign.includes(address));
  if (held.length > 0) effects.push({ type: "addAddresses", addresses: held });
  const spoken = speak(turn, { ...state, timers: noTimers });
  announce(turn, repeat);
  const next = setMode(turn, spoken, "active", cause);
  return {
    ...next,
    activeInterval: router.advertisementInterval,
    preemptAt: undefined,
    succeeding: false,
    wantsActive: false,
    resigning: undefined,
    held,
    takeovers: state.takeovers + 1,
    timers: {
      ...next.timers,
      announce: delay > 0 ? now + delay : undefined,
      refresh: first === undefined ? undefined : now + first,
    },
  };
}

/** Gives the addresses up, says nothing, and stands in the new mode without timers. */
export function leaveActive(turn: Turn, state: VirtualRouterState, mode: Mode, cause: ModeCause): VirtualRouterState {
  if (state.held.length > 0) turn.effects.push({ type: "removeAddresses", addresses: state.held });
  const next = setMode(turn, state, mode, cause);
  // Whom an operator had made active, and who was overtaken since, is counted like everybody else again.
  const byHand = state.byHand?.wish === "takeover" ? undefined : state.byHand;
  return setPriority(turn, { ...next, byHand, held: [], resigning: undefined, wantsActive: false, timers: noTimers });
}

/** A resigning active that stays after all, and says so before a successor's skew time is over. */
export function stayActive(turn: Turn, state: VirtualRouterState): VirtualRouterState {
  const { router, now } = turn;
  const { refresh } = router.announce;
  const timers = { ...noTimers, refresh: refresh > 0 ? now + refresh : undefined };
  return speak(turn, { ...state, resigning: undefined, timers });
}

/** From an active that was overtaken; the interval is the new active's. RFC 9568 section 6.4.3. */
export function yieldTo(
  turn: Turn,
  state: VirtualRouterState,
  activeInterval: Milliseconds,
  cause: ModeCause,
): VirtualRouterState {
  const left = leaveActive(turn, state, "backup", cause);
  const backup = { ...left, activeInterval };
  return { ...backup, timers: { ...noTimers, down: downAt(turn, backup) } };
}

/** Into the election, from init, fault or sleep: RFC 9568 section 6.4.1. In a sync group even the owner asks first. */
export function enterElection(turn: Turn, state: VirtualRouterState, cause: ModeCause): VirtualRouterState {
  const { router } = turn;
  const activeInterval = router.advertisementInterval;
  const fresh = { ...state, activeInterval, preemptAt: undefined, succeeding: false, wantsActive: false };
  const owner = router.priority === priorityOwner;
  if (owner && router.syncGroup === undefined) return becomeActive(turn, fresh, "owner");
  const backup = setMode(turn, fresh, "backup", cause);
  if (owner) turn.effects.push({ type: "wantsActive" });
  return { ...backup, wantsActive: owner, timers: { ...noTimers, down: downAt(turn, backup) } };
}

/**
 * The graceful way out of the active role: priority 0, so that a successor needs but its skew time, and everything stays
 * until that successor is heard, or the handover time is over. RFC 9568 section 6.4.3 and keepalived give the addresses
 * up at once: their clients wait for the successor's skew time.
 */
export function resign(
  turn: Turn,
  state: VirtualRouterState,
  way: { readonly to: Resigning["to"]; readonly cause: ModeCause },
): VirtualRouterState {
  const sent = (state.resigning?.sent ?? 0) + 1;
  advertise(turn, priorityResigning);
  const timers = { ...noTimers, resign: turn.now + handoverTime(turn.router), copy: copyAt(turn, 1) };
  return { ...state, resigning: { ...way, sent }, copiesSent: 1, wantsActive: false, timers };
}

/** The successor has spoken, or will not. */
export function finishResigning(turn: Turn, state: VirtualRouterState, resigning: Resigning): VirtualRouterState {
  const left = leaveActive(turn, state, resigning.to, resigning.cause);
  switch (resigning.to) {
    case "init":
      turn.effects.push({ type: "stopped" });
      return { ...left, running: false };
    case "backup":
      return { ...left, timers: { ...noTimers, down: downAt(turn, left) } };
    case "fault":
      return left;
    default:
      return resigning.to satisfies never;
  }
}
