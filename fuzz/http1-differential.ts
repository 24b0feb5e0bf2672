// The property of the differential fuzzer: whatever our wire layer accepts, llhttp accepts and reads alike (as it came,
// and as we would forward it), and how the bytes are cut changes nothing. What we refuse is our own affair. Where the two
// may differ is listed here, each with its reason; anything else is a finding.

import { METHODS } from "node:http";
import { type OracleReading, oracleRequests, oracleResponses } from "./http1-oracle.ts";
import { type Message, type Reading, readStream, type Side } from "./http1-read.ts";

export type Verdict = {
  /** Undefined: no difference. */
  readonly difference: string | undefined;
  /** Messages that both sides read alike. */
  readonly agreed: number;
};

const knownMethods: ReadonlySet<string> = new Set(METHODS);

function show(message: Message | undefined): string {
  return message === undefined
    ? "nothing"
    : JSON.stringify([message.start, message.headers, message.body, message.complete]);
}

function methodOf(message: Message): string {
  return message.start.slice(0, message.start.indexOf(" "));
}

function has(message: Message, name: string): boolean {
  return message.headers.some((text, index) => index % 2 === 0 && text.toLowerCase() === name);
}

/** How many messages from the first one on can be compared. */
function comparableCount(reading: Reading): number {
  for (const [index, message] of reading.messages.entries()) {
    // llhttp knows a list of methods and refuses the others; we let any token through.
    if (!knownMethods.has(methodOf(message))) return index;
    // llhttp obeys the never standardized Proxy-Connection as if it were Connection; we drop it.
    if (has(message, "proxy-connection")) return index + 1;
    // Behind an accepted Upgrade Node reads nothing more, whether it wants the upgrade or not.
    if (has(message, "upgrade") && has(message, "connection")) return index + 1;
  }
  return reading.messages.length;
}

/** What llhttp refuses in responses and we accept on purpose. */
function refusedOnPurpose(ours: Reading, theirs: OracleReading): boolean {
  // RFC 9110 section 2.5: HTTP/1.2 is read as the 1.x that we know.
  if (theirs.error === "HPE_INVALID_VERSION") return true;
  // A 1xx of HTTP/1.0 or with Connection: close; the final response comes all the same.
  return theirs.error === "HPE_CLOSED_CONNECTION" && ours.messages[0]?.start.startsWith("1") === true;
}

/** Node strips nothing from a body, so the two must be equal; while a message is incomplete its body so far. */
function compare(ours: Message, theirs: Message | undefined, how: string): string | undefined {
  const same =
    theirs !== undefined &&
    ours.start === theirs.start &&
    ours.headers.length === theirs.headers.length &&
    ours.headers.every((text, index) => text === theirs.headers[index]) &&
    ours.body === theirs.body &&
    ours.complete === theirs.complete;
  return same ? undefined : `${how}: we read ${show(ours)}, llhttp read ${show(theirs)}`;
}

/** Judges a stream of requests. */
export function judgeRequests(input: Buffer, cuts: readonly number[]): Verdict {
  const ours = readStream("request", input, [], "");
  const uncut = compareCut("request", input, cuts, "", ours);
  if (uncut !== undefined) return { difference: uncut, agreed: 0 };
  const theirs = oracleRequests(input);
  const count = comparableCount(ours);
  for (let i = 0; i < count; i++) {
    const message = ours.messages[i]!;
    // A body that we refuse half-way is cut off; how far llhttp read is of no interest, that it began the same is.
    const refusedHere = i === ours.messages.length - 1 && ours.ending.startsWith("http1.");
    if (refusedHere && !message.complete) continue;
    const difference = compare(message, theirs.messages[i], "as it came");
    if (difference !== undefined) return { difference: `${difference} (${theirs.error})`, agreed: i };
  }
  // Bytes that we still wait on must not be a request to llhttp already.
  if (count === ours.messages.length && ours.ending.startsWith("end") && theirs.messages.length > count) {
    return { difference: `llhttp read one more: ${show(theirs.messages[count])}`, agreed: count };
  }
  return { difference: judgeForwarded(ours, count), agreed: count };
}

