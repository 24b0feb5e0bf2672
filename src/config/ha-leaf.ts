// The values of `ha` that nothing else has: interfaces, virtual addresses, names of tracks, passwords, commands, mailboxes. On
// the change's way, below ha-schema.ts. What passes is well-formed by itself; whether this machine has the interface, the
// user or the program is judge-machine.ts.

import { formatIp, type IpAddress, isMapped, isUnspecified, parseIp } from "../core/address.ts";
import { bytesOf, readCommandWord } from "./health-check-leaf.ts";
import { readTargetAddress } from "./http-leaf.ts";
import { leaf, type Reading, read, refuse, textReader, wrongType } from "./leaf.ts";
import {
  commandWordsMax,
  headerValueLengthMax,
  interfaceNameBytesMax,
  nameLengthMax,
  notifyCommandsMax,
  userNameLengthMax,
} from "./limits.ts";
import { nearest } from "./nearest.ts";

const reference = { type: "string", pattern: "\\$\\{" };

const interfaceExpected = `the name of a network interface, such as \`eth0\`, of at most ${interfaceNameBytesMax} bytes`;

/** As Linux allows them (net/core/dev.c, dev_valid_name), printable ASCII alone. */
export function readInterface(text: string): Reading<string> {
  const fine = text.length <= interfaceNameBytesMax && /^[!-~]+$/.test(text) && !/[/:]/.test(text);
  if (fine && text !== "." && text !== "..") return read(text);
  return refuse("config.interface", `\`${text.slice(0, 60)}\` is no interface`, interfaceExpected);
}

export function interfaceName() {
  return leaf(textReader(interfaceExpected, readInterface), { type: "string" }, interfaceExpected);
}

const ipExpected = "an IP address, such as 10.0.4.2 or 2001:db8::2";

/** An address that one machine has, or may have: no unspecified, loopback, multicast or IPv4-mapped one. */
function readUnicast(text: string, expected: string): Reading<IpAddress> {
  const address = parseIp(text);
  if (address === undefined) return refuse("config.address.syntax", `\`${text}\` is no IP address`, expected);
  const what = oddityOf(address);
  if (what === undefined) return read(address);
  return refuse("config.address.kind", `\`${text}\` is ${what}, never a machine's own`, expected);
}

function oddityOf(address: IpAddress): string | undefined {
  const [first = 0] = address.bytes;
  if (isUnspecified(address)) return "the unspecified address";
  if (address.family === 4) {
    if (first === 127) return "a loopback address";
    if (first === 0 || first >= 240) return "a reserved address";
    return first >= 224 ? "a multicast address" : undefined;
  }
  if (isMapped(address)) return "an IPv4 address in IPv6 form";
  if (formatIp(address) === "::1") return "the loopback address";
  return first === 0xff ? "a multicast address" : undefined;
}

/** Of another machine or of this one, in canonical text. */
export function ipAddress() {
  const reader = textReader(ipExpected, (text): Reading<string> => {
    const reading = readUnicast(text, ipExpected);
    return reading.ok ? read(formatIp(reading.value)) : reading;
  });
  return leaf(reader, { type: "string" }, ipExpected);
}

const virtualExpected = "an address with or without its prefix length, such as 10.0.4.99/24, 10.0.4.99 or fe80::99/64";

export type AddressFile = { readonly address: string; readonly prefixLength: number };

/** `10.0.4.99/24`; without a prefix length that of one address, as keepalived has it. */
export function virtualAddress() {
  const reader = textReader(virtualExpected, (text): Reading<AddressFile> => {
    const [host = "", digits, more] = text.split("/");
    const reading = readUnicast(host, virtualExpected);
    if (!reading.ok) return reading;
    const address = reading.value;
    const bits = address.bytes.length * 8;
    const prefixLength = digits === undefined ? bits : /^[1-9]\d{0,2}$/.test(digits) ? Number(digits) : 0;
    if (more !== undefined || prefixLength < 1 || prefixLength > bits) {
      const message = `\`${text}\` has a prefix length that is not 1 to ${bits}`;
      return refuse("config.range.prefix", message, virtualExpected, formatIp(address));
    }
    if (address.family === 4 && prefixLength <= 30 && isEdge(address, prefixLength)) {
      const message = `\`${text}\` is the first or the last address of its network, which no machine can have`;
      return refuse("config.address.kind", message, virtualExpected);
    }
    return read({ address: formatIp(address), prefixLength });
  });
  return leaf(reader, { type: "string" }, virtualExpected);
}

