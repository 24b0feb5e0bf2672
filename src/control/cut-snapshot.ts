// What of the configuration the data plane reads, cut out for the workers. Pure; where the change's way ends.

import type { Config } from "../model/config.ts";
import type { Snapshot } from "../state/snapshot.ts";

export function cutSnapshot(config: Config, generation: number): Snapshot {
  const { node, workers, accessLog, listeners, pools } = config;
  return { generation, node, workerCount: workers, accessLog, listeners, pools };
}
