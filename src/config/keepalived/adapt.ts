// keepalived.conf into the native configuration: the entrance of this folder. On the change's way, before decoding; pure, files that
// are included are read by the caller. Nothing of the file is passed over: what cannot be had is a problem, what differs a
// warning or a note, what means nothing here is listed. Sources: keepalived.conf(5) and keepalived 2.2.7 itself.

import type { Adapted, ForeignFile, ReadForeign } from "../foreign/adapted.ts";
import { readBlocks, type Statement } from "./blocks.ts";
import { plainName } from "./commands.ts";
import { Findings, Native, type Said } from "./findings.ts";
import { topWords } from "./global-words.ts";
import { emptyGlobals, type Globals, readGlobals } from "./globals.ts";
import { type Instance, readInstance } from "./instance.ts";
import { writeLayer4 } from "./layer4.ts";
import { type KeepalivedEnvironment, readLines } from "./lines.ts";
import { mailOf } from "./notify.ts";
import { block, each, type Rule, type Rules, readBlock, repeated } from "./rules.ts";
import { type Group, readGroup, writeGroup } from "./sync-group.ts";
import type { Tracked } from "./tracked.ts";
import { type DefinedTrack, readTrack, type TrackKind } from "./tracks.ts";
import { writeRouter } from "./virtual-router.ts";
import { readServerGroup, readVirtualServer, type ServerGroup, type VirtualServer } from "./virtual-server.ts";
import type { Word } from "./words.ts";

/** What a file holds. */
type Draft = {
  readonly globals: Globals;
  readonly instances: Instance[];
  readonly groups: Group[];
  readonly tracks: DefinedTrack[];
  readonly servers: VirtualServer[];
  readonly serverGroups: ServerGroup[];
};

/** The native configuration that a keepalived.conf means, with everything that is to be said about it. Never throws. */
export function adaptKeepalived(file: ForeignFile, read: ReadForeign, environment: KeepalivedEnvironment): Adapted {
  const findings = new Findings();
  const statements = readBlocks(readLines(file, { read, environment, findings }), findings);
  const draft: Draft = {
    globals: emptyGlobals(),
    instances: [],
    groups: [],
    tracks: [],
    servers: [],
    serverGroups: [],
  };
  // First, so that it does not matter where in the file it stands.
  for (const { keyword, block: inner } of statements) {
    if (keyword === "global_defs" && inner !== undefined) readGlobals(findings, inner, draft.globals);
  }
  readBlock(findings, statements, topRules(findings, draft), "keepalived.conf");
  const native = new Native();
  writeAll(findings, native, draft, environment);
  const { problems, warnings, noEffect, notes } = findings;
  return { value: inOrder(native.value), places: native.places, problems, warnings, noEffect, notes };
}

/** A block with a name of its own; of two the second is skipped by keepalived. */
function named(findings: Findings, what: string, read: (statement: Statement, name: Word) => void): Rule {
  const seen = new Set<string>();
  return repeated(
    block(1, 1, (statement, [name]) => {
      if (name === undefined) return;
      if (!seen.has(name.text)) {
        seen.add(name.text);
        read(statement, name);
        return;
      }
      const message = `\`${what} ${name.text}\` stands here a second time, and keepalived would skip it`;
      findings.complain(name.place, "twice", { message, expected: "another name" });
    }),
  );
}

function topRules(findings: Findings, draft: Draft): Rules {
  const { tracks, instances, groups, servers, serverGroups, globals } = draft;
  const blockOf = <T>(what: string, list: T[], read: (statement: Statement, name: Word) => T | undefined) =>
    named(findings, what, (statement, name) => {
      const one = read(statement, name);
      if (one !== undefined) list.push(one);
    });
  const track = (kind: TrackKind, what: string) =>
    blockOf(what, tracks, (statement, name) => readTrack(findings, kind, statement, name));
  const server = block(1, 2, (statement, words) => {
    const one = readVirtualServer(findings, statement, words);
    if (one !== undefined) servers.push(one);
  });
  return new Map([
    ...topWords,
    // Read already.
    ["global_defs", repeated(block(0, 0, () => {}))],
    ["vrrp_script", track("script", "vrrp_script")],
    ["vrrp_track_process", track("process", "vrrp_track_process")],
    ...each("track_file vrrp_track_file", track("file", "track_file")),
    ["vrrp_instance", blockOf("vrrp_instance", instances, (...of) => readInstance(findings, ...of, globals))],
    ["vrrp_sync_group", blockOf("vrrp_sync_group", groups, (...of) => readGroup(findings, ...of, globals))],
    [
      "virtual_server_group",
      blockOf("virtual_server_group", serverGroups, (...of) => readServerGroup(findings, ...of)),
    ],
    ["virtual_server", repeated(server)],
  ]);
}

