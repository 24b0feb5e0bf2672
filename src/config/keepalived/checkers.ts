// Checkers of real servers: TCP_CHECK, HTTP_GET, SSL_GET, MISC_CHECK and UDP_CHECK into health checks. On the change's way. keepalived
// checks a server again `retry` times, `delay_before_retry` apart, before it is down, and one success brings it up.

import type { ForeignPlace } from "../foreign/adapted.ts";
import type { Statement } from "./blocks.ts";
import { type Command, commandOf, userOf } from "./commands.ts";
import type { Findings, Said } from "./findings.ts";
import {
  block,
  durationText,
  each,
  flagInto,
  idle,
  numberInto,
  one,
  type Rule,
  type Rules,
  readBlock,
  refused,
  repeated,
  secondsInto,
  secondsOf,
  some,
  textInto,
} from "./rules.ts";

/** What a virtual server says for its real servers, and those for their checkers. */
export type CheckTimes = {
  interval?: Said<number>;
  timeout?: Said<number>;
  retry?: Said<number>;
  retryDelay?: Said<number>;
  alpha?: Said<boolean>;
  host?: Said<string>;
};

export const checkerKinds = ["TCP_CHECK", "HTTP_GET", "SSL_GET", "MISC_CHECK", "UDP_CHECK"] as const;
export type CheckerKind = (typeof checkerKinds)[number];

export type Checker = {
  readonly kind: CheckerKind;
  readonly place: ForeignPlace;
  readonly times: CheckTimes;
  port?: Said<number>;
  address?: Said<string>;
  path?: Said<string>;
  statuses?: Said<readonly string[]>;
  body?: Said<string>;
  sni?: Said<boolean>;
  command?: Command;
  commandTimeout?: Said<number>;
  user?: Said<string>;
  payload?: Said<string>;
  reply?: Said<string>;
};

const delayDefault = 60_000;
const timeoutDefault = 5000;

export function timesRules(findings: Findings, times: CheckTimes): Rules {
  const time = (key: "interval" | "timeout" | "retryDelay", least: number) =>
    one((word, { keyword }) => {
      const said = secondsOf(findings, word, keyword, { least, most: 86_400 });
      if (said !== undefined) times[key] = said;
    });
  const retry = numberInto(findings, times, "retry", { least: 0, most: 999 });
  return new Map([
    ["delay_loop", time("interval", 0.001)],
    ["connect_timeout", time("timeout", 0.001)],
    ["delay_before_retry", time("retryDelay", 0)],
    ["retry", retry],
    ["nb_get_retry", retry],
    ["alpha", flagInto(findings, times, "alpha")],
    ["warmup", idle("probes of different targets are spread over their interval in any case")],
    ["virtualhost", textInto(times, "host")],
    ["log_all_failures", idle("`evenkeel explain` shows what the last probes said")],
  ]);
}

export function checkerRules(findings: Findings, checkers: Checker[]): Rules {
  const reader = (kind: CheckerKind): Rule =>
    repeated(
      block(0, 0, ({ block: statements = [], place }) => {
        const checker: Checker = { kind, place, times: {} };
        readBlock(findings, statements, rulesOf(findings, checker), `\`${kind}\``);
        checkers.push(checker);
      }),
    );
  const script = "a MISC_CHECK that asks";
  return new Map([
    ...checkerKinds.map((kind): [string, Rule] => [kind, reader(kind)]),
    ["SMTP_CHECK", refused("the greeting of mail servers is not read", "TCP_CHECK, or a MISC_CHECK")],
    [
      "DNS_CHECK",
      refused("no questions are put together for name servers", "UDP_CHECK with the question as `payload`"),
    ],
    ["PING_CHECK", refused("targets are not pinged", "TCP_CHECK, which asks the service itself")],
    ["BFD_CHECK", refused("BFD is not spoken", "TCP_CHECK with a short delay_loop")],
    ["FILE_CHECK", refused("no file says how much work a target gets", script)],
  ]);
}

function rulesOf(findings: Findings, checker: Checker): Rules {
  return new Map([
    ...timesRules(findings, checker.times),
    ...connectRules(findings, checker),
    ...ownRules(findings, checker),
  ]);
}

