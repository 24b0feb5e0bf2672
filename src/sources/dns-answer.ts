// What an answer of a DNS server says about the name that was asked for: records, none at all, or "ask for that other
// name". The change's way, pure. The line that it draws is what an empty pool hangs on: a server that knows that there is
// nothing has answered, one that does not know, or points elsewhere, has not.

import type { Milliseconds } from "../core/clock.ts";
import { good, type Result } from "../core/failure.ts";
import { type DnsAnswer, type DnsRecord, rcode } from "../wire/dns/answer.ts";
import type { AskedType } from "../wire/dns/query.ts";
import { failed } from "./store-client.ts";

export type DnsQuestion = { readonly name: string; readonly type: AskedType };

export type DnsFound = {
  /** Of the type that was asked for, in the order of the answer; empty: there are none. */
  readonly records: readonly DnsRecord[];
  /** How long that holds. */
  readonly ttl: Milliseconds;
  /** The answer ends with an alias of this name, and nothing of what it has: it must be asked for. */
  readonly next: string | undefined;
};

/** Aliases in a row, over all answers (unbound follows as many). */
export const aliasesMax = 12;

const refusals: Readonly<Record<number, readonly [code: string, text: string]>> = {
  [rcode.formatError]: ["dns.formatError", "it could not read the question (FORMERR)"],
  [rcode.serverFailure]: ["dns.serverFailure", "it could not find out (SERVFAIL)"],
  [rcode.notImplemented]: ["dns.notImplemented", "it does not answer such questions (NOTIMP)"],
  [rcode.refused]: ["dns.refused", "it refuses to answer us (REFUSED)"],
};

/**
 * Reads an answer that has been matched with its question. NXDOMAIN is empty for the type that was asked for alone: some
 * servers answer a question for AAAA so although the name has an A (RFC 4074 section 4.2). Of a chain of aliases it is the
 * last that does not exist (RFC 6604 section 3). Failures: `dns.formatError`, `.serverFailure`, `.notImplemented`,
 * `.refused`, `.rcode`, `.aliases`, and `.referral` where the server neither knows nor asks others.
 */
export function judgeAnswer(answer: DnsAnswer, asked: DnsQuestion): Result<DnsFound> {
  if (answer.rcode !== rcode.noError && answer.rcode !== rcode.nameError) {
    const [code, text] = refusals[answer.rcode] ?? ["dns.rcode", `it answered with code ${answer.rcode}`];
    return failed(code, `${asked.type} of ${asked.name}: ${text}`);
  }
  const alias = followAliases(answer.answers, asked);
  if (!alias.ok) return alias;
  const { name, ttlSeconds, followed } = alias.value;
  const records = answer.answers.filter((record) => record.type === asked.type && record.name === name);
  if (records.length > 0) {
    const ttls = records.map((record) => record.ttlSeconds);
    return good({ records, ttl: Math.min(ttlSeconds, ...ttls) * 1000, next: undefined });
  }
  if (!answer.isAuthoritative && !answer.isRecursive) {
    return failed("dns.referral", `${asked.type} of ${asked.name}: it serves no such zone and asks nobody for us`);
  }
  const soa = answer.authority.find((record) => record.type === "SOA");
  if (soa === undefined && followed && answer.rcode === rcode.noError) {
    return good({ records, ttl: ttlSeconds * 1000, next: name });
  }
  // RFC 2308 section 5. One that does not say (section 2.2.1, type 3) may be asked again at once.
  const negativeSeconds = soa === undefined ? 0 : Math.min(soa.ttlSeconds, soa.minimumSeconds);
  return good({ records, ttl: Math.min(ttlSeconds, negativeSeconds) * 1000, next: undefined });
}

type Alias = { readonly name: string; readonly ttlSeconds: number; readonly followed: boolean };

function followAliases(records: readonly DnsRecord[], asked: DnsQuestion): Result<Alias> {
  let { name } = asked;
  let ttlSeconds = Number.MAX_SAFE_INTEGER / 1000;
  for (let aliases = 0; aliases <= aliasesMax; aliases++) {
    const alias = records.find((record) => record.type === "CNAME" && record.name === name);
    if (alias?.type !== "CNAME") return good({ name, ttlSeconds, followed: aliases > 0 });
    name = alias.target;
    ttlSeconds = Math.min(ttlSeconds, alias.ttlSeconds);
  }
  return failed("dns.aliases", `${asked.name} has more than ${aliasesMax} aliases in a row`);
}
