import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { comparePeers } from "./compare-peers.ts";
import { decodeConfig } from "./decode.ts";
import { describeFinding, type PeerFinding, type PeerSide } from "./peer-finding.ts";
import { describeProblems } from "./problem.ts";

function side(file: string, text: string): PeerSide {
  const hostname = file.replace(".yaml", "");
  const decoded = decodeConfig(text, { file, environment: {}, machine: { hostname, cores: 1 } });
  assert(decoded.ok, decoded.ok ? "" : describeProblems(decoded.problems));
  return decoded;
}

/** One virtual router on each of two nodes: what both have, then what each has alone. */
function compare(both: string, one: string, other: string): PeerFinding[] {
  const text = (own: string) => `ha:
  tracks: { chk: { command: [/bin/chk], weight: -20 }, low: { command: [/bin/low], weight: -5 }, num: { file: /run/n, upWhen: number, weight: 1 } }
  virtualRouters:
    VI_1: { interface: eth0, ${[both, own].filter((part) => part !== "").join(", ")} }
`;
  return comparePeers(side("lb-1.yaml", text(one)), side("lb-2.yaml", text(other)));
}

const base = "vrid: 51, addresses: [10.0.4.99], track: [chk, balancer]";
const told = (findings: readonly PeerFinding[]) => findings.map(({ severity, code }) => `${severity} ${code}`);

test("two nodes that differ in their priority alone fit together", () => {
  assert.deepEqual(compare(base, "priority: 100", "priority: 90"), []);
  assert.deepEqual(compare(base.replace("chk, ", ""), "priority: 255", "priority: 90"), []);
});

test("a finding has both places and says what becomes of the addresses", () => {
  const [finding] = compare(base, "priority: 100, version: 2", "priority: 90, version: 3");
  assert(finding !== undefined);
  assert.equal(
    describeFinding(finding),
    "lb-1.yaml:4:112: version: 2 here, 3 there: each drops what the other says, and both become active (lb-2.yaml:4:111); expected the same on all nodes",
  );
});

test("a weight that cannot bring the active node below the other one never moves the addresses", () => {
  const small = "vrid: 51, addresses: [10.0.4.99], track: [low, balancer]";
  const findings = compare(small, "priority: 100", "priority: 90");
  assert.deepEqual(told(findings), ["problem peers.weight"]);
  assert(findings[0] !== undefined);
  assert.equal(
    describeFinding(findings[0]),
    "lb-1.yaml:4:72: `low`: its weight -5 never moves the addresses: with every track down the priority is 95, and lb-2 has 90 (lb-2.yaml:4:98); expected weights of more than 10 together, or weight 0",
  );
  assert.deepEqual(told(compare(small, "priority: 100", "priority: 96")), []);
  // An equal priority leaves them where they are.
  assert.deepEqual(told(compare(small, "priority: 100", "priority: 95")), ["problem peers.weight"]);
  // The other way round the places change sides.
  const [reversed] = compare(small, "priority: 90", "priority: 100");
  assert.equal(reversed?.place.file, "lb-2.yaml");
  const together = "vrid: 51, addresses: [10.0.4.99], track: [low, chk]";
  assert.deepEqual(told(compare(together, "priority: 100", "priority: 76")), []);
  assert.deepEqual(told(compare(together, "priority: 100", "priority: 75")), [
    "problem peers.weight",
    "problem peers.weight",
  ]);
});

test("a standby with `preempt: false` leaves the addresses with a live node of any priority", () => {
  const findings = compare(base, "priority: 100", "priority: 90, preempt: false");
  assert.deepEqual(told(findings), ["problem peers.preempt"]);
  assert.match(findings[0]?.message ?? "", /lb-2 has `preempt: false`/);
  assert.deepEqual(told(compare(base.replace("chk, ", ""), "priority: 100", "priority: 90, preempt: false")), []);
});

