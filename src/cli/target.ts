// `evenkeel target ls|add|set|up|drain|down|reset|rm`: the targets of the pools, changed while the program runs, without a
// reload. Exit 0 when it is done; 2 when not every worker has confirmed it, or when `drain --wait` ran out of time; 3 when
// something forbids it (it exists already, it is another owner's, somebody holds its lease); 1 when it is wrong or nobody
// answers.

import { performance } from "node:perf_hooks";
import { setTimeout as wait } from "node:timers/promises";
import type { Command } from "commander";
import { Option } from "commander";
import type { PoolView, TargetView, TargetWork } from "../admin/target-view.ts";
import type { TargetFieldName } from "../config/target-fields.ts";
import { bad, good, type Result } from "../core/failure.ts";
import { durationExpected, parseDuration } from "../core/units.ts";
import { type AdminOptions, type AdminPlace, askAdmin, describeReply, withAdminOptions } from "./admin-client.ts";
import { askOrTell, placeOf } from "./ask.ts";
import { type CliIo, exitCodes } from "./cli-io.ts";
import { describeWork, watchDrain } from "./drain-watch.ts";
import { parseTargetName, type TargetName, targetPath } from "./target-name.ts";
import { describeTarget, formatTargets } from "./target-table.ts";

type Options = AdminOptions & { readonly output: string };

/** Longer than the supervisor waits for its workers. */
const orderTimeoutMs = 40_000;
const lookTimeoutMs = 10_000;
const argument = ["<pool/address>", "such as app/10.0.4.20:8080"] as const;

/** By the flag of `target add`. */
const fieldFlags: readonly (readonly [field: TargetFieldName, flag: string, meaning: string])[] = [
  ["weight", "--weight <number>", "share of new work (default: 1)"],
  ["maxFails", "--max-fails <number>", "failed reports that take it out for failTimeout (default: 1)"],
  ["failTimeout", "--fail-timeout <duration>", "such as 10s (the default)"],
  ["maxConnections", "--max-connections <number>", "at a time on this node (default: 0, no limit)"],
  ["backup", "--backup", "takes work only while no other target of the pool does"],
  ["intent", "--intent <intent>", "up, drain or down (default: up)"],
  ["slowStart", "--slow-start <duration>", "its share grows to its weight in this time (default: the pool's)"],
];

const intents = {
  up: "let a target take all its work again",
  drain: "give a target no new work; what it has goes on",
  down: "take a target out of all work",
} as const;

export function addTargetCommand(program: Command, io: CliIo): void {
  const target = program.command("target").description("show and change the targets of the pools");
  const sub = (name: string, description: string) =>
    withAdminOptions(target.command(name))
      .description(description)
      .addOption(new Option("-o, --output <format>", "how to print").choices(["table", "json"]).default("table"));
  sub("ls", "list the targets, whose they are, and how they are")
    .argument("[pool]", "only those of this pool")
    .action((pool: string | undefined, options: Options) => list(pool, options, io));
  addAdd(sub("add", "add a target to a pool; fails when it exists"), io);
  sub("set", "change fields of a target")
    .argument(...argument)
    .argument("<field=value...>", "such as weight=2 intent=drain failTimeout=5s")
    .action((name: string, fields: readonly string[], options: Options) => set(name, fields, options, io));
  for (const intent of ["up", "down"] as const) {
    sub(intent, intents[intent])
      .argument(...argument)
      .action((name: string, options: Options) => change({ name, fields: { intent } }, options, io));
  }
  sub("drain", intents.drain)
    .argument(...argument)
    .option("--wait", "until nothing is left of what it had, telling what is")
    .option("--timeout <duration>", "the longest wait; 0 is without end", "60s")
    .action((name: string, options: DrainOptions) => drain(name, options, io));
  sub("reset", "take back what the API said of a target: its owner's word holds again")
    .argument(...argument)
    .argument("[field...]", "only these fields")
    .action((name: string, fields: readonly string[], options: Options) => reset(name, fields, options, io));
  sub("rm", "remove a target that the API added, or what it said of another one's")
    .argument(...argument)
    .option("--holder <name>", "the holder of its lease, when it has one")
    .action((name: string, options: Options & { readonly holder?: string }) => remove(name, options, io));
}

