// "Did you mean": the name that a mistyped one most likely stands for. On the change's way, only after something was
// refused, so it may cost a little. Must stay silent rather than guess wildly: a wrong suggestion is worse than none.

/** Names beyond this many are not compared. */
const candidatesMax = 5000;

/**
 * The candidate nearest to `name`: equal but for case, `-` and `_`; or at most 1, 2 or 3 slips away (for names of up to
 * 3, 5 and more letters); or the only one that begins with it or that it begins with. Ties go to the first.
 */
export function nearest(name: string, candidates: readonly string[]): string | undefined {
  if (name.length > 128) return undefined;
  const plain = withoutStyle(name);
  const sameWord = candidates.find((candidate) => withoutStyle(candidate) === plain);
  if (sameWord !== undefined) return sameWord;

  const slipsMax = name.length <= 3 ? 1 : name.length <= 5 ? 2 : 3;
  let best: string | undefined;
  let bestSlips = slipsMax + 1;
  for (const candidate of candidates.slice(0, candidatesMax)) {
    if (Math.abs(candidate.length - name.length) >= bestSlips) continue;
    const slips = slipsBetween(name.toLowerCase(), candidate.toLowerCase());
    // All letters replaced is another word, not a slip.
    if (slips < bestSlips && slips < Math.min(name.length, candidate.length)) {
      best = candidate;
      bestSlips = slips;
    }
  }
  return best ?? onlyPrefix(plain, candidates);
}

function withoutStyle(name: string): string {
  return name.toLowerCase().replaceAll(/[-_.]/g, "");
}

function onlyPrefix(plain: string, candidates: readonly string[]): string | undefined {
  if (plain.length < 3) return undefined;
  const matches = candidates.filter((candidate) => {
    const other = withoutStyle(candidate);
    return other.length >= 3 && (other.startsWith(plain) || plain.startsWith(other));
  });
  return matches.length === 1 ? matches[0] : undefined;
}

/**
 * Optimal string alignment distance: insertions, deletions, substitutions and swaps of neighbours (the restricted form
 * of Damerau-Levenshtein), over UTF-16 units.
 */
export function slipsBetween(left: string, right: string): number {
  let beforeLast: number[] = [];
  let last = Array.from({ length: right.length + 1 }, (_, index) => index);
  for (let row = 1; row <= left.length; row++) {
    const current = [row];
    for (let column = 1; column <= right.length; column++) {
      const same = left[row - 1] === right[column - 1];
      let slips = Math.min(
        (last[column] ?? 0) + 1,
        (current[column - 1] ?? 0) + 1,
        (last[column - 1] ?? 0) + (same ? 0 : 1),
      );
      const swapped =
        row > 1 && column > 1 && left[row - 1] === right[column - 2] && left[row - 2] === right[column - 1];
      if (swapped) slips = Math.min(slips, (beforeLast[column - 2] ?? 0) + 1);
      current.push(slips);
    }
    beforeLast = last;
    last = current;
  }
  return last[right.length] ?? 0;
}
