// `vrrp_instance` as it was written: every word of it, read into a draft. On the change's way. What the words mean together, and what
// keepalived makes of contradictions among them, is virtual-router.ts.

import { parseIp } from "../../core/address.ts";
import type { ForeignPlace } from "../foreign/adapted.ts";
import { type MovedAddress, type Peer, readMovedAddress, readPeer } from "./addresses.ts";
import { type Announce, announceRules } from "./announce.ts";
import type { Statement } from "./blocks.ts";
import { nameOf } from "./commands.ts";
import type { Findings, Said } from "./findings.ts";
import type { Globals } from "./globals.ts";
import { type Notify, notifyRules } from "./notify.ts";
import {
  block,
  each,
  flagInto,
  idle,
  numberInto,
  one,
  presentInto,
  type Rules,
  readBlock,
  refused,
  repeated,
  secondsInto,
  some,
  textInto,
} from "./rules.ts";
import { type Named, trackedRules } from "./tracked.ts";
import type { Word } from "./words.ts";

export type Instance = {
  readonly foreign: string;
  readonly name: Said<string>;
  readonly place: ForeignPlace;
  readonly addresses: MovedAddress[];
  readonly silent: MovedAddress[];
  readonly peers: Peer[];
  readonly announce: Announce;
  readonly tracked: Named[];
  readonly notify: Notify;
  state?: Said<"MASTER" | "BACKUP">;
  interface?: Said<string>;
  vrid?: Said<number>;
  priority?: Said<number>;
  interval?: Said<number>;
  version?: Said<number>;
  native6?: Said<boolean>;
  strict?: Said<boolean>;
  source?: Said<string>;
  unicastWord?: Said<boolean>;
  down?: Said<number>;
  preempt?: Said<boolean>;
  preemptDelay?: Said<number>;
  authType?: Said<string>;
  password?: Said<string>;
  vmac?: Said<boolean>;
};

export function readInstance(
  findings: Findings,
  { block: statements = [], place }: Statement,
  name: Word,
  globals: Globals,
): Instance {
  const instance: Instance = {
    foreign: name.text,
    name: nameOf(findings, name, "vrrp_instance"),
    place,
    addresses: [],
    silent: [],
    peers: [],
    announce: {},
    tracked: [],
    notify: {},
  };
  readBlock(findings, statements, instanceRules(findings, instance, globals), "`vrrp_instance`");
  return instance;
}

function instanceRules(findings: Findings, instance: Instance, globals: Globals): Rules {
  return new Map([
    ...electionRules(findings, instance),
    ...addressRules(findings, instance),
    ...announceRules(findings, instance.announce, ""),
    ...trackedRules(findings, instance.tracked),
    ...notifyRules(findings, instance.notify, globals),
    ...otherWords(findings, instance),
  ]);
}

function electionRules(findings: Findings, instance: Instance): Rules {
  return new Map([
    [
      "state",
      one(({ text, place }) => {
        if (text === "MASTER" || text === "BACKUP") instance.state = { value: text, place };
        else {
          const message = `\`${text}\` is no state, and keepalived would take BACKUP`;
          findings.complain(place, "state", { message, expected: "`MASTER` or `BACKUP`, in capitals" });
        }
      }),
    ],
    ["interface", textInto(instance, "interface")],
    [
      "virtual_router_id",
      numberInto(findings, instance, "vrid", { least: 1, most: 255, otherwise: "would not start" }),
    ],
    ["priority", numberInto(findings, instance, "priority", { least: 1, most: 255, otherwise: "would take 100" })],
    ["advert_int", secondsInto(findings, instance, "interval", { least: 0.01, most: 255, otherwise: "would take 1" })],
    [
      "version",
      numberInto(findings, instance, "version", { least: 2, most: 3, otherwise: "would take the global one" }),
    ],
    ["native_ipv6", presentInto(instance, "native6")],
    ["strict_mode", flagInto(findings, instance, "strict")],
    ["down_timer_adverts", numberInto(findings, instance, "down", { least: 1, most: 100 })],
    [
      "nopreempt",
      some(0, 0, (_, { place }) => {
        instance.preempt = { value: false, place };
      }),
    ],
    [
      "preempt",
      some(0, 0, (_, { place, keyword }) => {
        if (instance.preempt === undefined) findings.idle(place, keyword, "it is so without saying");
        else instance.preempt = { value: true, place };
      }),
    ],
    [
      "preempt_delay",
      secondsInto(findings, instance, "preemptDelay", { least: 0, most: 1000, otherwise: "would take 0" }),
    ],
    [
      "authentication",
      block(0, 0, ({ block: lines = [] }) => {
        const rules: Rules = new Map([
          ["auth_type", textInto(instance, "authType")],
          ["auth_pass", textInto(instance, "password")],
        ]);
        readBlock(findings, lines, rules, "`authentication`");
      }),
    ],
  ]);
}

