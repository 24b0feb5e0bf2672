// What the kernel engine asks of netfilter while clients are served: elements of maps changed in one transaction, named
// counters read, a target's tracked connections counted and deleted. The change's way, synchronous and in the supervisor
// only; tables, chains and rules are made by the nft command (nft-command.ts). Everything is about family inet, in the
// network namespace that the process was started in. It touches what its caller names and nothing else.

import { bad, type Failure, good, type Result } from "../core/failure.ts";
import type { NetlinkAnswer } from "../wire/netlink/answer.ts";
import { type ConnectionFilter, dumpFilters, isUnderWay, leadsToTarget } from "../wire/netlink/connection-filter.ts";
import { metBy, tally, tallyGroups } from "../wire/netlink/connection-tally.ts";
import {
  type Connection,
  type ConnectionName,
  decodeConnection,
  encodeConnectionDump,
  encodeDeletions,
  encodeProtocolDump,
} from "../wire/netlink/conntrack.ts";
import {
  type CounterValue,
  decodeCounter,
  type ElementChange,
  encodeCounterDump,
  encodeElementChanges,
  encodeGenerationQuestion,
  encodeTableTrial,
  findRefused,
} from "../wire/netlink/nftables.ts";
import type { NetlinkMessage } from "../wire/netlink/reader.ts";
import type { NetlinkRequest } from "../wire/netlink/writer.ts";
import { errorName } from "./libc.ts";
import { type NetlinkExchange, netlinkExchange, openNetlinkPort } from "./netlink-socket.ts";

export type { ConnectionFilter } from "../wire/netlink/connection-filter.ts";
export type { CounterValue, ElementChange } from "../wire/netlink/nftables.ts";

export type Netfilter = {
  /**
   * All changes in one transaction: all of them or none, and every packet sees the maps before or after. Each element to
   * remove must be there; one to add may be there with the same data. Codes: netfilter.notFound (table, map or element),
   * .conflict (the key has other data), .denied, .refused, .tooLarge, and netlink.* after which it is unknown whether the
   * change was made.
   */
  changeElements(table: string, changes: readonly ElementChange[]): Result<true>;
  /** Every named counter of the table by name; none when there is no such table. Since the table was made. */
  readCounters(table: string): Result<ReadonlyMap<string, CounterValue>>;
  /**
   * Deletes the tracked connections that lead to the target, ended ones included, and gives their number. A connection
   * whose first packet is under way meanwhile may be missed: change the maps first, and ask once more a moment later.
   */
  deleteConnections(filter: ConnectionFilter): Result<number>;
  /** The same for many filters, in one look a protocol and family: the number of all that were deleted. */
  deleteEach(filters: readonly ConnectionFilter[]): Result<number>;
  /** How many tracked connections lead to the target and are under way: TCP not yet closed, UDP not yet forgotten. */
  countConnections(filter: ConnectionFilter): Result<number>;
  /** The same for each of many filters, in one look a protocol and family instead of two a filter. */
  countEach(filters: readonly ConnectionFilter[]): Result<readonly number[]>;
  close(): void;
};

const protocolNetfilter = 12;
/** Deletions in one send: their refusals (gone already) must fit the receive buffer. */
const deletionsAtOnce = 1_000;
/** NFT_NAME_MAXLEN less its zero byte. */
const nameLengthMax = 255;

function failure(code: string, detail: string): Failure {
  return { code, origin: "self", retrySafe: false, detail };
}

/** What to do about the missing right, for messages. */
export const netAdminRemedy =
  "run evenkeel as root, or give it CAP_NET_ADMIN (systemd: AmbientCapabilities=CAP_NET_ADMIN; a container: --cap-add NET_ADMIN)";

/**
 * Opens netfilter and asks it one question, so that a missing right or a kernel without nf_tables is known now.
 * Codes: netfilter.denied, netfilter.unsupported, netlink.*.
 */
export function openNetfilter(): Result<Netfilter> {
  const exchange = netlinkExchange(() => openNetlinkPort(protocolNetfilter));
  const known = transact(exchange, encodeGenerationQuestion(exchange.sequence(1)), "the generation of the rules");
  if (!known.ok) {
    exchange.close();
    return bad(asUnsupported(known.failure));
  }
  return good(netfilterOver(exchange));
}

