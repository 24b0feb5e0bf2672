// What must hold within one virtual router: most of it keepalived takes without a word and then does not do, or does in
// another way than was written. On the change's way, part of validate-ha.ts. What the machine has is judge-machine.ts, what
// the other node says compare-peers.ts.

import { formatDuration } from "../core/units.ts";
import { addressOf, familyOf } from "./build-ha.ts";
import { type PlacedAddressFile, type VirtualRouterFile, virtualRouterNeeds } from "./ha-schema.ts";
import { virtualAddresses6Max } from "./limits.ts";
import type { NamedPart } from "./part.ts";
import type { Complaint, Path } from "./problem.ts";
import type { Draft } from "./shape.ts";

export const priorityOwner = 255;
const v2IntervalMax = 255_000;
const v3IntervalMax = 40_950;
/** Below this a process among others is late too often to be believed alive. */
const ordinaryIntervalMin = 100;

type RouterPart = NamedPart<VirtualRouterFile>;
type Checked = { readonly draft: Draft; readonly part: RouterPart; readonly file: VirtualRouterFile };

export function validateVirtualRouter(draft: Draft, part: RouterPart): void {
  const { value: file } = part;
  if (file === undefined) return;
  const checked = { draft, part, file };
  for (const [key, expected] of Object.entries(virtualRouterNeeds)) {
    if (draft.has([...part.path, key])) continue;
    draft.complain([...part.path, key], { code: "config.key.missing", message: `${key}: is missing`, expected });
  }
  if (file.interface === "lo" && !part.broken.has("interface")) {
    complain(
      checked,
      ["interface"],
      "interface",
      "interface: no other node hears what is sent on `lo`",
      "the interface of the network that the nodes share",
    );
  }
  checkAddresses(checked);
  if (!part.broken.has("version")) checkVersion(checked);
  checkInterval(checked);
  checkSpeakers(checked);
  checkPreemption(checked);
  const refreshRepeat = ["announce", "refreshRepeat"];
  if (file.announce.refresh === 0 && draft.has([...part.path, ...refreshRepeat])) {
    idle(checked, refreshRepeat, "beside `refresh: 0`", "a `refresh`");
  }
}

function complain(
  { draft, part }: Checked,
  keys: Path,
  code: string,
  message: string,
  expected: string,
  more: Partial<Complaint> = {},
): void {
  draft.complain([...part.path, ...keys], { code: `config.virtualRouter.${code}`, message, expected, ...more });
}

/** For a key that would do nothing. */
function idle(checked: Checked, keys: Path, where: string, expected: string): void {
  const message = `\`${keys.at(-1)}\` means nothing ${where}`;
  complain(checked, keys, "idle", message, expected, { atKey: true });
}

/** The family of the virtual router; undefined when no address was read. */
export function familyOfRouter(file: VirtualRouterFile): 4 | 6 | undefined {
  const first = file.addresses?.[0];
  return first === undefined ? undefined : familyOf(addressOf(first).address);
}

/** RFC 4291 section 2.5.6: fe80::/10. */
function isLinkLocal(address: string): boolean {
  return /^fe[89ab][0-9a-f]:/.test(address);
}

function checkAddresses(checked: Checked): void {
  const { part, file } = checked;
  const { addresses = [] } = file;
  const family = familyOfRouter(file);
  if (family === undefined) {
    if (file.addresses !== undefined && !part.broken.has("addresses")) {
      complain(
        checked,
        ["addresses"],
        "addresses",
        "addresses: there is none, so nothing moves",
        "at least one address",
      );
    }
    return;
  }
  for (const [index, one] of addresses.entries()) {
    const { address } = addressOf(one);
    if (familyOf(address) === family) continue;
    const message = `addresses[${index}]: \`${address}\` is of another family than the first address`;
    complain(
      checked,
      ["addresses", index],
      "family",
      message,
      "a virtual router for each family, or `silentAddresses`",
    );
  }
  const first = addresses[0] && addressOf(addresses[0]).address;
  if (family === 6 && first !== undefined && !isLinkLocal(first)) {
    // RFC 9568 section 5.2.9.
    const message = `addresses[0]: \`${first}\` is not link-local, which the first address over IPv6 must be`;
    const local = addresses.map((one) => addressOf(one).address).find(isLinkLocal);
    const expected = local === undefined ? "such as fe80::99/64 before it" : `\`${local}\` before it`;
    complain(checked, ["addresses", 0], "linkLocal", message, expected);
  }
  if (family === 6 && addresses.length > virtualAddresses6Max) {
    const message = `addresses: has ${addresses.length} entries, more than one packet holds`;
    complain(
      checked,
      ["addresses"],
      "addresses",
      message,
      `at most ${virtualAddresses6Max} over IPv6, the others under \`silentAddresses\``,
    );
  }
  checkTwice(checked);
}

