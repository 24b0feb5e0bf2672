// Questions to the workers that wait for their answers: each worker is asked under a number of its own, and a round ends
// when all have answered or its time is up. The change's way; a worker that keeps silent costs the asker that time only.

import type { Milliseconds } from "../../core/clock.ts";
import type { WorkerStatus } from "../../state/worker-protocol.ts";

type Waiting = (status: WorkerStatus) => void;

export class StatusQuestions {
  readonly #waiting = new Map<number, Waiting>();
  #lastId = 0;

  /** Asks each slot through `send`; gives the answers that came in time, by slot. */
  ask(
    slots: readonly number[],
    send: (slot: number, id: number) => void,
    timeoutMs: Milliseconds,
  ): Promise<Map<number, WorkerStatus>> {
    const answers = new Map<number, WorkerStatus>();
    if (slots.length === 0) return Promise.resolve(answers);
    return new Promise((resolve) => {
      const ids: number[] = [];
      const finish = () => {
        clearTimeout(timer);
        for (const id of ids) this.#waiting.delete(id);
        resolve(answers);
      };
      const timer = setTimeout(finish, timeoutMs);
      for (const slot of slots) {
        const id = ++this.#lastId;
        ids.push(id);
        this.#waiting.set(id, (status) => {
          answers.set(slot, status);
          if (answers.size === slots.length) finish();
        });
        send(slot, id);
      }
    });
  }

  /** An answer that comes too late is nobody's any more. */
  take(id: number, status: WorkerStatus): void {
    const waiting = this.#waiting.get(id);
    this.#waiting.delete(id);
    waiting?.(status);
  }
}