/** The same over an exchange of the caller's: for tests. */
export function netfilterOver(exchange: NetlinkExchange): Netfilter {
  return {
    changeElements: (table, changes) => changeElements(exchange, table, changes),
    readCounters: (table) => readCounters(exchange, table),
    deleteConnections: (filter) => deleteConnections(exchange, filter),
    deleteEach: (filters) => deleteEach(exchange, filters),
    countConnections: (filter) => countConnections(exchange, filter),
    countEach: (filters) => countEach(exchange, filters),
    close: () => exchange.close(),
  };
}

/**
 * Whether the kernel takes a table of family inet with a chain of type nat. Nothing is made: the transaction has no end.
 * Codes as for openNetfilter.
 */
export function tryTable(name: string): Result<true> {
  return once((exchange) => transact(exchange, encodeTableTrial(name, exchange.sequence(4)), `a table \`${name}\``));
}

/** Whether the kernel answers questions about tracked connections. Codes as for openNetfilter. */
export function tryConnectionTracking(): Result<true> {
  // TEST-NET-1, RFC 5737: an address that leads nowhere.
  const nowhere: ConnectionFilter = { protocol: "udp", target: { host: "192.0.2.1", port: 9 } };
  return once((exchange) => {
    const found = findConnections(exchange, nowhere);
    return found.ok ? good(true) : found;
  });
}

function once(ask: (exchange: NetlinkExchange) => Result<true>): Result<true> {
  const exchange = netlinkExchange(() => openNetlinkPort(protocolNetfilter));
  const answered = ask(exchange);
  exchange.close();
  return answered.ok ? answered : bad(asUnsupported(answered.failure));
}

/** A kernel without the module knows neither the subsystem nor the message. */
function asUnsupported(known: Failure): Failure {
  if (
    known.code !== "netfilter.refused" &&
    known.code !== "netfilter.notFound" &&
    known.code !== "netlink.unsupported"
  ) {
    return known;
  }
  const remedy =
    "load nf_tables, nft_chain_nat and nf_conntrack_netlink, or use a kernel that has them (Linux 5.2 or newer)";
  return failure("netfilter.unsupported", `${known.detail}: ${remedy}`);
}

function transact(exchange: NetlinkExchange, request: NetlinkRequest, what: string): Result<true> {
  const done = exchange.transact(request);
  if (!done.ok) return done;
  const [first] = done.value;
  return first === undefined ? good(true) : bad(describeRefusal(first, what));
}

function describeRefusal(refusal: NetlinkAnswer, what: string): Failure {
  const name = errorName(refusal.errno);
  const words = refusal.text === undefined ? name : `${name} (${refusal.text})`;
  switch (name) {
    case "EPERM":
    case "EACCES":
      return failure("netfilter.denied", `${what}: the kernel refuses it to this process: ${netAdminRemedy}`);
    case "ENOENT":
      return failure("netfilter.notFound", `${what}: not there: ${words}`);
    case "EEXIST":
    case "EBUSY":
      return failure("netfilter.conflict", `${what}: there already with other data, or in use: ${words}`);
    default:
      return failure("netfilter.refused", `${what}: refused by the kernel with ${words}`);
  }
}

function changeElements(exchange: NetlinkExchange, table: string, changes: readonly ElementChange[]): Result<true> {
  const elements = changes.reduce((sum, { remove, add }) => sum + remove.length + add.length, 0);
  if (elements === 0) return good(true);
  const misnamed = [table, ...changes.map(({ map }) => map)].find((name) => !isName(name));
  if (misnamed !== undefined) return bad(failure("netfilter.notFound", `\`${misnamed}\` is no name of a table or map`));
  // At most a message an element, and the batch's two edges.
  const request = encodeElementChanges(table, changes, exchange.sequence(elements + 2));
  if (!request.ok) return request;
  const done = exchange.transact(request.value);
  if (!done.ok) return done;
  const [first] = done.value;
  if (first === undefined) return good(true);
  const place = findRefused(request.value.bytes, first.sequence, first.offset);
  const map = place?.map === undefined ? "" : `, map \`${place.map}\``;
  const key = place?.key === undefined ? "" : `, element ${place.key}`;
  return bad(describeRefusal(first, `table \`${table}\`${map}${key}`));
}

function isName(text: string): boolean {
  return text.length <= nameLengthMax && /^[\x21-\x7e]+$/.test(text);
}

