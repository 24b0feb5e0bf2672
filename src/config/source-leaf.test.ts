import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { dnsName, endpoint, keyPrefix, nameServer, staysHere } from "./source-leaf.ts";

const consul = endpoint({ usualPort: 8500, secrets: "the token in `tokenFile`" });

/** What a leaf makes of a text; undefined when it refuses. */
function made(leaf: typeof consul, text: string): string | undefined {
  return leaf.safeParse(text).data;
}

/** All that is said of a text. */
function said(leaf: typeof consul, text: string): string {
  return JSON.stringify(leaf.safeParse(text).error?.issues ?? []);
}

test("one spelling stands for a server, and is read as itself again", () => {
  const spellings = ["Consul:8500", "http://consul:8500", "http://CONSUL:8500"];
  assert.deepEqual([...new Set(spellings.map((text) => made(consul, text)))], ["http://consul:8500"]);
  assert.equal(made(consul, "https://[2001:DB8:0::1]"), "https://[2001:db8::1]:443");
  const host = fc.constantFrom("a", "a.b-c", "10.0.0.1", "[::1]", "[fe80:0::1]", "a_b", "-", "1.2.3", "");
  const scheme = fc.constantFrom("", "http://", "https://", "ftp://", "://");
  const port = fc.constantFrom("", ":1", ":65535", ":65536", ":08", ":", ":x");
  fc.assert(
    fc.property(fc.tuple(scheme, host, port), (parts) => {
      const read = made(consul, parts.join(""));
      if (read === undefined) return;
      assert.equal(made(consul, read), read);
      const { protocol, hostname, pathname } = new URL(read);
      assert.equal(`${protocol}//${hostname}${pathname}`, read.replace(/:\d+$/, "/"));
    }),
  );
});

test("whatever is wrong with it, an address is not repeated when it may hold a password", () => {
  const noise = fc.string({ unit: fc.constantFrom(..."/:@?#[].ahtp% "), maxLength: 12 });
  fc.assert(
    fc.property(noise, noise, (before, after) => {
      const text = `${before}SeCrEt@${after}`;
      assert.equal(made(consul, text), undefined);
      assert.doesNotMatch(said(consul, text), /secret/i);
    }),
  );
});

test("only addresses of this machine stay here, whatever their names begin with", () => {
  const here = ["http://127.0.0.1:1", "https://[::1]:1", "http://localhost:8500", "127.8.8.8:1"];
  assert.deepEqual(here.filter(staysHere), here);
  const away = ["http://127.example.com:1", "http://10.0.0.1:1", "http://localhost.example.com:1", "https://[::2]:1"];
  assert.deepEqual(away.filter(staysHere), []);
});

test("a prefix as nginx-upsync-module's lines have it is corrected to ours", () => {
  const corrected = (store: "consul" | "etcd", text: string) =>
    /"suggestion":"([^"]*)"/.exec(said(keyPrefix(store), text))?.[1];
  assert.equal(corrected("consul", "127.0.0.1:8500/v1/kv/upstreams/app/"), "upstreams/app/");
  assert.equal(corrected("consul", "http://127.0.0.1:8500/v1/kv/upstreams/app"), "upstreams/app/");
  assert.equal(corrected("consul", "/upstreams//app/"), "upstreams/app/");
  assert.equal(corrected("etcd", "10.0.0.1:2379/v2/keys/upstreams/app"), "upstreams/app/");
  assert.equal(made(keyPrefix("etcd"), "/upstreams//app/"), "/upstreams//app/");
  for (const text of ["", "/", "a/\u0000/", `${"a".repeat(512)}/`])
    assert.equal(made(keyPrefix("consul"), text), undefined);
});

test("names of the DNS and name servers have one spelling", () => {
  assert.equal(made(dnsName(), "_HTTP._tcp.App.Example."), "_http._tcp.app.example");
  for (const text of ["", ".", "a..b", "10.0.0.1", "a.1", "-a.b", "a b", "a".repeat(64)]) {
    assert.equal(made(dnsName(), text), undefined, text);
  }
  assert.equal(made(nameServer(), "::1"), "[::1]:53");
  assert.equal(made(nameServer(), "[::1]:5353"), "[::1]:5353");
  for (const text of ["", "::", "a:53", "10.0.0.1:0", "[::1]"]) assert.equal(made(nameServer(), text), undefined, text);
});
