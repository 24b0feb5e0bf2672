// What keepalived takes without a word and then does not do: each such line is an error with its place, by `evenkeel validate` and
// at the start alike, and all of them are told at once.

import assert from "node:assert/strict";
import { chmodSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { evenkeel, temporaryDirectory } from "./kit.ts";
import { type Machine, machine, noMachines } from "./netns-kit.ts";

const limit = { timeout: 60_000, skip: noMachines };

async function judge(t: TestContext, at: Machine, text: string, command: readonly string[] = ["validate"]) {
  const folder = temporaryDirectory(t);
  const file = join(folder, "lb.yaml");
  writeFileSync(file, text);
  const ran = await at.run(t, evenkeel, [...command, "-c", file]);
  return { code: ran.code, told: ran.stderr.replaceAll(`${file}:`, "") };
}

/** A machine with eth0, 10.49.0.1/24. */
function host(t: TestContext): Machine {
  const at = machine(t, "host");
  at.ip(
    "link add eth0 type veth peer name far",
    "link set far up",
    "link set eth0 up",
    "addr add 10.49.0.1/24 dev eth0",
  );
  return at;
}

test("each line that would do nothing is an error with its place, in validate and at the start", limit, async (t) => {
  const at = host(t);
  const folder = temporaryDirectory(t);
  const [plain, loose] = [join(folder, "plain"), join(folder, "loose")];
  writeFileSync(plain, "#!/bin/sh\n", { mode: 0o644 });
  writeFileSync(loose, "#!/bin/sh\n");
  chmodSync(loose, 0o777);
  const shape = `ha:
  tracks: { fine: { command: [/bin/true] } }
  virtualRouters:
    A: { interface: eth0, vrid: 0, priority: 100, addresses: [10.49.0.99], track: [fine] }
    B: { interface: eth0, vrid: 2, priority: 300, addresses: [10.49.0.98], track: [fine] }
    C: { interface: eth0, vrid: 3, priority: 100, addresses: [10.49.0.97], track: [checkk] }
`;
  const shaped = await judge(t, at, shape);
  assert.equal(shaped.code, 1);
  assert.match(shaped.told, /^4:\d+: vrid: 0 is out of range; expected a whole number from 1 to 255$/m);
  assert.match(shaped.told, /^5:\d+: priority: 300 is out of range; expected a whole number from 1 to 255$/m);
  assert.match(shaped.told, /^6:\d+: .*checkk/m);
  const wants = `ha:
  tracks:
    missing: { command: [${folder}/none] }
    plain: { command: [${plain}] }
    loose: { command: [${loose}] }
  virtualRouters:
    A: { interface: eth0, vrid: 1, priority: 100, addresses: [10.49.0.1], track: [missing, plain, loose] }
    B: { interface: eth1, vrid: 2, priority: 100, addresses: [10.49.0.98], track: [plain] }
`;
  for (const command of [["validate"], ["run"]]) {
    const { code, told } = await judge(t, at, wants, command);
    const lines = told.replaceAll("evenkeel: ", "");
    assert.equal(code, 1, told);
    assert.match(lines, /^3:\d+: there is no program `.*none`/m);
    assert.match(lines, /^4:\d+: `.*plain` is not executable/m);
    assert.match(lines, /^5:\d+: `.*loose` would run as root, which may be changed by everybody/m);
    assert.match(lines, /^7:\d+: `10\.49\.0\.1` is this machine's own address on eth0/m);
    assert.match(lines, /^8:\d+: there is no interface `eth1` on this machine/m);
    assert.equal(lines.trim().split("\n").length, 5, lines);
  }
});

test(
  "two nodes' files are held against each other: what keeps them apart, and what never moves the address",
  limit,
  async (t) => {
    const at = host(t);
    const folder = temporaryDirectory(t);
    const file = (name: string, node: string, rest: string, more = "") => {
      const path = join(folder, `${name}.yaml`);
      const router = `{ interface: eth0, vrid: 51, ${rest} }`;
      writeFileSync(
        path,
        `node: ${node}\nha:\n  tracks: { chk: { command: [/bin/true], weight: -5 } }\n  virtualRouters:\n    A: ${router}\n${more}`,
      );
      return path;
    };
    const own = file(
      "one",
      "lb-1",
      "version: 2, priority: 100, password: secret, addresses: [10.49.0.99], track: [chk]",
    );
    const peers: readonly (readonly [string, string, RegExp])[] = [
      [
        "weight",
        "version: 2, priority: 90, password: secret, addresses: [10.49.0.99], track: [chk]",
        /weight -5 never moves the addresses/,
      ],
      [
        "lists",
        "version: 2, priority: 90, password: secret, addresses: [10.49.0.98], track: [chk]",
        /addresses: 10\.49\.0\.99 only here, 10\.49\.0\.98 only there/,
      ],
      [
        "interval",
        "version: 2, priority: 98, advertisementInterval: 2s, password: secret, addresses: [10.49.0.99], track: [chk]",
        /advertisementInterval: 1s here, 2s there/,
      ],
      ["version", "version: 3, priority: 98, addresses: [10.49.0.99], track: [chk]", /version: 2 here, 3 there/],
      [
        "password",
        "version: 2, priority: 98, password: other, addresses: [10.49.0.99], track: [chk]",
        /password: they differ/,
      ],
      [
        "equal",
        "version: 2, priority: 100, password: secret, addresses: [10.49.0.99], track: [chk]",
        /priority: 100 here and there/,
      ],
      [
        "blind",
        "version: 2, priority: 98, password: secret, addresses: [10.49.0.99], track: []",
        /track: none here, some there|track.*nothing|no track/i,
      ],
    ];
    for (const [name, rest, words] of peers) {
      const ran = await at.run(t, evenkeel, ["validate", "-c", own, "--peer", file(name, "lb-2", rest)]);
      assert.match(ran.stderr, words, name);
    }
    const good = file(
      "good",
      "lb-2",
      "version: 2, priority: 98, password: secret, addresses: [10.49.0.99], track: [chk]",
    );
    const fits = await at.run(t, evenkeel, ["validate", "-c", own, "--peer", good]);
    assert.equal(fits.code, 0, fits.stderr);
  },
);

test("an insecure command is a warning where that is wanted, and an interface may be waited for", limit, async (t) => {
  const at = host(t);
  const folder = temporaryDirectory(t);
  const loose = join(folder, "loose");
  writeFileSync(loose, "#!/bin/sh\n");
  chmodSync(loose, 0o777);
  const { code, told } = await judge(
    t,
    at,
    `ha:
  insecureCommands: warn
  tracks: { loose: { command: [${loose}] } }
  virtualRouters:
    B: { interface: eth1, waitForInterface: true, vrid: 2, priority: 100, addresses: [10.49.0.98], track: [loose] }
`,
  );
  assert.equal(code, 0, told);
  assert.match(told, /^warning: 3:\d+: `.*loose` would run as root/m);
});
