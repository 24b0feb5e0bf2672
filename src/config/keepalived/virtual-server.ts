// `virtual_server`, `virtual_server_group` and `real_server` as they were written. On the change's way. What they become is
// layer4.ts; what IPVS does and nothing here can is refused where it stands.

import { parseIp } from "../../core/address.ts";
import type { ForeignPlace } from "../foreign/adapted.ts";
import type { Statement } from "./blocks.ts";
import { type Checker, type CheckTimes, checkerRules, timesRules } from "./checkers.ts";
import type { Findings, Said } from "./findings.ts";
import {
  block,
  each,
  flagged,
  idle,
  integerOf,
  numberInto,
  one,
  type Rules,
  readBlock,
  refused,
  repeated,
  some,
  textInto,
} from "./rules.ts";
import type { Word } from "./words.ts";

export type Endpoint = { readonly host: string; readonly port: number; readonly place: ForeignPlace };

export type RealServer = {
  readonly endpoint: Endpoint;
  readonly checkers: Checker[];
  readonly times: CheckTimes;
  weight?: Said<number>;
  maxConnections?: Said<number>;
};

export type VirtualServer = {
  readonly place: ForeignPlace;
  /** Where it is; or the group that says so. */
  readonly at: Endpoint | { readonly group: Word };
  readonly reals: RealServer[];
  readonly times: CheckTimes;
  scheduler?: Said<string>;
  protocol?: Said<"tcp" | "udp">;
  persistence?: Said<boolean>;
  sorry?: Endpoint;
};

export type ServerGroup = { readonly name: string; readonly endpoints: Endpoint[] };

/** An address and a port; undefined after telling what is missing. */
function endpointOf(
  findings: Findings,
  [host, port]: readonly Word[],
  place: ForeignPlace,
  what: string,
): Endpoint | undefined {
  if (host === undefined || parseIp(host.text) === undefined) {
    const message = `\`${host?.text ?? ""}\` of \`${what}\` is no IP address`;
    findings.complain(host?.place ?? place, "address", { message, expected: "an address and a port" });
    return undefined;
  }
  if (port === undefined || port.text === "0") {
    const message = `\`${what}\` for every port: one port is carried`;
    findings.complain(port?.place ?? place, "refused", { message, expected: `a \`${what}\` for each port` });
    return undefined;
  }
  const said = integerOf(findings, port, what, { least: 1, most: 65_535 });
  return said === undefined ? undefined : { host: host.text, port: said.value, place: host.place };
}

export function readServerGroup(findings: Findings, { block: lines = [] }: Statement, name: Word): ServerGroup {
  const endpoints = lines.flatMap(({ words, place }) => {
    const [first] = words;
    if (first?.text === "fwmark" || /[-/]/.test(first?.text ?? "")) {
      const message = `\`${first?.text}\`: firewall marks and ranges of addresses are not listened on`;
      findings.complain(place, "refused", { message, expected: "a line for each address and port" });
      return [];
    }
    return endpointOf(findings, words, place, "virtual_server_group") ?? [];
  });
  return { name: name.text, endpoints };
}

export function readVirtualServer(
  findings: Findings,
  { block: statements = [], place }: Statement,
  words: readonly Word[],
): VirtualServer | undefined {
  const at = whereOf(findings, words, place);
  if (at === undefined) return undefined;
  const server: VirtualServer = { place, at, reals: [], times: {} };
  readBlock(findings, statements, serverRules(findings, server), "`virtual_server`");
  return server;
}

function whereOf(findings: Findings, words: readonly Word[], place: ForeignPlace): VirtualServer["at"] | undefined {
  const [first, second] = words;
  if (first?.text === "fwmark") {
    const message = "`fwmark`: packets are not chosen by the mark of a firewall";
    findings.complain(first.place, "refused", { message, expected: "an address and a port" });
    return undefined;
  }
  if (first?.text === "group" && second !== undefined) return { group: second };
  return endpointOf(findings, words, place, "virtual_server");
}

const routesBack = "targets are spoken to by NAT";
const tellByEvents = "no command runs for a target";
const events = "the stream of events, GET /v1/events, which tells of their health";

