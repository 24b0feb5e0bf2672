// The response as the client gets it: the target's status and lines without the hop-by-hop ones, our framing and our
// Connection line, the operator's rules. On the request's way, once per response. A response on which nothing changes is
// not copied: `writeResponseHead` says so and it is sent from where it was read.

import { HeaderId, LINE, LineField, type ResponseHead } from "../wire/http1/head.ts";
import { type HeadWriter, markReplaced, writeRules } from "./head-writer.ts";
import type { CompiledHeaderRules, Variables } from "./template.ts";

/** How the client's side of a response is framed. */
export type ResponseFraming = {
  /** Payload goes out in chunks of ours. */
  readonly chunked: boolean;
  /** No body, and no Content-Length either (RFC 9110 section 8.6: 1xx and 204). */
  readonly noLength: boolean;
  /** The Connection line: none, `close`, `keep-alive` (HTTP/1.0), `upgrade`. */
  readonly connection: "" | "close" | "keep-alive" | "upgrade";
};

/** False: nothing is to be changed, the head may go out as it came. */
export function writeResponseHead(
  writer: HeadWriter,
  head: ResponseHead,
  dropped: Uint8Array,
  framing: ResponseFraming,
  rules: CompiledHeaderRules | undefined,
  variables: Variables,
): boolean {
  let changed = rules !== undefined || head.version !== 11 || !head.exactVersion || framing.connection !== "";
  let chunkedKept = false;
  const { lines, lineCount } = head;
  for (let index = 0; index < lineCount; index++) {
    const at = index * LINE;
    let drop = lines[at + LineField.hopByHop]!;
    const id = lines[at + LineField.id];
    if (id === HeaderId.transferEncoding && framing.chunked) {
      // The parser lets nothing but exactly one `chunked` through.
      drop = 0;
      chunkedKept = true;
    } else if (id === HeaderId.contentLength && (framing.noLength || framing.chunked)) drop = 1;
    else if (id === HeaderId.upgrade && framing.connection === "upgrade") drop = 0;
    dropped[index] = drop;
    if (drop === 1) changed = true;
  }
  if (framing.chunked && !chunkedKept) changed = true;
  if (!changed) return false;
  if (rules !== undefined) markReplaced(rules, writer.bytes, head, dropped);
  writer.text("HTTP/1.1 ");
  writeStatus(writer, head);
  writer.keptLines(head, dropped);
  if (framing.chunked && !chunkedKept) writer.text("Transfer-Encoding: chunked\r\n");
  if (framing.connection !== "") writer.line("Connection", framing.connection);
  if (rules !== undefined) writeRules(writer, rules, variables);
  writer.text("\r\n");
  return true;
}

function writeStatus(writer: HeadWriter, head: ResponseHead): void {
  const { status } = head;
  writer.text(String(status));
  writer.text(" ");
  writer.range(head.reasonStart, head.reasonEnd);
  writer.text("\r\n");
}
