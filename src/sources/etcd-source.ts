// Targets from etcd (version 3, by its JSON gateway) in nginx-upsync-module's layout: `<prefix><ip:port>`. The driver of one
// watch, on the change's way: the whole list is read, then every change after it comes by a stream; whatever is wrong with
// the stream, the list is read anew, from the next endpoint. Nothing of the list changes but by an answer of etcd's own.

import type { Milliseconds } from "../core/clock.ts";
import type { Failure } from "../core/failure.ts";
import type { EtcdSource } from "../model/source.ts";
import { firstTurn, turnAnswered, turnFailed } from "./endpoints.ts";
import { EntryBook, folderOf } from "./entry-book.ts";
import { EtcdList } from "./etcd-list.ts";
import {
  decodeRange,
  decodeWatchLine,
  type EtcdError,
  encodePulse,
  encodeRange,
  encodeWatch,
  type KeyRange,
  rangeOfPrefix,
} from "./etcd-message.ts";
import { explainError } from "./etcd-refusal.ts";
import { EtcdSession } from "./etcd-session.ts";
import { EtcdStream } from "./etcd-stream.ts";
import { idleCost, type Pace, startPace, takePace } from "./pace.ts";
import type { SourceDeps, SourceListener, SourcePool, SourceWatch, SourceWatchStatus } from "./source.ts";
import { failed, StoreClient } from "./store-client.ts";

/** Failures: `etcd.*`, and those of the store client. */
export function openEtcd(
  source: EtcdSource,
  pool: SourcePool,
  listener: SourceListener,
  deps: SourceDeps,
): SourceWatch {
  const watch = new EtcdWatch(source, listener, deps, new EntryBook(pool, deps.known));
  watch.begin();
  return watch;
}

/**
 * A stream is as silent as the list is quiet, and etcd itself says nothing for ten minutes (its progress notices; asking for
 * one needs a request body that stays open while the answer comes, which HTTP/1.1 gives nobody). So after this part of
 * requestTimeout without a word the same server is asked for a sign of life, which a hung one, one without its cluster and
 * one behind a cut network cannot give, and which tells as well whether the stream has lost something.
 */
const silentPart = 0.5;

class EtcdWatch implements SourceWatch {
  readonly #source: EtcdSource;
  readonly #listener: SourceListener;
  readonly #deps: SourceDeps;
  readonly #book: EntryBook;
  readonly #client: StoreClient;
  readonly #session: EtcdSession;
  readonly #range: KeyRange;
  readonly #list: EtcdList;
  #turn = firstTurn;
  #readPace: Pace;
  #tellPace: Pace;
  /** The next read, or the next sign of life. */
  #timer: NodeJS.Timeout | undefined;
  /** A reading that waits for its pace. */
  #telling: NodeJS.Timeout | undefined;
  #giveUpQuestion = () => {};
  #giveUpStream = () => {};
  #closed = false;
  #connected = false;
  #answeredAtMs: Milliseconds | undefined;
  #answers = 0;
  #failures = 0;
  #lastFailure: string | undefined;

  constructor(source: EtcdSource, listener: SourceListener, deps: SourceDeps, book: EntryBook) {
    const folder = folderOf(source.prefix);
    this.#source = source;
    this.#listener = listener;
    this.#deps = deps;
    this.#book = book;
    this.#client = new StoreClient(source.tls);
    this.#session = new EtcdSession(this.#client, source);
    this.#range = rangeOfPrefix(folder);
    this.#list = new EtcdList(folder);
    this.#readPace = startPace(deps.clock());
    this.#tellPace = this.#readPace;
  }

  begin(): void {
    this.#timer = setTimeout(() => this.#read(), 0);
  }

  status(): SourceWatchStatus {
    const answeredAtMs = this.#answeredAtMs;
    return {
      endpoint: this.#endpoint(),
      connected: this.#connected,
      answeredAgoMs: answeredAtMs === undefined ? undefined : this.#deps.clock() - answeredAtMs,
      answers: this.#answers,
      failures: this.#failures,
      lastFailure: this.#lastFailure,
    };
  }

  close(): void {
    this.#closed = true;
    this.#drop();
    clearTimeout(this.#telling);
    this.#client.close();
  }

  #endpoint(): string {
    return this.#source.endpoints[this.#turn.at] ?? "";
  }

  /** Whatever is asked or waited for. */
  #drop(): void {
    this.#connected = false;
    clearTimeout(this.#timer);
    this.#giveUpQuestion();
    this.#giveUpStream();
  }

