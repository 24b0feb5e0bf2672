// What a reload may not change: things that only a new process can take up without loss. Pure; the change's way. Such a
// change is refused whole, with the reason and the way out, rather than taken up in part.

import { formatSocketAddress } from "../core/address.ts";
import { same } from "../core/same.ts";
import type { AdminConfig, Config } from "../model/config.ts";

/** One sentence for each refusal; none when the running program can take the new configuration up. */
export function refuseChange(running: Config, next: Config): string[] {
  const refusals: string[] = [];
  if (running.admin.socket !== next.admin.socket) {
    refusals.push(
      `admin.socket cannot change from ${running.admin.socket} to ${next.admin.socket} while running: it needs a restart`,
    );
  }
  if (!same(running.admin.http, next.admin.http)) {
    // The address is bound once and with its file of tokens; what is in the file may change at any time.
    const [before, after] = [running.admin.http, next.admin.http].map(describeHttp);
    refusals.push(`admin.http cannot change from ${before} to ${after} while running: it needs a restart`);
  }
  if (running.stateDirectory !== next.stateDirectory) {
    // What is kept there is in force: another directory's contents would be another state.
    refusals.push(
      `stateDirectory cannot change from ${running.stateDirectory} to ${next.stateDirectory} while running: it needs a restart`,
    );
  }
  if (next.workers < running.workers) {
    // Closing one socket of a group that shares an address resets the connections that wait in its backlog, and Linux
    // moves them to a sister only with net.ipv4.tcp_migrate_req, which is off.
    refusals.push(
      `workers cannot shrink from ${running.workers} to ${next.workers} while running, since connections that wait for a surplus worker would be lost: it needs a restart`,
    );
  }
  return refusals;
}

function describeHttp(http: AdminConfig["http"]): string {
  return http === undefined ? "none" : `${formatSocketAddress(http.bind)} (${http.tokenFile})`;
}
