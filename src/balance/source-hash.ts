// Consistent hash of the client's address as the kernel engine computes it, on the request's way: what a layer-4 listener of
// the proxy engine picks by, so that a client meets the same target when a listener changes its engine. Table and rule are
// those of source-table.ts. A pick costs the hash and one look-up; only a client whose owner takes no work costs a look
// at every member. It must not remember clients.

import { type Balancer, type Member, noStandings, type Pick, takesWork } from "./balancer.ts";
import { nobody } from "./slot-table.ts";
import { sourceSlot, sourceTable, standIn } from "./source-table.ts";

/** Picks by `clientAddress` of the pick; its `keyHash` is not looked at. */
export function createSourceHash(members: readonly Member[]): Balancer {
  const table = sourceTable(members);
  const possible = table.owners[0] !== nobody;
  let asked: Pick | undefined;
  const takes = (index: number) => asked !== undefined && takesWork(members[index]!, asked);

  return {
    standings: noStandings,
    pick(pick: Pick): number {
      if (!possible) return -1;
      const slot = sourceSlot(pick.clientAddress);
      const owner = table.owners[slot]!;
      if (takesWork(members[owner]!, pick)) return owner;
      asked = pick;
      return standIn(table, members, slot, takes);
    },
    // A failed target keeps its clients until health takes it out.
    report: () => {},
  };
}
