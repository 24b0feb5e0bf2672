import assert from "node:assert/strict";
import { test } from "node:test";
import type { DnsAnswer, DnsRecord } from "../wire/dns/answer.ts";
import { aliasesMax, judgeAnswer } from "./dns-answer.ts";

const asked = { name: "app.example.com", type: "A" } as const;

function answerOf(parts: Partial<DnsAnswer>): DnsAnswer {
  const flags = { isAuthoritative: false, isRecursive: true, isTruncated: false, rcode: 0 };
  return { id: 1, question: { ...asked, type: 1, class: 1 }, ...flags, answers: [], authority: [], ...parts };
}
const address = (last: number, ttlSeconds = 60, name = "app.example.com"): DnsRecord => ({
  type: "A",
  name,
  ttlSeconds,
  address: `10.0.4.${last}`,
});
const alias = (name: string, target: string, ttlSeconds = 60): DnsRecord => ({
  type: "CNAME",
  name,
  ttlSeconds,
  target,
});
const soa: DnsRecord = { type: "SOA", name: "example.com", ttlSeconds: 900, minimumSeconds: 300 };
const servers: DnsRecord = { type: "NS", name: "example.com", ttlSeconds: 900, target: "ns.example.com" };

const judge = (parts: Partial<DnsAnswer>) => {
  const judged = judgeAnswer(answerOf(parts), asked);
  return judged.ok ? judged.value : judged.failure.code;
};

test("records of the name and the type count, the shortest time to live of them holds", () => {
  const records = [address(20), address(21, 30)];
  const other: DnsRecord = { type: "AAAA", name: asked.name, ttlSeconds: 1, address: "2001:db8::1" };
  assert.deepEqual(judge({ answers: [...records, other, address(99, 1, "other.example.com")] }), {
    records,
    ttl: 30_000,
    next: undefined,
  });
});

test("aliases are followed, and their time to live counts as well", () => {
  const answers = [
    alias("b.example.com", "c.net", 5),
    address(20, 60, "c.net"),
    alias("app.example.com", "b.example.com", 9),
  ];
  assert.deepEqual(judge({ answers }), { records: [address(20, 60, "c.net")], ttl: 5_000, next: undefined });
});

test("an alias whose end is not in the answer is asked for, unless the server says that there is nothing", () => {
  const answers = [alias("app.example.com", "app.example.net", 9)];
  assert.deepEqual(judge({ answers }), { records: [], ttl: 9_000, next: "app.example.net" });
  const nothing = { records: [], ttl: 9_000, next: undefined };
  assert.deepEqual(judge({ answers, authority: [soa] }), nothing);
  assert.deepEqual(judge({ answers, authority: [soa], rcode: 3 }), nothing);
});

test("a ring of aliases has an end", () => {
  assert.equal(judge({ answers: [alias("app.example.com", "app.example.com")] }), "dns.aliases");
  const long = Array.from({ length: aliasesMax + 1 }, (_, index) =>
    alias(index === 0 ? asked.name : `a${index}`, `a${index + 1}`),
  );
  assert.equal(judge({ answers: long }), "dns.aliases");
  assert.equal(typeof judge({ answers: long.slice(1).concat(alias(asked.name, "a2")) }), "object");
});

test("nothing is an answer from one who knows the zone or asks for us, for as long as it says", () => {
  const nothing = (ttl: number) => ({ records: [], ttl, next: undefined });
  assert.deepEqual(judge({ authority: [soa] }), nothing(300_000));
  assert.deepEqual(judge({ authority: [soa], rcode: 3 }), nothing(300_000));
  assert.deepEqual(judge({ rcode: 3, isRecursive: false, isAuthoritative: true }), nothing(0));
  assert.deepEqual(judge({ authority: [{ ...soa, ttlSeconds: 7 }] }), nothing(7_000));
});

test("a referral is no answer", () => {
  assert.equal(judge({ isRecursive: false, authority: [servers] }), "dns.referral");
  assert.equal(judge({ isRecursive: false }), "dns.referral");
  assert.equal(judge({ isRecursive: false, rcode: 3 }), "dns.referral");
});

test("every refusal has its code", () => {
  const codes = [1, 2, 4, 5, 9, 16].map((rcode) => judge({ rcode, answers: [address(20)] }));
  const expected = ["formatError", "serverFailure", "notImplemented", "refused", "rcode", "rcode"];
  assert.deepEqual(
    codes,
    expected.map((code) => `dns.${code}`),
  );
});
