// The virtual router machine: who has the addresses. Pure: inputs and the time go in, the next state and the effects come
// out; timers are numbers in the state, and a `tick` at `nextTimerAt` makes them fire. The change's way. It touches no
// socket, clock or address: its driver performs the effects in their order and feeds back what the network says.
//
//   init --start--> backup --silence, resignation, takeover--> active          backup, active --fault, track down--> fault
//     ^                ^  '-- advertisement, at least as good --' |                              fault --clear--> election
//     |                '------ a better one, release, sleep ------'
//     '--- stop: an active resigns first, and goes when its successor speaks
//
// RFC 9568 (version 3), RFC 3768 (version 2), keepalived where it goes beyond them. The modes' inner workings: roles.ts,
// hear.ts, fire.ts; arithmetic: timing.ts, tracks.ts.

import type { Milliseconds } from "../core/clock.ts";
import { movingAddresses, type VirtualAddress, type VirtualRouter } from "../model/virtual-router.ts";
import { priorityOwner, priorityResigning } from "../wire/vrrp/advertisement.ts";
import { fire, sleptSince, wake } from "./fire.ts";
import { hear } from "./hear.ts";
import {
  advertise,
  announce,
  becomeActive,
  enterElection,
  finishResigning,
  leaveActive,
  noTimers,
  resign,
  setMode,
  setPriority,
  speak,
  stayActive,
  type Turn,
} from "./roles.ts";
import { downInterval, leaseTime } from "./timing.ts";
import { awaitsTracks, effectivePriority, type Standing, tracksInFault } from "./tracks.ts";
import type { DeniedCode, VirtualRouterInput, VirtualRouterState, VirtualRouterStep } from "./virtual-router-state.ts";

/** Before its start. */
export function initialVirtualRouter(router: VirtualRouter): VirtualRouterState {
  return {
    mode: "init",
    since: 0,
    cause: "created",
    running: false,
    ownAddress: undefined,
    standings: {},
    faults: [],
    priority: effectivePriority(router, {}),
    byHand: undefined,
    activeInterval: router.advertisementInterval,
    preemptAt: undefined,
    succeeding: false,
    timers: noTimers,
    copiesSent: 0,
    resigning: undefined,
    wantsActive: false,
    foreign: [],
    held: [],
    said: [],
    takeovers: 0,
  };
}

/**
 * One step. `now` is a clock that never goes back and goes on while the machine sleeps (CLOCK_BOOTTIME): a timer that is
 * found far too late means that the node stood still, and is dropped with all the others (fire.ts).
 */
export function stepVirtualRouter(
  router: VirtualRouter,
  before: VirtualRouterState,
  input: VirtualRouterInput,
  now: Milliseconds,
): VirtualRouterStep {
  const turn: Turn = { router, now, effects: [] };
  const since = input.type === "woke" ? undefined : sleptSince(turn, before);
  const awake = since === undefined ? before : wake(turn, before, now - since);
  // An advertisement that was there when a sleeper woke may be as old as its sleep.
  const stale = since !== undefined && input.type === "received";
  const state = stale ? awake : take(turn, awake, input);
  return { state, effects: turn.effects };
}

function take(turn: Turn, state: VirtualRouterState, input: VirtualRouterInput): VirtualRouterState {
  switch (input.type) {
    case "start":
      return takeStart(turn, state, input);
    case "stop":
      return takeStop(turn, state);
    case "tick":
      return fire(turn, state);
    case "received":
      return hear(turn, state, input.received);
    case "ownAddress":
      return { ...state, ownAddress: input.address };
    case "track":
      return takeTrack(turn, state, input.name, input.standing);
    case "fault":
      return takeFault(turn, state, input);
    case "clear":
      return settle(turn, { ...state, faults: state.faults.filter((cause) => cause !== input.cause) });
    case "takeover":
      return takeTakeover(turn, state);
    case "release":
      return takeRelease(turn, state);
    case "resume":
      return setPriority(turn, { ...state, byHand: undefined });
    case "woke":
      return input.gap > leaseTime(turn.router) ? wake(turn, state, input.gap) : state;
    case "addressLost":
      return takeAddressLost(turn, state, input.address);
    case "groupActive":
      return state.mode === "backup" && state.wantsActive ? becomeActive(turn, state, "syncGroup") : state;
    case "groupBackup":
      if (state.mode !== "active" || state.resigning !== undefined) return state;
      return resign(turn, state, { to: "backup", cause: "syncGroup" });
    case "configured":
      return takeConfigured(turn, state);
    default:
      return input satisfies never;
  }
}

