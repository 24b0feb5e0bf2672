// Asks the kernel which links and addresses this machine has, and hears when one comes or goes. The change's way,
// synchronous: a question takes some 50 microseconds. It changes nothing; addresses are added and removed by
// owned-addresses.ts alone. Belongs to the network namespace that the process is in.

import { bad, good, type Result } from "../core/failure.ts";
import type { Family } from "../wire/ip-bytes.ts";
import type { NetlinkAnswer } from "../wire/netlink/answer.ts";
import { decodeMessages, type NetlinkMessage } from "../wire/netlink/reader.ts";
import {
  type AddressEntry,
  decodeRouteNews,
  encodeAddressDump,
  encodeLinkDump,
  type LinkEntry,
  type RouteNews,
  routeGroups,
} from "../wire/netlink/route.ts";
import type { NetlinkRequest } from "../wire/netlink/writer.ts";
import { bindSocket, closeDescriptor, errorName, setNumber } from "./libc.ts";
import { protocolFamily, rawSocket, receiveNow } from "./libc-sockets.ts";
import { type NetlinkExchange, netlinkExchange, openNetlinkPort } from "./netlink-socket.ts";
import { capabilityRemedy } from "./socket-failure.ts";

const protocolRoute = 0;

/** An exchange with rtnetlink; its socket is opened with the first question. */
export function routeExchange(): NetlinkExchange {
  return netlinkExchange(() => openNetlinkPort(protocolRoute));
}

/** Every address of this machine, of one family or both. Codes: address.refused, netlink.*. */
export function readAddresses(exchange: NetlinkExchange, family?: Family): Result<readonly AddressEntry[]> {
  const request = encodeAddressDump(family, exchange.sequence(1));
  return dumpAll(exchange, request, (news) => (news.kind === "addressAdded" ? news.entry : undefined));
}

/** The addresses of one interface. Codes as for readAddresses. */
export function addressesOf(exchange: NetlinkExchange, interfaceIndex: number): Result<readonly AddressEntry[]> {
  const all = readAddresses(exchange);
  return all.ok ? good(all.value.filter((entry) => entry.interfaceIndex === interfaceIndex)) : all;
}

/** Every link of this machine. Codes as for readAddresses. */
export function readLinks(exchange: NetlinkExchange): Result<readonly LinkEntry[]> {
  const request = encodeLinkDump(exchange.sequence(1));
  return dumpAll(exchange, request, (news) => (news.kind === "link" ? news.link : undefined));
}

/** The link of that name. Fails with `interface.missing`, naming those that there are, and as readAddresses. */
export function findLink(exchange: NetlinkExchange, name: string): Result<LinkEntry> {
  const links = readLinks(exchange);
  if (!links.ok) return links;
  const found = links.value.find((link) => link.name === name);
  if (found !== undefined) return good(found);
  const others = links.value.map((link) => link.name).slice(0, namedMax);
  const detail = `there is no interface \`${name}\`; there are ${others.join(", ")}`;
  return bad({ code: "interface.missing", origin: "self", retrySafe: false, detail });
}

const namedMax = 20;

function dumpAll<T>(
  exchange: NetlinkExchange,
  request: NetlinkRequest,
  pick: (news: RouteNews) => T | undefined,
): Result<readonly T[]> {
  const found: T[] = [];
  const take = (message: NetlinkMessage) => {
    const news = decodeRouteNews(message);
    const one = news.ok && news.value !== undefined ? pick(news.value) : undefined;
    if (one !== undefined) found.push(one);
    return news;
  };
  const refused = exchange.dump(request, take, () => {
    found.length = 0;
  });
  if (!refused.ok) return refused;
  return refused.value === undefined ? good(found) : routeRefusal(refused.value, "the kernel's list");
}

/** A refusal as a failure: address.denied, address.refused. */
export function routeRefusal(answer: NetlinkAnswer, what: string) {
  const name = errorName(answer.errno);
  const denied = name === "EPERM" || name === "EACCES";
  const words = answer.text === undefined ? name : `${name} (${answer.text})`;
  const detail = denied ? `${what}: this process may not change it: ${capabilityRemedy}` : `${what}: ${words}`;
  const code = denied ? "address.denied" : "address.refused";
  return bad({ code, origin: "self", retrySafe: false, detail });
}

export type RouteMonitor = { readonly fd: number; readonly room: Uint8Array };

/** Something was told, or news were lost because they were not read in time: then everything is to be asked anew. */
export type MonitorNews = RouteNews | { readonly kind: "lost" };

const datagramBytesMax = 64 * 1024;
const datagramsAtOnce = 64;
/** Some 10,000 pieces of news. */
const monitorBufferBytes = 4 * 1024 * 1024;

/** Hears of links and addresses from now on; never blocks. Codes: netlink.failed. */
export function openRouteMonitor(): Result<RouteMonitor> {
  const failed = (call: string, name: string) =>
    bad({ code: "netlink.failed", origin: "self", retrySafe: false, detail: `${call} failed with ${name}` } as const);
  const opened = rawSocket(protocolFamily.netlink, protocolRoute);
  if (!opened.ok) return failed("socket(AF_NETLINK)", opened.name);
  const fd = opened.value;
  const forced = setNumber(fd, "receiveBufferForced", monitorBufferBytes);
  if (!forced.ok) setNumber(fd, "receiveBuffer", monitorBufferBytes);
  // struct sockaddr_nl: family, port id 0 (the kernel gives one), groups.
  const address = new Uint8Array(12);
  address[0] = protocolFamily.netlink;
  new DataView(address.buffer).setUint32(8, routeGroups, true);
  const bound = bindSocket(fd, address);
  if (bound.ok) return good({ fd, room: new Uint8Array(datagramBytesMax) });
  closeDescriptor(fd);
  return failed("bind to the groups of rtnetlink", bound.name);
}

export function closeRouteMonitor(monitor: RouteMonitor): void {
  closeDescriptor(monitor.fd);
}

/** What was told since the last call, at most 64 datagrams of it. Codes: netlink.failed, netlink.malformed. */
export function readRouteNews(monitor: RouteMonitor): Result<readonly MonitorNews[]> {
  const news: MonitorNews[] = [];
  for (let count = 0; count < datagramsAtOnce; count++) {
    const received = receiveNow(monitor.fd, monitor.room);
    if (!received.ok) {
      if (received.name === "EAGAIN") break;
      if (received.name === "EINTR") continue;
      if (received.name === "ENOBUFS") {
        news.push({ kind: "lost" });
        continue;
      }
      const detail = `recv failed with ${received.name}`;
      return bad({ code: "netlink.failed", origin: "self", retrySafe: false, detail });
    }
    const messages = decodeMessages(monitor.room.subarray(0, Math.min(received.value, monitor.room.length)));
    if (!messages.ok) return messages;
    for (const message of messages.value) {
      const decoded = decodeRouteNews(message);
      if (!decoded.ok) return decoded;
      if (decoded.value !== undefined) news.push(decoded.value);
    }
  }
  return good(news);
}
