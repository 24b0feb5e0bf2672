// Timeouts, limits and retries of nginx.conf as ours, with nginx's own defaults where a block says nothing
// (ngx_http_core_module, ngx_http_proxy_module). On the change's way. Which listener or route has them is not known here.

import { headerBytesMax, headerBytesMin, triesMax } from "../limits.ts";
import type { Adaptation } from "./adaptation.ts";
import { type Directive, effective, type Scope } from "./directive.ts";
import type { Field, ServerContext } from "./draft.ts";
import type { PoolUse } from "./pools.ts";
import { durationText, parseBytes, parseTime, sizeText } from "./values.ts";

/** Milliseconds; what a native configuration has that says nothing. */
const nativeTimeouts: Readonly<Record<string, number>> = {
  clientHeader: 60_000,
  clientBody: 60_000,
  keepAlive: 75_000,
  connect: 5000,
  send: 60_000,
  firstByte: 60_000,
  idle: 60_000,
  tunnel: 3_600_000,
};

const bodyLimitDefault = 2 ** 20;

/** All timeouts that hold within a block, in milliseconds. */
export function timeoutsOf(adaptation: Adaptation, scope: Scope): Record<string, number> {
  const read = timeOf(adaptation, scope, "proxy_read_timeout", 60_000);
  // 0 is no keep-alive at all, which is said by exchangesPerConnection.
  const keepAlive = timeOf(adaptation, scope, "keepalive_timeout", 75_000) || 75_000;
  const sendToClient = timeOf(adaptation, scope, "send_timeout", 60_000);
  const sendToTarget = timeOf(adaptation, scope, "proxy_send_timeout", 60_000);
  return {
    clientHeader: timeOf(adaptation, scope, "client_header_timeout", 60_000),
    clientBody: timeOf(adaptation, scope, "client_body_timeout", 60_000),
    keepAlive,
    connect: timeOf(adaptation, scope, "proxy_connect_timeout", 60_000),
    send: Math.max(sendToClient, sendToTarget),
    firstByte: read,
    idle: read,
    tunnel: read,
  };
}

/** Milliseconds of a directive's first word, or the default. */
export function timeOf(adaptation: Adaptation, scope: Scope, name: string, otherwise: number): number {
  const directive = effective(scope, name);
  if (directive === undefined) return otherwise;
  const time = parseTime(directive.args[0] ?? "");
  if (time !== undefined) return time;
  adaptation.wrong(directive, `"${name}" directive invalid value`);
  return otherwise;
}

/** Bytes of a request body; 0 is no limit. */
export function bodyLimitOf(adaptation: Adaptation, scope: Scope): number {
  const directive = effective(scope, "client_max_body_size");
  if (directive === undefined) return bodyLimitDefault;
  const bytes = parseBytes(directive.args[0] ?? "");
  if (bytes === undefined) adaptation.wrong(directive, `"client_max_body_size" directive invalid value`);
  return bytes ?? bodyLimitDefault;
}

/** Where each timeout is said, for problems. */
const saidBy: Readonly<Record<string, string>> = {
  clientHeader: "client_header_timeout",
  clientBody: "client_body_timeout",
  keepAlive: "keepalive_timeout",
  connect: "proxy_connect_timeout",
  send: "proxy_send_timeout",
  firstByte: "proxy_read_timeout",
  idle: "proxy_read_timeout",
  tunnel: "proxy_read_timeout",
};

/** Those timeouts of a block that differ from what holds around it: a listener's, or those of a native configuration. */
export function timeoutFields(adaptation: Adaptation, scope: Scope, around = nativeTimeouts): Field[] {
  return Object.entries(timeoutsOf(adaptation, scope)).flatMap(([key, ms]): Field[] => {
    if (ms === around[key]) return [];
    const place = (effective(scope, saidBy[key] ?? "") ?? scope.directive).place;
    return [[["timeouts", key], durationText(ms), place]];
  });
}

