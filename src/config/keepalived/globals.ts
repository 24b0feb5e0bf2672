// `global_defs` of keepalived.conf, and the few directives beside it that hold for the whole program. On the change's way. What it
// says for every virtual router is kept as it was said; instance.ts lays an instance's own words over it.

import { type Announce, announceRules } from "./announce.ts";
import type { Statement } from "./blocks.ts";
import { type Command, commandOf, userOf } from "./commands.ts";
import type { Findings, Said } from "./findings.ts";
import { idleGlobals, refusedGlobals } from "./global-words.ts";
import {
  block,
  each,
  flagged,
  flagInto,
  idle,
  numberInto,
  presentInto,
  type Rules,
  readBlock,
  refused,
  repeated,
  secondsInto,
  secondsOf,
  some,
  textInto,
} from "./rules.ts";
import type { Word } from "./words.ts";

export type Mail = {
  to: Said<string>[];
  from?: Said<string>;
  server?: Said<string>;
  timeout?: Said<number>;
  /** Of virtual routers and sync groups that say nothing themselves. */
  alert?: Said<boolean>;
  alertAll?: Said<boolean>;
  alertChecker?: Said<boolean>;
  noFaults?: Said<boolean>;
};

export type Globals = {
  routerId?: Said<string>;
  version?: Said<number>;
  strict?: Said<boolean>;
  scriptUser?: Said<string>;
  security?: Said<boolean>;
  announce: Announce;
  downAdvertisements?: Said<number>;
  mail: Mail;
  fifo?: Said<string>;
  fifoReader?: Command;
  priorityChanges?: Said<boolean>;
  dynamicInterfaces?: Said<boolean>;
  tunnelTimeout?: Said<number>;
  flowTimeout?: Said<number>;
};

export function emptyGlobals(): Globals {
  return { announce: {}, mail: { to: [] } };
}

/** Reads one `global_defs` block; a file may have several, and the last word holds. */
export function readGlobals(findings: Findings, statements: readonly Statement[], globals: Globals): void {
  readBlock(findings, statements, globalRules(findings, globals), "`global_defs`");
}

function globalRules(findings: Findings, globals: Globals): Rules {
  return new Map([
    ...idleGlobals,
    ...refusedGlobals,
    ...mailRules(findings, globals.mail),
    ...announceRules(findings, globals.announce, "vrrp_"),
    ...fifoRules(findings, globals),
    ["router_id", textInto(globals, "routerId")],
    ["vrrp_version", numberInto(findings, globals, "version", { least: 2, most: 3, otherwise: "would stay with 2" })],
    ["vrrp_strict", flagInto(findings, globals, "strict")],
    [
      "script_user",
      some(1, 2, ([user, group]) => {
        const said = userOf(findings, user, group);
        if (said !== undefined) globals.scriptUser = said;
      }),
    ],
    ["enable_script_security", presentInto(globals, "security")],
    ["vrrp_down_timer_adverts", numberInto(findings, globals, "downAdvertisements", { least: 1, most: 100 })],
    [
      "dynamic_interfaces",
      some(0, 1, ([word], { place }) => {
        globals.dynamicInterfaces = { value: word === undefined || !/^(?:off|no|false)$/.test(word.text), place };
      }),
    ],
    ["lvs_timeouts", some(2, 6, (words) => readTimeouts(findings, globals, words))],
    ["default_interface", idle("it is for addresses without an interface, and every virtual router has one")],
  ]);
}

function readTimeouts(findings: Findings, globals: Globals, words: readonly Word[]): void {
  for (let index = 0; index < words.length; index += 2) {
    const [name, number] = [words[index], words[index + 1]];
    if (name === undefined) continue;
    if (number === undefined || !/^(?:tcp|tcpfin|udp)$/.test(name.text)) {
      const message = `\`${name.text}\` of \`lvs_timeouts\` is no timeout`;
      findings.complain(name.place, "value", { message, expected: "`tcp`, `tcpfin` or `udp`, each with its seconds" });
      continue;
    }
    const said = secondsOf(findings, number, "lvs_timeouts", { least: 1, most: 2_000_000 });
    if (said === undefined) continue;
    if (name.text === "tcp") globals.tunnelTimeout = said;
    else if (name.text === "udp") globals.flowTimeout = said;
    else findings.idle(name.place, "tcpfin", "a connection ends with its last FIN");
  }
}

function mailRules(findings: Findings, mail: Mail): Rules {
  const alert = (set: (said: Said<boolean>) => void) => flagged(findings, set);
  return new Map([
    [
      "notification_email",
      repeated(
        block(0, 0, ({ block: lines = [] }) => {
          for (const { words } of lines) for (const { text, place } of words) mail.to.push({ value: text, place });
        }),
      ),
    ],
    ["notification_email_from", textInto(mail, "from")],
    [
      "smtp_server",
      some(1, 2, ([host, port]) => {
        if (host === undefined) return;
        const name = host.text.includes(":") ? `[${host.text}]` : host.text;
        mail.server = { value: port === undefined ? name : `${name}:${port.text}`, place: host.place };
      }),
    ],
    ["smtp_connect_timeout", secondsInto(findings, mail, "timeout", { least: 1, most: 3600 })],
    ["smtp_helo_name", idle("the mail server is told this machine's own name")],
    [
      "smtp_alert",
      alert((said) => {
        mail.alertAll = said;
      }),
    ],
    [
      "smtp_alert_vrrp",
      alert((said) => {
        mail.alert = said;
      }),
    ],
    [
      "smtp_alert_checker",
      alert((said) => {
        mail.alertChecker = said;
      }),
    ],
    ["no_email_faults", presentInto(mail, "noFaults")],
    ["no_checker_emails", idle("no mail is sent for targets")],
  ]);
}

function fifoRules(findings: Findings, globals: Globals): Rules {
  const path = some(1, 3, ([word, user], { keyword }) => {
    if (word === undefined) return;
    if (globals.fifo !== undefined) {
      const message = `\`${keyword}\`: there is one pipe, \`${globals.fifo.value}\``;
      findings.complain(word.place, "refused", { message, expected: "one of the two" });
      return;
    }
    globals.fifo = { value: word.text, place: word.place };
    if (user !== undefined) findings.note(user.place, keyword, "the pipe belongs to the program's own user");
  });
  const reader = {
    ...some(1, 3, (_, statement) => {
      const command = commandOf(findings, statement, { users: true });
      if (command !== undefined) globals.fifoReader = command;
    }),
  };
  return new Map([
    ...each("notify_fifo vrrp_notify_fifo", path),
    ...each("notify_fifo_script vrrp_notify_fifo_script", reader),
    ...each(
      "lvs_notify_fifo lvs_notify_fifo_script",
      refused("no pipe is told of targets", "the stream of events, GET /v1/events, which tells of their health"),
    ),
    ["vrrp_notify_priority_changes", flagInto(findings, globals, "priorityChanges")],
  ]);
}
