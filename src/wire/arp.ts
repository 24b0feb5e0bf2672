// ARP for IPv4 over Ethernet (RFC 826): the announcement that makes a network believe that an address has moved, the
// question to which a gateway's answer proves that the link works, and the reading of what comes back. The change's way.
// Whole Ethernet frames, as a packet socket takes and gives them; the driver pads to 60 bytes.
//
//   destination 6 | source 6 | type 0x0806
//   hardware 0x0001 | protocol 0x0800 | 6 | 4 | operation 2        1 request, 2 reply
//   sender hardware 6 | sender protocol 4 | target hardware 6 | target protocol 4

import { addressAt, putAddress } from "./ip-bytes.ts";
import { broadcastMac, macAt, putMac, zeroMac } from "./mac.ts";

export const arpEtherType = 0x0806;
const ethernetBytes = 14;
export const arpFrameBytes = ethernetBytes + 28;

/** Every way in which a frame can be no ARP message of ours to read; stable, each with its counter. */
export const arpFaults = {
  "arp.length.short": { counter: "evenkeel_arp_dropped_length_short_total", detail: "shorter than an ARP message" },
  "arp.type": { counter: "evenkeel_arp_dropped_type_total", detail: "not the Ethernet type of ARP" },
  "arp.hardware": { counter: "evenkeel_arp_dropped_hardware_total", detail: "not Ethernet addresses of 6 bytes" },
  "arp.protocol": { counter: "evenkeel_arp_dropped_protocol_total", detail: "not IPv4 addresses of 4 bytes" },
  "arp.operation": { counter: "evenkeel_arp_dropped_operation_total", detail: "neither request nor reply" },
} as const;

export type ArpFaultCode = keyof typeof arpFaults;

export type ArpMessage = {
  readonly operation: "request" | "reply";
  /**
   * `probe` asks whether an address is free (sender 0.0.0.0, RFC 5227 section 1.1), `announcement` claims one (sender is
   * target), by request or by reply; `other` is an ordinary question or answer.
   */
  readonly meaning: "probe" | "announcement" | "other";
  readonly senderMac: string;
  readonly senderAddress: string;
  readonly targetMac: string;
  readonly targetAddress: string;
};

export type DecodedArp =
  | { readonly ok: true; readonly value: ArpMessage }
  | { readonly ok: false; readonly code: ArpFaultCode };

type Fields = Omit<ArpMessage, "meaning"> & { readonly destinationMac: string };

function encode(fields: Fields): Uint8Array {
  const bytes = new Uint8Array(arpFrameBytes);
  putMac(bytes, 0, fields.destinationMac);
  putMac(bytes, 6, fields.senderMac);
  bytes.set([0x08, 0x06, 0x00, 0x01, 0x08, 0x00, 6, 4, 0, fields.operation === "request" ? 1 : 2], 12);
  putMac(bytes, 22, fields.senderMac);
  putAddress(bytes, 28, 4, fields.senderAddress);
  putMac(bytes, 32, fields.targetMac);
  putAddress(bytes, 38, 4, fields.targetAddress);
  return bytes;
}

/**
 * The gratuitous ARP of a takeover: a request, broadcast, that asks for the sender's own address (RFC 5227 section 2.3,
 * RFC 5944 section 4.6), with the broadcast address as target hardware, which means nothing (RFC 826) and makes it the
 * same bytes as keepalived's. Some switches and hosts learn from requests only, none from replies only.
 */
export function encodeGratuitousArp(announcement: { readonly mac: string; readonly address: string }): Uint8Array {
  const { mac, address } = announcement;
  return encode({
    operation: "request",
    destinationMac: broadcastMac,
    senderMac: mac,
    senderAddress: address,
    targetMac: broadcastMac,
    targetAddress: address,
  });
}

/** Asks who has an address. With sender 0.0.0.0 it is a probe, which nobody's cache learns from (RFC 5227 section 2.1.1). */
export function encodeArpRequest(question: {
  readonly mac: string;
  readonly senderAddress: string;
  readonly targetAddress: string;
}): Uint8Array {
  return encode({
    operation: "request",
    destinationMac: broadcastMac,
    senderMac: question.mac,
    senderAddress: question.senderAddress,
    targetMac: zeroMac,
    targetAddress: question.targetAddress,
  });
}

/** Reads a frame; what pads it counts for nothing. */
export function decodeArp(frame: Uint8Array): DecodedArp {
  if (frame.length < arpFrameBytes) return { ok: false, code: "arp.length.short" };
  const word = (at: number) => ((frame[at] ?? 0) << 8) | (frame[at + 1] ?? 0);
  if (word(12) !== arpEtherType) return { ok: false, code: "arp.type" };
  if (word(14) !== 1 || frame[18] !== 6) return { ok: false, code: "arp.hardware" };
  if (word(16) !== 0x0800 || frame[19] !== 4) return { ok: false, code: "arp.protocol" };
  const operation = word(20);
  if (operation !== 1 && operation !== 2) return { ok: false, code: "arp.operation" };
  const senderAddress = addressAt(frame, 28, 4);
  const targetAddress = addressAt(frame, 38, 4);
  const claims = senderAddress === targetAddress;
  return {
    ok: true,
    value: {
      operation: operation === 1 ? "request" : "reply",
      meaning: senderAddress === "0.0.0.0" ? "probe" : claims ? "announcement" : "other",
      senderMac: macAt(frame, 22),
      senderAddress,
      targetMac: macAt(frame, 32),
      targetAddress,
    },
  };
}
