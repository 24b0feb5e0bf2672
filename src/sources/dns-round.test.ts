import assert from "node:assert/strict";
import { test } from "node:test";
import { good, type Result } from "../core/failure.ts";
import type { DnsAnswer, DnsRecord } from "../wire/dns/answer.ts";
import { recordType } from "../wire/dns/query.ts";
import { aliasesMax, type DnsQuestion } from "./dns-answer.ts";
import { type AskDns, askRound, type DnsWish, type KnownNames, questionsAtOnce, srvNamesMax } from "./dns-round.ts";
import { failed } from "./store-client.ts";

type Said = readonly DnsRecord[] | { readonly rcode: number } | "silence";

const soa: DnsRecord = { type: "SOA", name: "example.com", ttlSeconds: 60, minimumSeconds: 60 };

/** A server that knows these names: `app A` to records, or what it says instead. NXDOMAIN of the others. */
function server(zone: Readonly<Record<string, Said>>): { readonly ask: AskDns; readonly asked: string[] } {
  const asked: string[] = [];
  const ask = async (question: DnsQuestion): Promise<Result<DnsAnswer>> => {
    const text = `${question.name} ${question.type}`;
    asked.push(text);
    const said = zone[text] ?? { rcode: 3 };
    if (said === "silence") return failed("source.timeout", "nothing came");
    const answers = "rcode" in said ? [] : said;
    return good({
      id: 1,
      question: { name: question.name, type: recordType[question.type], class: 1 },
      isAuthoritative: true,
      isRecursive: false,
      isTruncated: false,
      rcode: "rcode" in said ? said.rcode : 0,
      answers,
      authority: answers.length === 0 ? [soa] : [],
    });
  };
  return { ask, asked };
}

const a = (name: string, last: number, ttlSeconds = 60): DnsRecord => ({
  type: "A",
  name,
  ttlSeconds,
  address: `10.0.4.${last}`,
});
const srv = (target: string, port = 80, ttlSeconds = 60): DnsRecord => ({
  type: "SRV",
  name: "_s.app",
  ttlSeconds,
  priority: 1,
  weight: 2,
  port,
  target,
});
const address: DnsWish = { name: "app", record: "address", port: 8080 };
const service: DnsWish = { name: "_s.app", record: "srv", port: 0 };

const ask = async (wish: DnsWish, zone: Readonly<Record<string, Said>>, known: KnownNames = new Map()) => {
  const round = await askRound(wish, server(zone).ask, known);
  if (!round.ok) return round.failure.code;
  const { places, damaged, ttl } = round.value;
  return {
    hosts: places.map(({ host, port }) => `${host} ${port}`),
    damaged: damaged.map(({ key, code, kept }) => `${key} ${code} ${kept}`),
    ttl,
  };
};

test("A and AAAA are one list, and one of them may be missing", async () => {
  const six: DnsRecord = { type: "AAAA", name: "app", ttlSeconds: 20, address: "2001:db8::1" };
  const both = { "app A": [a("app", 20, 90)], "app AAAA": [six] };
  assert.deepEqual(await ask(address, both), {
    hosts: ["10.0.4.20 8080", "2001:db8::1 8080"],
    damaged: [],
    ttl: 20_000,
  });
  // NODATA or, from servers that know no better, NXDOMAIN; how long that holds does not matter beside an address.
  for (const none of [{ rcode: 0 }, { rcode: 3 }]) {
    const zone = { "app A": [a("app", 20, 90)], "app AAAA": none };
    assert.deepEqual(await ask(address, zone), { hosts: ["10.0.4.20 8080"], damaged: [], ttl: 90_000 });
  }
  assert.deepEqual(await ask(address, {}), { hosts: [], damaged: [], ttl: 60_000 });
});

test("half an answer is none", async () => {
  assert.equal(await ask(address, { "app A": [a("app", 20)], "app AAAA": { rcode: 2 } }), "dns.serverFailure");
  assert.equal(await ask(address, { "app A": "silence", "app AAAA": [] }), "source.timeout");
});