export function bodyLimitFields(adaptation: Adaptation, scope: Scope, around = bodyLimitDefault): Field[] {
  const bytes = bodyLimitOf(adaptation, scope);
  if (bytes === around) return [];
  return [[["bodyLimit"], sizeText(bytes), (effective(scope, "client_max_body_size") ?? scope.directive).place]];
}

/** Limits of a listener, as its default server has them: it is the one that nginx asks before the host is known. */
export function limitFields(adaptation: Adaptation, scope: Scope): Field[] {
  const fields: Field[] = [];
  const buffers = effective(scope, "large_client_header_buffers");
  if (buffers !== undefined) {
    const [count = "", size = ""] = buffers.args;
    const bytes = (parseBytes(size) ?? Number.NaN) * Number(/^\d{1,6}$/.test(count) ? count : Number.NaN);
    if (Number.isNaN(bytes)) adaptation.wrong(buffers, `"large_client_header_buffers" directive invalid value`);
    else {
      const fitting = Math.min(headerBytesMax, Math.max(headerBytesMin, bytes));
      if (fitting !== bytes) adaptation.note(buffers, `a head may have ${sizeText(fitting)} here`);
      fields.push([["limits", "headerBytes"], sizeText(fitting), buffers.place]);
    }
  }
  // nginx has no limit of its own up to 1.29.6; ours may be twice what it is by default.
  const headers = effective(scope, "max_headers");
  const lines = headers === undefined ? 200 : Math.min(200, Number(headers.args[0]));
  if (lines > 0) fields.push([["limits", "headerCount"], lines, (headers ?? scope.directive).place]);
  const idle = effective(scope, "keepalive_timeout");
  const most = effective(scope, "keepalive_requests");
  if (idle !== undefined && parseTime(idle.args[0] ?? "") === 0) {
    fields.push([["limits", "exchangesPerConnection"], 1, idle.place]);
  } else if (most !== undefined) fields.push([["limits", "exchangesPerConnection"], Number(most.args[0]), most.place]);
  return fields;
}

const conditions = ["error", "timeout", "invalid_header", "updating"];

/** Tries of a request, as proxy_next_upstream and its kin say: by default every target once, without a limit of time. */
export function retryFields(context: ServerContext, scope: Scope, pool: PoolUse, proxyPass: Directive): Field[] {
  const { adaptation } = context;
  const next = effective(scope, "proxy_next_upstream");
  const at = (key: string) => ["retry", key];
  const words = next?.args ?? ["error", "timeout"];
  if (next !== undefined && words.includes("off")) return [[at("tries"), 1, next.place]];
  const statuses: number[] = [];
  for (const word of words) {
    const status = /^http_([45]\d\d)$/.exec(word)?.[1];
    if (status !== undefined) statuses.push(Number(status));
    else if (word === "non_idempotent" && next !== undefined) {
      const instead = "it without: a POST that a target may have acted on is not sent again";
      adaptation.unserved(next, "`non_idempotent` is not served", instead);
    } else if (!conditions.includes(word) && next !== undefined) adaptation.wrong(next, `invalid value "${word}"`);
  }
  if (next !== undefined && !(words.includes("error") && words.includes("timeout"))) {
    adaptation.note(next, "a target that cannot be reached or is late is always a reason to try the next one");
  }
  const tries = effective(scope, "proxy_next_upstream_tries");
  const time = timeOf(adaptation, scope, "proxy_next_upstream_timeout", 0);
  const count = Number(tries?.args[0] ?? 0);
  const fields: Field[] = [];
  // One target is tried once in any case.
  if (!pool.single || statuses.length > 0) {
    fields.push([at("tries"), count === 0 ? triesMax : Math.min(triesMax, count), (tries ?? proxyPass).place]);
    const said = effective(scope, "proxy_next_upstream_timeout") ?? proxyPass;
    fields.push([at("time"), durationText(time), said.place]);
  }
  if (statuses.length > 0) fields.push([at("statuses"), statuses, (next ?? proxyPass).place]);
  return fields;
}
