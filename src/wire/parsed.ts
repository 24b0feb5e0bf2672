// What the parsers of this folder answer with: a small number, never an exception. On the request's way. A parser keeps
// nothing between calls: while bytes are missing its caller keeps them together and calls again with all of them, so the
// answer depends on the bytes alone and never on how they arrived.

/** What a parser returns besides a fault, which is negative: minus the index into the format's table of faults. */
export const Parsed = { incomplete: 0, complete: 1 } as const;

/** Codes are stable: operators alert on them. The detail is for people. */
export type WireFault = { readonly code: string; readonly detail: string };

/** An empty table. Index 0 is no fault, because -0 could not be told from "incomplete". */
export function faultTable(): WireFault[] {
  return [{ code: "wire.none", detail: "no fault" }];
}

/** Adds a fault and returns the number that parsers return for it. */
export function addFault(table: WireFault[], code: string, detail: string): number {
  return -(table.push({ code, detail }) - 1);
}
