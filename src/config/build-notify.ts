// Who is told what: `notify` of each virtual router and sync group with that of `ha` behind it. On the change's way, part of
// build-ha.ts.

import { same } from "../core/same.ts";
import {
  type Email,
  type FifoReader,
  type NotifyCommand,
  type NotifyEvent,
  type NotifyRule,
  notifyEvents,
  type Webhook,
} from "../model/ha.ts";
import type { HaDraft } from "./ha-shape.ts";
import type { NotifyFile } from "./notify-schema.ts";

const commandTimeout = 30_000;

/** One rule for each that somebody is told of. */
export function buildNotify(ha: HaDraft): NotifyRule[] {
  const all = ha.shell.value?.notify;
  const rules = [
    ...ha.virtualRouters.map(({ name, value }) => buildRule("virtualRouter", name, [value?.notify, all])),
    ...ha.syncGroups.map(({ name, value }) => buildRule("syncGroup", name, [value?.notify, all])),
  ];
  return rules.filter(tellsSomebody);
}

/** Those of `ha` and of each virtual router and sync group. */
export function buildFifoReaders(ha: HaDraft): FifoReader[] {
  const files = [ha.shell.value?.notify, ...[...ha.virtualRouters, ...ha.syncGroups].map(({ value }) => value?.notify)];
  const readers = files.flatMap((file) =>
    file?.fifo === undefined || file.fifoReader === undefined
      ? []
      : [{ path: file.fifo, command: file.fifoReader, user: file.user }],
  );
  return readers.filter((one, index) => readers.findIndex(({ path }) => path === one.path) === index);
}

function tellsSomebody({ commands, fifos, emails, webhooks }: NotifyRule): boolean {
  const count = notifyEvents.reduce((sum, event) => sum + commands[event].length, 0);
  return count + fifos.length + emails.length + webhooks.length > 0;
}

function buildRule(of: NotifyRule["of"], name: string, files: readonly (NotifyFile | undefined)[]): NotifyRule {
  const given = files.filter((file) => file !== undefined);
  const commandsOf = (event: NotifyEvent) => given.flatMap((file) => buildCommands(file, event));
  return {
    of,
    name,
    commands: {
      active: commandsOf("active"),
      backup: commandsOf("backup"),
      fault: commandsOf("fault"),
      stop: commandsOf("stop"),
    },
    fifos: [...new Set(given.flatMap(({ fifo }) => fifo ?? []))],
    priorityChanges: given.some(({ priorityChanges }) => priorityChanges),
    emails: eachOnce(given.flatMap(({ email }) => (email === undefined ? [] : [buildEmail(email)]))),
    webhooks: eachOnce(given.flatMap(({ webhook }) => (webhook === undefined ? [] : [buildWebhook(webhook)]))),
  };
}

function eachOnce<T>(list: readonly T[]): T[] {
  return list.filter((one, index) => list.findIndex((other) => same(one, other)) === index);
}

/** keepalived's order: what is for the event first, then what is for any (vrrp_notify.c). */
function buildCommands(file: NotifyFile, event: NotifyEvent): NotifyCommand[] {
  const { user, timeout = commandTimeout, appendState } = file;
  const own = (file[event] ?? []).map((command) => ({ command, appendState, user, timeout }));
  const any = (file.any ?? []).map((command) => ({ command, appendState: true, user, timeout }));
  return [...own, ...any];
}

function buildEmail(file: NonNullable<NotifyFile["email"]>): Email {
  const { to, from, server, security, username, passwordFile, timeout, events } = file;
  return { to, from, ...server, security, username, passwordFile, timeout, events };
}

function buildWebhook(file: NonNullable<NotifyFile["webhook"]>): Webhook {
  const headers = Object.entries(file.headers).map(([name, value]) => ({ name, value }));
  return { url: file.url, headers, timeout: file.timeout, tries: file.tries, events: file.events };
}
