// Writes a question to a DNS server: one standard query that asks for recursion (RFC 1035 section 4.1), with EDNS so that
// up to 1,232 bytes of answer fit into one datagram (RFC 6891). The change's way. The id is the caller's business: it
// must be one that nobody can guess (RFC 5452 section 4.3).
//
//   id 2 | flags 2 | questions 2 | answers 2 | authority 2 | additional 2
//   name | type 2 | class 2                                                    the question
//   0 | type 41 2 | payload 2 | extended rcode 1 | version 1 | flags 2 | 0 2   the OPT record

import { encodeName } from "./name.ts";

export const recordType = { A: 1, NS: 2, CNAME: 5, SOA: 6, AAAA: 28, SRV: 33, OPT: 41 } as const;
export const classInternet = 1;

export type AskedType = "A" | "AAAA" | "SRV";

/** What fits into one datagram on every path, with the headers of IPv6: what resolvers have agreed on since 2020. */
export const datagramBytesMax = 1232;

export type DnsQuery = {
  /** 0 to 65535. */
  readonly id: number;
  readonly name: string;
  readonly type: AskedType;
  /** false for servers that refuse what they don't know (RFC 6891 section 7). */
  readonly edns: boolean;
};

/** The message as a datagram carries it; over TCP two bytes of length go before it (RFC 1035 section 4.2.2). */
export function encodeQuery(query: DnsQuery): Uint8Array {
  const word = (value: number) => [value >> 8, value & 0xff];
  const recursionDesired = 0x0100;
  const header = [query.id, recursionDesired, 1, 0, 0, query.edns ? 1 : 0].flatMap(word);
  const question = [...encodeName(query.name), ...word(recordType[query.type]), ...word(classInternet)];
  const opt = query.edns ? [0, ...word(recordType.OPT), ...word(datagramBytesMax), 0, 0, 0, 0, 0, 0] : [];
  return Uint8Array.from([...header, ...question, ...opt]);
}
