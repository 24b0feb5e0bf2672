// What an instance's words mean together: keepalived's defaults, and what it makes of contradictions (it clears, rounds, cuts and
// ignores, with a line in its log), so that the election is the one it would have held. On the change's way. Each such
// trap is a warning that says what keepalived does.

import { bytesOf } from "../health-check-leaf.ts";
import type { MovedAddress } from "./addresses.ts";
import { announced } from "./announce.ts";
import type { Findings, Native, Said } from "./findings.ts";
import type { Globals } from "./globals.ts";
import type { Instance } from "./instance.ts";
import { type mailOf, writeNotify } from "./notify.ts";
import { durationText } from "./rules.ts";
import { resolveTracked, type Tracked, writeTracked } from "./tracked.ts";
import type { DefinedTrack } from "./tracks.ts";

export type WriteOptions = {
  readonly globals: Globals;
  readonly definitions: readonly DefinedTrack[];
  /** Of the sync group that it belongs to; undefined: none. */
  readonly group: { readonly name: string; readonly keepsWeights: boolean } | undefined;
  /** Undefined: nobody, or `ha.notify` says it for all. */
  readonly mail: ReturnType<typeof mailOf>;
};

const defaultPriority = 100;
const owner = 255;

/** Writes one instance as a virtual router, and gives the tracks that it names. */
export function writeRouter(
  findings: Findings,
  native: Native,
  instance: Instance,
  { globals, definitions, group, mail }: WriteOptions,
): readonly Tracked[] {
  const path = ["ha", "virtualRouters", instance.name.value];
  const put = (key: string, said: Said<unknown> | undefined) => {
    if (said !== undefined) native.put([...path, key], said);
  };
  native.put(path, { value: {}, place: instance.place });
  const strict = instance.strict?.value ?? globals.strict?.value ?? false;
  const meaning: Meaning = { findings, instance, globals, strict, priority: priorityOf(findings, instance) };
  const version = versionOf(meaning);
  put("interface", instance.interface);
  if (globals.dynamicInterfaces?.value === true) put("waitForInterface", globals.dynamicInterfaces);
  put("vrid", instance.vrid);
  put("version", version);
  put("priority", meaning.priority);
  put("advertisementInterval", intervalOf(meaning, version.value));
  put("downAdvertisements", instance.down ?? globals.downAdvertisements);
  putPreemption(meaning, put);
  put("sourceAddress", instance.source);
  if (instance.peers.length === 0 && instance.unicastWord !== undefined) {
    findings.warn(instance.unicastWord.place, "unicast", {
      message: "a unicast address without `unicast_peer`: advertisements are multicast, here and in keepalived",
      expected: "`unicast_peer` with the other nodes, or `mcast_src_ip`",
    });
  }
  native.putList(
    [...path, "unicastPeers"],
    instance.peers.map(({ address, ttlMin }) => ({ value: { address: address.value, ttlMin }, place: address.place })),
  );
  put("password", passwordOf(meaning, version.value));
  writeAddresses(meaning, native, path);
  for (const [key, said] of announced(globals.announce, instance.announce))
    put2(native, [...path, "announce", key], said);
  warnStrict(meaning);
  if (instance.vmac !== undefined) {
    findings.warn(instance.vmac.place, "vmac", {
      message:
        "the addresses have the interface's own hardware address, not the virtual one of RFC 9568; neighbours are told by announcements",
      expected: "`use_vmac` out of the file of every node, or none",
    });
  }
  const tracked = heldTracks(meaning, resolveTracked(findings, instance.tracked, definitions), group);
  writeTracked(native, [...path, "track"], tracked);
  writeNotify(findings, native, [...path, "notify"], { notify: instance.notify, scriptUser: globals.scriptUser });
  if (mail !== undefined)
    put2(native, [...path, "notify", "email"], { value: mail, place: instance.notify.alert?.place ?? instance.place });
  return tracked;
}

function put2(native: Native, path: readonly string[], said: Said<unknown>): void {
  native.put(path, said);
}

type Meaning = {
  readonly findings: Findings;
  readonly instance: Instance;
  readonly globals: Globals;
  readonly strict: boolean;
  readonly priority: Said<number>;
};

