// The values of a health check that nothing else has: status ranges, bytes to send, what an answer must hold, a command. On
// the change's way, below health-check-schema.ts. Texts that go to a target or are looked for in its answer become one byte
// a character here (UTF-8 as latin1), so that nobody behind has to think of encodings.

import type { Expectation, StatusRange } from "../model/health-check.ts";
import { regex } from "./http-leaf.ts";
import { leaf, type Reading, read, refuse, textReader, wrongType } from "./leaf.ts";
import { commandWordBytesMax, probeBytesMax } from "./limits.ts";

const statusExpected = "a status such as 200, a class such as 2xx, or a range such as 200-399";

/** `200`, `2xx` or `200-399`. */
export function statusRange() {
  const reader = (value: unknown): Reading<StatusRange> => {
    if (typeof value !== "string" && typeof value !== "number") return wrongType(value, statusExpected);
    const text = String(value);
    const family = /^([1-5])xx$/i.exec(text)?.[1];
    if (family !== undefined) return read({ first: Number(family) * 100, last: Number(family) * 100 + 99 });
    const match = /^([1-5]\d\d)(?:-([1-5]\d\d))?$/.exec(text);
    if (match === null) return refuse("config.status", `\`${text}\` is no status`, statusExpected);
    const first = Number(match[1]);
    const last = Number(match[2] ?? first);
    if (last < first) return refuse("config.status", `\`${text}\` ends before it begins`, statusExpected);
    return read({ first, last });
  };
  const json = {
    anyOf: [
      { type: "integer", minimum: 100, maximum: 599 },
      { type: "string", pattern: "^([1-5]([xX][xX]|\\d\\d(-[1-5]\\d\\d)?)|.*\\$\\{.*)$" },
    ],
  };
  return leaf(reader, json, statusExpected);
}

/** UTF-8, one byte a character. */
export function bytesOf(text: string): string {
  return String.fromCharCode(...new TextEncoder().encode(text));
}

const bytesExpected = `text of 1 to ${probeBytesMax} bytes`;

/** Any characters, line breaks and NUL too; one byte a character. */
export function bytesText() {
  const reader = textReader(bytesExpected, (text): Reading<string> => {
    // Before it is spread over a call's arguments.
    const bytes = text.length > probeBytesMax ? "" : bytesOf(text);
    if (bytes !== "" && bytes.length <= probeBytesMax) return read(bytes);
    return refuse("config.probe.bytes", `the text has ${new TextEncoder().encode(text).length} bytes`, bytesExpected);
  });
  return leaf(reader, { type: "string", pattern: "[\\s\\S]" }, bytesExpected);
}

const hexExpected = `1 to ${probeBytesMax} bytes as pairs of hexadecimal digits, such as \`0d0a\``;

/** Pairs of hexadecimal digits, blanks between them allowed. */
export function hexText() {
  const reader = textReader(hexExpected, (text): Reading<string> => {
    const digits = text.replaceAll(/\s+/g, "");
    if (!/^(?:[0-9a-fA-F]{2})+$/.test(digits) || digits.length > probeBytesMax * 2) {
      return refuse("config.probe.hex", `\`${text.slice(0, 60)}\` is not that`, hexExpected);
    }
    const pairs = digits.match(/../g) ?? [];
    return read(String.fromCharCode(...pairs.map((pair) => Number.parseInt(pair, 16))));
  });
  return leaf(reader, { type: "string", pattern: "^([0-9a-fA-F\\s]+|.*\\$\\{.*)$" }, hexExpected);
}

/** A JavaScript regular expression, as routes have them. */
export const expectedRegex = regex;

/** What a file says of an expectation, as the model has it. */
export function readExpectation(
  file: string | { readonly regex?: string | undefined; readonly hex?: string | undefined } | undefined,
): Expectation | undefined {
  if (file === undefined) return undefined;
  if (typeof file === "string") return { kind: "text", text: file };
  if (file.regex !== undefined) return { kind: "regex", source: file.regex };
  return { kind: "text", text: file.hex ?? "" };
}

const wordExpected = `text of at most ${commandWordBytesMax} bytes`;

export const readCommandWord = textReader(wordExpected, (text): Reading<string> => {
  if (text.includes("\0")) return refuse("config.command", "a word of a command holds NUL", wordExpected);
  if (new TextEncoder().encode(text).length > commandWordBytesMax) {
    return refuse("config.command", `the word has ${text.length} characters`, wordExpected);
  }
  return read(text);
});

/** One word of a command: handed over as it is, without a shell. */
export function commandWord() {
  return leaf(readCommandWord, { type: "string" }, wordExpected);
}

const methodExpected = "a method in capitals, such as GET or HEAD";

export function method() {
  const reader = textReader(methodExpected, (text): Reading<string> => {
    if (/^[A-Z]{1,16}$/.test(text) && text !== "CONNECT") return read(text);
    const capital = text.toUpperCase();
    return refuse("config.method", `\`${text}\` is no method for a probe`, methodExpected, readable(capital, text));
  });
  return leaf(reader, { type: "string", pattern: "^([A-Z]+|.*\\$\\{.*)$" }, methodExpected);
}

function readable(better: string, text: string): string | undefined {
  return better !== text && /^[A-Z]{1,16}$/.test(better) ? better : undefined;
}

const targetExpected = "a path that begins with `/`, with its query, as it goes to the target";

/** Path and query as they are sent: printable ASCII without blank and `#`. */
export function requestPath() {
  const reader = textReader(targetExpected, (text): Reading<string> => {
    if (text.length <= 4096 && /^\/[!-"$-~]*$/.test(text)) return read(text);
    return refuse("config.path", `\`${text.slice(0, 60)}\` is no path to send`, targetExpected);
  });
  return leaf(reader, { type: "string", pattern: "^(/|.*\\$\\{)" }, targetExpected);
}

const authorityExpected = "a host name or address, with a port if need be";

/** The value of a Host line. */
export function authority() {
  const reader = textReader(authorityExpected, (text): Reading<string> => {
    if (/^[A-Za-z0-9_.:[\]-]{1,260}$/.test(text)) return read(text);
    return refuse("config.host", `\`${text.slice(0, 60)}\` is no host`, authorityExpected);
  });
  return leaf(reader, { type: "string" }, authorityExpected);
}

const serverNameExpected = "a host name, such as `iam.example.com`";

/** A name for SNI: RFC 6066 section 3 allows no address. */
export function serverName() {
  const reader = textReader(serverNameExpected, (text): Reading<string> => {
    const isName = text.length <= 253 && /^[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]+)*$/.test(text) && !/^[\d.]+$/.test(text);
    if (isName) return read(text.toLowerCase());
    return refuse("config.host", `\`${text.slice(0, 60)}\` is no host name`, serverNameExpected);
  });
  return leaf(reader, { type: "string" }, serverNameExpected);
}

const serviceExpected = "the name of a gRPC service, or empty for the server as a whole";

export function grpcService() {
  const reader = textReader(serviceExpected, (text): Reading<string> => {
    if (/^[!-~]{0,256}$/.test(text)) return read(text);
    return refuse("config.grpc.service", `\`${text.slice(0, 60)}\` is no service`, serviceExpected);
  });
  return leaf(reader, { type: "string" }, serviceExpected);
}
