// The answer to a watch, as lines: what comes before it is understood as etcd's. The change's way. It must not decide what
// becomes of the watch, and keeps nothing of a line once it was handed on.

import type { Failure, Result } from "../core/failure.ts";
import { sourceAnswerBytesMax } from "../model/source.ts";
import { explainAnswer } from "./etcd-refusal.ts";
import { LineSplitter } from "./line-splitter.ts";
import { failed, type StoreStream } from "./store-client.ts";

/** Of an answer that is no stream. */
const refusalCharactersMax = 4096;

export type EtcdStreamEvents = {
  readonly lines: (lines: readonly string[]) => void;
  readonly failed: (failure: Failure) => void;
};

/** The answer to a watch: a line for each message, without an end. */
export class EtcdStream implements StoreStream {
  readonly #endpoint: string;
  readonly #events: EtcdStreamEvents;
  readonly #splitter = new LineSplitter(sourceAnswerBytesMax);
  #status = 0;
  /** Of an answer that is no stream: what it says. */
  #refusal = "";

  constructor(endpoint: string, events: EtcdStreamEvents) {
    this.#endpoint = endpoint;
    this.#events = events;
  }

  readonly head = ({ status }: { readonly status: number }): void => {
    this.#status = status;
  };

  readonly bytes = (bytes: Buffer): void => {
    if (this.#status !== 200) {
      if (this.#refusal.length < refusalCharactersMax) this.#refusal += bytes.toString("latin1");
      return;
    }
    const lines = this.#splitter.push(bytes);
    if (lines === undefined)
      this.#fail("source.answer.tooLarge", `sends a line of more than ${sourceAnswerBytesMax} bytes`);
    else if (lines.length > 0) this.#events.lines(lines);
  };

  readonly end = (result: Result<true>): void => {
    if (!result.ok) this.#events.failed(result.failure);
    else if (this.#status === 200) this.#fail("source.answer.cut", "ended the watch without a word");
    else {
      const answer = { status: this.#status, headers: {}, body: this.#refusal };
      this.#events.failed(explainAnswer(this.#endpoint, answer).failure);
    }
  };

  #fail(code: string, text: string): void {
    this.#events.failed(failed(code, `${this.#endpoint} ${text}`).failure);
  }
}
