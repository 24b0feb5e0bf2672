// `vrrp_sync_group`: which instances go together, what the group tracks, whom it tells. On the change's way. A member that does not
// exist keepalived leaves out; here it is a problem.

import type { ForeignPlace } from "../foreign/adapted.ts";
import { nearest } from "../nearest.ts";
import type { Statement } from "./blocks.ts";
import { nameOf } from "./commands.ts";
import type { Findings, Native, Said } from "./findings.ts";
import type { Globals } from "./globals.ts";
import type { Instance } from "./instance.ts";
import { type mailOf, type Notify, notifyRules, writeNotify } from "./notify.ts";
import { block, each, type Rules, readBlock, some } from "./rules.ts";
import { type Named, resolveTracked, type Tracked, trackedRules, writeTracked } from "./tracked.ts";
import type { DefinedTrack } from "./tracks.ts";
import type { Word } from "./words.ts";

export type Group = {
  readonly foreign: string;
  readonly name: Said<string>;
  readonly place: ForeignPlace;
  readonly members: Word[];
  readonly tracked: Named[];
  readonly notify: Notify;
  keepsWeights: boolean;
};

export function readGroup(
  findings: Findings,
  { block: statements = [], place }: Statement,
  name: Word,
  globals: Globals,
): Group {
  const group: Group = {
    foreign: name.text,
    name: nameOf(findings, name, "vrrp_sync_group"),
    place,
    members: [],
    tracked: [],
    notify: {},
    keepsWeights: false,
  };
  const rules: Rules = new Map([
    [
      "group",
      block(0, 0, ({ block: lines = [] }) => {
        for (const { words } of lines) group.members.push(...words);
      }),
    ],
    ...trackedRules(findings, group.tracked),
    ...notifyRules(findings, group.notify, globals),
    ...each(
      "sync_group_tracking_weight global_tracking",
      some(0, 0, () => {
        group.keepsWeights = true;
      }),
    ),
  ]);
  readBlock(findings, statements, rules, "`vrrp_sync_group`");
  return group;
}

type WriteGroup = {
  readonly globals: Globals;
  readonly definitions: readonly DefinedTrack[];
  readonly instances: readonly Instance[];
  readonly mail: ReturnType<typeof mailOf>;
};

/** Writes one group, and gives the tracks that it names. */
export function writeGroup(
  findings: Findings,
  native: Native,
  group: Group,
  { globals, definitions, instances, mail }: WriteGroup,
): readonly Tracked[] {
  const path = ["ha", "syncGroups", group.name.value];
  native.put(path, { value: {}, place: group.place });
  const members = group.members.flatMap(({ text, place }): Said<string>[] => {
    const instance = instances.find(({ foreign }) => foreign === text);
    if (instance !== undefined) return [{ value: instance.name.value, place }];
    const message = `there is no \`vrrp_instance ${text}\`, and keepalived would leave it out of the group`;
    const suggestion = nearest(
      text,
      instances.map(({ foreign }) => foreign),
    );
    findings.complain(place, "member", { message, suggestion });
    return [];
  });
  if (members.length === 0) native.put([...path, "members"], { value: [], place: group.place });
  native.putList([...path, "members"], members);
  const tracked = resolveTracked(findings, group.tracked, definitions);
  writeTracked(native, [...path, "track"], tracked);
  writeNotify(findings, native, [...path, "notify"], { notify: group.notify, scriptUser: globals.scriptUser });
  if (mail !== undefined) {
    native.put([...path, "notify", "email"], { value: mail, place: group.notify.alert?.place ?? group.place });
  }
  return tracked;
}