/** `state MASTER` means nothing for the election, but for a missing priority. */
function priorityOf(findings: Findings, instance: Instance): Said<number> {
  const { priority, state, place } = instance;
  if (priority !== undefined) return priority;
  if (state?.value !== "MASTER") return { value: defaultPriority, place };
  findings.warn(state.place, "priority", {
    message:
      "`state MASTER` without `priority`: keepalived takes 255, the owner's, which no track moves and no other node can pass",
    expected: "`priority` from 1 to 254",
  });
  return { value: owner, place: state.place };
}

function familyOf({ addresses, native6 }: Instance): 4 | 6 {
  return addresses[0]?.family ?? (native6?.value === true ? 6 : 4);
}

/** keepalived's default is 2; over IPv6 it is 3. */
function versionOf({ findings, instance, globals }: Meaning): Said<number> {
  const { place, version, native6 } = instance;
  if (native6 !== undefined) {
    if (familyOf(instance) === 6) findings.idle(native6.place, "native_ipv6", "the addresses say so");
    else {
      const message =
        "`native_ipv6` beside IPv4 addresses: keepalived would skip those that stand below it, and not start without any";
      findings.complain(native6.place, "family", { message, expected: "no `native_ipv6`" });
    }
  }
  if (version !== undefined) return version;
  if (familyOf(instance) === 6) return { value: 3, place: instance.addresses[0]?.address.place ?? place };
  return globals.version ?? { value: 2, place };
}

const v3IntervalMax = 40_950;

function intervalOf({ findings, instance }: Meaning, version: number): Said<string | number> | undefined {
  const { interval } = instance;
  if (interval === undefined) return undefined;
  const { value, place } = interval;
  const step = version === 2 ? 1000 : 10;
  const rounded = Math.max(step, Math.round(value / step) * step);
  const meant = version === 3 ? Math.min(rounded, v3IntervalMax) : rounded;
  if (meant !== value) {
    const what = version === 2 ? "version 2 has whole seconds" : "version 3 has hundredths of a second, up to 40.95 s";
    findings.warn(place, "interval", {
      message: `${what}: keepalived rounds ${value / 1000} to ${meant / 1000}`,
      expected: version === 2 ? "whole seconds, or `version 3` on all nodes" : `${meant / 1000}`,
    });
  }
  return { value: durationText(meant), place };
}

function putPreemption(meaning: Meaning, put: (key: string, said: Said<unknown> | undefined) => void): void {
  const { findings, instance, strict, priority } = meaning;
  const { preempt, preemptDelay, state } = instance;
  const cleared = (said: Said<unknown>, word: string, why: string, expected: string) =>
    findings.warn(said.place, "preempt", { message: `\`${word}\` ${why}: keepalived clears it`, expected });
  const isMaster = state?.value === "MASTER";
  const onAll = "`state BACKUP` on every node: the priority alone decides";
  let holds = preempt?.value === false ? preempt : undefined;
  if (holds !== undefined && priority.value === owner) {
    cleared(holds, "nopreempt", "beside priority 255", "another priority");
    holds = undefined;
  } else if (holds !== undefined && isMaster) {
    cleared(holds, "nopreempt", "beside `state MASTER`", onAll);
    holds = undefined;
  }
  put("preempt", holds);
  if (preemptDelay === undefined || preemptDelay.value === 0) return;
  if (strict) cleared(preemptDelay, "preempt_delay", "beside `vrrp_strict`", "no `vrrp_strict`");
  else if (isMaster) cleared(preemptDelay, "preempt_delay", "beside `state MASTER`", onAll);
  else if (holds !== undefined) cleared(preemptDelay, "preempt_delay", "beside `nopreempt`", "one of the two");
  else if (priority.value === owner) cleared(preemptDelay, "preempt_delay", "beside priority 255", "another priority");
  else put("preemptDelay", { value: durationText(preemptDelay.value), place: preemptDelay.place });
}

const passwordBytes = 8;

