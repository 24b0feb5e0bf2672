// Requests to nf_tables: elements of named maps changed in one transaction, the counters of a table read, a table tried
// out without making it. The change's way, pure: bytes out, bytes in. It builds no rules: those go through the nft
// command as text (io/nft-command.ts), once; what changes while clients are served comes through here, because it costs
// a hundredth of the command. linux/netfilter/nf_tables.h and nfnetlink.h.
//
// A transaction is one datagram: batch begin, messages, batch end. The kernel makes all of it or nothing, and a packet
// sees either the old map or the new one. Without the batch end it tries everything and makes nothing.

import { bad, good, type Result } from "../../core/failure.ts";
import {
  type AttributeCursor,
  attributesOf,
  malformed,
  type NetlinkMessage,
  nestedAttributes,
  nextAttribute,
  readText,
  readU32,
  readU64,
} from "./reader.ts";
import {
  aligned,
  attributeHeaderBytes,
  closeMessage,
  closeNest,
  headerBytes,
  messageFlag,
  type NetlinkRequest,
  type NetlinkWriter,
  netfilterHeaderBytes,
  netlinkWriter,
  openMessage,
  openNest,
  putBytes,
  putHostU32,
  putText,
  putU32,
  written,
} from "./writer.ts";

/** What becomes of one map. Keys and data are whole registers (registers.ts); an element is changed by removing and adding its key. */
export type ElementChange = {
  readonly map: string;
  /** Keys, each of which must be there. */
  readonly remove: readonly Uint8Array[];
  readonly add: readonly { readonly key: Uint8Array; readonly data: Uint8Array }[];
};

/** Of one named counter. Bytes are those of whole packets of layer 3. */
export type CounterValue = { readonly packets: number; readonly bytes: number };

/** One transaction: about 400,000 elements, a hundred Maglev tables of 4,099 slots. */
export const TRANSACTION_BYTES_MAX = 16 * 1024 * 1024;
/** Elements of one message lie in one attribute, whose length has 16 bits. */
const messageElementsBytesMax = 60_000;

const subsystem = 10;
const batchBegin = 0x10;
const batchEnd = 0x11;
const familyInet = 1;
const message = {
  newTable: 0,
  newChain: 3,
  newElements: 12,
  deleteElements: 14,
  getGeneration: 16,
  newObject: 18,
  getObject: 19,
} as const;
const list = { table: 1, set: 2, elements: 3 } as const;
const listElement = 1;
const element = { key: 1, data: 2 } as const;
const dataValue = 1;
const table = { name: 1, flags: 2 } as const;
const chain = { table: 1, name: 3, hook: 4, type: 7 } as const;
const hook = { number: 1, priority: 2 } as const;
const object = { table: 1, name: 2, type: 3, data: 4 } as const;
const objectCounter = 1;
const counter = { bytes: 1, packets: 2 } as const;
const hookPrerouting = 0;
const priorityDestinationNat = -100;

const { request, acknowledge, create, dump } = messageFlag;

function typeOf(number: number): number {
  return (subsystem << 8) | number;
}

function putBatchEdge(writer: NetlinkWriter, type: number, sequence: number): void {
  closeMessage(writer, openMessage(writer, { type, flags: request, sequence, family: 0, resource: subsystem }));
}

/**
 * All changes as one transaction for a table of family inet, its sequence numbers from `sequence` on; the changes hold at
 * least one element. Fails with `netfilter.tooLarge`.
 */
export function encodeElementChanges(
  tableName: string,
  changes: readonly ElementChange[],
  sequence: number,
): Result<NetlinkRequest> {
  const writer = netlinkWriter(64 * 1024);
  putBatchEdge(writer, batchBegin, sequence);
  let last = sequence;
  let lastStart = 0;
  const put = (header: ListHeader, elements: readonly ListedElement[]): boolean => {
    for (let from = 0; from < elements.length; ) {
      lastStart = writer.end;
      from = putElements(writer, { ...header, sequence: ++last }, elements, from);
      if (writer.end > TRANSACTION_BYTES_MAX) return false;
    }
    return true;
  };
  for (const { map, remove, add } of changes) {
    const removed = remove.map((key) => ({ key, data: undefined }));
    const fits =
      put({ tableName, map, type: typeOf(message.deleteElements), flags: request }, removed) &&
      put({ tableName, map, type: typeOf(message.newElements), flags: request | create }, add);
    if (!fits) return bad(tooLarge(changes));
  }
  // One answer for all: refusals come without being asked for.
  const flagsAt = lastStart + 6;
  writer.view.setUint16(flagsAt, writer.view.getUint16(flagsAt, true) | acknowledge, true);
  putBatchEdge(writer, batchEnd, last + 1);
  return good({ bytes: written(writer), first: sequence, last, batch: true });
}

