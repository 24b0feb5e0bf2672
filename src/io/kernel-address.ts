// An IP address and a port as the kernel takes them: sockaddr_in (16 bytes) and sockaddr_in6 (28 bytes).
//   family u16 host order | port u16 network order | v4: address 4, zero 8
//                                                  | v6: flow 4, address 16, scope 4 host order
// Pure; the change's way. It accepts addresses, never names: a listener does not depend on a resolver.

import { endianness } from "node:os";
import { parseIp } from "../core/address.ts";
import { addressFamily } from "./libc.ts";

const littleEndian = endianness() === "LE";

export type KernelAddress = { readonly family: number; readonly bytes: Uint8Array };

/** undefined when the host is not an IP address. A v4-mapped v6 address stays v6. */
export function encodeKernelAddress(host: string, port: number): KernelAddress | undefined {
  const address = parseIp(host);
  if (address === undefined) return undefined;
  const v4 = address.family === 4;
  const bytes = new Uint8Array(v4 ? 16 : 28);
  const view = new DataView(bytes.buffer);
  const family = v4 ? addressFamily.v4 : addressFamily.v6;
  view.setUint16(0, family, littleEndian);
  view.setUint16(2, port);
  bytes.set(address.bytes, v4 ? 4 : 8);
  return { family, bytes };
}
