// Feeds every case of cases/*.md to the parsers: whole, cut at every point, at four alignments (values are read four
// bytes at a time) and with hostile bytes around it in the arena. The format of the documents is in cases/README.md.

import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { test } from "node:test";
import { type Arena, createArena } from "../arena.ts";
import { BodyMode, BodyReader } from "./body.ts";
import { headFaults } from "./faults.ts";
import {
  type Head,
  HeaderId,
  LINE,
  LineField,
  type RequestHead,
  type ResponseHead,
  requestHead,
  responseHead,
  TargetForm,
} from "./head.ts";
import { createHeadParser } from "./parse.ts";

type Case = {
  readonly title: string;
  readonly file: string;
  readonly kind: string;
  readonly options: ReadonlyMap<string, string>;
  readonly input: Buffer;
  readonly expected: string;
};

const FOLDER = new URL("cases/", import.meta.url);
/** What surrounds the input in the arena: bytes that would end or continue whatever is read past the end. */
const SURROUNDINGS = ["a", "\r\n\r\n", "\n", "0", "\0"];

function decodeInput(text: string): Buffer {
  const repeated = text
    .replaceAll("\n", "")
    .replace(/\\repeat\{(\d+)\}\{([^}]*)\}/g, (_all, count: string, what: string) => what.repeat(Number(count)));
  const decoded = repeated.replace(/\\(r|n|t|\\|x[0-9a-fA-F]{2})/g, (_all, code: string) => {
    if (code === "r") return "\r";
    if (code === "n") return "\n";
    if (code === "t") return "\t";
    return code === "\\" ? "\\" : String.fromCharCode(Number.parseInt(code.slice(1), 16));
  });
  return Buffer.from(decoded, "latin1");
}

function visible(bytes: Buffer): string {
  return bytes.toString("latin1").replace(/[\\\x00-\x1f\x7f-\xff]/g, (character) => {
    if (character === "\r") return "\\r";
    if (character === "\n") return "\\n";
    if (character === "\t") return "\\t";
    return character === "\\" ? "\\\\" : `\\x${character.charCodeAt(0).toString(16).padStart(2, "0")}`;
  });
}