function readCounters(exchange: NetlinkExchange, table: string): Result<ReadonlyMap<string, CounterValue>> {
  if (!isName(table)) return bad(failure("netfilter.notFound", `\`${table}\` is no name of a table`));
  const counters = new Map<string, CounterValue>();
  const refusal = exchange.dump(
    encodeCounterDump(table, exchange.sequence(1)),
    (message) => {
      const counter = decodeCounter(message);
      if (!counter.ok) return counter;
      // Kernels that ignore the filter send every table's.
      if (counter.value?.table === table) {
        counters.set(counter.value.name, { packets: counter.value.packets, bytes: counter.value.bytes });
      }
      return counter;
    },
    () => counters.clear(),
  );
  if (!refusal.ok) return refusal;
  if (refusal.value === undefined) return good(counters);
  return bad(describeRefusal(refusal.value, `counters of table \`${table}\``));
}

/** Asks for tracked connections and hands over each; `restart` forgets what was handed over for this request. */
function eachConnection(
  exchange: NetlinkExchange,
  request: NetlinkRequest,
  each: { readonly take: (connection: Connection) => void; readonly restart: () => void },
): Result<true> {
  const take = (message: NetlinkMessage) => {
    const decoded = decodeConnection(message);
    if (decoded.ok && decoded.value !== undefined) each.take(decoded.value);
    return decoded;
  };
  const refusal = exchange.dump(request, take, each.restart);
  if (!refusal.ok) return refusal;
  return refusal.value === undefined ? good(true) : bad(describeRefusal(refusal.value, "tracked connections"));
}

type Found = { readonly name: ConnectionName; readonly underWay: boolean };

function findConnections(exchange: NetlinkExchange, filter: ConnectionFilter): Result<readonly Found[]> {
  const all: Found[] = [];
  for (const wanted of dumpFilters(filter)) {
    const before = all.length;
    const looked = eachConnection(exchange, encodeConnectionDump(wanted, exchange.sequence(1)), {
      take: (connection) => {
        if (!leadsToTarget(connection, wanted)) return;
        all.push({ name: kept(connection.name), underWay: isUnderWay(connection) });
      },
      restart: () => {
        all.length = before;
      },
    });
    if (!looked.ok) return looked;
  }
  return good(all);
}

function countEach(exchange: NetlinkExchange, filters: readonly ConnectionFilter[]): Result<readonly number[]> {
  const all = filters.map(() => 0);
  for (const group of tallyGroups(filters)) {
    const counts = filters.map(() => 0);
    const looked = eachConnection(exchange, encodeProtocolDump(group, exchange.sequence(1)), {
      take: (connection) => tally(connection, group, counts),
      restart: () => counts.fill(0),
    });
    if (!looked.ok) return looked;
    for (const [index, count] of counts.entries()) all[index] = (all[index] ?? 0) + count;
  }
  return good(all);
}

function countConnections(exchange: NetlinkExchange, filter: ConnectionFilter): Result<number> {
  const found = findConnections(exchange, filter);
  return found.ok ? good(found.value.filter(({ underWay }) => underWay).length) : found;
}

function deleteConnections(exchange: NetlinkExchange, filter: ConnectionFilter): Result<number> {
  const found = findConnections(exchange, filter);
  if (!found.ok) return found;
  return deleteNamed(
    exchange,
    found.value.map(({ name }) => name),
  );
}

function deleteEach(exchange: NetlinkExchange, filters: readonly ConnectionFilter[]): Result<number> {
  const names: ConnectionName[] = [];
  for (const group of tallyGroups(filters)) {
    const before = names.length;
    const looked = eachConnection(exchange, encodeProtocolDump(group, exchange.sequence(1)), {
      take: (connection) => {
        if (metBy(connection, group).length > 0) names.push(kept(connection.name));
      },
      restart: () => {
        names.length = before;
      },
    });
    if (!looked.ok) return looked;
  }
  return deleteNamed(exchange, names);
}

/** Its bytes lie in a datagram that is overwritten by the next. */
function kept(name: ConnectionName): ConnectionName {
  return { ...name, originalTuple: new Uint8Array(name.originalTuple) };
}

function deleteNamed(exchange: NetlinkExchange, all: readonly ConnectionName[]): Result<number> {
  let deleted = 0;
  for (let from = 0; from < all.length; from += deletionsAtOnce) {
    const names = all.slice(from, from + deletionsAtOnce);
    const done = exchange.transact(encodeDeletions(names, exchange.sequence(names.length)));
    if (!done.ok) return done;
    // Ended by itself since it was found: as wanted.
    const others = done.value.filter(({ errno }) => errorName(errno) !== "ENOENT");
    if (others[0] !== undefined) return bad(describeRefusal(others[0], "deletion of tracked connections"));
    deleted += names.length - done.value.length;
  }
  return good(deleted);
}
