// The health checks of nginx_upstream_check_module as ours, with the defaults that the module has (its README and
// ngx_http_upstream_check_module.c). On the change's way, below upstream.ts.

import type { Path } from "../problem.ts";
import type { Adaptation } from "./adaptation.ts";
import { type Directive, own, type Scope } from "./directive.ts";
import { durationText } from "./values.ts";

type Settings = {
  readonly type: string;
  readonly interval: number;
  readonly timeout: number;
  readonly rise: number;
  readonly fall: number;
  readonly defaultDown: boolean;
  readonly port: number | undefined;
};

/** Of a check that says nothing: every 30 s, and a server is down until it has passed. */
const defaults: Settings = {
  type: "tcp",
  interval: 30_000,
  timeout: 1000,
  rise: 2,
  fall: 5,
  defaultDown: true,
  port: undefined,
};

const types: Readonly<Record<string, string>> = { tcp: "tcp", http: "http", ssl_hello: "tls" };

export function putCheck(adaptation: Adaptation, scope: Scope, path: Path): void {
  const [check] = own(scope, "check");
  if (check === undefined) return;
  const settings = readCheck(adaptation, check);
  if (settings === undefined) return;
  const put = (key: string, value: unknown, from = check) => adaptation.put([...path, key], value, from.place);
  put("type", types[settings.type]);
  if (settings.type === "http") putHttp(adaptation, scope, put);
  put("interval", durationText(settings.interval));
  put("timeout", durationText(settings.timeout));
  put("rise", settings.rise);
  put("fall", settings.fall);
  put("initial", settings.defaultDown ? "unhealthy" : "healthy");
  if (settings.port !== undefined) put("port", settings.port);
}

function putHttp(
  adaptation: Adaptation,
  scope: Scope,
  put: (key: string, value: unknown, from?: Directive) => void,
): void {
  const [send] = own(scope, "check_http_send");
  // Also where it is not said: the module asks in HTTP/1.0, without a Host line.
  put("request", send?.args[0] ?? "GET / HTTP/1.0\r\n\r\n", send);
  const [alive] = own(scope, "check_http_expect_alive");
  const classes = alive?.args ?? ["http_2xx", "http_3xx"];
  const expect = classes.flatMap((word) => /^http_([1-5]xx)$/.exec(word)?.[1] ?? []);
  if (alive !== undefined && expect.length < classes.length) {
    const wrong = classes.find((word) => !/^http_[1-5]xx$/.test(word)) ?? "";
    adaptation.wrong(alive, `invalid value "${wrong}"`, "http_2xx, http_3xx, http_4xx or http_5xx");
  }
  put("expect", expect, alive);
  const [kept] = own(scope, "check_keepalive_requests");
  if (kept !== undefined && Number(kept.args[0]) > 1) put("connection", "kept", kept);
}

function readCheck(adaptation: Adaptation, check: Directive): Settings | undefined {
  let settings = defaults;
  for (const word of check.args) {
    const at = word.indexOf("=");
    const [name, value] = at < 0 ? [word, ""] : [word.slice(0, at), word.slice(at + 1)];
    const change = readWord(name, value);
    if (change === undefined) {
      adaptation.wrong(check, `invalid parameter "${word}"`);
      return undefined;
    }
    settings = { ...settings, ...change };
  }
  if (types[settings.type] !== undefined) return settings;
  const instead = "type=http, type=tcp or type=ssl_hello, or a native check of type `command`";
  adaptation.unserved(check, `a check of type "${settings.type}" is not served`, instead);
  return undefined;
}

function readWord(name: string, value: string): Partial<Settings> | undefined {
  const number = /^\d{1,9}$/.test(value) ? Number(value) : undefined;
  if (name === "type" && value !== "") return { type: value };
  if (name === "default_down" && (value === "true" || value === "false")) return { defaultDown: value === "true" };
  if (number === undefined || number === 0) return undefined;
  switch (name) {
    case "interval":
      return { interval: number };
    case "timeout":
      return { timeout: number };
    case "rise":
      return { rise: number };
    case "fall":
      return { fall: number };
    case "port":
      return { port: number };
    default:
      return undefined;
  }
}
