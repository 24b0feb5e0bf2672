// Whom keepalived tells of a change: the notify_* commands, `notify`, mail. On the change's way, for instances and sync groups alike.
// keepalived hands four words to `notify` and none to the others (vrrp_notify.c), so ours get none either.

import type { Statement } from "./blocks.ts";
import { type Command, commandOf } from "./commands.ts";
import type { Findings, Native, NativePath, Said } from "./findings.ts";
import type { Globals } from "./globals.ts";
import { durationText, flagged, flagInto, idle, type Rules, refused, some } from "./rules.ts";

export type Notify = {
  active?: Command;
  backup?: Command;
  fault?: Command;
  stop?: Command;
  any?: Command;
  alert?: Said<boolean>;
};

type Event = Exclude<keyof Notify, "alert">;

const events = ["active", "backup", "fault", "stop", "any"] as const satisfies readonly Event[];

export function notifyRules(findings: Findings, notify: Notify, globals: Globals): Rules {
  const command = (event: Event) =>
    some(1, 9, (_, statement: Statement) => {
      const read = commandOf(findings, statement, { users: true });
      if (read !== undefined) notify[event] = read;
    });
  return new Map([
    ["notify_master", command("active")],
    ["notify_backup", command("backup")],
    ["notify_fault", command("fault")],
    ["notify_stop", command("stop")],
    ["notify", command("any")],
    [
      "notify_deleted",
      some(0, 9, (words, { place, keyword }) => {
        if (words.length === 0) findings.idle(place, keyword, "what a reload takes out is told `STOP`");
        else {
          const message = "`notify_deleted`: no command runs for what a reload takes out alone";
          findings.complain(place, "refused", { message, expected: "`notify_stop`" });
        }
      }),
    ],
    [
      "notify_master_rx_lower_pri",
      refused(
        "no command runs when another active of lower priority is heard",
        "the alarm `secondActive` in `evenkeel status` and the metrics, or notify_master",
      ),
    ],
    [
      "notify_priority_changes",
      flagged(findings, (said) => {
        globals.priorityChanges ??= said;
        findings.note(
          said.place,
          "notify_priority_changes",
          "the pipe is told of the priorities of all virtual routers",
        );
      }),
    ],
    ["smtp_alert", flagInto(findings, notify, "alert")],
    ["debug", idle("the level of the log is `--log-level`")],
  ]);
}

/** Who runs what has no user of its own. */
type Writing = { readonly notify: Notify; readonly scriptUser: Said<string> | undefined };

export function writeNotify(
  findings: Findings,
  native: Native,
  path: NativePath,
  { notify, scriptUser }: Writing,
): void {
  const commands = events.flatMap((event) => {
    const command = notify[event];
    return command === undefined ? [] : [{ event, command }];
  });
  const [first] = commands;
  if (first === undefined) return;
  for (const { event, command } of commands) {
    native.put([...path, event], { value: command.words, place: command.place });
  }
  if (commands.some(({ event }) => event !== "any")) {
    native.put([...path, "appendState"], { value: false, place: first.command.place });
  }
  const users = commands.map(({ command }) => command.user ?? scriptUser);
  const [user] = users;
  const other = users.findIndex((one) => one?.value !== user?.value);
  if (other > 0) {
    const message = `the commands of one block run as one user, and this one would run as \`${users[other]?.value ?? "the program's own"}\`, the first as \`${user?.value ?? "the program's own"}\``;
    const place = users[other]?.place ?? commands[other]?.command.place ?? first.command.place;
    findings.complain(place, "user", { message, expected: "the same user behind each, or `script_user`" });
    return;
  }
  if (user !== undefined) native.put([...path, "user"], user);
  findings.note(
    first.command.place,
    "notify",
    "a command that runs longer than 30 s is killed, and they run one after the other",
  );
}

/** The mail that a block with smtp_alert sends; undefined after telling what is missing. */
export function mailOf(findings: Findings, globals: Globals, hostname: string): Record<string, unknown> | undefined {
  const { mail } = globals;
  const asked = mail.alert ?? mail.alertAll;
  const [to] = mail.to;
  if (to === undefined) {
    if (asked?.value === true) {
      const message = "`smtp_alert`: there is no `notification_email`, so keepalived would mail nobody";
      findings.warn(asked.place, "mail", { message, expected: "addresses in `notification_email`" });
    }
    return undefined;
  }
  const { from, server, timeout, noFaults } = mail;
  return {
    to: mail.to.map(({ value }) => mailboxOf(value)),
    from: from === undefined ? `keepalived@${hostname}` : mailboxOf(from.value),
    ...(server === undefined ? {} : { server: server.value }),
    ...(timeout === undefined ? {} : { timeout: durationText(timeout.value) }),
    ...(noFaults?.value === true ? { events: ["active", "backup", "stop"] } : {}),
  };
}

/** `Somebody <a@example.com>` is sent to the address alone. */
function mailboxOf(text: string): string {
  return /<([^<>]+)>/.exec(text)?.[1] ?? text;
}