test("weights count as the machine counts them: above 0 while up, and reversed", () => {
  const gaining = "vrid: 51, addresses: [10.0.4.99], track: [{ name: chk, weight: 20 }]";
  assert.deepEqual(told(compare(gaining, "priority: 100", "priority: 90")), []);
  assert.deepEqual(told(compare(gaining, "priority: 120", "priority: 100")), ["problem peers.weight"]);
  const plain = "vrid: 51, addresses: [10.0.4.99]";
  const raised = compare(plain, "priority: 100, track: [balancer]", "priority: 90, track: [{ name: chk, weight: 20 }]");
  assert.deepEqual(told(raised), [], "90 + 20 is the active one, and 90 is below 100");
});

test("equal priorities, and two owners", () => {
  assert.deepEqual(told(compare(base, "priority: 100", "priority: 100")), ["warning peers.equal"]);
  const owned = "vrid: 51, addresses: [10.0.4.99], track: [balancer], priority: 255";
  assert.deepEqual(told(compare(owned, "", "")), ["problem peers.owners"]);
});

test("intervals differ: fatal in version 2, adopted in version 3", () => {
  const two = `version: 2, ${base}`;
  assert.deepEqual(told(compare(two, "priority: 100", "priority: 90, advertisementInterval: 2s")), [
    "problem peers.interval",
  ]);
  assert.deepEqual(told(compare(base, "priority: 100", "priority: 90, advertisementInterval: 2s")), [
    "warning peers.interval",
  ]);
  assert.deepEqual(told(compare(base, "priority: 100", "priority: 90, downAdvertisements: 4")), ["warning peers.down"]);
});

test("passwords differ, and are not shown", () => {
  const two = `version: 2, ${base}`;
  for (const [one, other] of [
    ["password: secret1", "password: secret2"],
    ["", "password: secret2"],
    ["password: secret1", ""],
  ]) {
    const findings = compare(
      two,
      ["priority: 100", one].filter(Boolean).join(", "),
      ["priority: 90", other].filter(Boolean).join(", "),
    );
    assert.deepEqual(told(findings), ["problem peers.password"]);
    assert.equal(findings[0] && describeFinding(findings[0]).includes("secret"), false);
  }
});

test("address lists differ, in their addresses or only in their prefix lengths; their order does not matter", () => {
  const plain = "vrid: 51, track: [balancer]";
  const lists = (one: string, other: string) =>
    compare(plain, `priority: 100, addresses: [${one}]`, `priority: 90, addresses: [${other}]`);
  assert.deepEqual(told(lists("10.0.4.98, 10.0.4.99", "10.0.4.99, 10.0.4.98")), []);
  const [differing] = lists("10.0.4.98, 10.0.4.99", "10.0.4.99, 10.0.4.97");
  assert.equal(differing?.code, "peers.addresses");
  assert.match(differing?.message ?? "", /^addresses: 10\.0\.4\.98 only here, 10\.0\.4\.97 only there/);
  assert.deepEqual(told(lists("10.0.4.99/24", "10.0.4.99")), ["warning peers.prefix"]);
  const silent = compare(base, "priority: 100, silentAddresses: [10.0.4.1]", "priority: 90");
  assert.deepEqual(told(silent), ["problem peers.addresses"]);
});

test("a virtual router on one side only is told with its namesake's number", () => {
  const plain = "addresses: [10.0.4.99], track: [balancer]";
  const findings = compare(plain, "vrid: 51, priority: 100", "vrid: 52, priority: 90");
  assert.deepEqual(told(findings), ["problem peers.alone", "problem peers.alone"]);
  assert.match(
    findings[0]?.message ?? "",
    /`VI_1` \(vrid 51, IPv4\) is on this node alone.*`VI_1` has vrid 52 over IPv4 there/,
  );
});

test("names and interfaces may differ between the nodes, the number decides", () => {
  const one = side(
    "a.yaml",
    "ha: { virtualRouters: { A: { interface: eth0, vrid: 1, priority: 2, addresses: [10.0.4.9], track: [balancer] }, B: { interface: eth1, vrid: 1, priority: 2, addresses: [10.0.5.9], track: [balancer] } } }",
  );
  const other = side(
    "b.yaml",
    "ha: { virtualRouters: { X: { interface: eth1, vrid: 1, priority: 1, addresses: [10.0.5.9], track: [balancer] }, Y: { interface: eth0, vrid: 1, priority: 1, addresses: [10.0.4.9], track: [balancer] } } }",
  );
  assert.deepEqual(comparePeers(one, other), []);
});

