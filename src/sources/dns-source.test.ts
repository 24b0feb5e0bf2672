import assert from "node:assert/strict";
import { getServers } from "node:dns";
import { test } from "node:test";
import type { DnsSource } from "../model/source.ts";
import { dnsServers, openDns } from "./dns-source.ts";

const source: DnsSource = {
  type: "dns",
  name: "app.example.com",
  record: "address",
  port: 80,
  servers: ["127.0.0.1:1"],
  refresh: { least: 1_000, most: 60_000 },
  required: false,
  startTimeout: 1_000,
  requestTimeout: 1_000,
  retry: { first: 1_000, most: 1_000 },
  dump: { path: undefined, format: "json" },
};

test("servers have port 53 where none is named, and are the system's where none is", () => {
  assert.deepEqual(dnsServers(["10.0.0.2:5353", "10.0.0.3", "2001:db8::53", "[2001:db8::54]:54"]), [
    { host: "10.0.0.2", port: 5353 },
    { host: "10.0.0.3", port: 53 },
    { host: "2001:db8::53", port: 53 },
    { host: "2001:db8::54", port: 54 },
  ]);
  assert.equal(dnsServers([]).length, getServers().length);
});

test("a name that is none is told like any other failure, and a closed watch says nothing", async () => {
  const told: string[] = [];
  const deps = { clock: () => 0, random: () => 0, known: [] };
  const watch = await new Promise<ReturnType<typeof openDns>>((resolve) => {
    const listener = {
      read: () => told.push("read"),
      failed: ({ code }: { readonly code: string }) => {
        told.push(code);
        resolve(opened);
      },
    };
    const opened = openDns({ ...source, name: "app example" }, { name: "app", slowStart: 0 }, listener, deps);
    assert.deepEqual(told, [], "nothing is told before it has returned");
  });
  assert.deepEqual(watch.status(), {
    endpoint: "",
    connected: false,
    answeredAgoMs: undefined,
    answers: 0,
    failures: 1,
    lastFailure: "`app example` has the label `app example`, which is none (dns.name.syntax)",
  });
  watch.close();
  assert.deepEqual(told, ["dns.name.syntax"]);
});
