// The request as the target gets it: our request line, the client's lines without those that are ours to set or nobody's
// to forward, the lines about the client, the operator's rules, our framing. On the request's way, once per exchange.
// Nothing of the client's framing goes through (RFC 9112 section 6): Content-Length is validated, chunks are ours.

import { type Head, HeaderId, LINE, LineField, Method, type RequestHead, TargetForm } from "../wire/http1/head.ts";
import { headerNameHash } from "../wire/http1/header-names.ts";
import { type HeadWriter, markReplaced, writeRules } from "./head-writer.ts";
import type { RequestFacts } from "./request-facts.ts";
import { type CompiledHeaderRules, compileHeaderRules } from "./template.ts";

const LOWER_X = 0x78;

/**
 * Names that a CGI or WSGI target cannot tell from the lines about the client, since it turns `-` into `_` (nginx drops
 * every name with `_` for that reason; we drop those that would speak in our place).
 */
const lookalikes: CompiledHeaderRules = compileHeaderRules(
  {
    set: [],
    add: [],
    remove: ["x-forwarded-for", "x-forwarded-host", "x-forwarded-proto", "x-forwarded-port", "x-real-ip"].flatMap(
      withUnderscores,
    ),
  },
  headerNameHash,
);

function dropLookalikes(bytes: Uint8Array, head: RequestHead, dropped: Uint8Array): void {
  const { lines, lineCount } = head;
  for (let index = 0; index < lineCount; index++) {
    const at = index * LINE;
    // They all begin with x, and few others do; the names with `-` have an id of their own.
    if (lines[at + LineField.id] !== HeaderId.other || (bytes[lines[at + LineField.nameStart]!]! | 0x20) !== LOWER_X)
      continue;
    markReplaced(lookalikes, bytes, head, dropped);
    return;
  }
}

/** Every spelling of a name with one `-` or more turned into `_`. */
function withUnderscores(name: string): string[] {
  const [first = "", ...rest] = name.split("-");
  const spellings = rest.reduce((all, part) => all.flatMap((one) => [`${one}-${part}`, `${one}_${part}`]), [first]);
  return spellings.filter((spelling) => spelling !== name);
}

/** Writes the head with `writer`, blank line included; whether it fits, `writer.overflow` tells. */
export function writeRequestHead(
  writer: HeadWriter,
  head: RequestHead,
  dropped: Uint8Array,
  facts: RequestFacts,
  rules: CompiledHeaderRules | undefined,
): void {
  markDropped(head, dropped, facts);
  if (facts.forwarded) dropLookalikes(writer.bytes, head, dropped);
  if (rules !== undefined) markReplaced(rules, writer.bytes, head, dropped);
  writeRequestLine(writer, head, facts.path);
  writer.keptLines(head, dropped);
  if (head.hostLine < 0 || (namesHost(head) && dropped[head.hostLine] === 1)) {
    if (rules === undefined || !setsHost(rules)) writeHost(writer, head, facts.fallbackHost);
  }
  if (head.chunked) writer.text("Transfer-Encoding: chunked\r\n");
  if (facts.upgrade) writer.text("Connection: upgrade\r\n");
  if (facts.forwarded) writeForwarding(writer, head, facts);
  if (rules !== undefined) writeRules(writer, rules, facts.variables);
  writer.text("\r\n");
}

function writeRequestLine(writer: HeadWriter, head: RequestHead, path: string | undefined): void {
  if (path === undefined && head.form !== TargetForm.absolute && head.version === 11) {
    writer.range(head.methodStart, head.linesStart);
    return;
  }
  writer.range(head.methodStart, head.methodEnd);
  writer.text(" ");
  if (path !== undefined) writer.text(path);
  else if (head.form !== TargetForm.absolute) writer.range(head.targetStart, head.targetEnd);
  else {
    // RFC 9112 section 3.2.4: to the server itself, OPTIONS with no path at all is `OPTIONS *`.
    if (head.pathStart === head.pathEnd && head.method === Method.options) writer.text("*");
    else if (head.queryStart === head.pathStart) writer.text("/");
    writer.range(head.pathStart, head.pathEnd);
  }
  writer.text(" HTTP/1.1\r\n");
}