test("unicast and multicast do not meet, and a peer that is not listed is not heard", () => {
  assert.deepEqual(told(compare(base, "priority: 100", "priority: 90, unicastPeers: [10.0.4.2]")), [
    "problem peers.unicast",
  ]);
  const listed = (peer: string) =>
    compare(
      base,
      `priority: 100, unicastPeers: [${peer}]`,
      "priority: 90, sourceAddress: 10.0.4.3, unicastPeers: [10.0.4.2]",
    );
  assert.deepEqual(told(listed("10.0.4.3")), []);
  assert.deepEqual(told(listed("10.0.4.4")), ["problem peers.unlisted"]);
});

test("one node that tracks nothing", () => {
  const plain = "vrid: 51, addresses: [10.0.4.99]";
  const findings = compare(plain, "priority: 100, track: [balancer]", "priority: 90");
  assert.deepEqual(told(findings), ["warning peers.untracked"]);
  assert.equal(findings[0]?.place.file, "lb-2.yaml");
});

const two = (own: { readonly first: number; readonly second: number; readonly group: string }) => `ha:
  virtualRouters:
    VI_1: { interface: eth0, vrid: 1, priority: ${own.first}, addresses: [10.0.4.1], track: [balancer] }
    VI_2: { interface: eth1, vrid: 2, priority: ${own.second}, addresses: [10.0.5.1], track: [balancer] }
  ${own.group}
`;
const together = "syncGroups: { G: { members: [VI_1, VI_2] } }";

test("sync groups are the same on both nodes, and their members prefer the same one", () => {
  const pair = (group: string, second: number) =>
    comparePeers(
      side("lb-1.yaml", two({ first: 100, second: 100, group: together })),
      side("lb-2.yaml", two({ first: 90, second, group })),
    );
  assert.deepEqual(told(pair(together, 90)), []);
  assert.deepEqual(told(pair("", 90)), ["problem peers.group"]);
  const torn = pair(together, 110);
  assert.deepEqual(told(torn), ["problem peers.lead"]);
  assert.match(torn[0]?.message ?? "", /`VI_2` and `VI_1` prefer different nodes/);
});

const spread = (node: string, nodes: string) => `
node: ${node}
ha: { spread: true, nodes: [${nodes}], virtualRouters: { VI_1: { interface: eth0, vrid: 1, addresses: [10.0.4.1], track: [balancer] } } }
`;

test("the nodes of a spread share one plan, and may share one file", () => {
  const one = side("lb-1.yaml", spread("a", "a, b"));
  assert.deepEqual(comparePeers(one, side("lb-2.yaml", spread("b", "b, a"))), []);
  assert.deepEqual(comparePeers(one, side("lb-2.yaml", spread("a", "a, b"))), []);
  assert.deepEqual(told(comparePeers(one, side("lb-2.yaml", spread("b", "a, b, c")))), ["problem peers.spread"]);
});

test("what one side complains of, the other complains of too", () => {
  const files = [
    two({ first: 100, second: 100, group: together }),
    two({ first: 90, second: 110, group: "" }),
    spread("a", "a, b"),
    "ha: {}",
  ];
  for (const one of files) {
    for (const other of files) {
      const codes = (left: string, right: string) =>
        told(comparePeers(side("x.yaml", left), side("y.yaml", right))).toSorted();
      assert.deepEqual(codes(one, other), codes(other, one));
    }
  }
});

test("the two nodes of the example fit together", () => {
  const read = (file: string) => side(file, readFileSync(new URL(`../../examples/${file}`, import.meta.url), "utf8"));
  const [one, other] = [read("ha-two-nodes.yaml"), read("ha-two-nodes.peer.yaml")];
  assert.deepEqual(comparePeers(one, other), []);
  assert.equal(one.config.ha.virtualRouters.length, 1);
});

test("a file whose number counts may say anything, and is 0 while all is well", () => {
  const counted = "vrid: 51, addresses: [10.0.4.99], track: [num, low]";
  assert.deepEqual(told(compare(counted, "priority: 100", "priority: 90")), []);
  assert.deepEqual(told(compare(counted, "priority: 100", "priority: 90, preempt: false")).length, 2);
});
