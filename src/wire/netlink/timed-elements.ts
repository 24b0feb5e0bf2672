// Elements of an nftables set that end by themselves: set for so many milliseconds, or taken away. The change's way, pure.
// Keys are marks, registers in host order. Kernels before 6.12 leave the time of an element as it was when it is added
// again, so it is removed and added in one transaction; a packet sees the old or the new one, never none.
// linux/netfilter/nf_tables.h.

import { hostNumber } from "./registers.ts";
import {
  closeMessage,
  closeNest,
  messageFlag,
  type NetlinkRequest,
  type NetlinkWriter,
  netlinkWriter,
  openMessage,
  openNest,
  putBytes,
  putText,
  written,
} from "./writer.ts";

export type TimedElement = {
  readonly set: string;
  readonly key: number;
  /** Undefined: the element is only removed. */
  readonly milliseconds: number | undefined;
  /** It is there: a removal of one that is not fails with ENOENT, and the whole transaction with it. */
  readonly present: boolean;
};

const subsystem = 10;
const batchBegin = 0x10;
const batchEnd = 0x11;
const familyNetdev = 5;
const message = { newElements: 12, deleteElements: 14 } as const;
const list = { table: 1, set: 2, elements: 3 } as const;
const listElement = 1;
const element = { key: 1, timeout: 4 } as const;
const dataValue = 1;
const { request, acknowledge, create } = messageFlag;

/** All in one transaction, of a table of family netdev; at least one change. */
export function encodeTimedElements(table: string, changes: readonly TimedElement[], sequence: number): NetlinkRequest {
  const writer = netlinkWriter(1024);
  putEdge(writer, batchBegin, sequence);
  let last = sequence;
  let lastStart = 0;
  for (const change of changes) {
    if (change.present) lastStart = putElement(writer, table, change, { remove: true, sequence: ++last });
    if (change.milliseconds !== undefined) {
      lastStart = putElement(writer, table, change, { remove: false, sequence: ++last });
    }
  }
  const flags = writer.view.getUint16(lastStart + 6, true);
  writer.view.setUint16(lastStart + 6, flags | acknowledge, true);
  putEdge(writer, batchEnd, last + 1);
  return { bytes: written(writer), first: sequence, last, batch: true };
}

function putEdge(writer: NetlinkWriter, type: number, sequence: number): void {
  closeMessage(writer, openMessage(writer, { type, flags: request, sequence, family: 0, resource: subsystem }));
}

function putElement(
  writer: NetlinkWriter,
  table: string,
  change: TimedElement,
  how: { readonly remove: boolean; readonly sequence: number },
): number {
  const number = how.remove ? message.deleteElements : message.newElements;
  const start = openMessage(writer, {
    type: (subsystem << 8) | number,
    flags: how.remove ? request : request | create,
    sequence: how.sequence,
    family: familyNetdev,
  });
  putText(writer, list.table, table);
  putText(writer, list.set, change.set);
  const elements = openNest(writer, list.elements);
  const item = openNest(writer, listElement);
  const key = openNest(writer, element.key);
  putBytes(writer, dataValue, hostNumber(change.key));
  closeNest(writer, key);
  if (!how.remove) {
    const time = new Uint8Array(8);
    new DataView(time.buffer).setBigUint64(0, BigInt(Math.round(change.milliseconds ?? 0)));
    putBytes(writer, element.timeout, time);
  }
  closeNest(writer, item);
  closeNest(writer, elements);
  closeMessage(writer, start);
  return start;
}
