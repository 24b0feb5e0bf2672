// Targets from DNS: A and AAAA of a name, or SRV and the addresses of what it names. The driver of one watch, on the change's
// way: one round of questions after the other, the next when the shortest time to live is over, at another server when one
// fails. A server that says that there is nothing is obeyed; one that cannot say, or says nothing, changes nothing.

import { Resolver } from "node:dns";
import { formatIp, formatSocketAddress, parseIp, parseSocketAddress, type SocketAddress } from "../core/address.ts";
import type { Milliseconds } from "../core/clock.ts";
import type { Failure, Result } from "../core/failure.ts";
import type { DnsSource } from "../model/source.ts";
import { parseName } from "../wire/dns/name.ts";
import { askDns } from "./dns-client.ts";
import { askRound, type DnsRound, type KnownNames } from "./dns-round.ts";
import { targetsOfPlaces } from "./dns-targets.ts";
import { firstTurn, turnAnswered, turnFailed } from "./endpoints.ts";
import type { SourceDeps, SourceListener, SourcePool, SourceWatch, SourceWatchStatus } from "./source.ts";
import { failed } from "./store-client.ts";

/** Failures: `dns.*`, `source.timeout`, `source.connect.*`, `source.answer.*`. */
export function openDns(source: DnsSource, pool: SourcePool, listener: SourceListener, deps: SourceDeps): SourceWatch {
  const watch = new DnsWatch(source, pool, listener, deps);
  watch.begin();
  return watch;
}

class DnsWatch implements SourceWatch {
  readonly #source: DnsSource;
  readonly #pool: SourcePool;
  readonly #listener: SourceListener;
  readonly #deps: SourceDeps;
  readonly #ending = new AbortController();
  readonly #known: KnownNames = new Map();
  #servers: readonly SocketAddress[] = [];
  #turn = firstTurn;
  #timer: NodeJS.Timeout | undefined;
  #connected = false;
  #answeredAtMs: Milliseconds | undefined;
  #answers = 0;
  #failures = 0;
  #lastFailure: string | undefined;

  constructor(source: DnsSource, pool: SourcePool, listener: SourceListener, deps: SourceDeps) {
    this.#source = source;
    this.#pool = pool;
    this.#listener = listener;
    this.#deps = deps;
  }

  begin(): void {
    this.#askIn(0);
  }

  status(): SourceWatchStatus {
    const answeredAtMs = this.#answeredAtMs;
    const server = this.#server();
    return {
      endpoint: server === undefined ? "" : formatSocketAddress(server),
      connected: this.#connected,
      answeredAgoMs: answeredAtMs === undefined ? undefined : this.#deps.clock() - answeredAtMs,
      answers: this.#answers,
      failures: this.#failures,
      lastFailure: this.#lastFailure,
    };
  }

  close(): void {
    this.#connected = false;
    clearTimeout(this.#timer);
    this.#ending.abort();
  }

  #askIn(delay: Milliseconds): void {
    this.#timer = setTimeout(() => {
      // Never rejects: every outcome of a question is a value, and what is thrown here is a broken invariant.
      void this.#ask();
    }, delay);
  }

  #server(): SocketAddress | undefined {
    return this.#servers[this.#turn.at % Math.max(1, this.#servers.length)];
  }

  async #ask(): Promise<void> {
    const round = await this.#askRound();
    if (this.#ending.signal.aborted) return;
    if (round.ok) this.#answered(round.value);
    else this.#failed(round.failure);
  }

  async #askRound(): Promise<Result<DnsRound>> {
    const { name: written, record, port, requestTimeout: timeout } = this.#source;
    const name = parseName(written);
    if (!name.ok) return name;
    this.#servers = dnsServers(this.#source.servers);
    const server = this.#server();
    if (server === undefined) return failed("dns.servers", "no server is named, neither in the file nor by the system");
    const { signal } = this.#ending;
    const wish = { name: name.value, record, port };
    return askRound(wish, (question) => askDns(question, { server, timeout, signal }), this.#known);
  }

  #answered(round: DnsRound): void {
    const { least, most } = this.#source.refresh;
    this.#turn = turnAnswered(this.#turn);
    this.#answers++;
    this.#answeredAtMs = this.#deps.clock();
    this.#connected = true;
    this.#askIn(Math.min(most, Math.max(least, round.ttl)));
    const { targets, damaged } = targetsOfPlaces(round.places, this.#pool);
    this.#listener.read({ targets, damaged: [...round.damaged, ...damaged], revision: undefined });
  }

  #failed(failure: Failure): void {
    this.#connected = false;
    this.#failures++;
    this.#lastFailure = `${failure.detail} (${failure.code})`;
    const rules = { count: Math.max(1, this.#servers.length), ...this.#source.retry };
    const { turn, delay } = turnFailed(this.#turn, rules, this.#deps.random);
    this.#turn = turn;
    this.#askIn(delay);
    this.#listener.failed(failure);
  }
}

const dnsPort = 53;

/** Those of the file, or the system's as they are now: a machine that moves to another network has others. */
export function dnsServers(named: readonly string[]): readonly SocketAddress[] {
  const texts = named.length > 0 ? named : new Resolver().getServers();
  return texts.flatMap((text) => {
    const address = parseIp(text);
    if (address !== undefined) return [{ host: formatIp(address), port: dnsPort }];
    const parsed = parseSocketAddress(text);
    return parsed.ok ? [parsed.value] : [];
  });
}