function addAdd(command: Command, io: CliIo): void {
  command.argument(...argument);
  for (const [, flag, meaning] of fieldFlags) command.option(flag, meaning);
  command.action((name: string, options: Options & Readonly<Record<string, unknown>>) => add(name, options, io));
}

async function list(pool: string | undefined, options: Options, io: CliIo): Promise<void> {
  const place = placeOf(options, io);
  if (place === undefined) return;
  const path = pool === undefined ? "/v1/pools" : `/v1/pools/${encodeURIComponent(pool)}`;
  const reply = await askOrTell(place, { method: "GET", path, timeoutMs: lookTimeoutMs }, io);
  if (reply === undefined) return;
  const pools = pool === undefined ? reply.body : [reply.body];
  if (!isPools(pools)) return fail(`the answer of ${place.name} is no list of pools`, io);
  if (options.output === "json") io.out(`${JSON.stringify(pools, undefined, 2)}\n`);
  else if (pools.every(({ targets }) => targets.length === 0)) io.out("there are no targets\n");
  else io.out(formatTargets(pools));
  io.setExitCode(exitCodes.good);
}

async function add(name: string, options: Options & Readonly<Record<string, unknown>>, io: CliIo): Promise<void> {
  const said = fieldFlags.map(([field]) => [field, options[field]] as const).filter(([, value]) => value !== undefined);
  const asked = await open(name, options, io);
  if (asked === undefined) return;
  const { place, target } = asked;
  const reply = await askAdmin(place, {
    method: "PUT",
    path: targetPath(target),
    headers: { "if-none-match": "*" },
    body: Object.fromEntries(said),
    timeoutMs: orderTimeoutMs,
  });
  if (reply.ok && reply.value.status === 412) {
    io.err(`evenkeel: ${name} exists already: evenkeel target set changes it\n`);
    return io.setExitCode(exitCodes.refused);
  }
  if (!reply.ok) return fail(reply.failure.detail, io);
  if (reply.value.status !== 201) {
    fail(describeReply(reply.value), io);
    return io.setExitCode(reply.value.status === 409 ? exitCodes.refused : exitCodes.error);
  }
  tellTarget(reply.value.body, options, io);
}

function set(name: string, words: readonly string[], options: Options, io: CliIo): Promise<void> | void {
  const fields: Record<string, string> = Object.create(null);
  for (const word of words) {
    const [, field = "", value = ""] = /^([^=]+)=(.+)$/s.exec(word) ?? [];
    if (field === "") return fail(`${word}: expected FIELD=VALUE, such as weight=2`, io);
    if (Object.hasOwn(fields, field)) return fail(`${field} is there twice`, io);
    fields[field] = value;
  }
  return change({ name, fields }, options, io);
}

function reset(name: string, words: readonly string[], options: Options, io: CliIo): Promise<void> {
  const names = words.length === 0 ? fieldFlags.map(([field]) => field) : words;
  return change({ name, fields: Object.fromEntries(names.map((field) => [field, null])) }, options, io);
}

type Change = { readonly name: string; readonly fields: Readonly<Record<string, string | null>> };

async function change({ name, fields }: Change, options: Options, io: CliIo): Promise<void> {
  const asked = await open(name, options, io);
  if (asked !== undefined) await patch(asked, fields, options, io);
}

/** True when it is done, told and confirmed. */
async function patch(asked: Asked, body: Change["fields"], options: Options, io: CliIo): Promise<boolean> {
  const question = { method: "PATCH", path: targetPath(asked.target), body, timeoutMs: orderTimeoutMs } as const;
  const reply = await askOrTell(asked.place, question, io);
  return reply !== undefined && tellTarget(reply.body, options, io);
}

