// Every way in which a received VRRP packet can die, and every way in which it can be odd and live: the one table for the
// wire layer, which sees bytes, and the machine (src/ha/judge-advertisement.ts), which knows what was configured. The
// change's way. Codes are stable, operators alert on them; each has a counter of its own. A dropped packet harms nobody at
// once: a backup that drops what its active says becomes a second active, so each drop must be found by its name.

export type VrrpFault = {
  /** Prometheus name; all are counters. */
  readonly counter: string;
  readonly detail: string;
};

function dropped(name: string, detail: string): VrrpFault {
  return { counter: `evenkeel_vrrp_dropped_${name}_total`, detail };
}

function odd(name: string, detail: string): VrrpFault {
  return { counter: `evenkeel_vrrp_odd_${name}_total`, detail };
}

/** The packet is dropped: it changes nothing but its counter. In the order of the checks. */
export const vrrpFaults = {
  "vrrp.ip.truncated": dropped("ip_truncated", "fewer bytes than an IP header, or than its total length says"),
  "vrrp.ip.version": dropped("ip_version", "the IP version is not 4"),
  "vrrp.ip.headerLength": dropped(
    "ip_header_length",
    "the IP header is shorter than 20 bytes or longer than the packet",
  ),
  "vrrp.ip.totalLength": dropped("ip_total_length", "the total length has no room for the IP header"),
  "vrrp.ip.fragment": dropped("ip_fragment", "a fragment; an advertisement fits into one packet"),
  "vrrp.ip.authenticationHeader": dropped(
    "ip_authentication_header",
    "IPsec AH (protocol 51): a peer has `auth_type AH`, which RFC 3768 took out and evenkeel does not speak; use PASS or none",
  ),
  "vrrp.ip.protocol": dropped("ip_protocol", "the protocol is not 112"),
  "vrrp.ip.ttl": dropped("ip_ttl", "the TTL or hop limit is below what is demanded: the packet came through a router"),
  "vrrp.ip.source": dropped("ip_source", "the source is no address of one host"),

  "vrrp.length.short": dropped("length_short", "shorter than the header, or than the addresses it counts"),
  "vrrp.length.trailing": dropped("length_trailing", "bytes behind the last field"),
  "vrrp.version": dropped("version", "the version is neither 2 nor 3, or 2 over IPv6"),
  "vrrp.type": dropped("type", "the type is not 1, ADVERTISEMENT"),
  "vrrp.vrid.zero": dropped("vrid_zero", "virtual router 0 does not exist"),
  "vrrp.addresses.none": dropped("addresses_none", "an advertisement of version 3 without addresses"),
  "vrrp.interval.zero": dropped("interval_zero", "an advertisement interval of 0"),
  "vrrp.authentication.type": dropped("authentication_type", "an unknown authentication type"),
  "vrrp.authentication.header": dropped(
    "authentication_header",
    "authentication type 2, IPsec AH, which RFC 3768 took out and evenkeel does not speak; use PASS or none",
  ),
  "vrrp.checksum": dropped("checksum", "the checksum is right in none of the ways in which it is counted"),

  "vrrp.looped": dropped("looped", "our own packet came back, or another node has our address"),
  "vrrp.vrid.unknown": dropped("vrid_unknown", "for a virtual router that this interface does not have"),
  "vrrp.version.differs": dropped("version_differs", "the other version of VRRP than ours"),
  "vrrp.peer.unknown": dropped("peer_unknown", "unicast from an address that is no peer"),
  "vrrp.authentication.missing": dropped("authentication_missing", "no password, but one is configured"),
  "vrrp.authentication.unexpected": dropped("authentication_unexpected", "a password, but none is configured"),
  "vrrp.authentication.password": dropped("authentication_password", "another password than ours"),
  "vrrp.interval.differs": dropped("interval_differs", "version 2 with another advertisement interval than ours"),
  "vrrp.addresses.differ": dropped("addresses_differ", "other addresses than ours, which is configured to be refused"),
} as const satisfies Readonly<Record<string, VrrpFault>>;

export type VrrpFaultCode = keyof typeof vrrpFaults;

/** The packet is taken, and is worth a line in the log. */
export const vrrpOddities = {
  "vrrp.odd.tos": odd("tos", "the traffic class is not 0xc0, internetwork control: a switch may drop it under load"),
  "vrrp.odd.checksumForm": odd("checksum_form", "a right checksum counted in another way than we count ours"),
  "vrrp.odd.linkLocal": odd("link_local", "the first of the IPv6 addresses is not link-local"),
  "vrrp.odd.addresses": odd("addresses", "other addresses than ours; keepalived up to 2.3.2 would drop our packets"),
  "vrrp.odd.unicast": odd("unicast", "sent to us alone, while we speak by multicast, which the sender does not hear"),
  "vrrp.odd.multicast": odd("multicast", "sent by multicast, while we speak to our peers alone"),
  "vrrp.odd.interval": odd("interval", "another advertisement interval than ours; version 3 goes by the active's"),
} as const satisfies Readonly<Record<string, VrrpFault>>;

export type VrrpOddityCode = keyof typeof vrrpOddities;