/** All that we would forward on one connection to a target must come out there as the same requests and no others. */
function judgeForwarded(ours: Reading, count: number): string | undefined {
  const sent = ours.messages.slice(0, count).filter((message) => message.complete && methodOf(message) !== "CONNECT");
  const stream = Buffer.from(sent.map((message) => message.forwarded).join(""), "latin1");
  const theirs = oracleRequests(stream);
  if (theirs.error !== "" || theirs.messages.length !== sent.length) {
    return `as forwarded: ${sent.length} sent, ${theirs.messages.length} read (${theirs.error}): ${JSON.stringify(stream.toString("latin1"))}`;
  }
  for (const [index, message] of sent.entries()) {
    const read = theirs.messages[index];
    const same = read?.start === message.start && read.body === message.body && read.complete;
    if (!same) return `as forwarded: we sent ${show(message)}, llhttp read ${show(read)}`;
    const trailers = pairs(read.trailers);
    if (trailers !== message.trailers) return `as forwarded: trailers ${message.trailers} became ${trailers}`;
  }
  return undefined;
}

function pairs(rawTrailers: readonly string[]): string {
  let out = "";
  for (let i = 0; i < rawTrailers.length; i += 2) out += `${rawTrailers[i]}: ${rawTrailers[i + 1]}\r\n`;
  return out;
}

function compareCut(
  side: Side,
  input: Buffer,
  cuts: readonly number[],
  method: string,
  whole: Reading,
): string | undefined {
  // The wire of a body that arrives in pieces is chunked otherwise; all else must be the same.
  const plain = (reading: Reading) =>
    JSON.stringify([
      reading.messages.map((one) => [one.start, one.headers, one.body, one.complete, one.trailers]),
      reading.ending,
    ]);
  const cut = readStream(side, input, cuts, method);
  return plain(cut) === plain(whole) ? undefined : `cut at ${cuts.join(", ")}: ${plain(cut)}, whole: ${plain(whole)}`;
}

/** Judges what answers one request of `method`: any number of 1xx, then one response. */
export async function judgeResponses(input: Buffer, cuts: readonly number[], method: string): Promise<Verdict> {
  const ours = readStream("response", input, [], method);
  const uncut = compareCut("response", input, cuts, method, ours);
  if (uncut !== undefined) return { difference: uncut, agreed: 0 };
  const final = ours.messages.find((message) => !message.start.startsWith("1") || message.start.startsWith("101"));
  if (final === undefined) return { difference: undefined, agreed: 0 };
  if (final.start.startsWith("101")) return { difference: undefined, agreed: 0 };
  if (!final.complete && ours.ending.startsWith("http1.")) return { difference: undefined, agreed: 0 };
  const theirs: OracleReading = await oracleResponses(input, method);
  if (refusedOnPurpose(ours, theirs)) return { difference: undefined, agreed: 0 };
  const difference = compare(final, theirs.messages[0], "as it came");
  if (difference !== undefined) return { difference: `${difference} (${theirs.error})`, agreed: 0 };
  const forwarded = ours.messages.find((message) => message === final)?.forwarded ?? "";
  if (!final.complete) return { difference: undefined, agreed: 1 };
  const again = (await oracleResponses(Buffer.from(forwarded, "latin1"), method)).messages[0];
  const same = again !== undefined && again.start === final.start && again.body === final.body && again.complete;
  return { difference: same ? undefined : `as forwarded: ${forwarded} became ${show(again)}`, agreed: 1 };
}

/** The requests whose responses are judged: with a body, and without one whatever the head says. */
export const RESPONSE_METHODS: readonly string[] = ["GET", "HEAD", "POST"];
