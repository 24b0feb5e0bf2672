// What must hold between the parts of `ha`: numbers and addresses used once, groups of virtual routers that exist, services
// that follow something, a spread that can be computed. On the change's way, third stage of decoding. Each part by itself
// is validate-virtual-router.ts, validate-tracks.ts and validate-notify.ts.

import { planSpread } from "../ha/spread.ts";
import { addressOf, spreadPriorities } from "./build-ha.ts";
import type { SyncGroupFile } from "./ha-schema.ts";
import type { HaDraft } from "./ha-shape.ts";
import { groupOf, trackedBy } from "./ha-tracks.ts";
import { nearest } from "./nearest.ts";
import type { NamedPart } from "./part.ts";
import type { Complaint, Path } from "./problem.ts";
import type { Draft } from "./shape.ts";
import { validateNotify } from "./validate-notify.ts";
import { validateTracked, validateTracks } from "./validate-tracks.ts";
import { familyOfRouter, validateVirtualRouter } from "./validate-virtual-router.ts";

/** `node`: the name of this one. */
export function validateHa(draft: Draft, node: string): void {
  const { ha } = draft;
  if (ha === undefined) return;
  const shell = ha.shell.value;
  validateNotify(draft, [...ha.shell.path, "notify"], shell?.notify);
  if (shell !== undefined) checkSpread(draft, ha, node);
  const computed = spreadPriorities(ha, node);
  const step = computed.size === 0 || shell === undefined ? 0 : planSpread(shell.nodes, []).step;
  const told = new Set<string>();
  for (const part of ha.virtualRouters) {
    validateVirtualRouter(draft, part);
    validateNotify(draft, [...part.path, "notify"], part.value?.notify);
    const priority = part.value?.priority ?? computed.get(part.name);
    validateTracked(draft, ha, part, { priority, step, told });
  }
  checkNumbers(draft, ha);
  checkAddresses(draft, ha);
  for (const part of ha.syncGroups) {
    checkGroup(draft, ha, part);
    validateNotify(draft, [...part.path, "notify"], part.value?.notify);
  }
  checkServices(draft, ha);
  validateTracks(draft, ha);
}

function complain(draft: Draft, path: Path, code: string, message: string, more: Partial<Complaint> = {}): void {
  draft.complain(path, { code: `config.ha.${code}`, message, ...more });
}

/** Without a spread every virtual router says its priority, with one nobody does. */
function checkSpread(draft: Draft, ha: HaDraft, node: string): void {
  const { value: shell, broken } = ha.shell;
  if (shell === undefined || broken.has("spread") || broken.has("nodes")) return;
  for (const { path, value, broken: wrong } of ha.virtualRouters) {
    if (value === undefined || wrong.has("priority")) continue;
    const given = value.priority !== undefined;
    if (shell.spread && given) {
      const message = "`priority` stands beside `spread: true`, which computes it";
      complain(draft, [...path, "priority"], "spread", message, { expected: "one of the two", atKey: true });
    } else if (!shell.spread && !given) {
      const expected = "a whole number from 1 to 254, another one on each node, or 255 for the owner of the addresses";
      draft.complain([...path, "priority"], { code: "config.key.missing", message: "priority: is missing", expected });
    }
  }
  const at: Path = [...ha.shell.path, "nodes"];
  const { nodes } = shell;
  if (!shell.spread) {
    const message = "`nodes` means nothing without `spread: true`";
    if (draft.has(at)) complain(draft, at, "spread", message, { expected: "both or none", atKey: true });
    return;
  }
  for (const [index, name] of nodes.entries()) {
    if (nodes.indexOf(name) === index) continue;
    complain(draft, [...at, index], "spread", `nodes[${index}]: \`${name}\` stands here a second time`);
  }
  const expected = "the names of all nodes, at least two";
  if (nodes.length < 2) complain(draft, at, "spread", "nodes: a spread needs more than one", { expected });
  else if (!nodes.includes(node)) {
    const message = `nodes: this node, \`${node}\`, is none of them`;
    complain(draft, at, "spread", message, {
      expected: "it among them, or another `node`",
      suggestion: nearest(node, nodes),
    });
  }
}

