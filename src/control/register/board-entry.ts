// The target on one board: what is wanted there, what the board has of us, and which order comes next. The change's way, and
// pure: what is wanted, answers and the time go in, the next state and at most one order come out, with one timer as a number in
// the state. One board that is silent, refuses or forgets us changes nothing for the others: each has an entry of its own.
//
//   nothing --put--> up <--intent--> down | drain --remove--> nothing
//   a lost target is nothing, and put up again when it is to take work; otherwise it has already gone where it was to go

import type { Milliseconds } from "../../core/clock.ts";
import type { BoardAnswer, BoardOrder } from "./board.ts";

/** `out`: not there. */
export type Wanted = "out" | "up" | "drain" | "down";

export type EntryRules = {
  readonly ttl: Milliseconds;
  /** It can tell what work is left; otherwise a drain lasts `drainFor` from when the board has it. */
  readonly looks: boolean;
  readonly drainFor: Milliseconds;
};

export type EntryState = {
  readonly wanted: Wanted;
  /** As far as we know. `unsure`: whether it was put up, no answer said; `there`: no answer said with which intent. */
  readonly has: "nothing" | "unsure" | "there" | "up" | "drain" | "down";
  /** Under way; there is one at a time. */
  readonly asked: BoardOrder | undefined;
  readonly askedAt: Milliseconds;
  readonly renewAt: Milliseconds;
  /** Nothing is asked before, unless something else is wanted by then. */
  readonly holdUntil: Milliseconds;
  readonly failures: number;
  /** What went wrong last and was told; undefined: the last answer was good. */
  readonly trouble: string | undefined;
  /** Nothing is left of its work, or the wait for that is over. */
  readonly drained: boolean;
  /** Of a board that cannot tell. */
  readonly drainedAt: Milliseconds | undefined;
  readonly left: string | undefined;
  /** When to step with `tick`; undefined: not before something else happens. */
  readonly timer: Milliseconds | undefined;
};

export type EntryInput =
  | { readonly type: "want"; readonly wanted: Wanted }
  | { readonly type: "answer"; readonly answer: BoardAnswer }
  | { readonly type: "tick" };

export type EntryEffect =
  | { readonly type: "ask"; readonly order: BoardOrder }
  | { readonly type: "tell"; readonly text: string };

export type EntryStep = { readonly state: EntryState; readonly effects: readonly EntryEffect[] };

/** `chance` is at least 0 and below 1. */
export type EntryMoment = { readonly now: Milliseconds; readonly chance: number };

/** A renewal comes after this part of the time to live, or up to a fifth of that sooner. */
export const renewalShare = 1 / 3;
/** After a failure: the first wait, doubled up to the most, which is never longer than between two renewals. */
export const retryFirst: Milliseconds = 200;
export const retryMost: Milliseconds = 5_000;
/** Where the board refuses, or somebody else holds the target. It may be ourselves of before a crash: a short lease ends soon. */
export const retrySlow: Milliseconds = 5_000;
const heldShare = 1 / 5;
/** Between two looks at the work that is left. */
export const lookInterval: Milliseconds = 200;

export const initialEntry: EntryState = {
  wanted: "out",
  has: "nothing",
  asked: undefined,
  askedAt: 0,
  renewAt: 0,
  holdUntil: 0,
  failures: 0,
  trouble: undefined,
  drained: false,
  drainedAt: undefined,
  left: undefined,
  timer: undefined,
};

/** The board has what is wanted, as far as it ever will; of a drain: nothing is left. */
export function isSettled(state: EntryState): boolean {
  if (state.asked !== undefined) return false;
  if (state.has === "nothing") return state.wanted !== "up";
  return state.has === state.wanted && (state.wanted !== "drain" || state.drained);
}

export function stepEntry(rules: EntryRules, state: EntryState, input: EntryInput, at: EntryMoment): EntryStep {
  switch (input.type) {
    case "want": {
      if (input.wanted === state.wanted) return { state, effects: [] };
      // What was refused or failed was another order: this one is not held back by it.
      const next = { ...state, wanted: input.wanted, holdUntil: at.now, drained: false, drainedAt: undefined };
      return goOn(rules, next, [], at);
    }
    case "answer":
      return state.asked === undefined ? { state, effects: [] } : takeAnswer(rules, state, input.answer, at);
    case "tick":
      return goOn(rules, state, [], at);
    default:
      return input satisfies never;
  }
}

function tell(text: string): EntryEffect {
  return { type: "tell", text };
}

/** Asks for what is to be asked now, or sets the timer. */
function goOn(rules: EntryRules, state: EntryState, effects: readonly EntryEffect[], at: EntryMoment): EntryStep {
  if (state.asked !== undefined) return { state: { ...state, timer: undefined }, effects };
  const drained = state.drained || (state.drainedAt !== undefined && at.now >= state.drainedAt);
  const next = drained === state.drained ? state : { ...state, drained };
  const due = nextOrder(rules, next);
  if (due === undefined) return { state: { ...next, timer: undefined }, effects };
  const time = Math.max(due.at, next.holdUntil);
  if (due.order === undefined || time > at.now) return { state: { ...next, timer: time }, effects };
  const asked = { ...next, asked: due.order, askedAt: at.now, timer: undefined };
  return { state: asked, effects: [...effects, { type: "ask", order: due.order }] };
}

