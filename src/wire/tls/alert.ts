// What a TLS client is told that will get no answer of its own kind: a fatal alert in a record by itself (RFC 8446
// sections 5.1 and 6). On the request's way, once per refused connection. Must not be sent once a target has spoken: from then on
// only the two ends may.

/** Why, RFC 8446 section 6.2. */
export const Alert = {
  /** The hello lacks server_name, and without it there is no telling whom it wants (section 9.2). */
  missingExtension: 109,
  /** Nobody here has the name that it gives (RFC 6066 section 3). */
  unrecognizedName: 112,
} as const;
export type Alert = (typeof Alert)[keyof typeof Alert];

/** Bytes that `encodeAlert` writes. */
export const ALERT_BYTES = 7;

const ALERT_RECORD = 21;
const MAJOR_VERSION = 3;
/** Of the first record of nearly every client (RFC 8446 section 5.1), and acceptable to all before a version is agreed. */
const MINOR_VERSION = 1;
const FATAL = 2;

/** Writes the record at `at` and returns the offset after it. */
export function encodeAlert(bytes: Uint8Array, at: number, alert: Alert): number {
  bytes[at] = ALERT_RECORD;
  bytes[at + 1] = MAJOR_VERSION;
  bytes[at + 2] = MINOR_VERSION;
  bytes[at + 3] = 0;
  bytes[at + 4] = 2;
  bytes[at + 5] = FATAL;
  bytes[at + 6] = alert;
  return at + ALERT_BYTES;
}
