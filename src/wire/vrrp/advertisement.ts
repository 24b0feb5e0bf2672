// What a VRRP packet says, whatever its version. The change's way: decode.ts makes it of bytes, encode.ts bytes of it, the
// machine in src/ha thinks in it. Plain data; time in milliseconds here, in seconds (version 2) or hundredths of a second
// (version 3) on the wire only.

import type { Milliseconds } from "../../core/clock.ts";
import type { Family } from "../ip-bytes.ts";

export const vrrpProtocol = 112;
export const authenticationHeaderProtocol = 51;
/** RFC 9568 sections 5.1.1.2 and 5.1.2.2. */
export const vrrpGroup = { 4: "224.0.0.18", 6: "ff02::12" } as const;
/** RFC 9568 section 5.1.1.3: nothing that a router has forwarded has it. */
export const vrrpTtl = 255;
/** Internetwork control, as keepalived and FRR send. */
export const vrrpTrafficClass = 0xc0;

/** Who sends 0 resigns; the owner of the addresses has 255. RFC 9568 section 5.2.4. */
export const priorityResigning = 0;
export const priorityOwner = 255;

/** Of version 2: eight bytes, one a character (latin1), without the zeros that fill them up. Undefined: type 0. */
export type Password = string;
export const passwordBytes = 8;

export type Advertisement = {
  readonly version: 2 | 3;
  readonly family: Family;
  /** 1 to 255. */
  readonly vrid: number;
  /** 0 to 255. */
  readonly priority: number;
  /** Version 2: whole seconds, 1 to 255. Version 3: whole hundredths, 1 to 4095. */
  readonly interval: Milliseconds;
  readonly password: Password | undefined;
  /** Canonical texts, in the order of the packet. At most 255. */
  readonly addresses: readonly string[];
};

/** Between whom the packet travels: the checksum of version 3 counts it. */
export type Envelope = { readonly source: string; readonly destination: string };

/** The checksum as it is counted over IPv4 in version 3: see encode.ts. */
export type ChecksumForm = "pseudoHeader" | "asVersion2";

export const v2IntervalMax: Milliseconds = 255_000;
export const v3IntervalMax: Milliseconds = 40_950;
