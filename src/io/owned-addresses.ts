// The addresses that this program has put on the machine: the only ones it renews or removes. The change's way,
// synchronous. An address is claimed, and claiming fails when the machine has it already; what claiming gives is the only
// thing that releasing takes, and before a removal the kernel is asked once more whose the address is by now. So an
// operator's address cannot be removed, whatever the election does.
//
// A claimed address has a lifetime in the kernel: unless it is renewed it is gone by itself, also when this process is
// stopped or killed. It is marked as ours (IFA_PROTO, Linux 5.18), so that one that a former run left is known again.

import { readFileSync, writeFileSync } from "node:fs";
import { assert } from "../core/assert.ts";
import { bad, type Failure, good, type Result } from "../core/failure.ts";
import { familyOf, putAddress } from "../wire/ip-bytes.ts";
import {
  type AddressEntry,
  type AddressPlace,
  type AddressScope,
  encodeAddressRemoval,
  encodeAddressRequest,
} from "../wire/netlink/route.ts";
import { errorName } from "./libc.ts";
import { readAddresses, routeRefusal } from "./netlink-route.ts";
import type { NetlinkExchange } from "./netlink-socket.ts";

/** An address as the configuration wants it. */
export type VirtualAddress = AddressPlace & {
  readonly interfaceName: string;
  readonly scope: AddressScope;
  /** IPv4 only. */
  readonly label: string | undefined;
};

/** Proof that an address is ours; claimAddress and adoptLeftovers give it, and nothing else can make one. */
export type OwnedAddress = {
  readonly wanted: VirtualAddress;
  /** The kernel keeps the mark, so it can be asked whose the address is. */
  readonly marked: boolean;
};

export type OwnedAddresses = {
  readonly exchange: NetlinkExchange;
  readonly held: Set<OwnedAddress>;
};

/** The mark: the number of VRRP among protocols. */
export const ownerMark = 112;
/** IPv6 addresses that are never the source of new connections, as keepalived's: clients call them, nobody else. */
const preferredSeconds6 = 0;

export function ownedAddresses(exchange: NetlinkExchange): OwnedAddresses {
  return { exchange, held: new Set() };
}

function failure(code: string, detail: string): Failure {
  return { code, origin: "self", retrySafe: false, detail };
}

function textOf(place: AddressPlace & { readonly interfaceName: string }): string {
  return `${place.address}/${place.prefixLength} on ${place.interfaceName}`;
}

function isSamePlace(one: AddressPlace, other: AddressPlace): boolean {
  return (
    one.address === other.address &&
    one.interfaceIndex === other.interfaceIndex &&
    one.prefixLength === other.prefixLength
  );
}

/**
 * Puts the address on its interface, for so many seconds (undefined: without end), and gives the proof that it is ours.
 * One that carries our mark is taken over; an address of the same text without it, on any interface, is not ours.
 * Codes: address.foreign, address.denied, address.refused, address.secondaries, netlink.*.
 */
export function claimAddress(
  owned: OwnedAddresses,
  wanted: VirtualAddress,
  validSeconds: number | undefined,
): Result<OwnedAddress> {
  const present = readAddresses(owned.exchange, familyOf(wanted.address));
  if (!present.ok) return present;
  const same = present.value.filter((entry) => entry.address === wanted.address);
  const foreign = same.find((entry) => entry.protocol !== ownerMark);
  if (foreign !== undefined) return bad(foreignFailure(wanted, foreign));
  for (const stray of same.filter((entry) => !isSamePlace(entry, wanted))) {
    // Ours, from a configuration with another interface or prefix length.
    const removed = remove(owned.exchange, stray, textOf(wanted));
    if (!removed.ok) return removed;
  }
  const safe = guardSecondaries(wanted, present.value);
  if (!safe.ok) return safe;
  const taken = same.find((entry) => isSamePlace(entry, wanted));
  const put = request(owned.exchange, taken === undefined ? "add" : "renew", wanted, validSeconds);
  if (!put.ok) return put;
  const now = readAddresses(owned.exchange, familyOf(wanted.address));
  const marked = now.ok && now.value.some((entry) => isSamePlace(entry, wanted) && entry.protocol === ownerMark);
  const proof: OwnedAddress = { wanted, marked };
  owned.held.add(proof);
  return good(proof);
}

function foreignFailure(wanted: VirtualAddress, entry: AddressEntry): Failure {
  const where = entry.interfaceIndex === wanted.interfaceIndex ? wanted.interfaceName : `link ${entry.interfaceIndex}`;
  const there = `${wanted.address}/${entry.prefixLength} is on ${where} already and not ours`;
  return failure(
    "address.foreign",
    `${there}: a virtual address must not be part of the machine's own network configuration; take it out there (ip addr del ${wanted.address}/${entry.prefixLength} dev ${where}) or choose another`,
  );
}

function request(
  exchange: NetlinkExchange,
  what: "add" | "renew",
  wanted: VirtualAddress,
  validSeconds: number | undefined,
): Result<true> {
  const preferredSeconds = familyOf(wanted.address) === 6 ? preferredSeconds6 : validSeconds;
  const lifetime = { validSeconds, preferredSeconds };
  const encoded = encodeAddressRequest(what, { ...wanted, ...lifetime, protocol: ownerMark }, exchange.sequence(1));
  const done = exchange.transact(encoded);
  if (!done.ok) return done;
  const [refused] = done.value;
  if (refused === undefined) return good(true);
  const text = textOf(wanted);
  switch (errorName(refused.errno)) {
    case "EEXIST":
      return bad(failure("address.foreign", `${text}: somebody else has added it just now`));
    case "ENODEV":
      return bad(failure("interface.missing", `${text}: the interface is gone`));
    default:
      return routeRefusal(refused, text);
  }
}

