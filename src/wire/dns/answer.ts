// Reads the answer of a DNS server: header, question, and of the answer and authority sections the records that a source
// lives by (RFC 1035 section 4, RFC 3596, RFC 2782, RFC 2308). The change's way. Strict and total: whatever the bytes, it
// answers with what they say or with the one fault that killed the message, never an exception. Must not judge whether
// the answer is to our question: the one who asked does.

import { good, type Result } from "../../core/failure.ts";
import { addressAt } from "../ip-bytes.ts";
import { dnsFault } from "./faults.ts";
import { decodeName } from "./name.ts";
import { classInternet, recordType } from "./query.ts";

export type DnsRecord =
  | { readonly type: "A" | "AAAA"; readonly name: string; readonly ttlSeconds: number; readonly address: string }
  | { readonly type: "CNAME" | "NS"; readonly name: string; readonly ttlSeconds: number; readonly target: string }
  | {
      readonly type: "SRV";
      readonly name: string;
      readonly ttlSeconds: number;
      readonly priority: number;
      readonly weight: number;
      readonly port: number;
      readonly target: string;
    }
  | { readonly type: "SOA"; readonly name: string; readonly ttlSeconds: number; readonly minimumSeconds: number };

export type DnsAnswer = {
  readonly id: number;
  /** Type as a number: it may be any. undefined where a refusing server left the question out. */
  readonly question: { readonly name: string; readonly type: number; readonly class: number } | undefined;
  /** The server answers for the zone itself. */
  readonly isAuthoritative: boolean;
  /** The server asks others for us, so an empty answer of it is an answer. */
  readonly isRecursive: boolean;
  /** It did not fit into the datagram: sections are not read then, what is there is not the whole. */
  readonly isTruncated: boolean;
  /** With the upper bits of EDNS (RFC 6891 section 6.1.3). */
  readonly rcode: number;
  readonly answers: readonly DnsRecord[];
  readonly authority: readonly DnsRecord[];
};

export const rcode = {
  noError: 0,
  formatError: 1,
  serverFailure: 2,
  nameError: 3,
  notImplemented: 4,
  refused: 5,
} as const;

const headerBytes = 12;
const flag = { answer: 0x8000, authoritative: 0x0400, truncated: 0x0200, recursive: 0x0080 } as const;

const word = (bytes: Uint8Array, at: number) => ((bytes[at] ?? 0) << 8) | (bytes[at + 1] ?? 0);
const long = (bytes: Uint8Array, at: number) => word(bytes, at) * 0x10000 + word(bytes, at + 2);

/** Number of the message, if there is as much of it: for telling whose answer it is before the rest is read. */
export function answerId(message: Uint8Array): number | undefined {
  return message.length < 2 ? undefined : word(message, 0);
}

/**
 * Reads a whole message. Records of other types and classes are stepped over; bytes behind the last record mean nothing
 * (as unbound has it). Fails with a code of faults.ts.
 */
export function decodeAnswer(message: Uint8Array): Result<DnsAnswer> {
  if (message.length < headerBytes) return dnsFault("dns.length.short");
  const flags = word(message, 2);
  if ((flags & flag.answer) === 0) return dnsFault("dns.header.question");
  if (((flags >> 11) & 0xf) !== 0) return dnsFault("dns.header.opcode");
  const headerRcode = flags & 0xf;
  const isTruncated = (flags & flag.truncated) !== 0;
  const question = decodeQuestion(message, headerRcode);
  if (!question.ok) return question;
  const sections = isTruncated ? good(noSections) : decodeSections(message, question.value.end);
  if (!sections.ok) return sections;
  return good({
    id: word(message, 0),
    question: question.value.question,
    isAuthoritative: (flags & flag.authoritative) !== 0,
    isRecursive: (flags & flag.recursive) !== 0,
    isTruncated,
    rcode: (sections.value.rcodeUpper << 4) | headerRcode,
    answers: sections.value.answers,
    authority: sections.value.authority,
  });
}

type Question = { readonly question: DnsAnswer["question"]; readonly end: number };

function decodeQuestion(message: Uint8Array, headerRcode: number): Result<Question> {
  const count = word(message, 4);
  // A server that could not read the question cannot repeat it. Nothing but a failure comes of such an answer.
  if (count === 0 && headerRcode !== rcode.noError && headerRcode !== rcode.nameError) {
    return good({ question: undefined, end: headerBytes });
  }
  if (count !== 1) return dnsFault("dns.question.count");
  const name = decodeName(message, headerBytes);
  if (!name.ok) return name;
  const { end } = name.value;
  if (end + 4 > message.length) return dnsFault("dns.length.short");
  const question = { name: name.value.name, type: word(message, end), class: word(message, end + 2) };
  return good({ question, end: end + 4 });
}

