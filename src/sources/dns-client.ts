// Asks one DNS server one question: a datagram, sent again while nothing comes, and TCP where the answer does not fit. An
// edge, on the change's way. What an answer says is its caller's business. It must not take anybody's word but the
// server's: each question has an id and a port of its own that nobody can guess, the kernel lets through what comes from
// the server's address alone, and what does not repeat the question is passed over (RFC 5452 section 9.1).

import { randomInt } from "node:crypto";
import { createSocket, type Socket as DatagramSocket } from "node:dgram";
import { connect, type Socket } from "node:net";
import { formatSocketAddress, type SocketAddress } from "../core/address.ts";
import type { Milliseconds } from "../core/clock.ts";
import type { Failure, Result } from "../core/failure.ts";
import { answerId, type DnsAnswer, decodeAnswer, rcode } from "../wire/dns/answer.ts";
import { classInternet, encodeQuery, recordType } from "../wire/dns/query.ts";
import type { DnsQuestion } from "./dns-answer.ts";
import { failed } from "./store-client.ts";
import { explainStoreError } from "./store-error.ts";

export type DnsAsk = {
  /** Its host in canonical text. */
  readonly server: SocketAddress;
  /** For the whole of it, whatever ways are tried. */
  readonly timeout: Milliseconds;
  /** Resolves at once with `source.closed`. */
  readonly signal: AbortSignal;
};

/** When nothing has come, the datagram goes again after these parts of the timeout. */
const sentAgainAt: readonly number[] = [0.15, 0.45];

/**
 * Datagrams that are not the answer before TCP is taken instead: somebody guesses ids, and over TCP there is a sequence
 * number to guess as well.
 */
export const strayMax = 32;

/** BADVERS (RFC 6891 section 6.1.3): the server knows EDNS, but not ours. */
const badVersion = 16;

/**
 * Resolves with an answer that repeats the question, whatever its rcode. Failures: `source.timeout`,
 * `source.connect.*`, `source.answer.*` and `source.closed`. RFC 1035 section 4.2, RFC 7766.
 */
export function askDns(question: DnsQuestion, ask: DnsAsk): Promise<Result<DnsAnswer>> {
  return new Promise((resolve) => {
    new Asking(question, ask, resolve).begin();
  });
}

class Asking {
  readonly #question: DnsQuestion;
  readonly #ask: DnsAsk;
  readonly #resolve: (result: Result<DnsAnswer>) => void;
  readonly #timers: NodeJS.Timeout[] = [];
  readonly #closed = () => this.#finish(failed("source.closed", "nobody wants to know any more"));
  #datagrams: DatagramSocket | undefined;
  #isConnected = false;
  #stream: Socket | undefined;
  /** What has come by TCP. */
  #pieces: Buffer[] = [];
  #received = 0;
  #id = 0;
  #edns = true;
  #strays = 0;
  #doing = "waiting for the answer";
  /** What was wrong with the last message that could have been the answer. */
  #fault: Failure | undefined;
  #over = false;

  constructor(question: DnsQuestion, ask: DnsAsk, resolve: (result: Result<DnsAnswer>) => void) {
    this.#question = question;
    this.#ask = ask;
    this.#resolve = resolve;
  }

