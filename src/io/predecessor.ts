// One process of this machine (of a network namespace) speaks VRRP at a time: a program that was killed with -9 leaves one
// behind that still gives its addresses up in order, and who starts meanwhile must neither take those away nor speak beside
// it. Told apart by a name that the kernel frees with its holder, however that ends. The change's way, synchronous: it is
// asked before the first address is claimed, and waits only there.

import type { Clock, Milliseconds } from "../core/clock.ts";
import { bad, good, type Result } from "../core/failure.ts";
import { closeDescriptor } from "./libc.ts";
import { bindAbstract, localSocket } from "./libc-sockets.ts";

export const speakerName = "evenkeel-vrrp";

const lookEvery: Milliseconds = 20;

/**
 * Takes the name for as long as this process lives, waiting for a predecessor to end. Gives how long that took. Fails with
 * `predecessor.alive` when it has not ended by then, and with `predecessor.unknown` when the kernel gives no socket: then
 * nothing is held, and nobody is kept from anything.
 */
export function succeedPredecessor(
  options: { readonly now: Clock; readonly timeMax: Milliseconds },
  name: string = speakerName,
): Result<Milliseconds> {
  const { now, timeMax } = options;
  const opened = localSocket();
  if (!opened.ok) return failed("unknown", `no socket to find a predecessor by: ${opened.name}`);
  const began = now();
  for (;;) {
    const bound = bindAbstract(opened.value, name);
    const waited = now() - began;
    if (bound.ok) return good(waited);
    if (bound.name !== "EADDRINUSE" || waited >= timeMax) {
      closeDescriptor(opened.value);
      if (bound.name !== "EADDRINUSE") return failed("unknown", `no name to find a predecessor by: ${bound.name}`);
      const seconds = Math.round(timeMax / 1000);
      return failed("alive", `another evenkeel speaks VRRP on this machine, and did not end within ${seconds} s`);
    }
    sleep(lookEvery);
  }
}

function failed(part: string, detail: string) {
  return bad({ code: `predecessor.${part}`, origin: "self", retrySafe: true, detail });
}

function sleep(ms: Milliseconds): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms);
}
