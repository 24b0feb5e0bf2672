// What a virtual router does with an advertisement that it believes, in each mode: RFC 9568 section 6.4 and RFC 3768
// section 6.4, and where keepalived does more or else, what keepalived does, each such place marked. The change's way; pure.

import { compareAddresses } from "../wire/ip-bytes.ts";
import { type Advertisement, priorityOwner } from "../wire/vrrp/advertisement.ts";
import type { ReceivedAdvertisement } from "../wire/vrrp/decode.ts";
import { judgeAdvertisement } from "./judge-advertisement.ts";
import { announce, downAt, finishResigning, speak, type Turn, yieldTo } from "./roles.ts";
import { skewTime } from "./timing.ts";
import { saidMax, type VirtualRouterState } from "./virtual-router-state.ts";

/** How often in an interval an active answers another one of lower priority. */
const answersPerInterval = 10;

/** An advertisement arrived that decoding let pass. */
export function hear(turn: Turn, state: VirtualRouterState, received: ReceivedAdvertisement): VirtualRouterState {
  const { effects, router } = turn;
  const { advertisement, source } = received;
  const judgement = judgeAdvertisement(router, state.ownAddress, received);
  if (!judgement.ok) {
    effects.push({ type: "dropped", code: judgement.code, source });
    return state;
  }
  for (const code of judgement.oddities) effects.push({ type: "odd", code, source });
  const noted = note(turn, state, advertisement, source);
  switch (state.mode) {
    case "init":
    case "fault":
      return noted;
    case "backup":
      return hearAsBackup(turn, noted, advertisement);
    case "active":
      return state.resigning === undefined
        ? hearAsActive(turn, noted, advertisement, source)
        : hearSuccessor(turn, noted, advertisement);
    default:
      return state.mode satisfies never;
  }
}

function note(turn: Turn, state: VirtualRouterState, advertisement: Advertisement, source: string): VirtualRouterState {
  const { priority, interval } = advertisement;
  const others = state.said.filter(({ address }) => address !== source).slice(1 - saidMax);
  return { ...state, said: [...others, { address: source, priority, interval, at: turn.now }] };
}

// RFC 9568 section 6.4.2.
function hearAsBackup(turn: Turn, state: VirtualRouterState, advertisement: Advertisement): VirtualRouterState {
  const { router, now } = turn;
  const { priority, interval } = advertisement;
  if (priority === 0) {
    const down = now + skewTime(router.version, state.priority, state.activeInterval);
    return { ...state, succeeding: true, timers: { ...state.timers, down } };
  }
  const lower = priority < state.priority;
  // RFC 9568 section 6.1: the owner preempts whatever Preempt_Mode says.
  const mayPreempt = router.preempt || state.priority === priorityOwner;
  // keepalived: the delay begins with the first advertisement of lower priority, and begins anew after a higher one.
  const spared = router.preemptDelay > 0 && (state.preemptAt === undefined || state.preemptAt > now);
  if (lower && mayPreempt && !spared) return state;
  const spares = lower && mayPreempt;
  const preemptAt = spares ? (state.preemptAt ?? now + router.preemptDelay) : undefined;
  // Of version 2 only equal intervals get here.
  const accepted = { ...state, activeInterval: interval, preemptAt, succeeding: false, wantsActive: false };
  return { ...accepted, timers: { ...state.timers, down: downAt(turn, accepted) } };
}

// RFC 9568 section 6.4.3.
function hearAsActive(
  turn: Turn,
  state: VirtualRouterState,
  advertisement: Advertisement,
  source: string,
): VirtualRouterState {
  const { router, now, effects } = turn;
  const { priority, interval } = advertisement;
  if (priority === 0) return speak(turn, state);
  if (priority === priorityOwner && state.priority === priorityOwner) {
    // keepalived lowers its own priority to 254 here; the order of addresses settles it as well and lies to nobody.
    effects.push({
      type: "alarm",
      code: "vrrp.alarm.secondOwner",
      detail: `${source} says that the addresses are its own`,
    });
  }
  if (priority > state.priority) return yieldTo(turn, state, interval, "higherPriority");
  const otherIsGreater = state.ownAddress === undefined || compareAddresses(source, state.ownAddress) > 0;
  if (priority === state.priority && otherIsGreater) return yieldTo(turn, state, interval, "higherAddress");
  effects.push({ type: "alarm", code: "vrrp.alarm.secondActive", detail: `${source} is active too, with ${priority}` });
  // RFC 9568 (RFC 5798 did not): assert at once that we are the active one, so that the other steps back before its next
  // interval. keepalived does that, and announces the addresses, because the other's announcements have moved them.
  // Not when we have just spoken, though: two that disagree about who is greater (an address translated on the way) would
  // answer each other's answers as fast as the network carries them.
  const spokenAt = (state.timers.advertise ?? now) - router.advertisementInterval;
  if (now - spokenAt < router.advertisementInterval / answersPerInterval) return state;
  const spoken = speak(turn, state);
  const { lowerPriorityRepeat, lowerPriorityDelay } = router.announce;
  // One round at a time, however often the other speaks: announcements must not be a lever for a flood.
  if (state.timers.announceLower !== undefined) return spoken;
  announce(turn, lowerPriorityRepeat);
  const announceLower = now + Math.max(lowerPriorityDelay, router.advertisementInterval);
  return { ...spoken, timers: { ...spoken.timers, announceLower } };
}

// Whoever speaks now with a priority has the addresses already; another one that resigns has not.
function hearSuccessor(turn: Turn, state: VirtualRouterState, advertisement: Advertisement): VirtualRouterState {
  const { resigning } = state;
  if (resigning === undefined || advertisement.priority === 0) return state;
  const finished = finishResigning(turn, state, resigning);
  if (finished.mode !== "backup") return finished;
  const backup = { ...finished, activeInterval: advertisement.interval };
  return { ...backup, timers: { ...backup.timers, down: downAt(turn, backup) } };
}