function readCases(): Case[] {
  const cases: Case[] = [];
  for (const file of readdirSync(FOLDER).filter((name) => name.endsWith(".md") && name !== "README.md")) {
    const text = readFileSync(new URL(file, FOLDER), "utf8");
    const before = cases.length;
    for (const section of text.split(/^## /m).slice(1)) {
      const title = section.slice(0, section.indexOf("\n"));
      const blocks = [...section.matchAll(/^```(.*)\n([\s\S]*?)^```$/gm)];
      assert.equal(blocks.length, 2, `${file}: "${title}" has an input and a result`);
      const [info, result] = [blocks[0]?.[1] ?? "", blocks[1]?.[1] ?? ""];
      assert.equal(result, "result", `${file}: "${title}" ends with a result`);
      assert.match(section, /RFC \d+|Beyond the RFCs/, `${file}: "${title}" names its source`);
      const [kind = "", ...options] = info.split(" ");
      cases.push({
        title,
        file,
        kind,
        options: new Map(options.map((option) => option.split("=") as [string, string])),
        input: decodeInput(blocks[0]?.[2] ?? ""),
        expected: (blocks[1]?.[2] ?? "").trimEnd(),
      });
    }
    assert.ok(cases.length > before, `${file} has cases`);
  }
  return cases;
}

function faultText(result: number): string {
  const fault = headFaults[-result];
  assert.ok(result < 0 && fault !== undefined, `${result} is a fault`);
  return `refused ${fault.code} ${fault.status}`;
}

function describeLines(arena: Arena, head: Head, out: string[]): void {
  const slice = (start: number, end: number) => visible(arena.bytes.subarray(start, end));
  if (head.version !== 11) out.push("version 1.0");
  if (head.contentLength !== -1) out.push(`length ${head.contentLength}`);
  for (const flag of ["chunked", "connectionClose", "connectionKeepAlive", "upgrade"] as const) {
    if (head[flag]) out.push(flag);
  }
  let lineStart = head.linesStart;
  for (let at = 0; at < head.lineCount * LINE; at += LINE) {
    const field = (index: number) => head.lines[at + index] ?? -1;
    assert.equal(field(LineField.nameStart), lineStart, "a line starts where the one before ends");
    lineStart = field(LineField.end);
    if (field(LineField.id) === HeaderId.host) continue;
    const name = slice(field(LineField.nameStart), field(LineField.nameEnd));
    const value = slice(field(LineField.valueStart), field(LineField.valueEnd));
    out.push(`${field(LineField.hopByHop) === 1 ? "drop" : "line"} ${name}: ${value}`.trimEnd());
  }
  assert.equal(lineStart + 2, head.end, "the blank line follows the last line");
}

function describeRequest(arena: Arena, head: RequestHead, end: number): string {
  const slice = (start: number, to: number) => visible(arena.bytes.subarray(start, to));
  const out = ["accepted", `method ${slice(head.methodStart, head.methodEnd)}`];
  out.push(`target ${slice(head.targetStart, head.targetEnd)}`);
  if (head.form !== TargetForm.origin) {
    out.push(`form ${Object.keys(TargetForm)[head.form]}`, `path ${slice(head.pathStart, head.pathEnd)}`.trimEnd());
  }
  if (head.queryStart !== head.pathEnd) out.push(`query ${slice(head.queryStart, head.pathEnd)}`);
  if (head.pathUnclean) out.push("unclean");
  out.push(`host ${slice(head.hostStart, head.hostEnd)}`.trimEnd());
  if (head.expectContinue) out.push("expectContinue");
  describeLines(arena, head, out);
  if (head.end < end) out.push(`rest ${slice(head.end, end)}`);
  return out.join("\n");
}

function describeResponse(arena: Arena, head: ResponseHead, end: number): string {
  const slice = (start: number, to: number) => visible(arena.bytes.subarray(start, to));
  const out = ["accepted", `status ${head.status}`];
  if (head.reasonStart !== head.reasonEnd) out.push(`reason ${slice(head.reasonStart, head.reasonEnd)}`);
  describeLines(arena, head, out);
  if (head.end < end) out.push(`rest ${slice(head.end, end)}`);
  return out.join("\n");
}

/** Puts `input` at `start` into an arena that is filled with `surroundings`. */
function fill(arena: Arena, surroundings: string, start: number, input: Buffer): void {
  arena.bytes.fill(surroundings, "latin1");
  input.copy(arena.bytes, start);
}

function checkHead(one: Case): void {
  const arena = createArena(16384 + 64);
  const parser = createHeadParser(arena, {
    headerBytesMax: Number(one.options.get("header-bytes") ?? 8192),
    headerCountMax: Number(one.options.get("header-count") ?? 100),
  });
  const heads = { request: requestHead(), response: responseHead() };
  const read = (start: number, end: number): string => {
    const isRequest = one.kind === "request";
    const result = isRequest ? parser.request(start, end, heads.request) : parser.response(start, end, heads.response);
    if (result === 0) return "incomplete";
    if (result < 0) return faultText(result);
    return isRequest ? describeRequest(arena, heads.request, end) : describeResponse(arena, heads.response, end);
  };
  for (let align = 0; align < 4; align++) {
    const start = 16 + align;
    for (const surroundings of SURROUNDINGS) {
      fill(arena, surroundings, start, one.input);
      assert.equal(read(start, start + one.input.length), one.expected, `whole, aligned at ${align}`);
    }
    // A cut request must say nothing yet, or already the fault, or, behind the head, already the head.
    const surroundings = SURROUNDINGS[align] ?? "a";
    const whole = one.expected.replace(/\nrest .*$/, "");
    for (let length = 0; length < one.input.length; length++) {
      fill(arena, surroundings, start, one.input.subarray(0, length));
      const cut = read(start, start + length);
      if (cut !== "incomplete") assert.equal(cut.replace(/\nrest .*$/, ""), whole, `cut after ${length} bytes`);
      else assert.ok(!one.expected.startsWith("accepted") || length < headLength(one), `${length} bytes are enough`);
    }
  }
}

function headLength(one: Case): number {
  const rest = /\nrest (.*)$/.exec(one.expected);
  return one.input.length - (rest === null ? 0 : decodeInput(rest[1] ?? "").length);
}

/** Reads the body in pieces that end at `cuts`, each piece at its own place in the arena. */
function readBody(one: Case, arena: Arena, surroundings: string, cuts: readonly number[]): string {
  const reader = new BodyReader(arena, Number(one.options.get("trailer-bytes") ?? 1024));
  const length = one.options.get("length");
  const mode =
    length !== undefined ? BodyMode.length : one.options.has("until-close") ? BodyMode.untilClose : BodyMode.chunked;
  // A message before this one must leave nothing behind.
  reader.begin(BodyMode.chunked, 0);
  fill(arena, surroundings, 16, Buffer.from("5;a=b\r\nhe"));
  reader.read(16, 25);
  reader.begin(one.options.has("none") ? BodyMode.none : mode, Number(length ?? 0));
  const data: Buffer[] = [];
  let from = 0;
  for (const cut of [...cuts, one.input.length]) {
    const start = 16 + (from & 7);
    const end = start + cut - from;
    fill(arena, surroundings, start, one.input.subarray(from, cut));
    const before = Buffer.from(arena.bytes);
    const result = reader.read(start, end);
    data.push(Buffer.from(arena.bytes.subarray(start, reader.dataEnd)));
    assert.ok(reader.dataEnd <= reader.consumedEnd && reader.consumedEnd <= end, "offsets are in order");
    assert.ok(before.subarray(0, start).equals(arena.bytes.subarray(0, start)), "bytes before are untouched");
    assert.ok(before.subarray(reader.consumedEnd).equals(arena.bytes.subarray(reader.consumedEnd)), "bytes behind too");
    const text = `data ${visible(Buffer.concat(data))}`.trimEnd();
    if (result !== 0) {
      assert.equal(reader.read(start, end), result, "a fault stays");
      return `${faultText(result)}\n${text}`;
    }
    from += reader.consumedEnd - start;
    if (reader.complete) {
      const out = ["complete", text];
      if (reader.trailers !== undefined) out.push(`trailers ${visible(reader.trailers)}`);
      if (from < one.input.length) out.push(`rest ${visible(one.input.subarray(from))}`);
      return out.join("\n");
    }
    assert.equal(from, cut, "an incomplete body takes all bytes");
  }
  const atEnd = reader.endOfInput();
  return `${atEnd === 0 ? "complete at the end of input" : "incomplete"}\ndata ${visible(Buffer.concat(data))}`.trimEnd();
}

function checkBody(one: Case): void {
  const arena = createArena(16384 + 64);
  const check = (cuts: readonly number[], how: string) => {
    const surroundings = SURROUNDINGS[cuts.length % SURROUNDINGS.length] ?? "a";
    assert.equal(readBody(one, arena, surroundings, cuts), one.expected, how);
  };
  check([], "whole");
  const places = [...one.input.keys()].slice(1);
  for (const first of places) {
    check([first], `cut after ${first} bytes`);
    if (one.input.length > 80) continue;
    for (const second of places) if (second > first) check([first, second], `cut after ${first} and ${second} bytes`);
  }
  check(places, "byte by byte");
}

const cases = readCases();

test("the documents hold the cases that they should", () => {
  assert.ok(cases.length >= 150, `${cases.length} cases were read`);
  const titles = cases.map((one) => `${one.kind} ${one.title}`);
  assert.equal(new Set(titles).size, titles.length, "every title is used once");
  const refused = new Set(cases.map((one) => /^refused (\S+)/.exec(one.expected)?.[1]));
  const missing = headFaults
    .slice(1)
    .filter((fault) => !refused.has(fault.code) && fault.code !== "http1.body.truncated");
  assert.deepEqual(missing, [], "every fault has a case");
});

for (const one of cases) {
  test(`${one.file}: ${one.title}`, () => {
    if (one.kind === "body") checkBody(one);
    else if (one.kind === "request" || one.kind === "response") checkHead(one);
    else assert.fail(`${one.kind} is no kind of case`);
  });
}