function checkTwice(checked: Checked): void {
  const seen = new Set<string>();
  const look = (key: string, list: readonly PlacedAddressFile[]) => {
    for (const [index, one] of list.entries()) {
      const { address } = addressOf(one);
      const message = `${key}[${index}]: \`${address}\` stands here a second time`;
      if (seen.has(address)) complain(checked, [key, index], "twice", message, "each address once");
      seen.add(address);
    }
  };
  look("addresses", checked.file.addresses ?? []);
  look("silentAddresses", checked.file.silentAddresses);
}

function checkVersion(checked: Checked): void {
  const { file } = checked;
  const family = familyOfRouter(file);
  if (file.version === 2 && family === 6) {
    complain(checked, ["version"], "version", "version: 2 knows no IPv6", "`version: 3`");
  }
  if (file.version === 3 && file.password !== undefined) {
    const message =
      "`password` is of version 2; RFC 5798 took passwords out of version 3, and no node would look at it";
    complain(checked, ["password"], "password", message, "no password, or `version: 2` on all nodes", { atKey: true });
  }
  if (!file.v3ChecksumAsV2) return;
  if (file.version === 2) idle(checked, ["v3ChecksumAsV2"], "with `version: 2`", "it with `version: 3`");
  else if (family === 6)
    idle(checked, ["v3ChecksumAsV2"], "over IPv6, where there is one checksum", "it over IPv4 only");
}

function checkInterval(checked: Checked): void {
  const { draft, part, file } = checked;
  const { advertisementInterval: interval } = file;
  if (part.broken.has("advertisementInterval") || part.broken.has("version")) return;
  const text = formatDuration(interval);
  const path = ["advertisementInterval"];
  if (file.version === 2 && (interval % 1000 !== 0 || interval > v2IntervalMax)) {
    const message = `advertisementInterval: \`${text}\` cannot be said in version 2`;
    complain(checked, path, "interval", message, "whole seconds from 1s to 255s, or `version: 3`");
  } else if (file.version === 3 && (interval % 10 !== 0 || interval > v3IntervalMax)) {
    const message = `advertisementInterval: \`${text}\` cannot be said in version 3`;
    complain(checked, path, "interval", message, "whole hundredths of a second from 10ms to 40950ms");
  } else if (interval < ordinaryIntervalMin) {
    draft.warn([...part.path, ...path], {
      code: "config.virtualRouter.interval",
      message: `advertisementInterval: \`${text}\` needs a real-time priority (CAP_SYS_NICE) on every node: without, a busy machine loses its addresses`,
    });
  }
}

function checkSpeakers(checked: Checked): void {
  const { file } = checked;
  const family = familyOfRouter(file);
  const { sourceAddress: source } = file;
  const moving = new Set([...(file.addresses ?? []), ...file.silentAddresses].map((one) => addressOf(one).address));
  const other = (address: string) => family !== undefined && familyOf(address) !== family;
  if (source !== undefined) {
    const at = (message: string, expected: string) =>
      complain(checked, ["sourceAddress"], "source", `sourceAddress: \`${source}\` ${message}`, expected);
    if (other(source)) at("is of another family than the addresses", `an IPv${family} address`);
    else if (moving.has(source) && file.priority !== priorityOwner) at("moves itself", "an address of this node alone");
    else if (family === 6 && file.unicastPeers.length === 0 && !isLinkLocal(source)) {
      at("is not link-local, which multicast over IPv6 comes from", "an address of fe80::/10, or `unicastPeers`");
    }
  }
  const seen = new Set<string>();
  for (const [index, peer] of file.unicastPeers.entries()) {
    const address = typeof peer === "string" ? peer : peer.address;
    const at = (message: string, expected: string) =>
      complain(checked, ["unicastPeers", index], "peer", `unicastPeers[${index}]: \`${address}\` ${message}`, expected);
    if (other(address)) at("is of another family than the addresses", `an IPv${family} address`);
    else if (moving.has(address)) at("is a virtual address", "the other node's own address");
    else if (address === source) at("is this node itself", "the other nodes only");
    else if (seen.has(address)) at("stands here a second time", "each node once");
    seen.add(address);
  }
}

function checkPreemption(checked: Checked): void {
  const { draft, part, file } = checked;
  const says = (key: string) => draft.has([...part.path, key]) && !part.broken.has(key);
  if (file.priority === priorityOwner) {
    // RFC 9568 section 6.1: the owner preempts whatever Preempt_Mode says.
    if (!file.preempt)
      idle(checked, ["preempt"], "with `priority: 255`: the owner takes its addresses at once", "another priority");
    if (file.preemptDelay > 0)
      idle(
        checked,
        ["preemptDelay"],
        "with `priority: 255`: the owner takes its addresses at once",
        "another priority",
      );
  } else if (!file.preempt && says("preemptDelay")) {
    idle(checked, ["preemptDelay"], "beside `preempt: false`", "one of the two");
  }
}
