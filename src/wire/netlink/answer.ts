// The kernel's answer to one message: done, or refused with an error number and, since Linux 4.12, words and the place
// that it did not like (linux/netlink.h: struct nlmsgerr, enum nlmsgerr_attrs). The change's way. Knows what errors are
// called nowhere: names belong to the machine, so io gives them.

import { good, type Result } from "../../core/failure.ts";
import {
  attributesOf,
  malformed,
  messageType,
  type NetlinkMessage,
  nextAttribute,
  readHostU32,
  readText,
} from "./reader.ts";
import { aligned, headerBytes, messageFlag } from "./writer.ts";

export type NetlinkAnswer = {
  /** Of the message that is answered. */
  readonly sequence: number;
  /** 0 is an acknowledgement; else the number of the error, above 0. */
  readonly errno: number;
  /** The kernel's own words, where it has some. */
  readonly text: string | undefined;
  /** What it did not like: an attribute's place, in bytes from the start of the message that is answered. */
  readonly offset: number | undefined;
};

const explanation = { text: 1, offset: 2 } as const;
const errnoBytes = 4;
/** Before the first attribute of an answer: error and the repeated header. */
const answerBytes = errnoBytes + headerBytes;

/**
 * Reads the answer to one message, or the end of a dump. The caller looks at the type first.
 * Fails with `netlink.malformed`.
 */
export function decodeAnswer(message: NetlinkMessage): Result<NetlinkAnswer> {
  const { payload, sequence, flags } = message;
  const least = message.type === messageType.done ? errnoBytes : answerBytes;
  if (payload.length < least) return malformed(`an answer of ${payload.length} bytes`);
  const view = new DataView(payload.buffer, payload.byteOffset, payload.byteLength);
  const errno = 0 - view.getInt32(0, true);
  if (errno < 0) return malformed(`an answer with error ${errno}`);
  let text: string | undefined;
  let offset: number | undefined;
  if ((flags & messageFlag.explained) !== 0) {
    const attributes = attributesOf(payload, explanationStart(message, view));
    while (nextAttribute(attributes)) {
      if (attributes.type === explanation.text) text = readText(attributes);
      else if (attributes.type === explanation.offset) offset = readHostU32(attributes);
    }
    if (attributes.malformed) return malformed("an answer whose explanation ends too early");
  }
  return good({ sequence, errno, text, offset });
}

function explanationStart(message: NetlinkMessage, view: DataView): number {
  if (message.type === messageType.done) return errnoBytes;
  if ((message.flags & messageFlag.capped) !== 0) return answerBytes;
  const repeated = view.getUint32(errnoBytes, true);
  const lies = repeated < headerBytes || repeated > message.payload.length;
  return lies ? message.payload.length + 1 : errnoBytes + aligned(repeated);
}