/** The request-target has an authority, which counts instead of Host (RFC 9112 sections 3.2.2 and 3.2.3). */
function namesHost(head: RequestHead): boolean {
  return head.form === TargetForm.absolute || head.form === TargetForm.authority;
}

/** Marks what is not forwarded: hop-by-hop lines, and those about the client that we set ourselves. */
function markDropped(head: RequestHead, dropped: Uint8Array, facts: RequestFacts): void {
  const { lines, lineCount } = head;
  const { forwarded, trusted, upgrade } = facts;
  for (let index = 0; index < lineCount; index++) {
    const at = index * LINE;
    let drop = lines[at + LineField.hopByHop]!;
    switch (lines[at + LineField.id]) {
      case HeaderId.host:
        if (namesHost(head)) drop = 1;
        break;
      case HeaderId.upgrade:
        if (upgrade) drop = 0;
        break;
      case HeaderId.xForwardedFor:
      case HeaderId.xRealIp:
        if (forwarded) drop = 1;
        break;
      case HeaderId.xForwardedHost:
      case HeaderId.xForwardedProto:
      case HeaderId.xForwardedPort:
      case HeaderId.forwarded:
        if (forwarded && !trusted) drop = 1;
        break;
    }
    dropped[index] = drop;
  }
}

function writeHost(writer: HeadWriter, head: RequestHead, fallback: string): void {
  writer.text("Host: ");
  if (head.hostEnd > head.hostStart) writer.range(head.hostStart, head.hostEnd);
  else writer.text(fallback);
  writer.text("\r\n");
}

function setsHost(rules: CompiledHeaderRules): boolean {
  return rules.set.some((rule) => rule.name.toLowerCase() === "host");
}

function writeForwarding(writer: HeadWriter, head: RequestHead, facts: RequestFacts): void {
  const { trusted } = facts;
  writer.text("X-Forwarded-For: ");
  if (trusted) writeForwardedFor(writer, head);
  writer.text(facts.peerAddress);
  if (!trusted || lineOf(head, HeaderId.xForwardedProto) < 0) {
    writer.text("\r\nX-Forwarded-Proto: ");
    writer.text(facts.scheme);
  }
  if (head.hostEnd > head.hostStart && (!trusted || lineOf(head, HeaderId.xForwardedHost) < 0)) {
    writer.text("\r\nX-Forwarded-Host: ");
    writer.range(head.hostStart, head.hostEnd);
  }
  writer.text("\r\nX-Real-IP: ");
  writer.text(facts.clientAddress);
  writer.text("\r\n");
}

/** What the proxies before us wrote, several lines as one list. */
function writeForwardedFor(writer: HeadWriter, head: Head): void {
  for (let index = 0; index < head.lineCount; index++) {
    const at = index * LINE;
    if (head.lines[at + LineField.id] !== HeaderId.xForwardedFor) continue;
    const start = head.lines[at + LineField.valueStart]!;
    const end = head.lines[at + LineField.valueEnd]!;
    if (end === start) continue;
    writer.range(start, end);
    writer.text(", ");
  }
}

/** Index of the first line of that name, -1: none. */
export function lineOf(head: Head, id: HeaderId): number {
  for (let index = 0; index < head.lineCount; index++) {
    if (head.lines[index * LINE + LineField.id] === id) return index;
  }
  return -1;
}

/** The value of the first line of that name as text, one byte a character; empty when there is none. */
export function lineText(bytes: Buffer, head: Head, id: HeaderId): string {
  const index = lineOf(head, id);
  if (index < 0) return "";
  const at = index * LINE;
  return bytes.toString("latin1", head.lines[at + LineField.valueStart]!, head.lines[at + LineField.valueEnd]!);
}