/**
 * Sets the lifetime anew. `gone`: somebody has removed it, or it has run out; put back with claimAddress, and announced.
 * An operator who has added the same address meanwhile keeps it: then the code is address.foreign. Other codes as for
 * claimAddress. The proof stays good.
 */
export function renewAddress(
  owned: OwnedAddresses,
  address: OwnedAddress,
  validSeconds: number | undefined,
): Result<"renewed" | "gone"> {
  assert(owned.held.has(address), `${address.wanted.address} is held`);
  return renewForAnother(owned.exchange, address, validSeconds);
}

/** For a process that serves another: what that one holds, as its proof said. Codes as for renewAddress. */
export function renewForAnother(
  exchange: NetlinkExchange,
  held: OwnedAddress,
  validSeconds: number | undefined,
): Result<"renewed" | "gone"> {
  const { wanted, marked } = held;
  // The kernel would add one that is gone, and give an end to one that is somebody else's.
  const present = readAddresses(exchange, familyOf(wanted.address));
  if (!present.ok) return present;
  const entry = present.value.find((each) => isSamePlace(each, wanted));
  if (entry === undefined) return good("gone");
  if (marked && entry.protocol !== ownerMark) return bad(foreignFailure(wanted, entry));
  const renewed = request(exchange, "renew", wanted, validSeconds);
  return renewed.ok ? good("renewed") : renewed;
}

/** For an address that is gone: its proof is worth nothing any more. */
export function forgetAddress(owned: OwnedAddresses, address: OwnedAddress): void {
  owned.held.delete(address);
}

/**
 * Removes an address of ours; `gone` when it is not there any more, or is somebody else's by now. The proof is worth
 * nothing afterwards, unless it failed. Codes: address.denied, address.refused, netlink.*.
 */
export function releaseAddress(owned: OwnedAddresses, address: OwnedAddress): Result<"removed" | "gone"> {
  assert(owned.held.has(address), `${address.wanted.address} is held`);
  const released = releaseForAnother(owned.exchange, address);
  if (released.ok) owned.held.delete(address);
  return released;
}

/** For a process that cleans up after another: what that one held, as its proof said. Codes as for releaseAddress. */
export function releaseForAnother(exchange: NetlinkExchange, left: OwnedAddress): Result<"removed" | "gone"> {
  const { wanted, marked } = left;
  const present = readAddresses(exchange, familyOf(wanted.address));
  if (!present.ok) return present;
  const entry = present.value.find((each) => isSamePlace(each, wanted));
  if (entry === undefined || (marked && entry.protocol !== ownerMark)) return good("gone");
  return remove(exchange, wanted, textOf(wanted));
}

function remove(exchange: NetlinkExchange, place: AddressPlace, text: string): Result<"removed" | "gone"> {
  const done = exchange.transact(encodeAddressRemoval(place, exchange.sequence(1)));
  if (!done.ok) return done;
  const [refused] = done.value;
  if (refused === undefined) return good("removed");
  const name = errorName(refused.errno);
  return name === "EADDRNOTAVAIL" || name === "ENODEV" ? good("gone") : routeRefusal(refused, text);
}

/** Addresses with our mark that nobody here holds: a former run's. They end by themselves; this ends them now. */
export function removeLeftovers(owned: OwnedAddresses): Result<readonly AddressEntry[]> {
  const present = readAddresses(owned.exchange);
  if (!present.ok) return present;
  const held = [...owned.held];
  const left = present.value.filter(
    (entry) => entry.protocol === ownerMark && !held.some(({ wanted }) => isSamePlace(wanted, entry)),
  );
  for (const entry of left) {
    const removed = remove(owned.exchange, entry, entry.address);
    if (!removed.ok) return removed;
  }
  return good(left);
}

/**
 * When an IPv4 address goes that was the first of its subnet on an interface, the kernel takes all others of that subnet
 * with it, unless promote_secondaries is set (Documentation/networking/ip-sysctl.rst): set before ours becomes the first.
 */
function guardSecondaries(wanted: VirtualAddress, present: readonly AddressEntry[]): Result<true> {
  if (familyOf(wanted.address) === 6 || wanted.prefixLength === 32) return good(true);
  const behindAnother = present.some(
    (entry) =>
      entry.interfaceIndex === wanted.interfaceIndex &&
      entry.prefixLength === wanted.prefixLength &&
      entry.address !== wanted.address &&
      isSameSubnet(entry.address, wanted.address, wanted.prefixLength),
  );
  if (behindAnother) return good(true);
  const path = `/proc/sys/net/ipv4/conf/${wanted.interfaceName}/promote_secondaries`;
  try {
    if (readFileSync(path, "utf8").trim() !== "0") return good(true);
    writeFileSync(path, "1");
    return good(true);
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    const remedy = `write the address with /32, or set net.ipv4.conf.${wanted.interfaceName}.promote_secondaries=1`;
    const risk = "removing it later would remove other addresses of its subnet";
    return bad(failure("address.secondaries", `${textOf(wanted)}: ${risk} (${why}): ${remedy}`));
  }
}

function isSameSubnet(one: string, other: string, prefixLength: number): boolean {
  const network = (address: string) => {
    const bytes = new Uint8Array(4);
    putAddress(bytes, 0, 4, address);
    const number = new DataView(bytes.buffer).getUint32(0);
    return prefixLength === 0 ? 0 : number >>> (32 - prefixLength);
  };
  return network(one) === network(other);
}
