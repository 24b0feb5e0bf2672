// Notices addresses that have come to the machine while the program runs (a virtual address, a new interface), for
// listeners that have a socket on each of them. The change's way. It looks once a second; whoever brings an address
// himself says so and need not wait.

import type { Milliseconds } from "../core/clock.ts";
import { localAddresses } from "../io/local-addresses.ts";

const lookInterval: Milliseconds = 1_000;

export class AddressWatch {
  readonly #came: (addresses: readonly string[]) => void;
  #known: ReadonlySet<string> = new Set();
  #timer: NodeJS.Timeout | undefined;

  /** `came` hears all addresses of the machine, whenever one is among them that was not before. */
  constructor(came: (addresses: readonly string[]) => void) {
    this.#came = came;
  }

  /** The addresses of the machine just now; `came` is not called for these. */
  current(): readonly string[] {
    const addresses = localAddresses();
    this.#known = new Set(addresses);
    return addresses;
  }

  start(): void {
    this.#timer ??= setInterval(() => this.look(), lookInterval).unref();
  }

  stop(): void {
    clearInterval(this.#timer);
    this.#timer = undefined;
  }

  look(): void {
    const before = this.#known;
    const addresses = this.current();
    if (addresses.some((address) => !before.has(address))) this.#came(addresses);
  }
}
