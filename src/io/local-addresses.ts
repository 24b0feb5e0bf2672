// The addresses that this machine has just now, for sockets that must know theirs. The change's way; asks the kernel
// through Node.

import { networkInterfaces } from "node:os";
import { formatIp, parseIp } from "../core/address.ts";

/**
 * Canonical texts, each once, loopback among them. Without IPv6 link-local addresses: those mean something on one
 * interface only, and of two machines there it is never in doubt which address answers.
 */
export function localAddresses(): string[] {
  const found = new Set<string>();
  for (const addresses of Object.values(networkInterfaces())) {
    for (const { address } of addresses ?? []) {
      const parsed = parseIp(address);
      if (parsed === undefined || isLinkLocal(parsed.family, parsed.bytes)) continue;
      found.add(formatIp(parsed));
    }
  }
  return [...found];
}

/** fe80::/10, RFC 4291 section 2.5.6. */
function isLinkLocal(family: 4 | 6, bytes: readonly number[]): boolean {
  return family === 6 && bytes[0] === 0xfe && ((bytes[1] ?? 0) & 0xc0) === 0x80;
}