  begin(): void {
    const { signal, timeout } = this.#ask;
    if (signal.aborted) {
      this.#closed();
      return;
    }
    signal.addEventListener("abort", this.#closed, { once: true });
    this.#timers.push(setTimeout(() => this.#timeOut(), timeout));
    for (const part of sentAgainAt) this.#timers.push(setTimeout(() => this.#send(), part * timeout));
    this.#openDatagrams();
  }

  #name(): string {
    return formatSocketAddress(this.#ask.server);
  }

  #openDatagrams(): void {
    const { host, port } = this.#ask.server;
    const socket = createSocket(host.includes(":") ? "udp6" : "udp4");
    this.#datagrams = socket;
    this.#isConnected = false;
    this.#id = randomInt(0x10000);
    socket.on("error", (error) => {
      if (this.#datagrams === socket) this.#broken(error);
    });
    socket.on("message", (message, from) => {
      // What came before the socket was connected may be anybody's.
      if (this.#datagrams === socket && from.address === host && from.port === port) this.#heard(message);
    });
    // Connected: the kernel picks an unused port by chance, gives us the server's datagrams only, and its ICMP refusals.
    // Not as connect's own callback: that one is called where there is no route as well, in place of the event.
    socket.once("connect", () => {
      if (this.#datagrams !== socket) return;
      this.#isConnected = true;
      this.#send();
    });
    socket.connect(port, host);
  }

  #query(): Uint8Array {
    return encodeQuery({ id: this.#id, ...this.#question, edns: this.#edns });
  }

  /** Again with the same id from the same port: several questions at a time would multiply a guesser's chance. */
  #send(): void {
    const socket = this.#datagrams;
    if (!this.#isConnected || socket === undefined) return;
    socket.send(this.#query(), (error) => {
      if (error !== null && this.#datagrams === socket) this.#broken(error);
    });
  }

  #heard(message: Uint8Array): void {
    if (this.#over || this.#stream !== undefined) return;
    const answer = this.#match(message);
    if (answer === undefined) {
      if (++this.#strays >= strayMax) this.#openStream();
      return;
    }
    if (this.#edns && answer.rcode !== rcode.noError && isEdnsRefusal(answer)) {
      this.#edns = false;
      this.#dropDatagrams();
      this.#openDatagrams();
    } else if (answer.isTruncated) this.#openStream();
    else this.#finish({ ok: true, value: answer });
  }

  /** The answer to our question, or undefined: what another is meant for, what nobody can read, what somebody made up. */
  #match(message: Uint8Array): DnsAnswer | undefined {
    if (answerId(message) !== this.#id) return undefined;
    const decoded = decodeAnswer(message);
    if (!decoded.ok) {
      this.#fault = decoded.failure;
      return undefined;
    }
    const { question } = decoded.value;
    const { name, type } = this.#question;
    const repeats =
      question === undefined ||
      (question.name === name && question.type === recordType[type] && question.class === classInternet);
    return repeats ? decoded.value : undefined;
  }

  #openStream(): void {
    this.#dropDatagrams();
    this.#doing = "waiting for the answer by TCP";
    const { host, port } = this.#ask.server;
    const stream = connect({ host, port });
    this.#stream = stream;
    this.#id = randomInt(0x10000);
    stream.on("error", (error) => this.#broken(error));
    stream.on("close", () => this.#finish(failed("source.answer.cut", `${this.#name()} closed the connection`)));
    stream.on("data", (bytes: Buffer) => this.#receivedPart(bytes));
    const query = this.#query();
    stream.write(Buffer.concat([Buffer.from([query.length >> 8, query.length & 0xff]), query]));
  }

  /** Two bytes of length, then the message; a server may send them in any pieces. */
  #receivedPart(bytes: Buffer): void {
    this.#pieces.push(bytes);
    this.#received += bytes.length;
    if (this.#received < 2 || this.#over) return;
    const [first = bytes] = this.#pieces;
    // Together only once: a byte at a time would otherwise be copied thousands of times.
    const start = first.length >= 2 ? first : Buffer.concat(this.#pieces.slice(0, 2));
    const end = 2 + start.readUInt16BE(0);
    if (this.#received < end) return;
    const answer = this.#match(Buffer.concat(this.#pieces).subarray(2, end));
    if (answer !== undefined && !answer.isTruncated) this.#finish({ ok: true, value: answer });
    else this.#finish(this.#unreadable("source.answer.invalid", "what came by TCP is not the answer"));
  }

  #timeOut(): void {
    const { timeout } = this.#ask;
    this.#finish(this.#unreadable("source.timeout", `${this.#doing} took more than ${Math.round(timeout)} ms`));
  }

  #unreadable(code: string, text: string) {
    const fault = this.#fault;
    const more = fault === undefined ? "" : `; the last message could not be read: ${fault.detail} (${fault.code})`;
    return failed(code, `${this.#name()}: ${text}${more}`);
  }

  #broken(error: NodeJS.ErrnoException): void {
    this.#finish(explainStoreError(this.#name(), error, this.#doing));
  }

  #dropDatagrams(): void {
    const socket = this.#datagrams;
    this.#datagrams = undefined;
    this.#isConnected = false;
    // With its listeners: a socket that is not connected yet closes by its own.
    socket?.close();
  }

  #finish(result: Result<DnsAnswer>): void {
    if (this.#over) return;
    this.#over = true;
    for (const timer of this.#timers) clearTimeout(timer);
    this.#ask.signal.removeEventListener("abort", this.#closed);
    this.#dropDatagrams();
    this.#stream?.destroy();
    this.#resolve(result);
  }
}

function isEdnsRefusal(answer: DnsAnswer): boolean {
  return answer.rcode === rcode.formatError || answer.rcode === rcode.notImplemented || answer.rcode === badVersion;
}