function tooLarge(changes: readonly ElementChange[]) {
  const elements = changes.reduce((sum, { remove, add }) => sum + remove.length + add.length, 0);
  const detail = `${elements} elements are more than one transaction of ${TRANSACTION_BYTES_MAX} bytes holds`;
  return { code: "netfilter.tooLarge", origin: "self", retrySafe: false, detail } as const;
}

type ListHeader = {
  readonly tableName: string;
  readonly map: string;
  readonly type: number;
  readonly flags: number;
};
type ListedElement = { readonly key: Uint8Array; readonly data: Uint8Array | undefined };

/** One message with as many elements as it holds; gives the index of the first that it does not. */
function putElements(
  writer: NetlinkWriter,
  header: ListHeader & { readonly sequence: number },
  elements: readonly ListedElement[],
  from: number,
): number {
  const { type, flags, sequence } = header;
  const start = openMessage(writer, { type, flags, sequence, family: familyInet });
  putText(writer, list.table, header.tableName);
  putText(writer, list.set, header.map);
  const nest = openNest(writer, list.elements);
  const stop = writer.end + messageElementsBytesMax;
  let index = from;
  for (; index < elements.length && writer.end < stop; index++) {
    const { key, data } = elements[index]!;
    const item = openNest(writer, listElement);
    putValue(writer, element.key, key);
    if (data !== undefined) putValue(writer, element.data, data);
    closeNest(writer, item);
  }
  closeNest(writer, nest);
  closeMessage(writer, start);
  return index;
}

function putValue(writer: NetlinkWriter, type: number, value: Uint8Array): void {
  const nest = openNest(writer, type);
  putBytes(writer, dataValue, value);
  closeNest(writer, nest);
}

/** What a refusal is about. The map and the key (in hex) are absent where it is about something larger. */
export type RefusedPlace = { readonly map: string | undefined; readonly key: string | undefined };

/**
 * Where a refusal points in a request of encodeElementChanges: the message of that sequence number, and in it what lies
 * at `offset`. Undefined when the batch as a whole was refused.
 */
export function findRefused(bytes: Uint8Array, sequence: number, offset: number | undefined): RefusedPlace | undefined {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  for (let at = 0; at < bytes.length; at += aligned(view.getUint32(at, true))) {
    if (view.getUint32(at + 8, true) !== sequence) continue;
    const type = view.getUint16(at + 4, true);
    if (type !== typeOf(message.newElements) && type !== typeOf(message.deleteElements)) return undefined;
    const whole = bytes.subarray(at, at + view.getUint32(at, true));
    return placeAt(attributesOf(whole, headerBytes + netfilterHeaderBytes), offset ?? whole.length);
  }
  return undefined;
}

function placeAt(attributes: AttributeCursor, offset: number): RefusedPlace {
  let map: string | undefined;
  let key: string | undefined;
  while (nextAttribute(attributes)) {
    const isPlace = isAt(attributes, offset);
    if (attributes.type === list.table && isPlace) return { map: undefined, key: undefined };
    if (attributes.type === list.set) map = readText(attributes);
    else if (attributes.type === list.elements && isPlace) key = keyAt(nestedAttributes(attributes), offset);
  }
  return { map, key };
}

function isAt(attribute: AttributeCursor, offset: number): boolean {
  return offset >= attribute.start - attributeHeaderBytes && offset < attribute.stop;
}