const serverWords: Rules = new Map([
  ["persistence_engine", refused("clients are told apart by their address alone", "no such line")],
  ["persistence_granularity", refused("clients are told apart by their whole address", "no such line")],
  ["hysteresis", idle("there is no quorum beyond one target")],
  ...each("quorum_up quorum_down", refused(tellByEvents, events)),
  ["omega", idle("no command runs for a target")],
  ["ha_suspend", idle("targets are probed on every node, so that a takeover finds them judged")],
  ["smtp_alert", idle("no mail is sent for targets; GET /v1/events tells of them")],
  ["snmp_name", idle("listeners and pools have names of their own")],
  ["ops", refused("datagrams of a client stay with one target", "no such line")],
  ...each("sh-fallback mh-fallback", idle("clients of a dead target go to another one in any case")),
  ["ip_family", idle("the address says so")],
  ["inhibit_on_failure", idle("connections to a target that fails its check are left to it")],
  ["sorry_server_inhibit", idle("connections to a target are left to it")],
  ...each(
    "sh-port mh-port flag-1 flag-2 flag-3",
    refused("clients are told apart by their address, not by their port", "no such line"),
  ),
]);

function serverRules(findings: Findings, server: VirtualServer): Rules {
  const scheduler = textInto(server, "scheduler");
  return new Map([
    ...timesRules(findings, server.times),
    ["lb_algo", scheduler],
    ["lvs_sched", scheduler],
    ...methodRules(findings),
    [
      "protocol",
      one(({ text, place }) => {
        const name = text.toLowerCase();
        if (name === "tcp" || name === "udp") server.protocol = { value: name, place };
        else {
          const message = `\`protocol ${text}\` is not carried`;
          findings.complain(place, "refused", { message, expected: "`TCP` or `UDP`" });
        }
      }),
    ],
    [
      "persistence_timeout",
      some(0, 1, (_, { place }) => {
        server.persistence = { value: true, place };
      }),
    ],
    [
      "quorum",
      one((word, { keyword }) => {
        const said = integerOf(findings, word, keyword, { least: 1, most: 2 ** 31 });
        if (said === undefined || said.value === 1) return;
        const message = "`quorum`: the last target that is healthy gets the work, the sorry server comes after it";
        findings.complain(said.place, "refused", { message, expected: "`quorum 1`, or no such line" });
      }),
    ],
    [
      "sorry_server",
      some(1, 2, (words, { place }) => {
        const endpoint = endpointOf(findings, words, place, "sorry_server");
        if (endpoint !== undefined) server.sorry = endpoint;
      }),
    ],
    ["sorry_server_lvs_method", methodRule(findings)],
    [
      "real_server",
      repeated(
        block(1, 2, (statement, words) => {
          const real = readRealServer(findings, statement, words);
          if (real !== undefined) server.reals.push(real);
        }),
      ),
    ],
    ...serverWords,
  ]);
}

function methodRule(findings: Findings) {
  return some(1, 9, ([word]) => {
    if (word === undefined || word.text === "NAT") return;
    const isKnown = word.text === "DR" || word.text === "TUN";
    const message = isKnown
      ? `\`${word.text}\`: ${routesBack}; with ${word.text === "DR" ? "direct routing" : "a tunnel"} they would answer clients past this node`
      : `\`${word.text}\` is no way of forwarding, and keepalived would take NAT`;
    findings.complain(word.place, "refused", {
      message,
      expected: "`NAT`, with this node as the route back of the real servers",
    });
  });
}

function methodRules(findings: Findings): Rules {
  const rule = methodRule(findings);
  return new Map([
    ["lb_kind", rule],
    ["lvs_method", rule],
  ]);
}

function readRealServer(
  findings: Findings,
  { block: statements = [], place }: Statement,
  words: readonly Word[],
): RealServer | undefined {
  const endpoint = endpointOf(findings, words, place, "real_server");
  if (endpoint === undefined) return undefined;
  const real: RealServer = { endpoint, checkers: [], times: {} };
  const rules: Rules = new Map([
    ...timesRules(findings, real.times),
    ...checkerRules(findings, real.checkers),
    ...methodRules(findings),
    ["weight", numberInto(findings, real, "weight", { least: 0, most: 65_535 })],
    [
      "uthreshold",
      one((word, { keyword }) => {
        const said = integerOf(findings, word, keyword, { least: 0, most: 1_000_000 });
        if (said !== undefined && said.value > 0) real.maxConnections = said;
      }),
    ],
    ["lthreshold", idle("a target that was full takes work again with the first connection that ends")],
    [
      "inhibit_on_failure",
      flagged(findings, ({ place: at }) => {
        findings.idle(at, "inhibit_on_failure", "connections to a target that fails its check are left to it");
      }),
    ],
    ...each("notify_up notify_down", refused(tellByEvents, events)),
    ["smtp_alert", idle("no mail is sent for targets; GET /v1/events tells of them")],
    ["snmp_name", idle("listeners and pools have names of their own")],
  ]);
  readBlock(findings, statements, rules, "`real_server`");
  return real;
}
