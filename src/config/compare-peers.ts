// Two nodes' configurations beside each other: what each node takes for right by itself and what keeps them from being one
// virtual router, or keeps the addresses from ever moving. On the change's way, after decoding, for `evenkeel validate
// --peer`. Pure. What is wrong within one file, validation has said already: that neither node tracks anything, above all.

import type { VirtualRouter } from "../model/virtual-router.ts";
import { comparePriorities, compareSpeech, compareTracking, reachOfSide } from "./compare-virtual-routers.ts";
import { findAt, type PeerFinding, type PeerSide, placeOf, type RouterSide } from "./peer-finding.ts";

type Pair = { readonly here: RouterSide; readonly there: RouterSide };

/** Everything in which the two disagree, in the order of the first one's virtual routers. */
export function comparePeers(here: PeerSide, there: PeerSide): PeerFinding[] {
  const { pairs, findings } = pairUp(here, there);
  // Under one plan a file may be the same on all nodes, and then says nothing of the other one's priorities.
  const planned = here.config.ha.spreadNodes.length > 0 && there.config.ha.spreadNodes.length > 0;
  const indistinct = planned && here.config.node === there.config.node;
  findings.push(...comparePlans(here, there));
  for (const pair of pairs) {
    findings.push(...compareSpeech(pair.here, pair.there), ...compareTracking(pair.here, pair.there));
    if (!indistinct) findings.push(...comparePriorities(pair.here, pair.there));
    findings.push(...compareGroups(pair, pairs));
  }
  if (!indistinct) findings.push(...compareLeads(pairs));
  return findings;
}

/** A virtual router is its number and family; where a node has two of them (on two interfaces), its name or interface decides. */
function pairUp(here: PeerSide, there: PeerSide): { pairs: Pair[]; findings: PeerFinding[] } {
  const left = new Set(there.config.ha.virtualRouters);
  const pairs: Pair[] = [];
  const findings: PeerFinding[] = [];
  for (const router of here.config.ha.virtualRouters) {
    const found = counterpartOf(router, [...left]);
    if (found === undefined) findings.push(alone({ ...here, router }, there));
    else {
      left.delete(found);
      pairs.push({ here: { ...here, router }, there: { ...there, router: found } });
    }
  }
  for (const router of left) findings.push(alone({ ...there, router }, here));
  return { pairs, findings };
}

function counterpartOf(router: VirtualRouter, others: readonly VirtualRouter[]): VirtualRouter | undefined {
  const candidates = others.filter(({ vrid, family }) => vrid === router.vrid && family === router.family);
  return (
    candidates.find(({ name }) => name === router.name) ??
    candidates.find((one) => one.interface === router.interface) ??
    candidates[0]
  );
}

function alone(one: RouterSide, other: PeerSide): PeerFinding {
  const { router } = one;
  const namesake = other.config.ha.virtualRouters.find(({ name }) => name === router.name);
  const hint =
    namesake === undefined ? "" : `; \`${namesake.name}\` has vrid ${namesake.vrid} over IPv${namesake.family} there`;
  return {
    severity: "problem",
    code: "peers.alone",
    message: `virtual router \`${router.name}\` (vrid ${router.vrid}, IPv${router.family}) is on this node alone, and nobody takes its addresses over${hint}`,
    expected: "a virtual router of this number on both nodes",
    place: placeOf(one, ["vrid"]),
    other:
      namesake === undefined
        ? other.locate(["ha", "virtualRouters"], true)
        : placeOf({ ...other, router: namesake }, ["vrid"]),
  };
}

function comparePlans(here: PeerSide, there: PeerSide): PeerFinding[] {
  const [one, other] = [here.config.ha.spreadNodes, there.config.ha.spreadNodes];
  const nodes = (list: readonly string[]) => (list.length === 0 ? "no spread" : list.toSorted().join(", "));
  if (nodes(one) === nodes(other)) return [];
  const message = `nodes: ${nodes(one)} here, ${nodes(other)} there: the priorities come from different plans`;
  const path = ["ha", "nodes"];
  const [place, second] = [here.locate(path), there.locate(path)];
  return [
    { severity: "problem", code: "peers.spread", message, expected: "the same on all nodes", place, other: second },
  ];
}

/** A group that keeps other virtual routers together there than here would move what the other node does not. */
function compareGroups(pair: Pair, pairs: readonly Pair[]): PeerFinding[] {
  const partners = (side: "here" | "there") => {
    const group = pair[side].router.syncGroup;
    if (group === undefined) return [];
    return pairs.filter((one) => one !== pair && one[side].router.syncGroup === group);
  };
  const [one, other] = [partners("here"), partners("there")];
  const odd = [...one.filter((each) => !other.includes(each)), ...other.filter((each) => !one.includes(each))];
  const [first] = odd;
  // Of two that are apart on one side, the first one tells.
  if (first === undefined || pairs.indexOf(first) < pairs.indexOf(pair)) return [];
  const [where, elsewhere] = one.includes(first) ? ["here", "there"] : ["there", "here"];
  const message = `virtual router \`${pair.here.router.name}\` moves with \`${first.here.router.name}\` ${where} and not ${elsewhere}`;
  const places = { place: groupPlace(pair.here), other: groupPlace(pair.there) };
  return [
    { severity: "problem", code: "peers.group", message, expected: "the same sync groups on all nodes", ...places },
  ];
}

function groupPlace(side: RouterSide) {
  const { syncGroup } = side.router;
  return syncGroup === undefined ? placeOf(side) : side.locate(["ha", "syncGroups", syncGroup, "members"]);
}

/** Members of one group must prefer the same node, or the group has no place to be. */
function compareLeads(pairs: readonly Pair[]): PeerFinding[] {
  const leads = ({ here, there }: Pair) => Math.sign(reachOfSide(here).healthy - reachOfSide(there).healthy);
  return pairs.flatMap((pair, index) => {
    const { router } = pair.here;
    // Kept together on one side only is told as such.
    const before = pairs
      .slice(0, index)
      .find((one) => isTogether(one.here, pair.here) && isTogether(one.there, pair.there));
    if (before === undefined || leads(before) === leads(pair)) return [];
    const message = `priority: \`${router.name}\` and \`${before.here.router.name}\` prefer different nodes, and sync group \`${router.syncGroup}\` keeps them together`;
    const expected = "the members' priorities higher on one node than on the other";
    return [
      findAt(["priority"], pair.here, pair.there, { severity: "problem", code: "peers.lead", message, expected }),
    ];
  });
}

function isTogether(one: RouterSide, other: RouterSide): boolean {
  return one.router.syncGroup !== undefined && one.router.syncGroup === other.router.syncGroup;
}
