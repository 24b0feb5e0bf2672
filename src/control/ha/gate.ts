// The kernel's gate for virtual addresses (src/io/address-gate.ts), kept as the virtual routers want it. The change's way, in
// the supervisor, because installing it runs nft and waits, which the process that speaks VRRP must not. Without nft or the
// kernel's part there is no gate: told once, and the lifetime of the addresses is the lease then, in whole seconds.

import type { Log } from "../../core/log.ts";
import { leaseTime } from "../../ha/timing.ts";
import { installGate, removeGate } from "../../io/address-gate.ts";
import type { GatedRouter } from "../../io/gate-rules.ts";
import { readLinks, routeExchange } from "../../io/netlink-route.ts";
import { movingAddresses, type VirtualRouter } from "../../model/virtual-router.ts";
import type { GateUse, RouterSetup } from "../../state/vrrp-protocol.ts";

/** Gives keys to virtual routers, the same one to the same name for as long as this lives. */
export class GateKeys {
  readonly #keys = new Map<string, number>();

  setupOf(router: VirtualRouter): RouterSetup {
    const known = this.#keys.get(router.name);
    const gateKey = known ?? this.#free();
    this.#keys.set(router.name, gateKey);
    return { router, gateKey };
  }

  /** Names that are no more give their keys back. */
  keepOnly(names: ReadonlySet<string>): void {
    for (const name of this.#keys.keys()) if (!names.has(name)) this.#keys.delete(name);
  }

  #free(): number {
    const taken = new Set(this.#keys.values());
    let key = 1;
    while (taken.has(key)) key++;
    return key;
  }
}

/** What the gate guards of a virtual router: what is on its own interface and of its family. Undefined: nothing. */
export function gatedRouter({ router, gateKey }: RouterSetup): GatedRouter | undefined {
  const { interface: device, family, vrid } = router;
  const here = movingAddresses(router).filter(
    ({ address, interface: at }) => (at ?? device) === device && address.includes(":") === (family === 6),
  );
  if (here.length === 0) return undefined;
  const addresses = [...new Set(here.map(({ address }) => address))];
  return { key: gateKey, interface: device, family, vrid, addresses, lease: leaseTime(router) };
}

export class GateKeeper {
  readonly #log: Log;
  #installed: string | undefined;
  #use: GateUse = "none";
  #complained: string | undefined;

  constructor(log: Log) {
    this.#log = log;
  }

  get use(): GateUse {
    return this.#use;
  }

  /** Makes the rules fit; `anew`, because an interface went and came back, also when they seem to. */
  async install(setups: readonly RouterSetup[], options: { readonly anew: boolean }): Promise<GateUse> {
    const exchange = routeExchange();
    const links = readLinks(exchange);
    exchange.close();
    const present = new Set(links.ok ? links.value.map(({ name }) => name) : []);
    const gated = setups.map(gatedRouter).filter((each) => each !== undefined);
    const installable = gated.filter((each) => present.has(each.interface));
    const wanted = JSON.stringify(installable);
    if (wanted === (this.#installed ?? "[]") && !options.anew) return this.#use;
    const done = await installGate(installable);
    if (done.ok) {
      this.#installed = wanted;
      this.#use = installable.length === 0 ? "none" : done.value;
      return this.#use;
    }
    this.#installed = undefined;
    this.#use = "none";
    const { code, detail } = done.failure;
    if (this.#complained !== code) {
      const instead = "the addresses' lifetime is the lease, in whole seconds";
      this.#log.warn("no gate for virtual addresses", { code, detail, instead });
    }
    this.#complained = code;
    return this.#use;
  }

  async remove(): Promise<void> {
    if (this.#installed === undefined) return;
    this.#installed = undefined;
    this.#use = "none";
    const removed = await removeGate();
    if (!removed.ok) this.#log.warn("the gate's rules stay behind", { ...removed.failure });
  }
}
