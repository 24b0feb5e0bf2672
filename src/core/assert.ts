// The guard of invariants, on both ways. What it catches is our own mistake, never a client's, a target's or an
// operator's: it throws, nothing catches it, the process ends and the supervisor starts another.

export function assert(condition: boolean, what: string): asserts condition {
  if (!condition) throw new Error(`invariant broken: ${what}`);
}
