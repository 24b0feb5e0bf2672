// Starts the guardian (guardian-main.ts) and talks to it, without Node's event loop. The change's way, for the one process
// that holds virtual addresses. The guardian is in a session of its own, so that a signal to our process group spares it;
// only a service manager that kills the whole control group reaches it, and then the lifetime of the addresses ends them.

import { spawn } from "node:child_process";
import { fileURLToPath } from "node:url";
import { bad, good, type Result } from "../core/failure.ts";
import { decodeReport, encodeOrder, type GuardianOrder, type GuardianReport } from "./guardian-message.ts";
import { closeDescriptor } from "./libc.ts";
import { neverWait, openPipe } from "./libc-sockets.ts";
import { type LineChannel, lineChannel, readLines, writeLine } from "./line-channel.ts";
import { realtimeNodeFlags } from "./realtime.ts";

export type Guardian = {
  readonly pid: number;
  readonly channel: LineChannel;
};

/** Its whole heap is a few megabytes. */
const nodeFlags = [...realtimeNodeFlags, "--max-old-space-size=24", "--max-semi-space-size=1"];

/**
 * Starts a guardian that guards nothing yet; its first report is `ready`. It inherits what this process may do, so confine
 * first. Fails with `guardian.start`.
 */
export function startGuardian(): Result<Guardian> {
  const orders = openEnds();
  if (!orders.ok) return orders;
  const reports = openEnds();
  if (!reports.ok) {
    closeBoth(orders.value);
    return reports;
  }
  // The extension is this file's own: `.js` in the published package.
  const main = fileURLToPath(import.meta.url).replace(/guardian(\.[a-z]+)$/, "guardian-main$1");
  const { NODE_OPTIONS: _ours, ...environment } = process.env;
  const child = spawn(process.execPath, [...nodeFlags, main], {
    stdio: [orders.value.readEnd, reports.value.writeEnd, "inherit"],
    detached: true,
    cwd: "/",
    env: environment,
  });
  child.once("error", () => {
    // Told by the missing process id below, and by the end of its reports.
  });
  child.unref();
  closeDescriptor(orders.value.readEnd);
  closeDescriptor(reports.value.writeEnd);
  const readFd = reports.value.readEnd;
  const writeFd = orders.value.writeEnd;
  if (child.pid === undefined) {
    closeBoth({ readEnd: readFd, writeEnd: writeFd });
    return failed(`${process.execPath} could not be started`);
  }
  neverWait(readFd);
  neverWait(writeFd);
  return good({ pid: child.pid, channel: lineChannel({ readFd, writeFd }) });
}

function failed(detail: string) {
  return bad({ code: "guardian.start", origin: "self", retrySafe: false, detail });
}

type Ends = { readonly readEnd: number; readonly writeEnd: number };

function openEnds(): Result<Ends> {
  const ends = openPipe();
  if (!ends.ok) return failed(`pipe failed with ${ends.name}: raise the limit of descriptors (LimitNOFILE=)`);
  return good(ends);
}

function closeBoth(ends: Ends): void {
  closeDescriptor(ends.readEnd);
  closeDescriptor(ends.writeEnd);
}

/** Codes: channel.closed (the guardian is gone: start another), channel.full, channel.failed. */
export function tellGuardian(guardian: Guardian, order: GuardianOrder): Result<true> {
  return writeLine(guardian.channel, encodeOrder(order));
}

export type GuardianNews = { readonly reports: readonly GuardianReport[]; readonly ended: boolean };

/** What the guardian said since the last call; watch `channel.readFd` for more. Codes: channel.tooLong, channel.failed. */
export function readGuardian(guardian: Guardian): Result<GuardianNews> {
  const said = readLines(guardian.channel);
  if (!said.ok) return said;
  const reports = said.value.lines.map(decodeReport).filter((each) => each !== undefined);
  return good({ reports, ended: said.value.ended });
}

/** Lets it go: without `done` before, it does what it is there for. */
export function closeGuardian(guardian: Guardian): void {
  closeBoth({ readEnd: guardian.channel.readFd, writeEnd: guardian.channel.writeFd });
}
