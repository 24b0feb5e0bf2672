// What those who are told of a change are told, in keepalived's words, so that scripts, FIFO readers and mail filters that were
// written for it go on working. Pure; the change's way. Seen with keepalived 2.2.7: arguments `INSTANCE VI_1 MASTER 100` (the
// name without quotes), the FIFO's line with quotes, the group's priority 0, the mail's subject with a small `state`.

import type { Mode } from "../../ha/virtual-router-state.ts";
import type { MailText } from "../../io/mail.ts";
import type { NotifyEvent } from "../../model/ha.ts";

/** One change of one virtual router or sync group. */
export type Notice = {
  readonly of: "virtualRouter" | "syncGroup";
  readonly name: string;
  readonly event: NotifyEvent;
  /** The effective one; 0 for a group. */
  readonly priority: number;
  /** Why, as the machine says it: `silence`, `tracks`. */
  readonly cause: string;
};

/** Which event a mode is; a virtual router that has come to `init` has stopped. */
export function eventOf(mode: Mode): NotifyEvent {
  return mode === "init" ? "stop" : mode;
}

export const stateWords: Readonly<Record<NotifyEvent, string>> = {
  active: "MASTER",
  backup: "BACKUP",
  fault: "FAULT",
  stop: "STOP",
};

function kindWord({ of }: Notice): string {
  return of === "virtualRouter" ? "INSTANCE" : "GROUP";
}

/** What is appended to a `notify` command. */
export function argumentsOf(notice: Notice): readonly string[] {
  return [kindWord(notice), notice.name, stateWords[notice.event], String(notice.priority)];
}

/** Without the end of the line. */
export function fifoLine(notice: Notice): string {
  return `${kindWord(notice)} "${notice.name}" ${stateWords[notice.event]} ${notice.priority}`;
}

/** A line for a change of the priority; whoever is not active is called BACKUP, as keepalived does (vrrp_notify.c). */
export function priorityLine(of: {
  readonly name: string;
  readonly active: boolean;
  readonly priority: number;
}): string {
  return `INSTANCE "${of.name}" ${of.active ? stateWords.active : stateWords.backup}_PRIORITY ${of.priority}`;
}

/** A line for an active that has heard another one of lower priority. */
export function lowerPriorityLine({ name, priority }: { readonly name: string; readonly priority: number }): string {
  return `INSTANCE "${name}" ${stateWords.active}_RX_LOWER_PRI ${priority}`;
}

/** What a command finds in its environment, beside its arguments. */
export function environmentOf(notice: Notice): Readonly<Record<string, string>> {
  return {
    EVENKEEL_NAME: notice.name,
    EVENKEEL_KIND: notice.of,
    EVENKEEL_EVENT: notice.event,
    EVENKEEL_PRIORITY: String(notice.priority),
    EVENKEEL_CAUSE: notice.cause,
  };
}

/** `node` stands where keepalived writes its router_id. */
export function mailOf(notice: Notice, node: string): MailText {
  const kind = notice.of === "virtualRouter" ? "VRRP Instance" : "VRRP Group";
  const what = notice.event === "stop" ? "Stopping" : `Entering ${stateWords[notice.event]} state`;
  return { subject: `[${node}] ${kind} ${notice.name} - ${what}`, body: `=> ${bodyOf(notice)} <=\n` };
}

function bodyOf({ of, event }: Notice): string {
  if (of === "syncGroup") {
    if (event === "stop") return "All VRRP group instances are now stopping";
    return `All VRRP group instances are now in ${stateWords[event]} state`;
  }
  if (event === "active") return "VRRP Instance is now owning VRRP VIPs";
  return event === "stop" ? "VRRP Instance stopping" : "VRRP Instance is no longer owning VRRP VIPs";
}

/** The body of a webhook's request. `at`: milliseconds since 1970. `number` grows with every notice of this process. */
export function webhookBody(
  notice: Notice,
  told: { readonly node: string; readonly at: number; readonly number: number },
): Readonly<Record<string, unknown>> {
  const { of: kind, name, event, priority, cause } = notice;
  const { node, at, number } = told;
  return { node, kind, name, event, state: stateWords[event], priority, cause, at: new Date(at).toISOString(), number };
}