function takeStart(
  turn: Turn,
  state: VirtualRouterState,
  input: VirtualRouterInput & { readonly type: "start" },
): VirtualRouterState {
  if (state.running) return state;
  const { ownAddress, present } = input;
  const foreign = movingAddresses(turn.router).flatMap(({ address }) => (present.includes(address) ? [address] : []));
  return settle(turn, { ...state, running: true, ownAddress, foreign });
}

function takeStop(turn: Turn, state: VirtualRouterState): VirtualRouterState {
  if (!state.running) return state;
  if (state.resigning !== undefined) {
    return { ...state, resigning: { ...state.resigning, to: "init", cause: "stopped" } };
  }
  if (state.mode === "active") return resign(turn, state, { to: "init", cause: "stopped" });
  const init = setMode(turn, state, "init", "stopped");
  turn.effects.push({ type: "stopped" });
  return { ...init, running: false, wantsActive: false, timers: noTimers };
}

function takeTrack(turn: Turn, state: VirtualRouterState, name: string, standing: Standing): VirtualRouterState {
  // A track that the configuration no longer names may still have an outcome under way.
  if (!turn.router.tracks.some((entry) => entry.name === name)) return state;
  if (state.standings[name] === standing) return state;
  return settle(turn, setPriority(turn, { ...state, standings: { ...state.standings, [name]: standing } }));
}

function takeFault(
  turn: Turn,
  state: VirtualRouterState,
  input: VirtualRouterInput & { readonly type: "fault" },
): VirtualRouterState {
  const { cause, graceful } = input;
  const faults = state.faults.includes(cause) ? state.faults : [...state.faults, cause];
  const faulty = { ...state, faults };
  if (graceful || state.mode !== "active") return settle(turn, faulty);
  // Priority 0 may not get out any more; if it does, it saves the others two intervals.
  advertise(turn, priorityResigning);
  const { resigning } = state;
  if (resigning?.to === "init") return finishResigning(turn, faulty, resigning);
  return leaveActive(turn, faulty, "fault", "fault");
}

/** Brings the mode in line with what is known: into fault, out of it, out of init. Leaves a resigning one alone. */
function settle(turn: Turn, state: VirtualRouterState): VirtualRouterState {
  const { router } = turn;
  if (!state.running || state.resigning?.to === "init") return state;
  const byTracks = tracksInFault(router, state.standings).length > 0;
  if (byTracks || state.faults.length > 0) {
    const cause = byTracks ? "tracks" : state.faults.every((each) => each === "syncGroup") ? "syncGroup" : "fault";
    if (state.mode === "fault") return state;
    if (state.mode !== "active")
      return setMode(turn, { ...state, wantsActive: false, timers: noTimers }, "fault", cause);
    if (state.resigning === undefined) return resign(turn, state, { to: "fault", cause });
    return { ...state, resigning: { ...state.resigning, to: "fault", cause } };
  }
  // It recovered before its successor spoke: priority 0 is out, so it goes all the same, if anybody comes.
  if (state.resigning?.to === "fault") return { ...state, resigning: { ...state.resigning, to: "backup" } };
  if (state.mode === "fault") return enterElection(turn, state, "recovered");
  if (state.mode === "init" && !awaitsTracks(router, state.standings)) return enterElection(turn, state, "started");
  return state;
}

function deny(turn: Turn, state: VirtualRouterState, code: DeniedCode, detail: string): VirtualRouterState {
  turn.effects.push({ type: "denied", code, detail });
  return state;
}

