// The trap that keepalived leaves open: the balancer is dead, the address stays. Here every virtual router of a node that has
// listeners tracks its data plane, whether the configuration says so or not. Pure; the change's way.

import type { Config } from "../../model/config.ts";
import type { HaConfig, Track } from "../../model/ha.ts";
import type { VirtualRouter } from "../../model/virtual-router.ts";

const name = "balancer";
const balancer: Track = { name, watch: { kind: "balancer", pools: [] }, rise: 1, fall: 1 };

/** A virtual router that tracks the balancer by its own terms (a weight, pools) keeps them. */
export function withBalancer({ ha, listeners }: Pick<Config, "ha" | "listeners">): HaConfig {
  if (listeners.length === 0 || ha.virtualRouters.length === 0) return ha;
  const own = new Set(ha.tracks.filter(({ watch }) => watch.kind === "balancer").map((track) => track.name));
  const tracksIt = (router: VirtualRouter) => router.tracks.some((entry) => own.has(entry.name));
  const virtualRouters = ha.virtualRouters.map((router) =>
    tracksIt(router) ? router : { ...router, tracks: [...router.tracks, { name, weight: 0, reverse: false }] },
  );
  const isDefined = ha.tracks.some((track) => track.name === name);
  return { ...ha, virtualRouters, tracks: isDefined ? ha.tracks : [...ha.tracks, balancer] };
}
