// Puts a head together in the arena, piece by piece, within a limit. On the request's way: one writer per worker, pointed
// at a new place for every head. It allocates nothing; a piece that does not fit sets `overflow` and is left out, so that
// the caller needs to look only once, at the end.

import { assert } from "../core/assert.ts";
import { type Head, LINE, LineField } from "../wire/http1/head.ts";
import { nameIs } from "../wire/http1/header-names.ts";
import { type CompiledHeaderRules, type CompiledRule, expand, type Variables } from "./template.ts";

/** Below this a loop over the characters is faster than Buffer.write. */
const LOOP_WRITE_MAX = 24;
/** Below this a loop over the bytes is faster than copyWithin. */
const LOOP_COPY_MAX = 16;

export class HeadWriter {
  /** Where the next byte goes. */
  at = 0;
  overflow = false;
  readonly bytes: Buffer;
  private limit = 0;

  constructor(bytes: Buffer) {
    this.bytes = bytes;
  }

  /** Writes from `start` on, never at or behind `limit`. */
  begin(start: number, limit: number): void {
    assert(limit <= this.bytes.length, "a head lies in the arena");
    this.at = start;
    this.limit = limit;
    this.overflow = false;
  }

  /** One byte per character (latin1). */
  text(text: string): void {
    const length = text.length;
    const at = this.at;
    if (at + length > this.limit) {
      this.overflow = true;
      return;
    }
    if (length < LOOP_WRITE_MAX) {
      const bytes = this.bytes;
      for (let index = 0; index < length; index++) bytes[at + index] = text.charCodeAt(index);
    } else {
      this.bytes.write(text, at, "latin1");
    }
    this.at = at + length;
  }

  /** Bytes of the same arena. */
  range(start: number, end: number): void {
    const length = end - start;
    const at = this.at;
    if (at + length > this.limit) {
      this.overflow = true;
      return;
    }
    const bytes = this.bytes;
    if (length < LOOP_COPY_MAX) {
      for (let index = 0; index < length; index++) bytes[at + index] = bytes[start + index]!;
    } else {
      bytes.copyWithin(at, start, end);
    }
    this.at = at + length;
  }

  /** Bytes from elsewhere. */
  copy(from: Uint8Array): void {
    if (this.at + from.length > this.limit) {
      this.overflow = true;
      return;
    }
    this.bytes.set(from, this.at);
    this.at += from.length;
  }

  line(name: string, value: string): void {
    this.text(name);
    this.text(": ");
    this.text(value);
    this.text("\r\n");
  }

  /** The lines of `head` but those whose index is marked in `dropped`; neighbours are copied in one piece. */
  keptLines(head: Head, dropped: Uint8Array): void {
    const { lines, lineCount } = head;
    let from = head.linesStart;
    let lineStart = from;
    for (let index = 0; index < lineCount; index++) {
      const lineEnd = lines[index * LINE + LineField.end]!;
      if (dropped[index] === 1) {
        if (lineStart > from) this.range(from, lineStart);
        from = lineEnd;
      }
      lineStart = lineEnd;
    }
    if (lineStart > from) this.range(from, lineStart);
  }
}

/** Marks the lines that the rules set or remove. */
export function markReplaced(rules: CompiledHeaderRules, bytes: Uint8Array, head: Head, dropped: Uint8Array): void {
  if (rules.drops.length === 0) return;
  const { lines, lineCount } = head;
  for (let index = 0; index < lineCount; index++) {
    const at = index * LINE;
    const hash = lines[at + LineField.hash]!;
    if ((rules.dropMask & (1 << (hash & 31))) === 0) continue;
    for (const name of rules.drops) {
      if (name.hash !== hash) continue;
      if (nameIs(bytes, lines[at + LineField.nameStart]!, lines[at + LineField.nameEnd]!, name.nameLower)) {
        dropped[index] = 1;
      }
    }
  }
}

/** Writes the lines that the rules set and add; one whose value comes out empty is left out. */
export function writeRules(writer: HeadWriter, rules: CompiledHeaderRules, variables: Variables): void {
  for (const rule of rules.set) writeRule(writer, rule, variables);
  for (const rule of rules.add) writeRule(writer, rule, variables);
}

function writeRule(writer: HeadWriter, rule: CompiledRule, variables: Variables): void {
  const value = expand(rule.template, variables);
  if (value !== "") writer.line(rule.name, value);
}