// One above the active that is heard, so that it yields by the protocol's own rule, whatever program it is.
function takeTakeover(turn: Turn, state: VirtualRouterState): VirtualRouterState {
  const { router, now } = turn;
  if (!state.running || state.mode === "init") return deny(turn, state, "vrrp.denied.notRunning", "it is not running");
  if (state.mode === "fault") return deny(turn, state, "vrrp.denied.fault", "it is in fault");
  const recently = now - downInterval(router, 1, state.activeInterval);
  const heard = state.said.reduce((most, each) => (each.at >= recently ? Math.max(most, each.priority) : most), 0);
  const counted = effectivePriority(router, state.standings);
  const needed = Math.max(counted, heard + 1);
  if (counted !== priorityOwner && needed > 254) {
    return deny(turn, state, "vrrp.denied.priority", `the active has priority ${heard}`);
  }
  const byHand = counted === priorityOwner ? undefined : ({ wish: "takeover", priority: needed } as const);
  const raised = setPriority(turn, { ...state, byHand });
  if (state.mode === "backup") {
    if (router.syncGroup === undefined) return becomeActive(turn, raised, "takeoverByHand");
    turn.effects.push({ type: "wantsActive" });
    return { ...raised, wantsActive: true };
  }
  if (state.resigning === undefined || state.resigning.to === "init") return raised;
  return stayActive(turn, raised);
}

function takeRelease(turn: Turn, state: VirtualRouterState): VirtualRouterState {
  if (!state.running) return deny(turn, state, "vrrp.denied.notRunning", "it is not running");
  if (turn.router.priority === priorityOwner) {
    return deny(turn, state, "vrrp.denied.owner", "the addresses are this node's own");
  }
  // It still takes over when nobody else is left.
  const lowered = setPriority(turn, { ...state, byHand: { wish: "release", priority: 1 } });
  if (state.mode !== "active" || state.resigning !== undefined) return { ...lowered, wantsActive: false };
  return resign(turn, lowered, { to: "backup", cause: "releaseByHand" });
}

function takeAddressLost(turn: Turn, state: VirtualRouterState, address: string): VirtualRouterState {
  const lost = state.held.filter((held) => held.address === address);
  if (lost.length === 0) return state;
  turn.effects.push({
    type: "alarm",
    code: "vrrp.alarm.addressRemoved",
    detail: `somebody removed ${address}: put back`,
  });
  turn.effects.push({ type: "addAddresses", addresses: lost });
  turn.effects.push({ type: "announce", addresses: lost, repeat: 1 });
  return state;
}

// The name, interface, vrid, version and family stay as they were: a change of those is another virtual router.
function takeConfigured(turn: Turn, before: VirtualRouterState): VirtualRouterState {
  const { router, effects } = turn;
  const named = Object.entries(before.standings).filter(([name]) => router.tracks.some((entry) => entry.name === name));
  const { version, advertisementInterval } = router;
  const activeInterval = version === 2 ? advertisementInterval : before.activeInterval;
  const renewed = { ...before, activeInterval, standings: Object.fromEntries(named) };
  const state = settle(turn, setPriority(turn, renewed));
  if (state.mode !== "active") return state;
  const wanted = movingAddresses(router).filter(({ address }) => !state.foreign.includes(address));
  const has = (list: readonly VirtualAddress[], one: VirtualAddress) =>
    list.some(
      (each) =>
        each.address === one.address && each.prefixLength === one.prefixLength && each.interface === one.interface,
    );
  const gone = state.held.filter((held) => !has(wanted, held));
  const added = wanted.filter((each) => !has(state.held, each));
  if (gone.length > 0) effects.push({ type: "removeAddresses", addresses: gone });
  if (added.length > 0) effects.push({ type: "addAddresses", addresses: added });
  if (state.resigning !== undefined) return { ...state, held: wanted };
  const spoken = speak(turn, state);
  if (added.length > 0) announce(turn, router.announce.repeat);
  return { ...spoken, held: wanted };
}
