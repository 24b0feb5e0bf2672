// Which tracked connections are a listener's to a target. The change's way, pure; deletion and count both stand on it, so
// one that is judged wrongly here is one that is cut off or never reported.

import type { SocketAddress } from "../../core/address.ts";
import type { Connection, ConnectionEnd, DumpFilter } from "./conntrack.ts";
import { addressBytes } from "./registers.ts";

export type ConnectionFilter = {
  readonly protocol: "tcp" | "udp";
  readonly target: SocketAddress;
  /** The connection mark (`ct mark`), whole; any mark where it is absent. */
  readonly mark?: number;
  /** Only those whose client called this address, or this port of any address. */
  readonly called?: { readonly host?: string; readonly port: number };
  /** Those that are not translated instead: their client called the target itself, and it answered. */
  readonly direct?: true;
};

const protocolNumber = { tcp: 6, udp: 17 } as const;

/**
 * The two ways in which address translation leads a connection to the target: its answers come from the target and the
 * client had called another address ("reply"); or the target's own packets began it and leave under another address
 * ("original"), as when a balancer takes over connections in the middle.
 */
export function dumpFilters(filter: ConnectionFilter): readonly DumpFilter[] {
  const source = { address: addressBytes(filter.target.host), port: filter.target.port };
  const called = filter.called === undefined ? undefined : calledEnd(filter.called);
  const common = { protocol: protocolNumber[filter.protocol], source, mark: filter.mark, called };
  if (filter.direct) return [{ ...common, direction: "reply", direct: true }];
  return [
    { ...common, direction: "reply" },
    { ...common, direction: "original" },
  ];
}

function calledEnd({ host, port }: { readonly host?: string; readonly port: number }): DumpFilter["called"] {
  return { address: host === undefined ? undefined : addressBytes(host), port };
}

/**
 * Judges an entry of the dump that was asked for with `wanted`. What somebody opened to the target itself (a health check,
 * the proxy engine, a client past the balancer) is not translated, and not ours to touch.
 */
export function leadsToTarget(connection: Connection, wanted: DumpFilter): boolean {
  const { original, reply } = connection;
  if (original.protocol !== wanted.protocol) return false;
  if (wanted.mark !== undefined && connection.mark !== wanted.mark) return false;
  const there = wanted.direction === "reply" ? reply : original;
  const back = wanted.direction === "reply" ? original : reply;
  if (!isSame(there.source, wanted.source)) return false;
  if (isSame(back.destination, wanted.source) !== (wanted.direct ?? false)) return false;
  const { called } = wanted;
  if (called === undefined) return true;
  return isSame(back.destination, { address: called.address ?? back.destination.address, port: called.port });
}

function isSame(one: ConnectionEnd, other: ConnectionEnd): boolean {
  if (one.port !== other.port || one.address.length !== other.address.length) return false;
  for (let index = 0; index < one.address.length; index++) {
    if (one.address[index] !== other.address[index]) return false;
  }
  return true;
}

/** enum tcp_conntrack: LAST_ACK, TIME_WAIT, CLOSE carry no data any more. */
const tcpStatesOver: ReadonlySet<number> = new Set([6, 7, 8]);

/** False for a TCP connection that has ended and is only remembered; a UDP flow is under way until the kernel forgets it. */
export function isUnderWay(connection: Connection): boolean {
  return connection.tcpState === undefined || !tcpStatesOver.has(connection.tcpState);
}
