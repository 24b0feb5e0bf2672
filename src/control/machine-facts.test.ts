// This machine as it is: loopback, its programs and users. What the facts mean is judge-machine.test.ts.

import assert from "node:assert/strict";
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import type { MachineWant } from "../config/machine-wants.ts";
import { ownerMark } from "../io/owned-addresses.ts";
import { addressFlag } from "../wire/netlink/route.ts";
import { loadConfig } from "./load-config.ts";
import { gatherFacts, isOurs } from "./machine-facts.ts";

const place = { file: "lb.yaml", line: 1, column: 1, path: [] };

test("interfaces have their own addresses, loopback among them", async () => {
  const facts = await gatherFacts([]);
  assert(facts.ok);
  assert(facts.value.interfaces.get("lo")?.includes("127.0.0.1"), JSON.stringify([...facts.value.interfaces]));
});

test("a program is looked for as it would be run, and a user where users are", async (t) => {
  const folder = mkdtempSync(join(tmpdir(), "evenkeel-facts-"));
  t.after(() => rmSync(folder, { recursive: true }));
  const [script, text] = [join(folder, "script"), join(folder, "text")];
  writeFileSync(script, "#!/bin/sh\n");
  chmodSync(script, 0o755);
  writeFileSync(text, "");
  chmodSync(text, 0o644);
  const programs = [script, text, folder, join(folder, "none"), join(text, "below"), "sh", "no-such-program-here"];
  const wants: MachineWant[] = [
    ...programs.map((program): MachineWant => ({ kind: "program", program, place })),
    { kind: "user", user: "root", place },
    { kind: "user", user: "no-such-user-here", place },
  ];
  const facts = await gatherFacts(wants);
  assert(facts.ok);
  assert.deepEqual(
    programs.map((program) => facts.value.programs.get(program)),
    ["fine", "notExecutable", "directory", "missing", "missing", "fine", "missing"],
  );
  assert.deepEqual(
    [...facts.value.users],
    [
      ["root", true],
      ["no-such-user-here", false],
    ],
  );
});

test("a file for another machine is not held against this one", async (t) => {
  const folder = mkdtempSync(join(tmpdir(), "evenkeel-facts-"));
  t.after(() => rmSync(folder, { recursive: true }));
  const file = join(folder, "lb.yaml");
  const router = "{ interface: no-such-if, vrid: 1, priority: 1, addresses: [192.0.2.9], track: [balancer] }";
  writeFileSync(file, `ha: { virtualRouters: { VI_1: ${router} } }\n`);
  const here = await loadConfig(file);
  assert(!here.ok);
  assert.match(
    here.problems.join("\n"),
    /^\S+lb\.yaml:1:44: there is no interface `no-such-if` on this machine; expected one of/,
  );
  assert.equal((await loadConfig(file, { elsewhere: true })).ok, true);
});

test("an address that this program has put there is not the machine's own, on kernels old and new", () => {
  const permanent = { protocol: 0, flags: addressFlag.permanent };
  const leased = { protocol: 0, flags: 0 };
  const loopback = { protocol: 1, flags: addressFlag.permanent };
  const marked = { protocol: ownerMark, flags: 0 };
  const fresh = [loopback, permanent, leased, marked];
  assert.deepEqual(
    fresh.map((entry) => isOurs(entry, fresh)),
    [false, false, false, true],
    "a DHCP lease is the machine's",
  );
  const old = [permanent, leased];
  assert.deepEqual(
    old.map((entry) => isOurs(entry, old)),
    [false, true],
  );
});
