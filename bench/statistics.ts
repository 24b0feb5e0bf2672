// The arithmetic of the benchmark: medians, spreads, ratios taken round by round, percentiles. Pure.

export type Spread = { readonly median: number; readonly min: number; readonly max: number };

/** The middle value, or the mean of the two in the middle. NaN for no values. */
export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  const upper = sorted[middle];
  if (upper === undefined) return Number.NaN;
  const lower = sorted[middle - 1];
  return sorted.length % 2 === 1 || lower === undefined ? upper : (lower + upper) / 2;
}

export function spread(values: readonly number[]): Spread {
  return { median: median(values), min: Math.min(...values), max: Math.max(...values) };
}

/**
 * One ratio a round, each between two measurements taken one after the other: what slows the machine for some seconds
 * touches both. Rounds that one of the two lacks (undefined) are left out.
 */
export function ratios(of: readonly (number | undefined)[], to: readonly (number | undefined)[]): number[] {
  const found: number[] = [];
  for (const [round, value] of of.entries()) {
    const base = to[round];
    if (value !== undefined && base !== undefined && base > 0) found.push(value / base);
  }
  return found;
}

/** How far a thing that should equal 1 strays from it, as fractions: in the median round and in the worst. */
export type Noise = { readonly typical: number; readonly worst: number };

/** The machine's noise from ratios of a thing to itself. Both are 0 for no ratios. */
export function noise(selfRatios: readonly number[]): Noise {
  if (selfRatios.length === 0) return { typical: 0, worst: 0 };
  const strays = selfRatios.map((ratio) => Math.abs(ratio - 1));
  return { typical: median(strays), worst: Math.max(...strays) };
}

/** The value below which the share `q` (0 to 1) of the sorted values lies, by the nearest rank. NaN for no values. */
export function percentile(sorted: ArrayLike<number>, q: number): number {
  const rank = Math.max(1, Math.ceil(q * sorted.length));
  return sorted[rank - 1] ?? Number.NaN;
}
