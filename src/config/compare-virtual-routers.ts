// One virtual router as two nodes have it. On the change's way, part of compare-peers.ts. Each comparison says what becomes
// of the addresses, in the machine's own rules (src/ha/judge-advertisement.ts) and keepalived's.

import { formatDuration } from "../core/units.ts";
import { amountOf, type Reach, reachOf } from "../ha/reach.ts";
import type { TrackEntry, VirtualAddress } from "../model/virtual-router.ts";
import { findAt, nodeOf, type PeerFinding, type RouterSide } from "./peer-finding.ts";

const priorityOwner = 255;
const same = "the same on all nodes";

/** Everything but priorities. */
export function compareSpeech(here: RouterSide, there: RouterSide): PeerFinding[] {
  const [one, other] = [here.router, there.router];
  if (one.version !== other.version) {
    const message = `version: ${one.version} here, ${other.version} there: each drops what the other says, and both become active`;
    // Whatever else they say, they don't hear it.
    return [findAt(["version"], here, there, { severity: "problem", code: "peers.version", message, expected: same })];
  }
  return [
    ...compareIntervals(here, there),
    ...comparePasswords(here, there),
    ...compareLists(here, there, "addresses"),
    ...compareLists(here, there, "silentAddresses"),
    ...compareWays(here, there),
  ];
}

function compareIntervals(here: RouterSide, there: RouterSide): PeerFinding[] {
  const [one, other] = [here.router, there.router];
  const findings: PeerFinding[] = [];
  if (one.advertisementInterval !== other.advertisementInterval) {
    const message = `advertisementInterval: ${formatDuration(one.advertisementInterval)} here, ${formatDuration(other.advertisementInterval)} there: `;
    const strict = one.version === 2;
    findings.push(
      findAt(["advertisementInterval"], here, there, {
        severity: strict ? "problem" : "warning",
        code: "peers.interval",
        message: `${message}${strict ? "version 2 drops such packets, and both become active" : "the active node's holds, so it changes with every failover"}`,
        expected: same,
      }),
    );
  }
  if (one.downAdvertisements !== other.downAdvertisements) {
    const message = `downAdvertisements: ${one.downAdvertisements} here, ${other.downAdvertisements} there: one node takes over while the other still counts on its addresses`;
    findings.push(
      findAt(["downAdvertisements"], here, there, { severity: "warning", code: "peers.down", message, expected: same }),
    );
  }
  return findings;
}

function comparePasswords(here: RouterSide, there: RouterSide): PeerFinding[] {
  const [one, other] = [here.router.password, there.router.password];
  if (one === other) return [];
  // The passwords themselves are nobody's business.
  const what =
    one === undefined ? "none here, one there" : other === undefined ? "one here, none there" : "they differ";
  const message = `password: ${what}: each drops what the other says, and both become active`;
  return [findAt(["password"], here, there, { severity: "problem", code: "peers.password", message, expected: same })];
}

function compareLists(here: RouterSide, there: RouterSide, key: "addresses" | "silentAddresses"): PeerFinding[] {
  const [one, other] = [here.router[key], there.router[key]];
  const only = (list: readonly VirtualAddress[], others: readonly VirtualAddress[]) =>
    list.filter(({ address }) => !others.some((each) => each.address === address)).map(({ address }) => address);
  const [onlyHere, onlyThere] = [only(one, other), only(other, one)];
  if (onlyHere.length + onlyThere.length > 0) {
    const parts = [
      ...(onlyHere.length > 0 ? [`${onlyHere.join(", ")} only here`] : []),
      ...(onlyThere.length > 0 ? [`${onlyThere.join(", ")} only there`] : []),
    ];
    const outcome =
      key === "addresses"
        ? "it is lost when the node fails, and keepalived up to 2.3.2 drops what the other says, so that both become active"
        : "it is lost when the node fails";
    const message = `${key}: ${parts.join(", ")}: ${outcome}`;
    return [findAt([key], here, there, { severity: "problem", code: "peers.addresses", message, expected: same })];
  }
  const index = one.findIndex(({ address, prefixLength }) =>
    other.some((each) => each.address === address && each.prefixLength !== prefixLength),
  );
  const found = one[index];
  const counterpart = other.find(({ address }) => address === found?.address);
  if (found === undefined || counterpart === undefined) return [];
  const message = `${key}[${index}]: ${found.address}/${found.prefixLength} here, /${counterpart.prefixLength} there`;
  return [findAt([key, index], here, there, { severity: "warning", code: "peers.prefix", message, expected: same })];
}

