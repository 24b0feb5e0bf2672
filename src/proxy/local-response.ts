// Responses that we give ourselves: errors, fixed responses, redirects. On the request's way, but not its common case:
// strings are built here.

import { STATUS_CODES } from "node:http";
import type { HeadWriter } from "./head-writer.ts";
import { writeRules } from "./head-writer.ts";
import type { CompiledHeaderRules, Variables } from "./template.ts";

export type LocalResponse = {
  readonly status: number;
  readonly contentType: string;
  /** Text; sent as UTF-8. */
  readonly body: string;
  readonly location: string | undefined;
  readonly rules: CompiledHeaderRules | undefined;
  readonly variables: Variables;
  readonly connection: "" | "close" | "keep-alive";
  /** A response to HEAD has no body, but its length. */
  readonly bodyless: boolean;
};

/** Writes the whole response with `writer` and answers how many bytes of it are body. */
export function writeLocalResponse(writer: HeadWriter, response: LocalResponse): number {
  const { status, rules } = response;
  const body = Buffer.from(response.body, "utf8");
  writer.text(`HTTP/1.1 ${status} ${STATUS_CODES[status] ?? "Unknown"}\r\n`);
  writer.line("Date", httpDate());
  // RFC 9110 section 8.6: neither 1xx nor 204 has a length.
  if (status !== 204 && status !== 304) {
    if (body.length > 0) writer.line("Content-Type", response.contentType);
    writer.line("Content-Length", String(body.length));
  }
  if (response.location !== undefined) writer.line("Location", response.location);
  if (status === 405) writer.line("Allow", "GET, HEAD, POST, PUT, DELETE, OPTIONS, PATCH");
  if (response.connection !== "") writer.line("Connection", response.connection);
  if (rules !== undefined) writeRules(writer, rules, response.variables);
  writer.text("\r\n");
  if (response.bodyless || status === 204 || status === 304) return 0;
  writer.copy(body);
  return body.length;
}

/** The body of an error response: the status for people, the code for whoever looks it up. */
export function errorBody(status: number, code: string, detail: string): string {
  const because = detail === "" ? code : `${detail} (${code})`;
  return `${status} ${STATUS_CODES[status] ?? "Unknown"}\n${because}\n`;
}

let dateSecond = -1;
let dateText = "";

/** IMF-fixdate (RFC 9110 section 5.6.7), made once a second. */
function httpDate(): string {
  const second = Math.floor(Date.now() / 1000);
  if (second !== dateSecond) {
    dateSecond = second;
    dateText = new Date(second * 1000).toUTCString();
  }
  return dateText;
}
