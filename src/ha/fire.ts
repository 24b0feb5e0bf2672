// What the timers of a virtual router do when their time has come, and what happens when the node has slept instead of
// looking at them. The change's way; pure.

import type { Milliseconds } from "../core/clock.ts";
import {
  announce,
  becomeActive,
  downAt,
  enterElection,
  finishResigning,
  leaveActive,
  repeatWord,
  resign,
  speak,
  stayActive,
  type Turn,
} from "./roles.ts";
import { downInterval, leaseTime, resignationsMax } from "./timing.ts";
import type { VirtualRouterState } from "./virtual-router-state.ts";

/** The next moment at which a `tick` has something to do; undefined when there is none. */
export function nextTimerAt(state: VirtualRouterState): Milliseconds | undefined {
  const { down, advertise, copy, announce, refresh, announceLower, resign } = state.timers;
  let next: Milliseconds | undefined;
  for (const at of [down, advertise, copy, announce, refresh, announceLower, resign]) {
    if (at !== undefined && (next === undefined || at < next)) next = at;
  }
  return next;
}

/**
 * Since when the node has stood still, when a timer is so late that it must have: an active is silent for longer than its
 * lease, a resigning one overdue by that, a backup by a whole down interval. Whatever the machine believes is then too old
 * to act on. Undefined while it is awake.
 */
export function sleptSince(turn: Turn, state: VirtualRouterState): Milliseconds | undefined {
  const { router, now } = turn;
  const { advertise, resign, down } = state.timers;
  const lease = leaseTime(router);
  const spoken = advertise === undefined ? undefined : advertise - router.advertisementInterval;
  if (spoken !== undefined) return now - spoken > lease ? spoken : undefined;
  if (resign !== undefined) return now - resign > lease ? resign : undefined;
  if (down === undefined) return undefined;
  return now - down > downInterval(router, state.priority, state.activeInterval) ? down : undefined;
}

/**
 * The node slept: its addresses' lease has run out, another node has them, and what waits in its socket is old. It is
 * elected anew, and says nothing, for priority 0 would be about a role that it has lost already.
 */
export function wake(turn: Turn, state: VirtualRouterState, gap: Milliseconds): VirtualRouterState {
  const { effects } = turn;
  if (state.mode !== "active" && state.mode !== "backup") return state;
  effects.push({ type: "drainSocket" });
  effects.push({ type: "alarm", code: "vrrp.alarm.slept", detail: `it stood still for ${Math.round(gap)} ms` });
  if (state.resigning !== undefined) return finishResigning(turn, state, state.resigning);
  const left = state.mode === "active" ? leaveActive(turn, state, "backup", "woke") : state;
  return enterElection(turn, left, "woke");
}

/** Everything that is due, each at most once. */
export function fire(turn: Turn, before: VirtualRouterState): VirtualRouterState {
  const due = (at: Milliseconds | undefined) => at !== undefined && at <= turn.now;
  let state = before;
  if (due(state.timers.resign)) state = noSuccessor(turn, state);
  if (due(state.timers.down)) state = succeed(turn, state);
  if (due(state.timers.advertise)) state = advertiseAgain(turn, state);
  else if (due(state.timers.copy)) state = repeatWord(turn, state);
  if (due(state.timers.announce)) {
    announce(turn, turn.router.announce.repeat);
    state = { ...state, timers: { ...state.timers, announce: undefined } };
  }
  if (due(state.timers.announceLower)) {
    if (turn.router.announce.lowerPriorityDelay > 0) announce(turn, turn.router.announce.lowerPriorityRepeat);
    state = { ...state, timers: { ...state.timers, announceLower: undefined } };
  }
  if (due(state.timers.refresh)) {
    announce(turn, turn.router.announce.refreshRepeat);
    state = { ...state, timers: { ...state.timers, refresh: turn.now + turn.router.announce.refresh } };
  }
  return state;
}

// RFC 9568 section 6.4.2; in a sync group the others are asked first.
function succeed(turn: Turn, state: VirtualRouterState): VirtualRouterState {
  if (turn.router.syncGroup === undefined) {
    return becomeActive(turn, state, state.succeeding ? "resignation" : "silence");
  }
  turn.effects.push({ type: "wantsActive" });
  return { ...state, wantsActive: true, timers: { ...state.timers, down: downAt(turn, state) } };
}

// On the beat, not an interval after the late one: lateness must not add up until a backup's patience ends. After a worse
// one a new beat begins.
function advertiseAgain(turn: Turn, state: VirtualRouterState): VirtualRouterState {
  const { router, now } = turn;
  const { advertisementInterval } = router;
  const due = state.timers.advertise ?? now;
  const spoken = speak(turn, state);
  const from = now - due < advertisementInterval / 4 ? due : now;
  return { ...spoken, timers: { ...spoken.timers, advertise: from + advertisementInterval } };
}

function noSuccessor(turn: Turn, state: VirtualRouterState): VirtualRouterState {
  const { resigning } = state;
  if (resigning === undefined) return state;
  if (resigning.sent < resignationsMax) return resign(turn, state, resigning);
  const mayStay = resigning.to === "backup" && resigning.cause !== "syncGroup";
  if (!mayStay) return finishResigning(turn, state, resigning);
  // An operator wanted the addresses to be elsewhere, or a track is up again: that is no reason for them to be nowhere.
  turn.effects.push({ type: "alarm", code: "vrrp.alarm.noSuccessor", detail: "nobody took the addresses: kept" });
  return stayActive(turn, state);
}
