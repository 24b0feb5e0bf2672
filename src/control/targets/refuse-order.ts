// Orders of the API that the registry would take and the kernel engine could not carry out: a whole configuration with them
// would be refused, and one that brings it about must not be told that it is done. The change's way, pure. What the machine
// itself lacks is found out when the targets are taken up, see supervisor.ts.

import type { Failure } from "../../core/failure.ts";
import type { Config } from "../../model/config.ts";
import { findKernelObstacles } from "../../model/kernel-obstacles.ts";
import { parseTargetAddress } from "../../state/address-order.ts";
import type { TargetOrder } from "../../state/desired.ts";
import { poolsOf } from "../carriers.ts";

export type JudgedOrder = { readonly pool: string; readonly address: string; readonly order: TargetOrder };

/** Why a listener with `engine: kernel` rules the order out; undefined when none does. Code: target.field. */
export function refuseOrder(
  { listeners, pools }: Pick<Config, "listeners" | "pools">,
  { pool: name, address, order }: JudgedOrder,
): Failure | undefined {
  const pool = pools.find((one) => one.name === name);
  const place = parseTargetAddress(address);
  if (pool === undefined || !place.ok || (order.type !== "put" && order.type !== "patch")) return undefined;
  const { slowStart = 0, connectionsMax = 0 } = order.patch;
  for (const listener of listeners) {
    if (listener.protocol === "http" || listener.engine !== "kernel" || !poolsOf(listener).includes(name)) continue;
    // A target that is there already may be drained, wherever it is.
    const host = order.type === "put" ? place.value.host : listener.bind.host;
    const target = { address: place.value.address, host, slowStart, connectionsMax };
    const [obstacle] = findKernelObstacles(listener, [{ ...pool, slowStart: 0, targets: [target] }]);
    if (obstacle === undefined) continue;
    const detail = `listener ${listener.name} is carried by the kernel engine: ${obstacle.reason}`;
    return { code: "target.field", origin: "client", retrySafe: false, detail };
  }
  return undefined;
}
