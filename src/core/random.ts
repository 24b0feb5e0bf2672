// Randomness as a value: whoever needs chance is handed a function, so that a test can hand a seeded one and print it.

/** A number at least 0 and below 1. */
export type Random = () => number;

/** Mulberry32: 32 bits of state, enough for load spreading and for repeatable tests; not for secrets. */
export function seededRandom(seed: number): Random {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296;
  };
}
