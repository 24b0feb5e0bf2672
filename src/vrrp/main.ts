// The process that speaks VRRP: the only one that holds floating addresses. It is confined to two capabilities, runs in real
// time where it may, waits in one ppoll and does nothing else, so that a busy balancer delays no advertisement. The
// supervisor says what is wanted over one descriptor; when that closes, it resigns everywhere and ends. The change's way.
// No promise is awaited here: Node's event loop does not run.

import { writeSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { removeLeftovers } from "../io/owned-addresses.ts";
import { succeedPredecessor } from "../io/predecessor.ts";
import { becomeConfined, capability, confine, ignoreSignals } from "../io/privileges.ts";
import {
  bootClock,
  protectFromOutOfMemory,
  realtimeNodeFlags,
  realtimePriority,
  requestRealtime,
} from "../io/realtime.ts";
import { waitLoop } from "../io/wait-loop.ts";
import { vrrpChannelFd } from "../state/vrrp-protocol.ts";
import { VrrpProgram } from "./vrrp-program.ts";

const confinedMark = "--confined";
const standardError = 2;
/** The supervisor waits 10 s for `ready`. Resigning takes 2.5 s at an interval of 1 s when nobody comes. */
const predecessorWait = 6_000;

function fail(failure: { readonly code: string; readonly detail: string }): never {
  writeSync(standardError, `evenkeel vrrp: ${failure.code}: ${failure.detail}\n`);
  process.exit(1);
}

/** Drops all other rights and becomes the same program again, in real time already. Returns never. */
function becomeItself(): never {
  // What is refused is asked for again, and told, in the new image.
  requestRealtime();
  protectFromOutOfMemory();
  const confined = confine({
    keep: [capability.netAdmin, capability.netRaw],
    realtimePriorityMax: realtimePriority,
  });
  if (!confined.ok) fail(confined.failure);
  const { NODE_OPTIONS: _ours, NODE_CHANNEL_FD: _none, ...environment } = process.env;
  const failure = becomeConfined({
    args: [...realtimeNodeFlags, fileURLToPath(import.meta.url), confinedMark],
    environment,
    descriptors: [vrrpChannelFd],
  });
  fail(failure);
}

function main(): never {
  // Signals to the whole service or terminal are the supervisor's to understand.
  const ignored = ignoreSignals(["SIGTERM", "SIGINT", "SIGHUP", "SIGQUIT", "SIGUSR1", "SIGUSR2", "SIGPIPE"]);
  if (!ignored.ok) fail(ignored.failure);
  const alone = succeedPredecessor({ now: bootClock(), timeMax: predecessorWait });
  const program = new VrrpProgram({ loop: waitLoop(), channelFd: vrrpChannelFd, realtime: requestRealtime() });
  const started = program.start();
  if (!started.ok) fail(started.failure);
  if (alone.ok) {
    const left = removeLeftovers(program.owned);
    if (left.ok) program.tellLeftovers(left.value.map(({ address }) => address));
    else fail(left.failure);
  } else {
    // Addresses with our mark may be that one's.
    program.tellCompanion(alone.failure);
  }
  while (!program.ended) {
    const turned = program.turn();
    if (!turned.ok) fail(turned.failure);
  }
  program.takeLeave();
  process.exit(0);
}

if (process.argv[2] === confinedMark) main();
else becomeItself();
