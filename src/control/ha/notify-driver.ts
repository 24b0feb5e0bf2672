// Tells the world what becomes of virtual routers and sync groups: commands, FIFOs, mail, webhooks. The change's way, in the
// supervisor, off the election's path: `tell` returns at once, whatever the receivers do. Each rule has a lane for its
// commands, each mail and webhook of it one of its own (notify-lane.ts), so that a slow receiver delays nobody but itself.
// FIFOs are written within `tell`, which never waits. What fails is logged and counted, and changes no election.

import type { Clock, Milliseconds } from "../../core/clock.ts";
import type { Failure, Result } from "../../core/failure.ts";
import type { Log } from "../../core/log.ts";
import { type MailText, sendMail } from "../../io/mail.ts";
import { type NotifyFifo, notifyFifo } from "../../io/notify-fifo.ts";
import { createProgramProber, type OperatorProgram } from "../../io/probe-command.ts";
import { callWebhook, type WebhookCall } from "../../io/webhook.ts";
import type { Email, HaConfig, NotifyCommand, NotifyRule, Webhook } from "../../model/ha.ts";
import type { ProbeOutcome } from "../../model/health-check.ts";
import type { Alarm } from "./alarm.ts";
import { createLane, type Lane, type LaneCounters } from "./notify-lane.ts";
import {
  argumentsOf,
  environmentOf,
  fifoLine,
  lowerPriorityLine,
  mailOf,
  type Notice,
  priorityLine,
  webhookBody,
} from "./notify-words.ts";

/** How the receivers are reached; a test may bring its own. */
export type NotifyEdges = {
  readonly run: (program: OperatorProgram, timeout: Milliseconds) => Promise<ProbeOutcome>;
  readonly openFifo: (path: string) => NotifyFifo;
  readonly sendMail: (email: Email, text: MailText) => Promise<Result<true>>;
  readonly callWebhook: (call: WebhookCall) => Promise<Result<true>>;
};

export type NotifierOptions = {
  readonly log: Log;
  /** As operators call this node. */
  readonly node: string;
  /** Milliseconds since 1970. */
  readonly wallClock: Clock;
  readonly alarm: Alarm;
  readonly edges: NotifyEdges;
};

/** Between the tries of a webhook: the first wait, doubled each time up to the maximum. */
export const webhookRetryDelay: Milliseconds = 1_000;
export const webhookRetryDelayMax: Milliseconds = 30_000;

type Told = { readonly notice: Notice; readonly at: number; readonly number: number };

/** A configured receiver with its lane. */
type Receiver = {
  /** By it an unchanged receiver is known; may hold what is secret. */
  readonly key: string;
  /** `commands`, `mail 1`, `webhook 1`. */
  readonly label: string;
  readonly lane: Lane<Told>;
};

type Rule = {
  readonly rule: NotifyRule;
  readonly commands: Receiver;
  readonly others: readonly (Receiver & { readonly events: readonly string[] })[];
};

export type NotifyCounters = LaneCounters & { readonly receiver: string; readonly rule: string };

/** Runs one program to its end, through the command probe: bounded, in its own group, its daemons spared. */
export function runProgramOnce(clock: Clock): NotifyEdges["run"] {
  return (program, timeout) =>
    new Promise((resolve) => createProgramProber(program, { clock }).start(timeout, resolve));
}

export class Notifier {
  readonly #options: NotifierOptions;
  #rules: ReadonlyMap<string, Rule> = new Map();
  #fifos = new Map<string, NotifyFifo>();
  /** Lines that a FIFO did not take. */
  #fifoRefused = 0;
  #fifoTrouble = new Map<string, string>();
  #number = 0;
  #stopping: AbortController = new AbortController();

  constructor(options: NotifierOptions) {
    this.#options = options;
  }