type Sections = {
  readonly answers: readonly DnsRecord[];
  readonly authority: readonly DnsRecord[];
  readonly rcodeUpper: number;
};
const noSections: Sections = { answers: [], authority: [], rcodeUpper: 0 };

function decodeSections(message: Uint8Array, start: number): Result<Sections> {
  const counts = [word(message, 6), word(message, 8), word(message, 10)];
  const sections: DnsRecord[][] = [[], [], []];
  let rcodeUpper = 0;
  let at = start;
  for (const [section, count] of counts.entries()) {
    for (let index = 0; index < count; index++) {
      const placed = placeRecord(message, at);
      if (!placed.ok) return placed;
      at = placed.value.end;
      const { type, dataClass } = placed.value;
      if (type === recordType.OPT && section === 2) rcodeUpper = placed.value.ttl >>> 24;
      if (dataClass !== classInternet || section === 2) continue;
      const record = decodeRecord(message, placed.value);
      if (!record.ok) return record;
      if (record.value !== undefined) sections[section]?.push(record.value);
    }
  }
  return good({ answers: sections[0] ?? [], authority: sections[1] ?? [], rcodeUpper });
}

type Placed = {
  readonly name: string;
  readonly type: number;
  readonly dataClass: number;
  readonly ttl: number;
  readonly dataStart: number;
  readonly end: number;
};

/** name | type 2 | class 2 | time to live 4 | length 2 | data */
function placeRecord(message: Uint8Array, at: number): Result<Placed> {
  const name = decodeName(message, at);
  if (!name.ok) return name;
  const fixed = name.value.end;
  const dataStart = fixed + 10;
  const end = dataStart + word(message, fixed + 8);
  if (dataStart > message.length || end > message.length) return dnsFault("dns.length.short");
  return good({
    name: name.value.name,
    type: word(message, fixed),
    dataClass: word(message, fixed + 2),
    ttl: long(message, fixed + 4),
    dataStart,
    end,
  });
}

function decodeRecord(message: Uint8Array, placed: Placed): Result<DnsRecord | undefined> {
  const { name, type, dataStart, end } = placed;
  // RFC 2181 section 8: one with the highest bit set counts as 0.
  const ttlSeconds = placed.ttl > 0x7fffffff ? 0 : placed.ttl;
  switch (type) {
    case recordType.A:
      if (end - dataStart !== 4) return dnsFault("dns.record.length");
      return good({ type: "A", name, ttlSeconds, address: addressAt(message, dataStart, 4) });
    case recordType.AAAA:
      if (end - dataStart !== 16) return dnsFault("dns.record.length");
      return good({ type: "AAAA", name, ttlSeconds, address: addressAt(message, dataStart, 6) });
    case recordType.CNAME:
    case recordType.NS: {
      const target = nameThatEnds(message, dataStart, end);
      if (!target.ok) return target;
      return good({ type: type === recordType.NS ? "NS" : "CNAME", name, ttlSeconds, target: target.value });
    }
    case recordType.SRV: {
      // RFC 2782 forbids compressed targets; old servers send them all the same and RFC 3597 section 4 has us read them.
      const target = nameThatEnds(message, dataStart + 6, end);
      if (!target.ok) return target;
      const [priority, weight, port] = [
        word(message, dataStart),
        word(message, dataStart + 2),
        word(message, dataStart + 4),
      ];
      return good({ type: "SRV", name, ttlSeconds, priority, weight, port, target: target.value });
    }
    case recordType.SOA: {
      const minimumSeconds = soaMinimum(message, dataStart, end);
      return minimumSeconds.ok
        ? good({ type: "SOA", name, ttlSeconds, minimumSeconds: minimumSeconds.value })
        : minimumSeconds;
    }
    default:
      return good(undefined);
  }
}

/** A name that is the rest of a record's data, to its last byte. */
function nameThatEnds(message: Uint8Array, at: number, end: number): Result<string> {
  if (at >= end) return dnsFault("dns.record.length");
  const name = decodeName(message, at);
  if (!name.ok) return name;
  return name.value.end === end ? good(name.value.name) : dnsFault("dns.record.length");
}

/** primary name | mailbox name | serial 4 | refresh 4 | retry 4 | expire 4 | minimum 4 */
function soaMinimum(message: Uint8Array, dataStart: number, end: number): Result<number> {
  const primary = decodeName(message, dataStart);
  if (!primary.ok) return primary;
  const mailbox = decodeName(message, primary.value.end);
  if (!mailbox.ok) return mailbox;
  if (mailbox.value.end + 20 !== end) return dnsFault("dns.record.length");
  const minimum = long(message, end - 4);
  return good(minimum > 0x7fffffff ? 0 : minimum);
}