async function remove(name: string, options: Options & { readonly holder?: string }, io: CliIo): Promise<void> {
  const asked = await open(name, options, io);
  if (asked === undefined) return;
  const query = options.holder === undefined ? "" : `?holder=${encodeURIComponent(options.holder)}`;
  const path = `${targetPath(asked.target)}${query}`;
  const reply = await askOrTell(asked.place, { method: "DELETE", path, timeoutMs: orderTimeoutMs }, io);
  if (reply === undefined) return;
  if (reply.status !== 204) return void tellTarget(reply.body, options, io);
  if (options.output === "table") io.out(`${name} is removed\n`);
  io.setExitCode(exitCodes.good);
}

type DrainOptions = Options & { readonly wait?: boolean; readonly timeout: string };

async function drain(name: string, options: DrainOptions, io: CliIo): Promise<void> {
  const timeout = parseDuration(options.timeout);
  if (!timeout.ok) return fail(`--timeout: ${timeout.failure.detail}; expected ${durationExpected}`, io);
  const asked = await open(name, options, io);
  if (asked === undefined) return;
  const { place, target } = asked;
  const confirmed = await patch(asked, { intent: "drain" }, options, io);
  if (options.wait !== true || !confirmed) return;
  const ended = await watchDrain(
    {
      look: () => lookAtWork(place, target),
      tell: (work) =>
        io.out(options.output === "json" ? `${JSON.stringify(work)}\n` : `${name}: ${describeWork(work)}\n`),
      wait: (time) => wait(time),
      clock: () => performance.now(),
    },
    timeout.value,
  );
  if (!ended.ok) return fail(ended.failure.detail, io);
  if (ended.value === "gone") io.err(`${name} was removed meanwhile\n`);
  if (ended.value === "late") io.err(`evenkeel: ${name} still has work after ${options.timeout}\n`);
  io.setExitCode(ended.value === "late" ? exitCodes.degraded : exitCodes.good);
}

async function lookAtWork(place: AdminPlace, target: TargetName): Promise<Result<TargetWork | undefined>> {
  const path = `${targetPath(target)}?work`;
  const reply = await askAdmin(place, { method: "GET", path, timeoutMs: lookTimeoutMs });
  if (!reply.ok) return reply;
  const { status, body } = reply.value;
  if (status === 404) return good(undefined);
  const work: unknown = Object(body).work;
  if (isWork(work)) return good(work);
  return bad({ code: "admin.reply", origin: "self", retrySafe: true, detail: describeReply(reply.value) });
}

type Asked = { readonly place: AdminPlace; readonly target: TargetName };

/** undefined when the name or the place is none, which has been told. */
async function open(name: string, options: Options, io: CliIo): Promise<Asked | undefined> {
  const target = parseTargetName(name);
  if (!target.ok) {
    fail(target.failure.detail, io);
    return undefined;
  }
  const place = placeOf(options, io);
  return place && { place, target: target.value };
}

/** True when every worker has confirmed it. */
function tellTarget(body: unknown, options: Options, io: CliIo): boolean {
  if (!isTarget(body)) {
    fail("the answer is no target", io);
    return false;
  }
  io.out(options.output === "json" ? `${JSON.stringify(body, undefined, 2)}\n` : `${describeTarget(body)}\n`);
  const settled = Object(body).settled === true;
  if (!settled) io.err("not every worker has confirmed it yet: see `evenkeel status`\n");
  io.setExitCode(settled ? exitCodes.good : exitCodes.degraded);
  return settled;
}

function fail(detail: string, io: CliIo): void {
  io.err(`evenkeel: ${detail}\n`);
  io.setExitCode(exitCodes.error);
}

function isTarget(body: unknown): body is TargetView {
  const fields: Readonly<Record<string, unknown>> = Object(body);
  return typeof fields["address"] === "string" && typeof fields["desired"] === "object";
}

function isPools(body: unknown): body is readonly PoolView[] {
  return Array.isArray(body) && body.every((pool) => Array.isArray(Object(pool).targets));
}

function isWork(work: unknown): work is TargetWork {
  const fields: Readonly<Record<string, unknown>> = Object(work);
  return ["exchanges", "tunnels", "flows", "silentWorkers"].every((name) => typeof fields[name] === "number");
}