  /** Takes a configuration up. A receiver that stays keeps its lane and what waits there; one that is gone gives that up. */
  apply(config: Pick<HaConfig, "notify">): void {
    const known = new Map<string, Receiver>();
    for (const { commands, others } of this.#rules.values())
      for (const each of [commands, ...others]) known.set(each.key, each);
    const rules = new Map<string, Rule>();
    for (const rule of config.notify) rules.set(keyOf(rule), this.#take(rule, known));
    // What was not taken over.
    for (const { lane } of known.values()) lane.close();
    this.#rules = rules;
    const paths = new Map(config.notify.flatMap((rule) => rule.fifos.map((path) => [path, rule])));
    for (const [path, fifo] of this.#fifos) {
      if (paths.has(path)) continue;
      this.#closeFifo(path, fifo);
      this.#fifos.delete(path);
    }
    // Made now and not with the first line: whoever reads it may come first.
    for (const [path, rule] of paths) this.#tellTrouble(path, rule, this.#fifo(path).open());
  }

  /** A line about a virtual router's priority, for FIFOs alone. */
  tellPriority(of: { readonly name: string; readonly active: boolean; readonly priority: number }): void {
    this.#tellFifos(of.name, priorityLine(of), (rule) => rule.priorityChanges);
  }

  /** An active has heard another one of lower priority. */
  tellLowerPriority(of: { readonly name: string; readonly priority: number }): void {
    this.#tellFifos(of.name, lowerPriorityLine(of), () => true);
  }

  #tellFifos(name: string, line: string, wants: (rule: NotifyRule) => boolean): void {
    const rule = this.#rules.get(keyOf({ of: "virtualRouter", name }))?.rule;
    if (rule === undefined || !wants(rule)) return;
    for (const path of rule.fifos) this.#writeFifo(path, line, rule);
  }

  /** Returns at once and never fails. A virtual router of which nobody is told may be told of. */
  tell(notice: Notice): void {
    const found = this.#rules.get(keyOf(notice));
    if (found === undefined) return;
    const told = { notice, at: this.#options.wallClock(), number: ++this.#number };
    for (const path of found.rule.fifos) this.#writeFifo(path, fifoLine(notice), found.rule);
    if (hasCommands(found.rule)) found.commands.lane.push(told);
    for (const { events, lane } of found.others) if (events.includes(notice.event)) lane.push(told);
  }

  counters(): { readonly lanes: readonly NotifyCounters[]; readonly fifoRefused: number } {
    const lanes = [...this.#rules].flatMap(([rule, { commands, others }]) =>
      [commands, ...others].map(({ label, lane }) => ({ rule, receiver: label, ...lane.counters })),
    );
    return { lanes, fifoRefused: this.#fifoRefused };
  }

  /** Resolves when everybody has been told what waits, or after the time: then the rest is given up. */
  async stop(timeMax: Milliseconds): Promise<void> {
    const lanes = [...this.#rules.values()].flatMap(({ commands, others }) => [commands, ...others]);
    let cancel = () => {};
    const late = new Promise<void>((resolve) => {
      cancel = this.#options.alarm(timeMax, resolve);
    });
    await Promise.race([Promise.all(lanes.map(({ lane }) => lane.idle())), late]);
    cancel();
    this.#stopping.abort();
    for (const { lane } of lanes) lane.close();
    for (const [path, fifo] of this.#fifos) this.#closeFifo(path, fifo);
  }

  #take(rule: NotifyRule, known: Map<string, Receiver>): Rule {
    const prefix = keyOf(rule);
    const receiver = (
      label: string,
      what: unknown,
      keeps: "latest" | "all",
      deliver: (told: Told) => Promise<boolean>,
    ): Receiver => {
      const key = `${prefix} ${label} ${JSON.stringify(what)}`;
      const kept = known.get(key);
      known.delete(key);
      return kept ?? { key, label, lane: createLane(keeps, deliver) };
    };
    // What is configured is part of the key: a changed one is another receiver, and what runs of the old ends by itself.
    const commands = receiver("commands", rule.commands, "latest", (told) => this.#runAll(rule, told));
    const emails = rule.emails.map((email, index) => ({
      events: email.events,
      ...receiver(`mail ${index + 1}`, email, "all", (told) => this.#mail(email, told)),
    }));
    const webhooks = rule.webhooks.map((webhook, index) => ({
      events: webhook.events,
      ...receiver(`webhook ${index + 1}`, webhook, "all", (told) => this.#post(webhook, told)),
    }));
    return { rule, commands, others: [...emails, ...webhooks] };
  }

  #fifo(path: string): NotifyFifo {
    const known = this.#fifos.get(path);
    if (known !== undefined) return known;
    const made = this.#options.edges.openFifo(path);
    this.#fifos.set(path, made);
    return made;
  }

  #writeFifo(path: string, line: string, rule: NotifyRule): void {
    const written = this.#fifo(path).write(line);
    if (!written.ok) this.#fifoRefused++;
    this.#tellTrouble(path, rule, written);
  }

  /** Once for each kind of trouble, until it has gone. */
  #tellTrouble(path: string, { of: kind, name }: NotifyRule, done: Result<true>): void {
    if (done.ok) {
      this.#fifoTrouble.delete(path);
      return;
    }
    const { code, detail } = done.failure;
    if (this.#fifoTrouble.get(path) === code) return;
    this.#fifoTrouble.set(path, code);
    this.#options.log.warn("notify FIFO refused", { kind, name, code, reason: detail });
  }

  #closeFifo(path: string, fifo: NotifyFifo): void {
    const closed = fifo.close();
    if (closed.ok) return;
    const { code, detail } = closed.failure;
    this.#options.log.warn("notify FIFO left behind", { path, code, reason: detail });
  }

  async #runAll(rule: NotifyRule, { notice }: Told): Promise<boolean> {
    let allPassed = true;
    for (const command of rule.commands[notice.event]) {
      if (this.#stopping.signal.aborted) return false;
      const outcome = await this.#options.edges.run(programOf(command, notice), command.timeout);
      if (outcome.verdict === "passed") continue;
      allPassed = false;
      const { code, text: detail } = outcome;
      this.#warn("notify command failed", notice, { code, detail }, { command: command.command.join(" ") });
    }
    return allPassed;
  }

  async #mail(email: Email, { notice }: Told): Promise<boolean> {
    const sent = await this.#options.edges.sendMail(email, mailOf(notice, this.#options.node));
    if (!sent.ok) this.#warn("mail not sent", notice, sent.failure);
    return sent.ok;
  }

  async #post(webhook: Webhook, told: Told): Promise<boolean> {
    const { url, headers, timeout, tries } = webhook;
    const { node } = this.#options;
    const body = webhookBody(told.notice, { node, at: told.at, number: told.number });
    let delay = webhookRetryDelay;
    for (let tried = 1; ; tried++) {
      const called = await this.#options.edges.callWebhook({ url, headers, timeout, body });
      if (called.ok) return true;
      if (tried >= tries || !called.failure.retrySafe || this.#stopping.signal.aborted) {
        this.#warn("webhook not delivered", told.notice, called.failure, { tries: tried });
        return false;
      }
      await this.#pause(delay);
      delay = Math.min(delay * 2, webhookRetryDelayMax);
    }
  }

  /** Cut short when the notifier stops. */
  #pause(delay: Milliseconds): Promise<void> {
    return new Promise((resolve) => {
      const { signal } = this.#stopping;
      const cancel = this.#options.alarm(delay, () => {
        signal.removeEventListener("abort", cut);
        resolve();
      });
      const cut = () => {
        cancel();
        resolve();
      };
      signal.addEventListener("abort", cut, { once: true });
    });
  }

  #warn(
    message: string,
    notice: Notice,
    { code, detail }: Pick<Failure, "code" | "detail">,
    more: Readonly<Record<string, unknown>> = {},
  ): void {
    const { of: kind, name, event } = notice;
    this.#options.log.warn(message, { kind, name, event, code, reason: detail, ...more });
  }
}

function keyOf({ of, name }: Pick<Notice, "of" | "name">): string {
  return `${of}:${name}`;
}

function hasCommands({ commands }: NotifyRule): boolean {
  return Object.values(commands).some((list) => list.length > 0);
}

function programOf(command: NotifyCommand, notice: Notice): OperatorProgram {
  const { user, appendState } = command;
  const words = appendState ? [...command.command, ...argumentsOf(notice)] : command.command;
  return { command: words, user, environment: environmentOf(notice), leavesProcesses: true };
}

/** The real ones. `clock` is monotonic. */
export function notifyEdges(clock: Clock): NotifyEdges {
  return { run: runProgramOnce(clock), openFifo: notifyFifo, sendMail, callWebhook };
}