/** True when the bits beyond the prefix are all 0 or all 1: the network's own address, and its broadcast. */
function isEdge(address: IpAddress, prefixLength: number): boolean {
  const value = address.bytes.reduce((sum, byte) => sum * 256 + byte, 0);
  const size = 2 ** (32 - prefixLength);
  return value % size === 0 || value % size === size - 1;
}

const trackExpected = "a track of `ha.tracks`, `interface:NAME`, `balancer`, `balancer:POOL` or `gateway:ADDRESS`";
/** What can be tracked without a definition, before its colon. */
export const trackForms = ["interface", "balancer", "gateway"] as const;

export type TrackName =
  | { readonly form: "defined"; readonly name: string }
  | { readonly form: "interface"; readonly name: string; readonly interface: string }
  | { readonly form: "balancer"; readonly name: string; readonly pool: string | undefined }
  | { readonly form: "gateway"; readonly name: string; readonly address: string };

/** `chk`, `interface:eth0`, `balancer`, `balancer:web`, `gateway:10.0.4.1`. */
export function trackName() {
  const reader = textReader(trackExpected, readTrackName);
  return leaf(reader, { anyOf: [{ type: "string", pattern: "^[A-Za-z0-9_]" }, reference] }, trackExpected);
}

function readTrackName(text: string): Reading<TrackName> {
  const colon = text.indexOf(":");
  const [form, rest] = colon < 0 ? [text, undefined] : [text.slice(0, colon), text.slice(colon + 1)];
  if (form === "balancer") return readBalancer(text, rest);
  if (rest === undefined) return readDefined(text);
  if (form === "interface") {
    const reading = readInterface(rest);
    return reading.ok ? read({ form, name: text, interface: rest }) : reading;
  }
  if (form === "gateway") {
    const reading = readUnicast(rest, "`gateway:` and an IP address");
    return reading.ok ? read({ form, name: text, address: formatIp(reading.value) }) : reading;
  }
  const known = nearest(form, trackForms);
  const suggestion = known === undefined ? undefined : `${known}:${rest}`;
  return refuse("config.track", `\`${text}\` is no track`, trackExpected, suggestion);
}

function readBalancer(text: string, pool: string | undefined): Reading<TrackName> {
  if (pool === undefined || isName(pool)) return read({ form: "balancer", name: text, pool });
  return refuse("config.track", `\`${text}\` names no pool`, "`balancer:` and the name of a pool");
}

function readDefined(text: string): Reading<TrackName> {
  if (text === "gateway") {
    return refuse("config.track", "`gateway` says not which one", "its address: `gateway:10.0.4.1`");
  }
  return isName(text)
    ? read({ form: "defined", name: text })
    : refuse("config.track", `\`${text}\` is no track`, trackExpected);
}

function isName(text: string): boolean {
  return text.length <= nameLengthMax && /^[A-Za-z0-9_][A-Za-z0-9_.-]*$/.test(text);
}

const passwordExpected = "text of 1 to 8 bytes";

/** Of version 2; one byte a character afterwards. keepalived cuts a longer one, so that `password1` equals `password2`. */
export function vrrpPassword() {
  const reader = textReader(passwordExpected, (text): Reading<string> => {
    const bytes = text.length > 64 ? text : bytesOf(text);
    if (text.includes("\0")) return refuse("config.password", "the password holds NUL", passwordExpected);
    if (bytes.length >= 1 && bytes.length <= 8) return read(bytes);
    if (bytes === "") return refuse("config.password", "the password is empty", passwordExpected);
    const message = `the password has ${bytes.length} bytes, of which keepalived would use the first 8`;
    return refuse("config.password", message, passwordExpected);
  });
  return leaf(reader, { type: "string" }, passwordExpected);
}

const userExpected = `the name of a user of this machine, of at most ${userNameLengthMax} characters`;

export function userName() {
  const reader = textReader(userExpected, (text): Reading<string> => {
    if (text.length <= userNameLengthMax && /^[A-Za-z_][A-Za-z0-9_.-]*\$?$/.test(text)) return read(text);
    return refuse("config.user", `\`${text.slice(0, 60)}\` is no user`, userExpected);
  });
  return leaf(reader, { type: "string" }, userExpected);
}

const commandExpected = "a program and its arguments as a list, such as [/usr/local/bin/check, --quick]";

