// Work that must not overlap: each piece begins when the one before it has ended, well or not. The change's way.

export class Serial {
  #last: Promise<unknown> = Promise.resolve();

  /** Resolves, or rejects, as the work does once its turn has come. */
  run<T>(work: () => Promise<T>): Promise<T> {
    const done = this.#last.then(work, work);
    this.#last = done;
    return done;
  }
}
