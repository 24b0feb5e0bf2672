// What two nodes' configurations disagree in, with both places. On the change's way, for compare-peers.ts and whoever prints it.

import type { Config } from "../model/config.ts";
import type { VirtualRouter } from "../model/virtual-router.ts";
import { describeProblem, formatPath, type Locate, type Path, type Place } from "./problem.ts";

export type PeerFinding = {
  /** A problem: addresses with two nodes at once, with none, or that never move. A warning: works, and hardly as meant. */
  readonly severity: "problem" | "warning";
  /** Stable, dotted: `peers.version`. */
  readonly code: string;
  readonly message: string;
  /** What would be right, or empty. */
  readonly expected: string;
  /** Where to change it, and what it was held against. */
  readonly place: Place;
  readonly other: Place;
};

export type PeerSide = { readonly config: Config; readonly locate: Locate };

/** One side of a virtual router that both nodes have. */
export type RouterSide = PeerSide & { readonly router: VirtualRouter };

/** The node's name; two files that leave it out are both named after the machine that reads them. */
export function nodeOf(one: PeerSide, against: PeerSide): string {
  return one.config.node === against.config.node ? "the other node" : one.config.node;
}

export type Told = Omit<PeerFinding, "place" | "other">;

/** A finding about one key of a virtual router; a key that the file leaves out is placed at the virtual router's name. */
export function findAt(key: Path, one: RouterSide, other: RouterSide, told: Told): PeerFinding {
  return { ...told, place: placeOf(one, key), other: placeOf(other, key) };
}

export function placeOf({ router, locate }: RouterSide, key: Path = []): Place {
  return locate(["ha", "virtualRouters", router.name, ...key], key.length === 0);
}

/** `lb-1.yaml:9:34: version: 2 here, 3 there (lb-2.yaml:9:34); expected the same on all nodes`. */
export function describeFinding(finding: PeerFinding): string {
  const { other, place, code, expected } = finding;
  const message = `${finding.message} (${other.file}:${other.line}:${other.column})`;
  return describeProblem({ ...place, path: formatPath(place.path), code, message, expected, suggestion: undefined });
}