  #failed(failure: Failure): void {
    const { endpoints, retry } = this.#source;
    this.#drop();
    this.#failures++;
    this.#lastFailure = `${failure.detail} (${failure.code})`;
    const { turn, delay } = turnFailed(this.#turn, { count: endpoints.length, ...retry }, this.#deps.random);
    this.#turn = turn;
    this.#timer = setTimeout(() => this.#read(), delay);
    this.#listener.failed(failure);
  }

  #answered(): void {
    this.#answers++;
    this.#answeredAtMs = this.#deps.clock();
  }

  /** The stream is in order and yet of no use any more. */
  #readAnew(): void {
    this.#drop();
    this.#timer = setTimeout(() => this.#read(), 0);
  }

  #read(): void {
    const endpoint = this.#endpoint();
    const question = { endpoint, path: "/kv/range", body: encodeRange(this.#range) };
    this.#giveUpQuestion = this.#session.ask(question, (answer) => {
      const read = answer.ok ? decodeRange(answer.value, endpoint) : answer;
      if (!read.ok) return this.#failed(read.failure);
      this.#answered();
      const isNew = this.#list.replace(read.value);
      const { pace, delay } = takePace(this.#readPace, this.#deps.clock(), isNew ? 1 : idleCost);
      this.#readPace = pace;
      // Before it is told: the stream begins while the news is carried on. Nothing can come back before that.
      if (delay === 0) this.#openStream();
      else this.#timer = setTimeout(() => this.#openStream(), delay);
      this.#tell();
    });
  }

  #openStream(): void {
    const { requestTimeout } = this.#source;
    const endpoint = this.#endpoint();
    const body = encodeWatch(this.#range, this.#list.revision + 1n);
    const stream = new EtcdStream(endpoint, {
      lines: (lines) => this.#heard(lines),
      failed: (failure) => this.#failed(failure),
    });
    this.#timer = setTimeout(() => {
      this.#failed(failed("source.timeout", `${endpoint}: no watch within ${Math.round(requestTimeout)} ms`).failure);
    }, requestTimeout);
    this.#giveUpStream = this.#session.watch({ endpoint, path: "/watch", body }, stream);
  }

  /** All that came in one piece makes one reading. */
  #heard(lines: readonly string[]): void {
    let changed = false;
    for (const line of lines) {
      const step = this.#follow(line);
      if (step === "over") return;
      if (step === "changed") changed = true;
    }
    this.#answered();
    this.#awaitSilence();
    if (changed) this.#tellPaced();
  }

  /** `over`: this stream is left. */
  #follow(line: string): "begun" | "changed" | "over" {
    const decoded = decodeWatchLine(line, this.#endpoint());
    if (!decoded.ok) {
      this.#failed(decoded.failure);
      return "over";
    }
    const message = decoded.value;
    switch (message.type) {
      case "created":
        this.#turn = turnAnswered(this.#turn);
        this.#connected = true;
        return "begun";
      case "events":
        if (this.#list.apply(message.header, message.events)) return "changed";
        this.#readAnew();
        return "over";
      case "compacted":
        this.#readAnew();
        return "over";
      case "canceled":
        this.#canceled(message.said);
        return "over";
      default:
        message satisfies never;
        return "over";
    }
  }

  #canceled(said: EtcdError): void {
    const refusal = explainError(`${this.#endpoint()} ended the watch`, said);
    if (refusal.wantsToken) this.#session.forget();
    this.#failed(refusal.failure);
  }

  #awaitSilence(): void {
    if (!this.#connected) return;
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#feelPulse(), this.#source.requestTimeout * silentPart);
  }

  #feelPulse(): void {
    const endpoint = this.#endpoint();
    const asked = this.#list.standing();
    const body = encodePulse(this.#range, asked.revision);
    this.#giveUpQuestion();
    this.#giveUpQuestion = this.#session.ask({ endpoint, path: "/kv/range", body }, (answer) => {
      const pulse = answer.ok ? decodeRange(answer.value, endpoint) : answer;
      if (!pulse.ok) return this.#failed(pulse.failure);
      this.#answered();
      if (this.#list.fits(pulse.value, asked)) this.#awaitSilence();
      else this.#readAnew();
    });
  }

  #tell(): void {
    clearTimeout(this.#telling);
    this.#telling = undefined;
    this.#listener.read(this.#book.read(this.#list.entries(), String(this.#list.revision)));
  }

  /** A long burst of changes is told 50 times a second; of a list of ten thousand, which takes 20 ms to be read, 5 times. */
  #tellPaced(): void {
    if (this.#telling !== undefined || this.#closed) return;
    const { pace, delay } = takePace(this.#tellPace, this.#deps.clock(), 1 + this.#list.size / 1000);
    this.#tellPace = pace;
    if (delay === 0) this.#tell();
    else this.#telling = setTimeout(() => this.#tell(), delay);
  }
}
