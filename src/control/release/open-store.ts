// From the release file's store to what keeps the record and the intents. The change's way. With Consul and etcd an intent of
// `drain`, which their entries cannot say, is said to the balancers, and the entry is marked down under it: whoever else
// reads the store takes the target for out as well, and no balancer of the file cuts off what is under way there.

import type { Random } from "../../core/random.ts";
import type { ReleasePlan } from "../../model/release.ts";
import { apiBoard, apiKeep } from "./api-store.ts";
import type { Balancer } from "./balancer.ts";
import { ConsulReleases } from "./consul-store.ts";
import { EtcdReleases } from "./etcd-store.ts";
import type { ReleaseStoreMeans } from "./store.ts";

export function openReleaseStore(
  { pool, store, drain }: Pick<ReleasePlan, "pool" | "store" | "drain">,
  balancers: readonly Balancer[],
  random: Random,
): ReleaseStoreMeans {
  const own = balancers.map((balancer) => apiBoard(pool, balancer));
  switch (store.type) {
    case "api":
      return { keep: apiKeep(pool, balancers), boards: own, close() {} };
    case "consul": {
      const consul = new ConsulReleases(pool, store, random);
      const boards = drain.intent === "drain" ? [...own, consul.board] : [consul.board];
      return { keep: consul.keep, boards, close: () => consul.close() };
    }
    case "etcd": {
      const etcd = new EtcdReleases(pool, store, random);
      const boards = drain.intent === "drain" ? [...own, etcd.board] : [etcd.board];
      return { keep: etcd.keep, boards, close: () => etcd.close() };
    }
    default:
      return store satisfies never;
  }
}
