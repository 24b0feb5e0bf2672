// Every way in which bytes can be no DNS message of ours to read. The change's way. A message that dies here is not
// believed at all, so nobody's targets change by it; which server sent it, and what is asked next, is src/sources' affair.

import { bad } from "../../core/failure.ts";

/** Stable codes with what they mean. */
export const dnsFaults = {
  "dns.length.short": "the message ends before it is over",
  "dns.name.label": "a label that is neither text nor a pointer",
  "dns.name.long": "a name of more than 255 bytes",
  "dns.name.pointer": "a pointer that does not lead back, or one too many",
  "dns.header.question": "a question where an answer belongs",
  "dns.header.opcode": "not the answer to a standard query",
  "dns.question.count": "not exactly one question",
  "dns.record.length": "a record whose data is not as long as its type demands",
} as const;

export type DnsFaultCode = keyof typeof dnsFaults;

/** As a failure: the server's, and another server may do better. */
export function dnsFault(code: DnsFaultCode) {
  return bad({ code, origin: "target", retrySafe: true, detail: dnsFaults[code] });
}