function keyAt(elements: AttributeCursor, offset: number): string | undefined {
  while (nextAttribute(elements)) {
    if (!isAt(elements, offset)) continue;
    const parts = nestedAttributes(elements);
    while (nextAttribute(parts)) {
      if (parts.type !== element.key) continue;
      const value = nestedAttributes(parts);
      if (nextAttribute(value)) return hex(value.bytes.subarray(value.start, value.stop));
    }
  }
  return undefined;
}

function hex(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** Asks for every named counter of a table of family inet. The answers are read by decodeCounter. */
export function encodeCounterDump(tableName: string, sequence: number): NetlinkRequest {
  const writer = netlinkWriter(256);
  const type = typeOf(message.getObject);
  const start = openMessage(writer, { type, flags: request | dump, sequence, family: familyInet });
  putText(writer, object.table, tableName);
  putU32(writer, object.type, objectCounter);
  closeMessage(writer, start);
  return { bytes: written(writer), first: sequence, last: sequence, batch: false };
}

/** A named counter, or undefined when the message is about something else. Fails with `netlink.malformed`. */
export function decodeCounter(
  answer: NetlinkMessage,
): Result<({ readonly table: string; readonly name: string } & CounterValue) | undefined> {
  if (answer.type !== typeOf(message.newObject)) return good(undefined);
  let tableName: string | undefined;
  let name: string | undefined;
  let type = 0;
  let value: CounterValue | undefined;
  const attributes = attributesOf(answer.payload, netfilterHeaderBytes);
  while (nextAttribute(attributes)) {
    if (attributes.type === object.table) tableName = readText(attributes);
    else if (attributes.type === object.name) name = readText(attributes);
    else if (attributes.type === object.type) type = readU32(attributes);
    // What the data are follows from the type, which the kernel sends first; others than counters are not looked into.
    else if (attributes.type === object.data && type === objectCounter) value = readCounter(attributes);
  }
  if (attributes.malformed) return malformed("an object whose attributes end too early or have another width");
  if (type !== objectCounter) return good(undefined);
  if (tableName === undefined || name === undefined || value === undefined) return malformed("a counter lacks a part");
  return good({ table: tableName, name, ...value });
}

function readCounter(parent: AttributeCursor): CounterValue | undefined {
  let packets: number | undefined;
  let bytes: number | undefined;
  const attributes = nestedAttributes(parent);
  while (nextAttribute(attributes)) {
    if (attributes.type === counter.packets) packets = readU64(attributes);
    else if (attributes.type === counter.bytes) bytes = readU64(attributes);
  }
  return packets === undefined || bytes === undefined ? undefined : { packets, bytes };
}

/** Asks for the ruleset's generation: the cheapest question to which only a kernel with nf_tables knows an answer. */
export function encodeGenerationQuestion(sequence: number): NetlinkRequest {
  const writer = netlinkWriter(64);
  const type = typeOf(message.getGeneration);
  closeMessage(writer, openMessage(writer, { type, flags: request | acknowledge, sequence, family: 0 }));
  return { bytes: written(writer), first: sequence, last: sequence, batch: false };
}

/**
 * A table of family inet with a chain of type nat, tried out: the kernel says whether it would take them, and makes
 * neither, because the batch has no end (as `nft --check` does).
 */
export function encodeTableTrial(tableName: string, sequence: number): NetlinkRequest {
  const writer = netlinkWriter(512);
  putBatchEdge(writer, batchBegin, sequence);
  const flags = request | create;
  const first = openMessage(writer, {
    type: typeOf(message.newTable),
    flags,
    sequence: sequence + 1,
    family: familyInet,
  });
  putText(writer, table.name, tableName);
  putHostU32(writer, table.flags, 0);
  closeMessage(writer, first);
  const second = openMessage(writer, {
    type: typeOf(message.newChain),
    flags: flags | acknowledge,
    sequence: sequence + 2,
    family: familyInet,
  });
  putText(writer, chain.table, tableName);
  putText(writer, chain.name, "trial");
  const nest = openNest(writer, chain.hook);
  putU32(writer, hook.number, hookPrerouting);
  putU32(writer, hook.priority, priorityDestinationNat);
  closeNest(writer, nest);
  putText(writer, chain.type, "nat");
  closeMessage(writer, second);
  return { bytes: written(writer), first: sequence, last: sequence + 2, batch: true };
}