type Due = { readonly order: BoardOrder | undefined; readonly at: Milliseconds };

/** What comes next and when; without an order something ends by itself then. */
function nextOrder(rules: EntryRules, state: EntryState): Due | undefined {
  const { wanted, has, renewAt } = state;
  const now = 0;
  const renewal: Due = { order: { type: "renew" }, at: renewAt };
  if (wanted === "out") return has === "nothing" ? undefined : { order: { type: "remove" }, at: now };
  if (has === "nothing" || (has === "unsure" && wanted === "up")) {
    return wanted === "up" ? { order: { type: "put" }, at: now } : undefined;
  }
  if (has !== wanted) return { order: { type: "intent", intent: wanted }, at: now };
  if (wanted !== "drain" || state.drained) return renewal;
  const end: Due = rules.looks
    ? { order: { type: "look" }, at: state.askedAt + lookInterval }
    : { order: undefined, at: state.drainedAt ?? now };
  return end.at < renewal.at ? end : renewal;
}

function takeAnswer(rules: EntryRules, before: EntryState, answer: BoardAnswer, at: EntryMoment): EntryStep {
  const { asked: order } = before;
  const state: EntryState = { ...before, asked: undefined };
  switch (answer.type) {
    case "done":
      return order === undefined ? { state, effects: [] } : takeDone(rules, state, { order, note: answer.note }, at);
    case "work": {
      const told = answer.left !== undefined && answer.left !== state.left;
      const seen: EntryState = { ...state, drained: answer.left === undefined, left: answer.left };
      const effects: EntryEffect[] = told ? [tell(`still has ${answer.left}`)] : [];
      return well(rules, seen, effects, at);
    }
    case "lost": {
      const lost: EntryState = { ...state, has: "nothing" };
      const again = state.wanted === "up";
      const text = again ? `lost it, and puts it up again: ${answer.detail}` : `has it no more: ${answer.detail}`;
      return well(rules, lost, order?.type === "remove" ? [] : [tell(text)], at);
    }
    case "held":
      return trouble(
        rules,
        { ...state, has: "nothing" },
        { text: answer.detail, delay: slowly(rules.ttl * heldShare, at) },
        at,
      );
    case "refused": {
      const has = order?.type === "put" ? "nothing" : state.has;
      return trouble(rules, { ...state, has }, { text: answer.detail, delay: slowly(retrySlow, at) }, at);
    }
    case "failed": {
      const failures = state.failures + 1;
      const has = order?.type === "put" ? "unsure" : order?.type === "intent" ? "there" : state.has;
      const delay = backoff(rules, failures, at);
      return trouble(rules, { ...state, has, failures }, { text: answer.detail, delay }, at);
    }
    default:
      return answer satisfies never;
  }
}

type Done = { readonly order: BoardOrder; readonly note: string | undefined };

function takeDone(rules: EntryRules, state: EntryState, { order, note }: Done, at: EntryMoment): EntryStep {
  // From when it was asked: the board's own time began after that.
  const renewAt = state.askedAt + rules.ttl * renewalShare * (1 - at.chance / 5);
  switch (order.type) {
    case "put":
      return well(rules, { ...state, has: "up", renewAt }, [tell(note ?? "has it")], at);
    case "renew":
      return well(rules, { ...state, renewAt }, [], at);
    case "intent": {
      const { intent } = order;
      const drainedAt = intent === "drain" && !rules.looks ? at.now + rules.drainFor : undefined;
      const text = intent === "up" ? "lets it take work again" : `gives it no new work (${intent})`;
      return well(rules, { ...state, has: intent, drainedAt }, [tell(note ?? text)], at);
    }
    case "look":
      return well(rules, state, [], at);
    case "remove":
      return well(rules, { ...state, has: "nothing" }, [tell(note ?? "has removed it")], at);
    default:
      return order satisfies never;
  }
}

function well(rules: EntryRules, state: EntryState, effects: readonly EntryEffect[], at: EntryMoment): EntryStep {
  const answers: EntryEffect[] = state.trouble === undefined ? [] : [tell("answers again")];
  const next = { ...state, trouble: undefined, failures: 0, holdUntil: at.now };
  return goOn(rules, next, [...answers, ...effects], at);
}

function trouble(
  rules: EntryRules,
  state: EntryState,
  { text, delay }: { readonly text: string; readonly delay: Milliseconds },
  at: EntryMoment,
): EntryStep {
  // A trouble that lasts is told once.
  const effects: EntryEffect[] = state.trouble === text ? [] : [tell(text)];
  return goOn(rules, { ...state, trouble: text, holdUntil: at.now + delay }, effects, at);
}

/** Half of each wait is chance, so that many services don't come back to a board in one moment. */
function backoff(rules: EntryRules, failures: number, { chance }: EntryMoment): Milliseconds {
  const most = Math.min(retryMost, rules.ttl * renewalShare);
  return Math.min(most, retryFirst * 2 ** Math.min(failures - 1, 20)) * (0.5 + chance / 2);
}

function slowly(usual: Milliseconds, { chance }: EntryMoment): Milliseconds {
  return Math.min(usual, retrySlow) * (0.75 + chance / 2);
}
