// Ethernet addresses between text and bytes, for ARP and neighbour discovery. The change's way. Texts are canonical: six
// pairs of lower-case digits with colons, as the kernel prints them.

import { assert } from "../core/assert.ts";

export const macBytes = 6;
export const broadcastMac = "ff:ff:ff:ff:ff:ff";
export const zeroMac = "00:00:00:00:00:00";

/** Writes the address at the offset; the text comes from the kernel, so one that is no address is our mistake. */
export function putMac(bytes: Uint8Array, at: number, mac: string): void {
  assert(/^([0-9a-f]{2}:){5}[0-9a-f]{2}$/.test(mac), `\`${mac}\` is no Ethernet address`);
  for (const [index, pair] of mac.split(":").entries()) bytes[at + index] = Number.parseInt(pair, 16);
}

export function macAt(bytes: Uint8Array, at: number): string {
  return [...bytes.subarray(at, at + macBytes)].map((byte) => byte.toString(16).padStart(2, "0")).join(":");
}
