// `evenkeel events`: what has happened on this node, as far as it is kept, and with --follow what happens from now on. Exit 0
// after the list; 1 when nobody answers, or when the program that was followed has ended.

import type { Command } from "commander";
import { Option } from "commander";
import { type AdminOptions, type AdminPlace, describeReply, followAdmin, withAdminOptions } from "./admin-client.ts";
import { askOrTell, placeOf } from "./ask.ts";
import { type CliIo, exitCodes } from "./cli-io.ts";
import { EventCutter, formatEvent, type StreamEvent } from "./event-text.ts";

type EventsOptions = AdminOptions & { readonly follow?: boolean; readonly since?: string; readonly output: string };

export function addEventsCommand(program: Command, io: CliIo): void {
  withAdminOptions(program.command("events"))
    .description("show what has happened: changes of targets, health, sources, the configuration, virtual routers")
    .option("-f, --follow", "go on with what happens from now on")
    .option("--since <id>", "only what came after the event with this id")
    .addOption(new Option("-o, --output <format>", "how to print").choices(["table", "json"]).default("table"))
    .action((options: EventsOptions) => showEvents(options, io));
}

async function showEvents(options: EventsOptions, io: CliIo): Promise<void> {
  const place = placeOf(options, io);
  if (place === undefined) return;
  const query = options.since === undefined ? "" : `?since=${encodeURIComponent(options.since)}`;
  if (options.follow === true) return follow(place, `/v1/events${query}`, options, io);
  const headers = { accept: "application/json" };
  const reply = await askOrTell(place, { method: "GET", path: `/v1/events${query}`, headers, timeoutMs: 5_000 }, io);
  if (reply === undefined) return;
  const { events, missed }: { readonly events?: unknown; readonly missed?: unknown } = Object(reply.body);
  if (missed === true) tellMissed(io);
  for (const event of Array.isArray(events) ? events : []) tellEvent(event, options, io);
  io.setExitCode(exitCodes.good);
}

async function follow(place: AdminPlace, path: string, options: EventsOptions, io: CliIo): Promise<void> {
  const cutter = new EventCutter((event) => tellStreamed(event, options, io));
  const signal = new AbortController().signal;
  const headers = { accept: "text/event-stream" };
  const ended = await followAdmin(place, { path, signal, headers }, (text) => cutter.take(text));
  const reply = ended.ok ? ended.value : undefined;
  const why = ended.ok ? "the program has ended, or ended this stream" : ended.failure.detail;
  io.err(`evenkeel: ${reply === undefined ? why : describeReply(reply)}\n`);
  io.setExitCode(exitCodes.error);
}

function tellStreamed({ type, data }: StreamEvent, options: EventsOptions, io: CliIo): void {
  if (type === "missed") {
    tellMissed(io);
    return;
  }
  let event: unknown;
  try {
    event = JSON.parse(data);
  } catch {
    // Not ours; its words may still help.
    io.err(`evenkeel: an event that is no JSON: ${data.slice(0, 200)}\n`);
    return;
  }
  tellEvent(event, options, io);
}

function tellMissed(io: CliIo): void {
  io.err("some events before these are gone: there were more than are kept, or the program was started anew\n");
}

function tellEvent(event: unknown, options: EventsOptions, io: CliIo): void {
  io.out(options.output === "json" ? `${JSON.stringify(event)}\n` : `${formatEvent(Object(event))}\n`);
}
