// What a process that holds virtual addresses tells its guardian, and what the guardian says: one line of JSON each. The
// change's way, pure. The two are of one program and one version, but a line is read as if it came from anybody: a guardian
// that removes the wrong address is worse than none.

import { bad, good, type Result } from "../core/failure.ts";
import type { Family } from "../wire/ip-bytes.ts";
import type { VirtualAddress } from "./owned-addresses.ts";
import type { NetworkInterface } from "./raw-socket.ts";

/** An address to remove, and to renew when told. */
export type GuardedAddress = {
  readonly wanted: VirtualAddress;
  /** As the proof of the claim said. */
  readonly marked: boolean;
};

/** An advertisement of priority 0, ready to be sent. */
export type Farewell = {
  readonly family: Family;
  readonly interface: NetworkInterface;
  readonly source: string;
  readonly peers: "multicast" | "unicast";
  readonly destinations: readonly string[];
  readonly packet: Uint8Array;
};

export type GuardianOrder =
  /** From now on these are guarded and no others; nothing is while no address is held. */
  | { readonly kind: "guard"; readonly addresses: readonly GuardedAddress[]; readonly farewells: readonly Farewell[] }
  /**
   * The guarded addresses may last until that point of the boot-time clock, less what is above whole seconds: the kernel
   * counts in those, so ask for half a second more than is needed. Late orders give less time, or none: what waited in a
   * pipe during a pause must not lengthen a lease.
   */
  | { readonly kind: "renew"; readonly untilBootMs: number }
  /** All was given up in order; the guardian ends. */
  | { readonly kind: "done" };

export type GuardianReport =
  | { readonly kind: "ready"; readonly realtime: boolean }
  /** The order stands: a death from now on is answered. */
  | { readonly kind: "guarding"; readonly addresses: number; readonly farewells: number }
  /** A guarded address is not there, or is somebody else's. */
  | { readonly kind: "gone"; readonly address: string }
  | { readonly kind: "failed"; readonly code: string; readonly detail: string };

export const GUARDED_ADDRESSES_MAX = 4096;
export const FAREWELLS_MAX = 512;

export function encodeOrder(order: GuardianOrder): string {
  if (order.kind !== "guard") return JSON.stringify(order);
  const farewells = order.farewells.map((each) => ({ ...each, packet: Buffer.from(each.packet).toString("base64") }));
  return JSON.stringify({ ...order, farewells });
}

function refused(what: string) {
  return bad({ code: "guardian.order", origin: "self", retrySafe: false, detail: `an order with ${what}` });
}

type Fields = { readonly [name: string]: unknown };

function isFields(value: unknown): value is Fields {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function isNumber(value: unknown, from: number, to: number): value is number {
  return typeof value === "number" && Number.isInteger(value) && value >= from && value <= to;
}

function isText(value: unknown): value is string {
  return typeof value === "string" && value !== "" && value.length <= 64;
}

/** Fails with `guardian.order`. */
export function decodeOrder(line: string): Result<GuardianOrder> {
  const order = parse(line);
  if (!isFields(order)) return refused("no fields");
  switch (order["kind"]) {
    case "done":
      return good({ kind: "done" });
    case "renew": {
      const until = order["untilBootMs"];
      return typeof until === "number" && until >= 0
        ? good({ kind: "renew", untilBootMs: until })
        : refused("no end of the lease");
    }
    case "guard":
      return decodeGuard(order);
    default:
      return refused(`the kind ${String(order["kind"])}`);
  }
}

function parse(line: string): unknown {
  try {
    return JSON.parse(line);
  } catch {
    // The line was cut off or never was an order: the caller says so.
    return undefined;
  }
}

function decodeGuard(order: Fields): Result<GuardianOrder> {
  const { addresses, farewells } = order;
  if (!Array.isArray(addresses) || addresses.length > GUARDED_ADDRESSES_MAX) return refused("no list of addresses");
  if (!Array.isArray(farewells) || farewells.length > FAREWELLS_MAX) return refused("no list of farewells");
  const guarded = addresses.map(decodeAddress);
  const packets = farewells.map(decodeFarewell);
  const known = guarded.filter((each) => each !== undefined);
  const sendable = packets.filter((each) => each !== undefined);
  if (known.length !== guarded.length) return refused("an address that is none");
  if (sendable.length !== packets.length) return refused("a farewell that is none");
  return good({ kind: "guard", addresses: known, farewells: sendable });
}

const scopes = ["global", "site", "link", "host"] as const;

function decodeAddress(value: unknown): GuardedAddress | undefined {
  const wanted = isFields(value) ? value["wanted"] : undefined;
  if (!isFields(value) || !isFields(wanted) || typeof value["marked"] !== "boolean") return undefined;
  const { address, prefixLength, interfaceIndex, interfaceName, label } = wanted;
  const scope = scopes.find((each) => each === wanted["scope"]);
  if (!isText(address) || !isText(interfaceName) || scope === undefined) return undefined;
  if (!isNumber(prefixLength, 0, 128) || !isNumber(interfaceIndex, 1, 0x7fffffff)) return undefined;
  if (label !== undefined && !isText(label)) return undefined;
  return {
    wanted: { address, prefixLength, interfaceIndex, interfaceName, scope, label },
    marked: value["marked"],
  };
}

function decodeFarewell(value: unknown): Farewell | undefined {
  if (!isFields(value) || !isFields(value["interface"])) return undefined;
  const { family, source, peers, destinations, packet } = value;
  const { name, index } = value["interface"];
  if (family !== 4 && family !== 6) return undefined;
  if (peers !== "multicast" && peers !== "unicast") return undefined;
  if (!isText(name) || !isNumber(index, 1, 0x7fffffff) || !isText(source) || typeof packet !== "string") {
    return undefined;
  }
  if (!Array.isArray(destinations) || !destinations.every(isText)) return undefined;
  return {
    family,
    interface: { name, index },
    source,
    peers,
    destinations,
    packet: new Uint8Array(Buffer.from(packet, "base64")),
  };
}

const reportKinds = ["ready", "guarding", "gone", "failed"] as const;

/** Undefined when the line is no report: output of Node itself, say. */
export function decodeReport(line: string): GuardianReport | undefined {
  const report = parse(line);
  if (!isFields(report)) return undefined;
  const { address, code, detail, addresses, farewells } = report;
  switch (reportKinds.find((kind) => kind === report["kind"])) {
    case "ready":
      return { kind: "ready", realtime: report["realtime"] === true };
    case "guarding":
      if (!isNumber(addresses, 0, GUARDED_ADDRESSES_MAX) || !isNumber(farewells, 0, FAREWELLS_MAX)) return undefined;
      return { kind: "guarding", addresses, farewells };
    case "gone":
      return isText(address) ? { kind: "gone", address } : undefined;
    case "failed":
      return isText(code) && typeof detail === "string" ? { kind: "failed", code, detail } : undefined;
    case undefined:
      return undefined;
  }
}