test("aliases lead through several answers, but not for ever", async () => {
  const alias = (name: string, target: string): DnsRecord => ({ type: "CNAME", name, ttlSeconds: 60, target });
  const zone = { "app A": [alias("app", "one")], "one A": [alias("one", "two")], "two A": [a("two", 20)] };
  assert.deepEqual(await ask(address, zone), { hosts: ["10.0.4.20 8080"], damaged: [], ttl: 60_000 });
  const ring = { "app A": [alias("app", "one")], "one A": [alias("one", "app")] };
  const asking = server(ring);
  const round = await askRound(address, asking.ask, new Map());
  assert.equal(round.ok ? "read" : round.failure.code, "dns.aliases");
  assert.equal(asking.asked.filter((text) => text.endsWith(" A")).length, aliasesMax + 1);
});

test("SRV asks for each of its names once, and the shortest time to live holds", async () => {
  const zone = {
    "_s.app SRV": [srv("one"), srv("one", 81), srv("two", 82)],
    "one A": [a("one", 20, 30)],
    "two A": [a("two", 21)],
  };
  assert.deepEqual(await ask(service, zone), {
    hosts: ["10.0.4.20 80", "10.0.4.20 81", "10.0.4.21 82"],
    damaged: [],
    ttl: 30_000,
  });
  const asking = server(zone);
  await askRound(service, asking.ask, new Map());
  assert.deepEqual([...asking.asked].sort(), ["_s.app SRV", "one A", "one AAAA", "two A", "two AAAA"]);
});

test("a service that is decidedly not there has no targets", async () => {
  const asking = server({ "_s.app SRV": [srv(".")] });
  const round = await askRound(service, asking.ask, new Map());
  assert.deepEqual(round.ok && round.value.places, []);
  assert.deepEqual(asking.asked, ["_s.app SRV"]);
});

test("a name without an address is damage of its entry alone", async () => {
  const zone = { "_s.app SRV": [srv("one"), srv("two", 82)], "two A": [a("two", 21)] };
  assert.deepEqual(await ask(service, zone), {
    hosts: ["10.0.4.21 82"],
    damaged: ["one:80 source.entry.address false"],
    ttl: 60_000,
  });
});

test("a name whose zone cannot be resolved keeps its last addresses, until it is no longer named", async () => {
  const known: KnownNames = new Map();
  const records = [srv("one"), srv("two", 82)];
  const well = { "_s.app SRV": records, "one A": [a("one", 20)], "two A": [a("two", 21)] };
  const ill = { ...well, "one A": { rcode: 2 } };
  assert.deepEqual(await ask(service, ill, known), {
    hosts: ["10.0.4.21 82"],
    damaged: ["one:80 dns.serverFailure false"],
    ttl: 60_000,
  });
  await ask(service, well, known);
  assert.deepEqual(await ask(service, ill, known), {
    hosts: ["10.0.4.20 80", "10.0.4.21 82"],
    damaged: ["one:80 dns.serverFailure true"],
    ttl: 60_000,
  });
  await ask(service, { ...well, "_s.app SRV": [srv("two", 82)] }, known);
  assert.deepEqual([...known.keys()], ["two"]);
});

test("a server that falls silent within the round ends it, and nothing is forgotten", async () => {
  const known: KnownNames = new Map([["one", ["10.0.4.20"]]]);
  const zone = { "_s.app SRV": [srv("one"), srv("two")], "one A": [a("one", 20)], "two A": "silence" } as const;
  assert.equal(await ask(service, zone, known), "source.timeout");
  assert.deepEqual([...known.keys()], ["one"]);
});

test("names are limited, and so are questions at a time", async () => {
  const names = Array.from({ length: srvNamesMax + 3 }, (_, index) => `host-${index}`);
  const asking = server({ "_s.app SRV": names.map((name) => srv(name)) });
  let atOnce = 0;
  let most = 0;
  const counted: AskDns = async (question) => {
    most = Math.max(most, ++atOnce);
    const answer = await asking.ask(question);
    atOnce--;
    return answer;
  };
  const round = await askRound(service, counted, new Map());
  assert.equal(most, questionsAtOnce);
  assert.equal(asking.asked.length, 1 + 2 * srvNamesMax);
  assert.deepEqual(round.ok && round.value.damaged.at(-1), {
    key: `host-${srvNamesMax}`,
    code: "source.entry.limit",
    detail: `this name and 2 after it are beyond the limit of ${srvNamesMax}`,
    kept: false,
  });
});