/** RFC 2338's simple password, where keepalived would send one. */
function passwordOf({ findings, instance, strict }: Meaning, version: number): Said<string> | undefined {
  const { authType, password } = instance;
  const said = authType ?? password;
  if (said === undefined) return undefined;
  const ignored = (message: string, expected: string) => {
    findings.warn(said.place, "authentication", { message: `${message}, so none is sent`, expected });
    return undefined;
  };
  if (authType?.value === "AH") {
    const message = "`auth_type AH`: no RFC since 2004 has it, and what keepalived sends for it stops no attacker";
    findings.complain(authType.place, "refused", { message, expected: "`auth_type PASS`, or none, on all nodes" });
    return undefined;
  }
  if (authType !== undefined && authType.value !== "PASS") {
    const message = `\`${authType.value}\` is no authentication, and keepalived would send none`;
    findings.complain(authType.place, "authentication", { message, expected: "`PASS`" });
    return undefined;
  }
  if (strict)
    return ignored("keepalived ignores a password beside `vrrp_strict`", "no `authentication`, or no `vrrp_strict`");
  if (version === 3) return ignored("version 3 has no password, and keepalived ignores it", "no `authentication`");
  if (authType === undefined) return ignored("keepalived ignores `auth_pass` without `auth_type`", "`auth_type PASS`");
  if (password === undefined) return ignored("keepalived ignores `auth_type` without `auth_pass`", "`auth_pass`");
  return cutPassword(findings, password);
}

function cutPassword(findings: Findings, password: Said<string>): Said<string> | undefined {
  const { value, place } = password;
  const length = bytesOf(value).length;
  if (length <= passwordBytes) return password;
  let cut = value.slice(0, passwordBytes);
  while (bytesOf(cut).length > passwordBytes) cut = cut.slice(0, -1);
  if (bytesOf(cut).length < passwordBytes) {
    const message = `the password has ${length} bytes, and keepalived's first 8 of them end within a character`;
    findings.complain(place, "authentication", { message, expected: "8 ASCII characters" });
    return undefined;
  }
  findings.warn(place, "authentication", {
    message: `the password has ${length} bytes, of which keepalived sends the first 8`,
    expected: "at most 8 characters",
  });
  return { value: cut, place };
}

function writeAddresses({ findings, instance }: Meaning, native: Native, path: readonly string[]): void {
  const { addresses, silent, place } = instance;
  const family = familyOf(instance);
  const fitting = addresses.filter((one) => {
    if (one.family === family) return true;
    const message = `\`${one.address.value}\` is of another family than the first address, and keepalived would skip it`;
    findings.complain(one.address.place, "family", { message, expected: "it under `virtual_ipaddress_excluded`" });
    return false;
  });
  if (addresses.length === 0 && silent.length > 0) {
    const message = `\`${instance.foreign}\` has excluded addresses alone, so its advertisements would name none`;
    findings.complain(place, "address", { message, expected: "one of them under `virtual_ipaddress`" });
  }
  const entry = ({ address, interface: device }: MovedAddress): Said<unknown> => ({
    value:
      device === undefined || device.value === instance.interface?.value
        ? address.value
        : { address: address.value, interface: device.value },
    place: address.place,
  });
  native.putList([...path, "addresses"], fitting.map(entry));
  native.putList([...path, "silentAddresses"], silent.map(entry));
}

/** The traps of vrrp_strict that this program does not have. */
function warnStrict({ findings, instance, globals, strict, priority }: Meaning): void {
  const said = instance.strict ?? globals.strict;
  if (!strict || said === undefined || priority.value === owner) return;
  findings.warn(said.place, "strict", {
    message: `\`vrrp_strict\`: keepalived's firewall rules would drop every packet to the addresses of \`${instance.foreign}\`; here they answer`,
    expected: "no `vrrp_strict`",
  });
}

/** keepalived takes weighted tracks out of an owner and, unless the group says otherwise, out of a sync group's members. */
function heldTracks(
  { findings, priority }: Meaning,
  entries: readonly Tracked[],
  group: WriteOptions["group"],
): Tracked[] {
  return entries.filter(({ word, weight }) => {
    if (weight === 0) return true;
    const dropped = (why: string, expected: string) => {
      const message = `\`${word.text}\` with its weight ${weight} ${why}: keepalived leaves it out`;
      findings.warn(word.place, "weight", { message, expected });
      return false;
    };
    if (priority.value === owner) return dropped("beside priority 255", "weight 0, or another priority");
    if (group === undefined || group.keepsWeights) return true;
    return dropped(`in a member of sync group \`${group.name}\``, "it in the group, or weight 0");
  });
}