function connectRules(findings: Findings, checker: Checker): Rules {
  return new Map([
    ["connect_port", numberInto(findings, checker, "port", { least: 1, most: 65_535 })],
    ["connect_ip", textInto(checker, "address")],
    ...each("bindto bind_if bind_port fwmark", refused("probes leave as the machine routes them", "no such line")),
  ]);
}

function ownRules(findings: Findings, checker: Checker): Rules {
  switch (checker.kind) {
    case "TCP_CHECK":
      return new Map();
    case "HTTP_GET":
    case "SSL_GET":
      return httpRules(findings, checker);
    case "MISC_CHECK":
      return miscRules(findings, checker);
    case "UDP_CHECK":
      return udpRules(findings, checker);
    default:
      return checker.kind satisfies never;
  }
}

function httpRules(findings: Findings, checker: Checker): Rules {
  const urlRules: Rules = new Map([
    ["path", textInto(checker, "path")],
    [
      "status_code",
      some(1, 32, (words, { place }) => {
        checker.statuses = { value: words.map(({ text }) => text), place };
      }),
    ],
    ["virtualhost", textInto(checker.times, "host")],
    [
      "regex",
      some(1, 1, ([word]) => {
        if (word !== undefined) checker.body = { value: word.text, place: word.place };
      }),
    ],
    ["digest", refused("a page is not compared by its checksum", "`status_code`, or `regex` for what it must hold")],
    ["regex_no_match", refused("a text must be there, not be missing", "`regex` for what a good answer holds")],
    ["regex_options", refused("regular expressions are JavaScript's, without options", "`regex` alone")],
    ...each("regex_stack regex_min_offset regex_max_offset", idle("the first 64 KiB of the body are looked through")),
  ]);
  return new Map([
    ["url", block(0, 0, ({ block: statements = [] }) => readBlock(findings, statements, urlRules, "`url`"))],
    ["http_protocol", idle("probes speak HTTP/1.1")],
    ["fast_recovery", idle("there is one URL, asked at once")],
    ["enable_sni", flagInto(findings, checker, "sni")],
  ]);
}

function miscRules(findings: Findings, checker: Checker): Rules {
  return new Map([
    [
      "misc_path",
      some(1, 9, (_, statement: Statement) => {
        const command = commandOf(findings, statement, { users: true });
        if (command !== undefined) checker.command = command;
      }),
    ],
    ["misc_timeout", secondsInto(findings, checker, "commandTimeout", { least: 0.001, most: 86_400 })],
    [
      "misc_dynamic",
      refused(
        "the exit status says passed or failed, no weight",
        "the API: `evenkeel target set POOL TARGET --weight N`",
      ),
    ],
    [
      "user",
      some(1, 2, ([user, group]) => {
        const said = userOf(findings, user, group);
        if (said !== undefined) checker.user = said;
      }),
    ],
  ]);
}

function udpRules(findings: Findings, checker: Checker): Rules {
  const hex = (key: "payload" | "reply") =>
    some(1, 64, (words, { place, keyword }) => {
      const text = words.map((word) => word.text).join(" ");
      if (/^(?:[0-9A-Fa-f]{2})+$/.test(text.replaceAll(/\s/g, ""))) checker[key] = { value: text, place };
      else {
        const message = `\`${text}\` behind \`${keyword}\` is no row of bytes`;
        findings.complain(place, "value", { message, expected: "pairs of hexadecimal digits" });
      }
    });
  return new Map([
    ["payload", hex("payload")],
    ["require_reply", hex("reply")],
    ...each(
      "min_reply_length max_reply_length",
      refused("the length of an answer is not looked at", "`require_reply` with what it holds"),
    ),
  ]);
}

/** Where a checked server is, and what its virtual server says for it. */
export type Checked = {
  readonly host: string;
  readonly port: number;
  readonly inherited: readonly CheckTimes[];
  readonly scriptUser: Said<string> | undefined;
};