function compareWays(here: RouterSide, there: RouterSide): PeerFinding[] {
  const [one, other] = [here.router, there.router];
  const unicast = one.unicastPeers.length > 0;
  if (unicast !== other.unicastPeers.length > 0) {
    const message = `unicastPeers: ${unicast ? "unicast here, multicast" : "multicast here, unicast"} there: a node may not hear what another says`;
    return [
      findAt(["unicastPeers"], here, there, { severity: "problem", code: "peers.unicast", message, expected: same }),
    ];
  }
  if (!unicast) return [];
  return [...listedBy(here, there), ...listedBy(there, here)];
}

/** Whether one node takes the other for its peer, as far as the files say from where it speaks. */
function listedBy(one: RouterSide, other: RouterSide): PeerFinding[] {
  const { sourceAddress } = other.router;
  if (sourceAddress === undefined) return [];
  if (one.router.unicastPeers.some(({ address }) => address === sourceAddress)) return [];
  const message = `unicastPeers: ${sourceAddress}, from where ${nodeOf(other, one)} speaks, is none of them: it is not heard, and both become active`;
  return [
    {
      ...findAt(["unicastPeers"], one, other, {
        severity: "problem",
        code: "peers.unlisted",
        message,
        expected: "it among them",
      }),
      other: other.locate(["ha", "virtualRouters", other.router.name, "sourceAddress"]),
    },
  ];
}

/** A file whose number counts, and whose reach is therefore not known. */
function isNumber({ config }: RouterSide, track: TrackEntry): boolean {
  const watch = config.ha.tracks.find(({ name }) => name === track.name)?.watch;
  return watch?.kind === "file" && watch.upWhen === "number";
}

/** Of what is known: a file's number is 0 while all is well. */
export function reachOfSide(side: RouterSide): Reach {
  const { priority, tracks } = side.router;
  return reachOf({ priority, tracks: tracks.filter((track) => !isNumber(side, track)) });
}

/** Who has the addresses when both nodes are well, and whether its tracks can ever take them from it. */
export function comparePriorities(here: RouterSide, there: RouterSide): PeerFinding[] {
  const [one, other] = [reachOfSide(here).healthy, reachOfSide(there).healthy];
  if (one > other) return judgeWeights(here, there);
  if (one < other) return judgeWeights(there, here);
  const key = ["priority"];
  if (one === priorityOwner) {
    const message =
      "priority: 255 here and there: each node says that the addresses are its own, and neither gives way";
    const expected = "255 on one node at most";
    return [findAt(key, here, there, { severity: "problem", code: "peers.owners", message, expected })];
  }
  const message = `priority: ${one} here and there when both are well: the greater interface address decides who is active`;
  return [
    findAt(key, here, there, {
      severity: "warning",
      code: "peers.equal",
      message,
      expected: "another one on each node",
    }),
  ];
}

/** `active` has the addresses while both are well. */
function judgeWeights(active: RouterSide, standby: RouterSide): PeerFinding[] {
  const tracks = active.router.tracks;
  const total = amountOf(tracks);
  if (total === 0 || active.router.priority === priorityOwner) return [];
  const [own, others] = [reachOfSide(active), reachOfSide(standby)];
  const node = nodeOf(standby, active);
  const preempts = standby.router.preempt || standby.router.priority === priorityOwner;
  if (
    preempts &&
    (own.worst < others.healthy || tracks.some((track) => track.weight !== 0 && isNumber(active, track)))
  ) {
    return [];
  }
  return tracks.flatMap((track, index) => {
    if (track.weight === 0) return [];
    const start = `\`${track.name}\`: its weight ${track.weight} never moves the addresses`;
    if (!preempts) {
      const message = `${start}: ${node} has \`preempt: false\` and leaves them with a live node of any priority`;
      const found = findAt(["track", index], active, standby, {
        severity: "problem",
        code: "peers.preempt",
        message,
        expected: "weight 0, which gives them up",
      });
      return [{ ...found, other: standby.locate(["ha", "virtualRouters", standby.router.name, "preempt"]) }];
    }
    const message = `${start}: with every track down the priority is ${own.worst}, and ${node} has ${others.healthy}`;
    const found = findAt(["track", index], active, standby, {
      severity: "problem",
      code: "peers.weight",
      message,
      expected: `weights of more than ${own.healthy - others.healthy} together, or weight 0`,
    });
    return [{ ...found, other: standby.locate(["ha", "virtualRouters", standby.router.name, "priority"]) }];
  });
}

/** One node watches and the other does not; when neither does, each file's own warning has said so. */
export function compareTracking(here: RouterSide, there: RouterSide): PeerFinding[] {
  const [one, other] = [here.router.tracks.length > 0, there.router.tracks.length > 0];
  if (one === other) return [];
  const [blind, seeing] = one ? [there, here] : [here, there];
  const message = "track: none here, some there: while this node is active, nobody notices when its services fail";
  return [
    findAt(["track"], blind, seeing, {
      severity: "warning",
      code: "peers.untracked",
      message,
      expected: "the same tracks",
    }),
  ];
}
