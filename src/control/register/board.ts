// Where a registration is put up: the admin API of a balancer, or a store that balancers read. What a board is asked and what
// it answers, whatever it is made of. The change's way. A board decides nothing: when it is asked what, board-entry.ts says.

import type { Milliseconds } from "../../core/clock.ts";

export type BoardOrder =
  /** The target is there, takes work, and is ours: with our lease, our session. */
  | { readonly type: "put" }
  /** It is still ours, and we are still there. */
  | { readonly type: "renew" }
  /** No new work (`drain`, or `down` while the check fails), or all of it again. What somebody else said of it stays. */
  | { readonly type: "intent"; readonly intent: "up" | "drain" | "down" }
  /** How much work it has left. */
  | { readonly type: "look" }
  /** It is gone, if it is ours. */
  | { readonly type: "remove" };

export type BoardAnswer =
  /** `note`: how it was done otherwise than asked, for people. */
  | { readonly type: "done"; readonly note?: string }
  /** Of `look`: what is left in words; undefined: nothing. */
  | { readonly type: "work"; readonly left: string | undefined }
  /** It is not there any more, or no longer ours. To be put up again. */
  | { readonly type: "lost"; readonly detail: string }
  /** Somebody else holds it. */
  | { readonly type: "held"; readonly detail: string }
  /** The board understood, and will not have it: asking the same soon would be answered the same. */
  | { readonly type: "refused"; readonly detail: string }
  /** No answer, or none that says anything. It may have been done. */
  | { readonly type: "failed"; readonly detail: string };

export type Board = {
  /** For people: a path, a URL. */
  readonly name: string;
  /** Whether it can tell how much work the target has left; otherwise a drain is a wait. */
  readonly looks: boolean;
  /** How long it lets the target stay without a renewal. */
  readonly ttl: Milliseconds;
  /** Always resolves, and within a time of its own. One order at a time. */
  ask(order: BoardOrder): Promise<BoardAnswer>;
  close(): void;
};