/** The health check of one real server, in our words; undefined after telling why there is none. */
export function healthCheckOf(
  findings: Findings,
  checker: Checker,
  checked: Checked,
): Record<string, unknown> | undefined {
  const levels = [checker.times, ...checked.inherited];
  const pick = <T>(of: (times: CheckTimes) => T | undefined): T | undefined =>
    levels.map(of).find((said) => said !== undefined);
  const own = kindFields(findings, checker, { ...checked, host: checked.host, virtualHost: pick(({ host }) => host) });
  if (own === undefined) return undefined;
  if (checker.address !== undefined && checker.address.value !== checked.host) {
    const message = "`connect_ip`: a target is asked at its own address";
    findings.complain(checker.address.place, "refused", { message, expected: "a MISC_CHECK that asks elsewhere" });
    return undefined;
  }
  const isCommand = checker.kind === "MISC_CHECK";
  const interval = pick(({ interval }) => interval)?.value ?? delayDefault;
  const retries = pick(({ retry }) => retry)?.value ?? (isCommand ? 0 : 1);
  const isHttp = checker.kind === "HTTP_GET" || checker.kind === "SSL_GET";
  const retryDelay = pick(({ retryDelay }) => retryDelay)?.value ?? (isHttp ? 3000 : 1000);
  const timeout = isCommand
    ? (checker.commandTimeout?.value ?? interval)
    : (pick(({ timeout }) => timeout)?.value ?? timeoutDefault);
  const port = checker.port?.value;
  return {
    ...own,
    ...(port === undefined || port === checked.port || isCommand ? {} : { port }),
    interval: durationText(interval),
    ...(retries > 0 && retryDelay > 0 && retryDelay < interval ? { fastInterval: durationText(retryDelay) } : {}),
    timeout: durationText(timeout),
    rise: 1,
    fall: retries + 1,
    ...(pick(({ alpha }) => alpha)?.value === true ? { initial: "unhealthy" } : {}),
  };
}

type Fields = Checked & { readonly virtualHost: Said<string> | undefined };

function kindFields(findings: Findings, checker: Checker, fields: Fields): Record<string, unknown> | undefined {
  switch (checker.kind) {
    case "TCP_CHECK":
      return { type: "tcp" };
    case "HTTP_GET":
    case "SSL_GET":
      return httpFields(checker, fields);
    case "MISC_CHECK":
      return commandFields(findings, checker, fields);
    case "UDP_CHECK":
      if (checker.payload === undefined) {
        const message = "`UDP_CHECK` without `payload`: keepalived sends random bytes";
        findings.complain(checker.place, "missing", {
          message,
          expected: "`payload` with what the service understands",
        });
        return undefined;
      }
      return {
        type: "udp",
        send: { hex: checker.payload.value },
        ...(checker.reply === undefined ? {} : { expect: { hex: checker.reply.value } }),
      };
    default:
      return checker.kind satisfies never;
  }
}

function httpFields(checker: Checker, { virtualHost }: Fields): Record<string, unknown> {
  const isTls = checker.kind === "SSL_GET";
  return {
    type: isTls ? "https" : "http",
    path: checker.path?.value ?? "/",
    ...(virtualHost === undefined ? {} : { host: virtualHost.value }),
    ...(isTls && checker.sni?.value === true && virtualHost !== undefined ? { serverName: virtualHost.value } : {}),
    expect: (checker.statuses?.value ?? ["200-299"]).map((text) => (/^\d+$/.test(text) ? Number(text) : text)),
    ...(checker.body === undefined ? {} : { expectBody: { regex: checker.body.value } }),
  };
}

/** The program; where its words name the server itself, by a shell that knows whom it is run for. */
function commandFields(findings: Findings, checker: Checker, fields: Fields): Record<string, unknown> | undefined {
  const { command } = checker;
  if (command === undefined) {
    findings.complain(checker.place, "missing", { message: "`MISC_CHECK` has no `misc_path`", expected: "a command" });
    return undefined;
  }
  const user = checker.user ?? command.user ?? fields.scriptUser;
  const prefix = user === undefined || user.value === "root" ? [] : ["runuser", "-u", user.value, "--"];
  const words = [...prefix, ...command.words];
  const named = words.map((word) => placeholderOf(word, fields));
  if (named.every((word) => word === undefined)) return { type: "command", command: words };
  const line = words.map((word, index) => named[index] ?? quoted(word)).join(" ");
  return { type: "command", command: ["/bin/sh", "-c", `exec ${line}`] };
}

function placeholderOf(word: string, { host, port }: Fields): string | undefined {
  if (word === host) return '"$EVENKEEL_HOST"';
  if (word === String(port)) return '"$EVENKEEL_PORT"';
  return word === `${host}:${port}` ? '"$EVENKEEL_TARGET"' : undefined;
}

function quoted(word: string): string {
  return /^[A-Za-z0-9_./:=@%+-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`;
}