function writeAll(findings: Findings, native: Native, draft: Draft, environment: KeepalivedEnvironment): void {
  const { globals, instances, groups, tracks } = draft;
  const { routerId } = globals;
  if (routerId !== undefined) native.put(["node"], nodeName(findings, routerId));
  writeLayer4(findings, native, draft.servers, { globals, groups: draft.serverGroups });
  const mail = mailOf(findings, globals, environment.hostname);
  const asked = (globals.mail.alert ?? globals.mail.alertAll)?.value ?? false;
  const wants = ({ notify }: Instance | Group) => notify.alert?.value ?? asked;
  const all = [...instances, ...groups];
  const isForAll = all.length > 0 && all.every(wants);
  const mailFor = (one: Instance | Group) => (isForAll || !wants(one) ? undefined : mail);
  const [firstMailbox] = globals.mail.to;
  if (mail !== undefined && firstMailbox !== undefined) {
    if (isForAll) native.put(["ha", "notify", "email"], { value: mail, place: firstMailbox.place });
    else if (!all.some(wants)) {
      findings.idle(
        firstMailbox.place,
        "notification_email",
        "nothing says `smtp_alert`, so no mail is sent, as in keepalived",
      );
    }
  }
  writeFifo(native, globals);
  const tracked: Tracked[] = [];
  for (const instance of instances) {
    const group = groups.find(({ members }) => members.some(({ text }) => text === instance.foreign));
    const of = group === undefined ? undefined : { name: group.foreign, keepsWeights: group.keepsWeights };
    const options = { globals, definitions: tracks, group: of, mail: mailFor(instance) };
    tracked.push(...writeRouter(findings, native, instance, options));
  }
  for (const group of groups) {
    tracked.push(
      ...writeGroup(findings, native, group, { globals, definitions: tracks, instances, mail: mailFor(group) }),
    );
  }
  writeTracks(findings, native, draft, tracked);
  writeSecurity(findings, native, draft);
}

function nodeName(findings: Findings, routerId: Said<string>): Said<string> {
  const value = plainName(routerId.value);
  if (value !== routerId.value) findings.note(routerId.place, "router_id", `this node is called \`${value}\``);
  return { value, place: routerId.place };
}

function writeFifo(native: Native, { fifo, fifoReader, priorityChanges }: Globals): void {
  if (fifo !== undefined) native.put(["ha", "notify", "fifo"], fifo);
  if (fifoReader !== undefined) {
    native.put(["ha", "notify", "fifoReader"], { value: fifoReader.words, place: fifoReader.place });
    if (fifoReader.user !== undefined) native.put(["ha", "notify", "user"], fifoReader.user);
  }
  if (fifo !== undefined && priorityChanges?.value === true) {
    native.put(["ha", "notify", "priorityChanges"], priorityChanges);
  }
}

/** Those that something tracks; keepalived does not run the others either. */
function writeTracks(
  findings: Findings,
  native: Native,
  { tracks, globals }: Draft,
  tracked: readonly Tracked[],
): void {
  const names = new Set<string>();
  for (const definition of tracks) {
    const { name, foreign } = definition;
    if (!tracked.some((one) => one.definition === definition)) {
      const message = `nothing tracks \`${foreign}\`, so it is not run, as in keepalived`;
      findings.warn(name.place, "unused", {
        message,
        expected: "it in a `track_script`, `track_process` or `track_file`",
      });
      continue;
    }
    if (names.has(name.value)) {
      const message = `two tracks are called \`${name.value}\` here`;
      findings.complain(name.place, "name", { message, expected: "another name for one of them" });
      continue;
    }
    names.add(name.value);
    definition.write(native, ["ha", "tracks", name.value], { scriptUser: globals.scriptUser });
  }
}

/** Without enable_script_security keepalived warns of commands that others may change, and runs them. */
function writeSecurity(findings: Findings, native: Native, { globals }: Draft): void {
  const commands = [...native.places].filter(([path]) => commandPath.test(path));
  const [first] = commands;
  if (first === undefined) return;
  if (globals.security?.value !== true) native.put(["ha", "insecureCommands"], { value: "warn", place: first[1] });
  if (globals.scriptUser !== undefined) return;
  const own = commands.find(([path]) => !native.places.has(path.replace(/[^\0]+$/, "user")));
  if (own === undefined) return;
  const text =
    "without `script_user` it runs as the program's own user; keepalived takes `keepalived_script` where there is one";
  findings.note(own[1], "script_user", text);
}

const commandPath =
  /^ha\0(?:tracks\0[^\0]+\0command|(?:virtualRouters|syncGroups)\0[^\0]+\0notify\0(?:active|backup|fault|stop|any)|notify\0fifoReader)$/;

const rootKeys = ["node", "listeners", "pools", "ha"];
const haKeys = ["insecureCommands", "notify", "tracks", "virtualRouters", "syncGroups"];

/** As it is printed: what is defined before what uses it. */
function inOrder(value: Record<string, unknown>): Record<string, unknown> {
  const root = picked(value, rootKeys);
  const { ha } = root;
  if (typeof ha === "object" && ha !== null) root["ha"] = picked(Object.fromEntries(Object.entries(ha)), haKeys);
  return root;
}

function picked(value: Record<string, unknown>, keys: readonly string[]): Record<string, unknown> {
  return Object.fromEntries(keys.filter((key) => Object.hasOwn(value, key)).map((key) => [key, value[key]]));
}
