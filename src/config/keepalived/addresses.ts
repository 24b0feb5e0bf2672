// The addresses of keepalived.conf: what moves (virtual_ipaddress, virtual_ipaddress_excluded, each line in the words of ip-address(8))
// and who the other nodes are (unicast_peer). On the change's way. What keepalived skips with a line in its log is a
// problem here.

import { parseIp } from "../../core/address.ts";
import type { Statement } from "./blocks.ts";
import type { Findings, Said } from "./findings.ts";
import { integerOf } from "./rules.ts";
import type { Word } from "./words.ts";

export type MovedAddress = {
  /** With its prefix length where one was written. */
  readonly address: Said<string>;
  readonly family: 4 | 6;
  readonly interface: Said<string> | undefined;
};

/** One line of either block; undefined when it names no address. */
export function readMovedAddress(findings: Findings, line: Statement): MovedAddress | undefined {
  const [first, ...options] = line.words;
  if (first === undefined) return undefined;
  if (line.block !== undefined) {
    findings.complain(line.place, "block", { message: "an address takes no block", expected: "no `{`" });
    return undefined;
  }
  const [host = "", digits, more] = first.text.split("/");
  const ip = parseIp(host);
  if (ip === undefined || more !== undefined) {
    const message = `\`${first.text}\` is no IP address, and keepalived would skip the line`;
    findings.complain(first.place, "address", { message, expected: "such as 10.0.4.99/24" });
    return undefined;
  }
  const bits = ip.family === 4 ? 32 : 128;
  const length = digits === undefined ? bits : /^\d{1,3}$/.test(digits) ? Number(digits) : bits + 1;
  if (length > bits) {
    const message = `\`${first.text}\` has no such prefix length; keepalived would take ${bits}`;
    findings.complain(first.place, "address", { message, expected: `at most ${bits}` });
    return undefined;
  }
  const device = readOptions(findings, options);
  return { address: { value: first.text, place: first.place }, family: ip.family, interface: device };
}

type Option = { readonly takes: 0 | 1; readonly read: "device" | "idle" | "refused"; readonly why: string };

const options: Readonly<Record<string, Option>> = {
  dev: { takes: 1, read: "device", why: "" },
  brd: { takes: 1, read: "idle", why: "the broadcast address follows from the prefix length" },
  broadcast: { takes: 1, read: "idle", why: "the broadcast address follows from the prefix length" },
  label: { takes: 1, read: "idle", why: "an address carries no label: `ip addr` shows it, old ifconfig does not" },
  home: { takes: 0, read: "idle", why: "nothing here is a mobile node" },
  "-nodad": { takes: 0, read: "idle", why: "the address is used at once in any case" },
  use_vmac: { takes: 0, read: "idle", why: "the address has the interface's own hardware address" },
  no_track: { takes: 0, read: "idle", why: "an address that somebody removes is put back" },
  preferred_lft: { takes: 1, read: "idle", why: "over IPv6 no new connection comes from a moving address in any case" },
  peer: { takes: 1, read: "refused", why: "addresses of point-to-point links do not move" },
  mngtmpaddr: { takes: 0, read: "refused", why: "no temporary addresses are made of it" },
  noprefixroute: { takes: 0, read: "refused", why: "an address with a prefix length brings its route" },
  autojoin: { takes: 0, read: "refused", why: "no multicast groups are joined" },
  track_group: { takes: 1, read: "refused", why: "it belongs to addresses that stay with the machine" },
};

function readOptions(findings: Findings, words: readonly Word[]): Said<string> | undefined {
  let device: Said<string> | undefined;
  for (let index = 0; index < words.length; index++) {
    const word = words[index];
    if (word === undefined) break;
    if (word.text === "scope") {
      index++;
      checkScope(findings, words[index] ?? word);
      continue;
    }
    const option = Object.hasOwn(options, word.text) ? options[word.text] : undefined;
    if (option === undefined) {
      const isAddress = parseIp(word.text.split("/")[0] ?? "") !== undefined;
      const message = `\`${word.text}\` is no word of an address, and keepalived would drop it`;
      findings.complain(word.place, "words", {
        message,
        expected: isAddress ? "each address in a line of its own" : "such as `dev eth1`",
      });
      continue;
    }
    const value = option.takes === 1 ? words[++index] : undefined;
    if (option.takes === 1 && value === undefined) {
      findings.complain(word.place, "words", { message: `nothing stands behind \`${word.text}\``, expected: "a word" });
    } else if (option.read === "device" && value !== undefined) device = { value: value.text, place: value.place };
    else if (option.read === "idle") findings.idle(word.place, word.text, option.why);
    else if (option.read === "refused") {
      const expected = word.text === "noprefixroute" ? "the address without a prefix length" : "the address without it";
      findings.complain(word.place, "refused", { message: `\`${word.text}\`: ${option.why}`, expected });
    }
  }
  return device;
}

function checkScope(findings: Findings, word: Word): void {
  if (word.text === "global") return;
  const message = `\`scope ${word.text}\`: a moving address is for everybody`;
  findings.complain(word.place, "refused", { message, expected: "`scope global`, or none" });
}

export type Peer = { readonly address: Said<string>; readonly ttlMin: number };

/** One line of unicast_peer. keepalived looks at no TTL unless it is told to. */
export function readPeer(findings: Findings, { words }: Statement): Peer | undefined {
  const [first, ...options] = words;
  if (first === undefined) return undefined;
  if (parseIp(first.text) === undefined) {
    const message = `\`${first.text}\` is no IP address, and keepalived would skip the line`;
    findings.complain(first.place, "address", { message, expected: "the address of another node, one in each line" });
    return undefined;
  }
  let ttlMin = 0;
  for (let index = 0; index < options.length; index += 2) {
    const [key, value] = [options[index], options[index + 1]];
    if (key === undefined) break;
    if ((key.text !== "min_ttl" && key.text !== "max_ttl") || value === undefined) {
      const message = `\`${key.text}\` is no word of a peer, and keepalived would drop it`;
      findings.complain(key.place, "words", {
        message,
        expected: "one peer in each line, with `min_ttl N` if need be",
      });
      break;
    }
    const said = integerOf(findings, value, key.text, { least: 0, most: 255 });
    if (said === undefined) continue;
    if (key.text === "min_ttl") ttlMin = said.value;
    else if (said.value < 255) {
      const message = "`max_ttl`: packets that came too short a way are not dropped";
      findings.complain(key.place, "refused", { message, expected: "`min_ttl` alone" });
    }
  }
  return { address: { value: first.text, place: first.place }, ttlMin };
}