function readCommand(value: unknown): Reading<readonly string[]> {
  if (!Array.isArray(value)) return wrongType(value, commandExpected);
  const words: string[] = [];
  for (const word of value) {
    const reading = readCommandWord(word);
    if (!reading.ok) return reading;
    words.push(reading.value);
  }
  const [program = ""] = words;
  if (program === "") return refuse("config.command", "names no program", commandExpected);
  // keepalived splits its one text itself; here a blank in the first word is a list that was forgotten.
  if (words.length === 1 && /\s/.test(program)) {
    return refuse(
      "config.command",
      `\`${program}\` is one word with blanks in it`,
      commandExpected,
      program.trim().split(/\s+/).join(", "),
    );
  }
  if (/^[^/]+\//.test(program)) {
    return refuse(
      "config.command",
      `where \`${program}\` is depends on where evenkeel was started`,
      "an absolute path",
    );
  }
  if (words.length > commandWordsMax)
    return refuse("config.count", `has ${words.length} words`, `at most ${commandWordsMax}`);
  return read(words);
}

const commandJson = { type: "array", items: { type: "string" }, maxItems: commandWordsMax };

/** Program and arguments. A text alone is refused: whether a shell would split it is the question nobody should have. */
export function command() {
  return leaf(readCommand, commandJson, commandExpected);
}

/** One command, or a list of commands that run one after the other. */
export function commands() {
  const reader = (value: unknown): Reading<readonly (readonly string[])[]> => {
    if (!Array.isArray(value) || !Array.isArray(value[0])) {
      const one = readCommand(value);
      return one.ok ? read([one.value]) : one;
    }
    const all: (readonly string[])[] = [];
    for (const item of value) {
      const one = readCommand(item);
      if (!one.ok) return one;
      all.push(one.value);
    }
    return all.length <= notifyCommandsMax
      ? read(all)
      : refuse("config.count", `has ${all.length} commands`, `at most ${notifyCommandsMax}`);
  };
  const json = { anyOf: [commandJson, { type: "array", items: commandJson, maxItems: notifyCommandsMax }] };
  return leaf(reader, json, `${commandExpected}, or a list of such lists`);
}

const mailboxExpected = "a mail address, such as admin@example.com";

/** The plain form of RFC 5321 section 4.1.2: nothing that a mail's head could be broken with. */
export function mailbox() {
  const reader = textReader(mailboxExpected, (text): Reading<string> => {
    if (text.length <= 254 && /^[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@[A-Za-z0-9.:[\]-]+$/.test(text))
      return read(text);
    return refuse("config.mailbox", `\`${text.slice(0, 60)}\` is no mail address`, mailboxExpected);
  });
  return leaf(reader, { type: "string" }, mailboxExpected);
}

const serverExpected = "a host name or address, with a port if need be, such as mail.example.com:25";
const smtpPort = 25;

export type MailServer = { readonly host: string; readonly port: number };

export function mailServer() {
  const reader = textReader(serverExpected, (text): Reading<MailServer> => {
    const match = /^(?:\[([0-9A-Fa-f:.]+)\]|([A-Za-z0-9_.-]{1,253}))(?::([1-9]\d{0,4}))?$/.exec(text);
    const [, six, host = six, port] = match ?? [];
    if (host === undefined || Number(port ?? 0) > 65_535 || (six !== undefined && parseIp(six) === undefined)) {
      return refuse("config.host", `\`${text.slice(0, 60)}\` is no host`, serverExpected);
    }
    return read({ host, port: Number(port ?? smtpPort) });
  });
  return leaf(reader, { type: "string" }, serverExpected);
}

const urlExpected = "a URL with http:// or https://, without user and password";

export function webUrl() {
  const reader = textReader(urlExpected, (text): Reading<string> => {
    const url = text.length <= headerValueLengthMax && URL.canParse(text) ? new URL(text) : undefined;
    if (url === undefined || !/^https?:$/.test(url.protocol)) {
      return refuse("config.url", `\`${text.slice(0, 60)}\` is no such URL`, urlExpected);
    }
    if (url.username === "" && url.password === "") return read(url.href);
    return refuse("config.url", "the URL holds a password", `${urlExpected}: they belong into \`headers\``);
  });
  return leaf(reader, { type: "string" }, urlExpected);
}

const targetExpected = "an IP address and a port, such as 127.0.0.1:80";

/** Where a track's health check asks. */
export function checkedAddress() {
  return leaf(textReader(targetExpected, readTargetAddress), { type: "string" }, targetExpected);
}

const variableExpected = "the name of a variable, such as MODE";

/** A variable of a service's environment; those that begin with EVENKEEL_ are ours. */
export function readVariable(text: string): Reading<string> {
  if (!/^[A-Za-z_][A-Za-z0-9_]{0,127}$/.test(text)) {
    return refuse("config.variable", `\`${text.slice(0, 60)}\` is no variable`, variableExpected);
  }
  if (!text.startsWith("EVENKEEL_")) return read(text);
  return refuse("config.variable", `\`${text}\` begins as those that evenkeel sets itself`, "another name");
}
