// Which pools have changed since which generation: what a worker that is a few changes behind must be sent. One number a
// pool, so it does not grow with the changes. Pure but for its own map; the change's way.

export class PoolChanges {
  /** The last whole snapshot: what came before it cannot be told in pools. */
  #since = 0;
  readonly #changed = new Map<string, number>();

  /** A whole snapshot: more than pools may differ. */
  restart(generation: number): void {
    this.#since = generation;
    this.#changed.clear();
  }

  note(generation: number, pools: Iterable<string>): void {
    for (const pool of pools) this.#changed.set(pool, generation);
  }

  /** The pools that have changed after that generation; undefined when it is older than the last whole snapshot. */
  after(generation: number): ReadonlySet<string> | undefined {
    if (generation < this.#since) return undefined;
    const names = new Set<string>();
    for (const [name, changedAt] of this.#changed) if (changedAt > generation) names.add(name);
    return names;
  }
}
