// One `server` line of an upstream: its address and parameters (ngx_http_upstream_server, src/http/ngx_http_upstream.c). On
// the change's way, below upstream.ts.

import { parseIp } from "../../core/address.ts";
import type { Adaptation } from "./adaptation.ts";
import { type HostPort, parseHostPort } from "./address.ts";
import type { Directive } from "./directive.ts";
import { durationText, parseTime } from "./values.ts";

export type UpstreamServer = {
  readonly directive: Directive;
  readonly address: Extract<HostPort, { kind: "address" | "name" }>;
  /** Settings of the native target that are said, in the order in which they are printed. */
  readonly settings: Readonly<Record<string, unknown>>;
};

/** undefined when it is refused, which is told. `portDefault`: 80 for HTTP, undefined where the port must stand. */
export function readServer(
  adaptation: Adaptation,
  directive: Directive,
  portDefault: number | undefined,
): UpstreamServer | undefined {
  const [text = "", ...words] = directive.args;
  const address = parseHostPort(text, portDefault ?? 0);
  if (address.kind === "wrong") {
    adaptation.wrong(directive, `${address.why} in upstream "${text}"`);
    return undefined;
  }
  if (address.kind === "unix") {
    adaptation.unserved(directive, "a target behind a unix socket is not connected to", "an address and a port");
    return undefined;
  }
  if (/^localhost(?::|$)/i.test(text)) adaptation.note(directive, "localhost is 127.0.0.1, and not ::1 as well");
  const settings: Record<string, unknown> = Object.create(null);
  let good = true;
  for (const word of words) good = readWord(adaptation, directive, word, settings) && good;
  return good ? { directive, address, settings: inOrder(settings) } : undefined;
}

const printed = ["weight", "maxFails", "failTimeout", "maxConnections", "backup", "intent", "slowStart"];

function inOrder(settings: Readonly<Record<string, unknown>>): Record<string, unknown> {
  const ordered: Record<string, unknown> = Object.create(null);
  for (const name of printed) if (name in settings) ordered[name] = settings[name];
  return ordered;
}

/** Puts one parameter into the settings; false when it is refused. */
function readWord(
  adaptation: Adaptation,
  directive: Directive,
  word: string,
  settings: Record<string, unknown>,
): boolean {
  const at = word.indexOf("=");
  const [name, value] = at < 0 ? [word, ""] : [word.slice(0, at), word.slice(at + 1)];
  const count = /^\d{1,9}$/.test(value) ? Number(value) : undefined;
  const time = parseTime(value);
  if (name === "weight" && count !== undefined && count > 0) settings["weight"] = count;
  else if (name === "max_fails" && count !== undefined) settings["maxFails"] = count;
  else if (name === "max_conns" && count !== undefined) settings["maxConnections"] = count;
  else if (name === "fail_timeout" && time === 0) {
    // A target that is out for no time is never out.
    settings["maxFails"] = 0;
  } else if (name === "fail_timeout" && time !== undefined) settings["failTimeout"] = durationText(time);
  else if (name === "slow_start" && time !== undefined) settings["slowStart"] = durationText(time);
  else if (word === "backup") settings["backup"] = true;
  else if (word === "down") settings["intent"] = "down";
  else if (word === "drain") settings["intent"] = "drain";
  else if (word === "resolve") adaptation.idle(directive, "resolve: a name is asked for again when its records end");
  else if (name === "service" || name === "route") {
    const instead = "a pool with `source: { type: dns, record: srv }`, or no such parameter";
    adaptation.unserved(directive, `"${word}" is not served`, instead);
    return false;
  } else {
    adaptation.wrong(directive, `invalid parameter "${word}"`);
    return false;
  }
  return true;
}

/** The name servers of a `resolver` directive that are addresses, as ours are written. */
export function nameServersOf(resolver: Directive | undefined): string[] {
  return (resolver?.args ?? []).filter((word) => {
    const [, host = ""] = /^\[?([^\]]*?)\]?(?::\d+)?$/.exec(word) ?? [];
    return !word.includes("=") && parseIp(host) !== undefined;
  });
}
