// Bytes of clients as text in a log line: escaped for JSON and as nginx escapes, and the time of day in both notations. On
// the request's way: the usual string is tested once and returned as it is, a time is made once a second. Must not let
// any byte break out of its quotes or its line.

import { isUtf8 } from "node:buffer";
import type { ExchangeRecord } from "./exchange-record.ts";

const unsafe = /["\\\x00-\x1f\x7f-\uffff]/;

const shortEscapes: Readonly<Record<number, string>> = {
  8: "\\b",
  9: "\\t",
  10: "\\n",
  12: "\\f",
  13: "\\r",
  34: '\\"',
  92: "\\\\",
};

/**
 * Text between the quotes of a JSON string (RFC 8259 section 7), one byte a character. Bytes above 0x7f stay when they
 * are UTF-8 as a whole; otherwise each becomes the code point of its number, so that none is lost. A string from the
 * configuration may have characters above 0xff; they become `\uXXXX`.
 */
export function escapeJson(text: string): string {
  return unsafe.test(text) ? escapeJsonSlowly(text) : text;
}

function escapeJsonSlowly(text: string): string {
  const keepHigh = !/[\u0100-\uffff]/.test(text) && isUtf8(Buffer.from(text, "latin1"));
  let out = "";
  let done = 0;
  for (let at = 0; at < text.length; at++) {
    const code = text.charCodeAt(at);
    const plain = code >= 0x20 && code !== 0x22 && code !== 0x5c && code < 0x7f;
    if (plain || (keepHigh && code > 0x7f)) continue;
    out += text.slice(done, at) + (shortEscapes[code] ?? `\\u${code.toString(16).padStart(4, "0")}`);
    done = at + 1;
  }
  return out + text.slice(done);
}

/** As nginx escapes a variable in an access log: `"`, `\`, controls and bytes above 0x7e as `\xXX`. */
export function escapeNginx(text: string): string {
  return unsafe.test(text) ? text.replace(/["\\\x00-\x1f\x7f-\uffff]/g, hexEscape) : text;
}

function hexEscape(character: string): string {
  return `\\x${(character.charCodeAt(0) & 0xff).toString(16).toUpperCase().padStart(2, "0")}`;
}

/** Makes times; the part that holds for a whole second is kept. One per log. */
export type TimeWriter = {
  second: number;
  text: string;
};

export function timeWriter(): TimeWriter {
  return { second: Number.NaN, text: "" };
}

const months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/** nginx's $time_local, local time: `21/Nov/2026:05:16:18 +0000`. */
export function formatCommonLog(writer: TimeWriter, wallMs: number): string {
  const second = Math.floor(wallMs / 1000);
  if (second !== writer.second) {
    writer.second = second;
    writer.text = commonLogText(dateSecond(second));
  }
  return writer.text;
}

function commonLogText(date: Date): string {
  const two = (n: number) => String(n).padStart(2, "0");
  const day = `${two(date.getDate())}/${months[date.getMonth()]}/${date.getFullYear()}`;
  const time = `${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}`;
  const east = -date.getTimezoneOffset();
  const offset = Math.abs(east);
  return `${day}:${time} ${east < 0 ? "-" : "+"}${two(Math.floor(offset / 60))}${two(offset % 60)}`;
}

/** A clock that is not one of ours may be anything; a date that is none would throw. */
export function dateSecond(second: number): Date {
  return new Date(Math.abs(second) <= 253_402_300_799 ? second * 1000 : 0);
}

/** When it ended, on the wall clock: lines of one worker are then in the order of their times, as nginx's are. */
export function endedWallMs(record: Pick<ExchangeRecord, "startedWallMs" | "totalMs">): number {
  return record.totalMs > 0 ? record.startedWallMs + record.totalMs : record.startedWallMs;
}
