// Everything that the kernel engine asks of the machine, in one place, so that its driver can be tried without one. The
// change's way. No decision is made here.

import type { Result } from "../../core/failure.ts";
import { readKernelCapabilities } from "../../io/kernel-capabilities.ts";
import { probeAddress } from "../../io/listening-socket.ts";
import { localAddresses } from "../../io/local-addresses.ts";
import { type Netfilter, openNetfilter } from "../../io/netfilter.ts";
import { applyRuleset, listTable } from "../../io/nft-command.ts";
import type { Machine } from "./choose-engine.ts";

export type KernelPorts = {
  readonly readMachine: () => Machine;
  readonly openNetfilter: () => Result<Netfilter>;
  readonly applyRuleset: (text: string) => Promise<Result<true>>;
  /** Without elements. */
  readonly listTable: (table: string) => Promise<Result<string | undefined>>;
  /** Fails with listener.bind.inUse when somebody but `own` (inodes) has the address. */
  readonly probeAddress: typeof probeAddress;
  /** Addresses of this machine's interfaces. */
  readonly localAddresses: (family: 4 | 6) => readonly string[];
};

export const machinePorts: KernelPorts = {
  readMachine: () => readKernelCapabilities(),
  openNetfilter,
  probeAddress,
  applyRuleset,
  listTable: (table) => listTable(table, { terse: true }),
  localAddresses: (family) => localAddresses().filter((host) => host.includes(":") === (family === 6)),
};
