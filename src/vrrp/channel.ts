// Reads what the supervisor says to the process that speaks VRRP. The change's way; pure. Both are of one program and one
// version, and the supervisor has checked the configuration: what is looked at here is the frame, so that a line cut short
// or foreign ends as a failure and not as half an order.

import { bad, type Failure, good, type Result } from "../core/failure.ts";
import { type ToVrrp, vrrpOrders } from "../state/vrrp-protocol.ts";

export const setupsMax = 255;

type Fields = { readonly [name: string]: unknown };

function isFields(value: unknown): value is Fields {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function unknown(line: string): { readonly ok: false; readonly failure: Failure } {
  const detail = `a line of the supervisor that is none of the protocol: ${line.slice(0, 200)}`;
  return bad({ code: "vrrp.channel", origin: "self", retrySafe: false, detail });
}

/** Fails with `vrrp.channel`. */
export function decodeToVrrp(line: string): Result<ToVrrp> {
  const fields = parse(line);
  if (!isFields(fields) || !isWhole(fields)) return unknown(line);
  return good(fields as ToVrrp);
}

function parse(line: string): unknown {
  try {
    return JSON.parse(line);
  } catch {
    // No JSON: the caller tells.
    return undefined;
  }
}

function isWhole(fields: Fields): boolean {
  switch (fields["type"]) {
    case "configure": {
      const { id, setups, gate, awaitedInterfaces, standings } = fields;
      const kinds: readonly unknown[] = ["renewedByKernel", "renewedByHand", "none"];
      if (!Number.isInteger(id) || !kinds.includes(gate) || !isFields(standings)) return false;
      if (!Array.isArray(awaitedInterfaces) || !Array.isArray(setups) || setups.length > setupsMax) return false;
      return setups.every(isSetup);
    }
    case "track":
      return typeof fields["name"] === "string" && isStanding(fields["standing"]);
    case "order":
      return (
        Number.isInteger(fields["id"]) &&
        typeof fields["router"] === "string" &&
        vrrpOrders.some((order) => order === fields["order"])
      );
    case "status":
      return Number.isInteger(fields["id"]);
    case "beat":
    case "stop":
      return true;
    default:
      return false;
  }
}

function isStanding(value: unknown): boolean {
  return value === "up" || value === "down" || value === "unknown" || Number.isSafeInteger(value);
}

function isSetup(value: unknown): boolean {
  if (!isFields(value) || !Number.isInteger(value["gateKey"]) || !isFields(value["router"])) return false;
  const { name, interface: device, vrid, addresses, silentAddresses, unicastPeers, tracks } = value["router"];
  const lists = [addresses, silentAddresses, unicastPeers, tracks];
  return typeof name === "string" && typeof device === "string" && Number.isInteger(vrid) && lists.every(Array.isArray);
}
