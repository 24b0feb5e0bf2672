// Every way in which a received VRRP packet can die, and every way in which it can be odd and live: the one table for the
// wire layer, which sees bytes, and the machine (src/ha/judge-advertisement.ts), which knows what was configured. The
// change's way. Codes are stable, operators alert on them: each is counted by itself (`reason` of the metrics
// evenkeel_vrrp_dropped_total and evenkeel_vrrp_odd_total). A dropped packet harms nobody at once: a backup that drops what
// its active says becomes a second active, so each drop must be found by its name.

export type VrrpFault = { readonly detail: string };

/** The packet is dropped: it changes nothing but its counter. In the order of the checks. */
export const vrrpFaults = {
  "vrrp.ip.truncated": { detail: "fewer bytes than an IP header, or than its total length says" },
  "vrrp.ip.version": { detail: "the IP version is not 4" },
  "vrrp.ip.headerLength": { detail: "the IP header is shorter than 20 bytes or longer than the packet" },
  "vrrp.ip.totalLength": { detail: "the total length has no room for the IP header" },
  "vrrp.ip.fragment": { detail: "a fragment; an advertisement fits into one packet" },
  "vrrp.ip.authenticationHeader": {
    detail:
      "IPsec AH (protocol 51): a peer has `auth_type AH`, which RFC 3768 took out and evenkeel does not speak; use PASS or none",
  },
  "vrrp.ip.protocol": { detail: "the protocol is not 112" },
  "vrrp.ip.ttl": { detail: "the TTL or hop limit is below what is demanded: the packet came through a router" },
  "vrrp.ip.source": { detail: "the source is no address of one host" },

  "vrrp.length.short": { detail: "shorter than the header, or than the addresses it counts" },
  "vrrp.length.trailing": { detail: "bytes behind the last field" },
  "vrrp.version": { detail: "the version is neither 2 nor 3, or 2 over IPv6" },
  "vrrp.type": { detail: "the type is not 1, ADVERTISEMENT" },
  "vrrp.vrid.zero": { detail: "virtual router 0 does not exist" },
  "vrrp.addresses.none": { detail: "an advertisement of version 3 without addresses" },
  "vrrp.interval.zero": { detail: "an advertisement interval of 0" },
  "vrrp.authentication.type": { detail: "an unknown authentication type" },
  "vrrp.authentication.header": {
    detail: "authentication type 2, IPsec AH, which RFC 3768 took out and evenkeel does not speak; use PASS or none",
  },
  "vrrp.checksum": { detail: "the checksum is right in none of the ways in which it is counted" },

  "vrrp.looped": { detail: "our own packet came back, or another node has our address" },
  "vrrp.vrid.unknown": { detail: "for a virtual router that this interface does not have" },
  "vrrp.version.differs": { detail: "the other version of VRRP than ours" },
  "vrrp.peer.unknown": { detail: "unicast from an address that is no peer" },
  "vrrp.authentication.missing": { detail: "no password, but one is configured" },
  "vrrp.authentication.unexpected": { detail: "a password, but none is configured" },
  "vrrp.authentication.password": { detail: "another password than ours" },
  "vrrp.interval.differs": { detail: "version 2 with another advertisement interval than ours" },
  "vrrp.addresses.differ": { detail: "other addresses than ours, which is configured to be refused" },
} as const satisfies Readonly<Record<string, VrrpFault>>;

export type VrrpFaultCode = keyof typeof vrrpFaults;

/** The packet is taken, and is worth a line in the log. */
export const vrrpOddities = {
  "vrrp.odd.tos": { detail: "the traffic class is not 0xc0, internetwork control: a switch may drop it under load" },
  "vrrp.odd.checksumForm": { detail: "a right checksum counted in another way than we count ours" },
  "vrrp.odd.linkLocal": { detail: "the first of the IPv6 addresses is not link-local" },
  "vrrp.odd.addresses": { detail: "other addresses than ours; keepalived up to 2.3.2 would drop our packets" },
  "vrrp.odd.unicast": { detail: "sent to us alone, while we speak by multicast, which the sender does not hear" },
  "vrrp.odd.multicast": { detail: "sent by multicast, while we speak to our peers alone" },
  "vrrp.odd.interval": { detail: "another advertisement interval than ours; version 3 goes by the active's" },
} as const satisfies Readonly<Record<string, VrrpFault>>;

export type VrrpOddityCode = keyof typeof vrrpOddities;
