// One round of questions about one pool to one server: A and AAAA, or SRV and the addresses of what it names, aliases
// followed. The change's way; who is asked and how is handed in. Either the round has a whole list, or it has failed and
// nothing changes: half an answer would take out targets that are well.

import type { Milliseconds } from "../core/clock.ts";
import { type Failure, good, type Result } from "../core/failure.ts";
import type { DnsAnswer, DnsRecord } from "../wire/dns/answer.ts";
import { aliasesMax, type DnsFound, type DnsQuestion, judgeAnswer } from "./dns-answer.ts";
import type { DnsPlace } from "./dns-targets.ts";
import type { DamagedEntry } from "./source.ts";
import { failed } from "./store-client.ts";

/** Asks one server one question, to an answer or a failure, in bounded time. */
export type AskDns = (question: DnsQuestion) => Promise<Result<DnsAnswer>>;

/** What is asked for. */
export type DnsWish = { readonly name: string; readonly record: "address" | "srv"; readonly port: number };

export type DnsRound = {
  readonly places: readonly DnsPlace[];
  readonly damaged: readonly DamagedEntry[];
  readonly ttl: Milliseconds;
};

/** Addresses of the names in SRV records as they were last known, for a name that its own server cannot tell us now. */
export type KnownNames = Map<string, readonly string[]>;

/** Names in the SRV records of one pool, and questions under way at a time. */
export const srvNamesMax = 1_000;
export const questionsAtOnce = 16;

/**
 * Asks for the whole list. Fails with what `ask` fails with and with the codes of dns-answer.ts. Of SRV, a name that
 * exists and has no address, or whose own zone cannot be resolved, is damage of its entry: the second keeps the
 * addresses of `known`, which is brought up to date.
 */
export async function askRound(wish: DnsWish, ask: AskDns, known: KnownNames): Promise<Result<DnsRound>> {
  if (wish.record === "srv") return askSrv(wish, ask, known);
  const found = await lookUpAddresses(wish.name, ask);
  if (!found.ok) return found;
  const { addresses, ttl } = found.value;
  const places = addresses.map((host) => ({ key: host, host, port: wish.port, priority: 0, weight: 1 }));
  return good({ places, damaged: [], ttl });
}

/** The records at the end of a name's aliases. */
export async function lookUp(question: DnsQuestion, ask: AskDns): Promise<Result<DnsFound>> {
  let asked = question;
  let ttl = Number.POSITIVE_INFINITY;
  for (let questions = 0; questions <= aliasesMax; questions++) {
    const answer = await ask(asked);
    if (!answer.ok) return answer;
    const found = judgeAnswer(answer.value, asked);
    if (!found.ok) return found;
    ttl = Math.min(ttl, found.value.ttl);
    if (found.value.next === undefined) return good({ ...found.value, ttl });
    asked = { name: found.value.next, type: question.type };
  }
  return failed("dns.aliases", `${question.name} has more than ${aliasesMax} aliases in a row`);
}

type Addresses = { readonly addresses: readonly string[]; readonly ttl: Milliseconds };

/** A and AAAA; both must be answered, for a missing one would take out all targets of its kind. */
async function lookUpAddresses(name: string, ask: AskDns): Promise<Result<Addresses>> {
  const [four, six] = await Promise.all([lookUp({ name, type: "A" }, ask), lookUp({ name, type: "AAAA" }, ask)]);
  if (!four.ok) return four;
  if (!six.ok) return six;
  return good({
    addresses: [...addressesIn(four.value.records), ...addressesIn(six.value.records)],
    ttl: shorter(four.value, six.value),
  });
}

/**
 * What of a family that is not there says how long it is not counts only where there is nothing at all: an IPv4 pool need
 * not be asked for every second because its zone is quick to have AAAA looked for again.
 */
function shorter(four: DnsFound, six: DnsFound): Milliseconds {
  if (four.records.length > 0 && six.records.length === 0) return four.ttl;
  if (six.records.length > 0 && four.records.length === 0) return six.ttl;
  return Math.min(four.ttl, six.ttl);
}

function addressesIn(records: readonly DnsRecord[]): string[] {
  return records.flatMap((record) => (record.type === "A" || record.type === "AAAA" ? [record.address] : []));
}

async function askSrv(wish: DnsWish, ask: AskDns, known: KnownNames): Promise<Result<DnsRound>> {
  const found = await lookUp({ name: wish.name, type: "SRV" }, ask);
  if (!found.ok) return found;
  // A target of "." says that the service is decidedly not there (RFC 2782).
  const records = found.value.records.filter((record) => record.type === "SRV").filter(({ target }) => target !== ".");
  const all = [...new Set(records.map((record) => record.target))];
  const names = all.slice(0, srvNamesMax);
  const resolved = await lookUpNames(names, ask);
  if (!resolved.ok) return resolved;
  const places: DnsPlace[] = [];
  const damaged: DamagedEntry[] = [];
  let { ttl } = found.value;
  for (const { target, port, priority, weight } of records) {
    const result = resolved.value.get(target);
    if (result === undefined) continue;
    const key = `${target}:${port}`;
    const hosts = result.ok ? result.value.addresses : (known.get(target) ?? []);
    if (result.ok) ttl = Math.min(ttl, result.value.ttl);
    const damage = damageOf(key, result, hosts);
    if (damage !== undefined) damaged.push(damage);
    for (const host of hosts) places.push({ key, host, port, priority, weight });
  }
  const spared = all[srvNamesMax];
  if (spared !== undefined) {
    const detail = `this name and ${all.length - srvNamesMax - 1} after it are beyond the limit of ${srvNamesMax}`;
    damaged.push({ key: spared, code: "source.entry.limit", detail, kept: false });
  }
  remember(known, names, resolved.value);
  return good({ places, damaged, ttl });
}

function damageOf(key: string, result: Result<Addresses>, hosts: readonly string[]): DamagedEntry | undefined {
  if (!result.ok) return { key, code: result.failure.code, detail: result.failure.detail, kept: hosts.length > 0 };
  if (hosts.length > 0) return undefined;
  return { key, code: "source.entry.address", detail: "this name has no address", kept: false };
}

function remember(known: KnownNames, names: readonly string[], results: ReadonlyMap<string, Result<Addresses>>): void {
  for (const name of known.keys()) if (!results.has(name)) known.delete(name);
  for (const name of names) {
    const result = results.get(name);
    if (result?.ok === true) known.set(name, result.value.addresses);
  }
}

/** A few at a time. What a name's own zone refuses stays with that name; that we are not answered at all ends the round. */
async function lookUpNames(
  names: readonly string[],
  ask: AskDns,
): Promise<Result<ReadonlyMap<string, Result<Addresses>>>> {
  const results = new Map<string, Result<Addresses>>();
  const waiting = [...names].reverse();
  let silence: Failure | undefined;
  const takeTurns = async (): Promise<void> => {
    for (let name = waiting.pop(); name !== undefined && silence === undefined; name = waiting.pop()) {
      const result = await lookUpAddresses(name, ask);
      if (!result.ok && !result.failure.code.startsWith("dns.")) silence = result.failure;
      results.set(name, result);
    }
  };
  // Two questions a name: A and AAAA.
  await Promise.all(Array.from({ length: questionsAtOnce / 2 }, takeTurns));
  return silence === undefined ? good(results) : { ok: false, failure: silence };
}
