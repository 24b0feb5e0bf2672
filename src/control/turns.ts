// One after the other, and never more than one in waiting: whoever asks while a run is under way gets the next run, which
// starts after it and so sees everything that was there when it was asked for. Five signals in a row are two runs.

export class Turns<T> {
  readonly #run: () => Promise<T>;
  #current: Promise<T> | undefined;
  #next: Promise<T> | undefined;

  constructor(run: () => Promise<T>) {
    this.#run = run;
  }

  ask(): Promise<T> {
    if (this.#current === undefined) return this.#start();
    this.#next ??= this.#current.then(
      () => this.#start(),
      () => this.#start(),
    );
    return this.#next;
  }

  /** Resolves when nothing is under way or in waiting that was asked for by now. */
  async idle(): Promise<void> {
    await Promise.allSettled([this.#current, this.#next]);
  }

  #start(): Promise<T> {
    this.#next = undefined;
    const current = this.#run().finally(() => {
      if (this.#current === current) this.#current = undefined;
    });
    this.#current = current;
    return current;
  }
}