function addressRules(findings: Findings, instance: Instance): Rules {
  const moved = (list: MovedAddress[]) =>
    repeated(
      block(0, 0, ({ block: lines = [] }) => {
        for (const line of lines) {
          const read = readMovedAddress(findings, line);
          if (read !== undefined) list.push(read);
        }
      }),
    );
  const source = (isUnicast: boolean) =>
    one(({ text, place }: Word) => {
      if (isUnicast) instance.unicastWord = { value: true, place };
      if (parseIp(text) === undefined) {
        const message = `\`${text}\` is no IP address, and keepalived would take the interface's own`;
        findings.complain(place, "address", { message, expected: "an address of this node" });
      } else if (instance.source !== undefined) {
        const message = "`mcast_src_ip` and `unicast_src_ip` are one setting, and keepalived would take the last";
        findings.complain(place, "twice", { message, expected: "one of the two" });
      } else instance.source = { value: text, place };
    });
  const byCommand =
    "commands in notify_master and notify_backup that add and delete it, such as `ip route replace ...`";
  return new Map([
    ["virtual_ipaddress", moved(instance.addresses)],
    ["virtual_ipaddress_excluded", moved(instance.silent)],
    ["mcast_src_ip", source(false)],
    ["unicast_src_ip", source(true)],
    [
      "unicast_peer",
      repeated(
        block(0, 0, ({ block: lines = [], place }) => {
          instance.unicastWord = { value: true, place };
          for (const line of lines) {
            const peer = readPeer(findings, line);
            if (peer !== undefined) instance.peers.push(peer);
          }
        }),
      ),
    ],
    ["virtual_routes", refused("routes do not move with the addresses", byCommand)],
    ["virtual_rules", refused("rules of routing do not move with the addresses", byCommand)],
  ]);
}

const carrier = "the kernel tells of every carrier that is lost";

function otherWords(findings: Findings, instance: Instance): Rules {
  const vmac = some(0, 3, (_, { place }: Statement) => {
    instance.vmac = { value: true, place };
  });
  return new Map([
    ["use_vmac", vmac],
    ["use_vmac_addr", vmac],
    ["vmac_xmit_base", idle("advertisements leave by the interface itself")],
    ["use_ipvlan", refused("addresses are put on the interface itself, not on an ipvlan above it", "no such line")],
    ["vrf", refused("no VRF is chosen", "`interface` with one of the VRF's interfaces")],
    [
      "dont_track_primary",
      refused(
        "without its interface a virtual router is in fault here; beside a peer on a crossover cable both would be, once one of them is off",
        "no such line where a switch is between the nodes",
      ),
    ],
    ["accept", idle("addresses take packets in any case")],
    [
      "no_accept",
      refused("addresses take packets", "no such line; a firewall rule where an address is there to route by alone"),
    ],
    ["track_src_ip", refused("the source address is not watched", "a vrrp_script that looks for it")],
    ["mcast_dst_ip", refused("advertisements go to the groups of RFC 9568", "unicast_peer, or no such line")],
    ["unicast_fault_no_peer", idle("without peers advertisements are multicast, which is warned of")],
    ["unicast_ttl", idle("advertisements leave with a TTL of 255")],
    ["check_unicast_src", idle("with unicast peers only they are listened to")],
    [
      "old_unicast_checksum",
      some(0, 1, ([word], { place, keyword }) => {
        if (word?.text === "never") findings.idle(place, keyword, "one checksum is counted, that of the RFC");
        else {
          const message = "`old_unicast_checksum`: keepalived before 1.4 is not understood";
          findings.complain(place, "refused", { message, expected: "a newer keepalived on the other node" });
        }
      }),
    ],
    ["skip_check_adv_addr", idle("the address list of an advertisement is compared without cost")],
    ["lower_prio_no_advert", idle("another active of lower priority is answered at once, so that it yields sooner")],
    ["higher_prio_send_advert", idle("who takes over announces the addresses anew in any case")],
    ["promote_secondaries", idle("each address is added and removed by itself")],
    ["kernel_rx_buf_size", idle("sizes of sockets are chosen here")],
    ["linkbeat_use_polling", idle(carrier)],
    ...each("garp_extra_if", idle("an address on another interface is announced there as any other")),
    ["lvs_sync_daemon_interface", refused("connections are not copied to other nodes", "no such line")],
  ]);
}