/** RFC 9568 section 5.2.3: a number is one virtual router's on a network and family. */
function checkNumbers(draft: Draft, ha: HaDraft): void {
  const seen = new Map<string, string>();
  for (const { name, path, value } of ha.virtualRouters) {
    const family = value === undefined ? undefined : familyOfRouter(value);
    if (value?.interface === undefined || value.vrid === undefined || family === undefined) continue;
    const key = `${value.interface} ${family} ${value.vrid}`;
    const other = seen.get(key);
    if (other !== undefined) {
      const message = `vrid: ${value.vrid} is that of virtual router \`${other}\`, on ${value.interface} over IPv${family} as well`;
      complain(draft, [...path, "vrid"], "vrid", message, { expected: "a number of its own" });
    }
    seen.set(key, other ?? name);
  }
}

function checkAddresses(draft: Draft, ha: HaDraft): void {
  const owners = new Map<string, string>();
  for (const { name, path, value } of ha.virtualRouters) {
    for (const key of ["addresses", "silentAddresses"] as const) {
      for (const [index, file] of (value?.[key] ?? []).entries()) {
        const { address } = addressOf(file);
        // A link-local address is one on each interface.
        const place = address.startsWith("fe80:") ? `${address}%${value?.interface}` : address;
        const owner = owners.get(place);
        if (owner !== undefined && owner !== name) {
          const message = `${key}[${index}]: \`${address}\` moves with virtual router \`${owner}\` already`;
          complain(draft, [...path, key, index], "address", message, { expected: "each address once" });
        }
        owners.set(place, owner ?? name);
      }
    }
  }
}

function checkGroup(draft: Draft, ha: HaDraft, part: NamedPart<SyncGroupFile>): void {
  const { name, path, value } = part;
  const names = ha.virtualRouters.map((router) => router.name);
  if (names.includes(name)) {
    complain(draft, path, "name", `\`${name}\` is the name of a virtual router too`, {
      expected: "another name",
      atKey: true,
    });
  }
  if (value === undefined || part.broken.has("members")) return;
  for (const [index, member] of value.members.entries()) {
    const at = [...path, "members", index];
    if (!names.includes(member)) {
      const suggestion = nearest(member, names);
      complain(draft, at, "member", `members[${index}]: there is no virtual router \`${member}\``, { suggestion });
    } else if (value.members.indexOf(member) < index) {
      complain(draft, at, "member", `members[${index}]: \`${member}\` stands here a second time`);
    } else if (groupOf(ha, member) !== part) {
      const message = `members[${index}]: \`${member}\` is a member of sync group \`${groupOf(ha, member)?.name}\` already`;
      complain(draft, at, "member", message, { expected: "one group for each" });
    }
  }
  if (value.members.length < 2) {
    const message = `members: ${value.members.length === 0 ? "there is none" : "there is one"}, so nothing is kept together`;
    complain(draft, [...path, "members"], "group", message, { expected: "at least two virtual routers" });
  }
  warnTorn(draft, ha, part.name, value.members);
}

/** A track that lowers one member and not another drives the two apart, and the group between them. */
function warnTorn(draft: Draft, ha: HaDraft, group: string, members: readonly string[]): void {
  const routers = members.flatMap((name) => ha.virtualRouters.find((router) => router.name === name) ?? []);
  if (routers.some(({ value, broken }) => value === undefined || broken.has("track"))) return;
  const all = routers.map((router) => ({
    router,
    entries: trackedBy(ha, router).filter(({ weight }) => weight !== 0),
  }));
  for (const { router, entries } of all) {
    for (const entry of entries) {
      const alone = all.find(
        (other) =>
          !other.entries.some(
            (one) => one.name === entry.name && one.weight === entry.weight && one.reverse === entry.reverse,
          ),
      );
      if (alone === undefined) continue;
      const message = `\`${entry.track.name}\`: its weight ${entry.weight} moves \`${router.name}\` and not \`${alone.router.name}\`, which sync group \`${group}\` keeps together`;
      draft.warn(entry.path, {
        code: "config.ha.torn",
        message,
        expected: "it under `track` of the group, or weight 0",
      });
    }
  }
}

function checkServices(draft: Draft, ha: HaDraft): void {
  const names = [...ha.virtualRouters, ...ha.syncGroups].map(({ name }) => name);
  for (const { path, value, broken } of ha.services) {
    if (value === undefined) continue;
    if (!names.includes(value.follow)) {
      const message = `follow: there is no virtual router and no sync group \`${value.follow}\``;
      complain(draft, [...path, "follow"], "follow", message, { suggestion: nearest(value.follow, names) });
    }
    if (value.restartDelay <= value.restartDelayMax || broken.has("restartDelay") || broken.has("restartDelayMax"))
      continue;
    const message = "restartDelay: is longer than `restartDelayMax`";
    complain(draft, [...path, "restartDelay"], "restart", message, { expected: "at most `restartDelayMax`" });
  }
}
