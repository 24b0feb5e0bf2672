// Virtual servers into listeners and pools. On the change's way. IPVS with NAT shows targets the client's address, so the kernel
// engine carries what it can; where connections must be counted (`lc` and its kind) the proxy does, and targets see this
// node instead, which is warned of.

import { formatSocketAddress } from "../../core/address.ts";
import { same } from "../../core/same.ts";
import type { ForeignPlace } from "../foreign/adapted.ts";
import { nearest } from "../nearest.ts";
import { healthCheckOf } from "./checkers.ts";
import { plainName } from "./commands.ts";
import type { Findings, Native, Said } from "./findings.ts";
import type { Globals } from "./globals.ts";
import { durationText } from "./rules.ts";
import type { Endpoint, ServerGroup, VirtualServer } from "./virtual-server.ts";

type Balance = {
  readonly balance: unknown;
  readonly isWeighted: boolean;
  readonly note?: string;
};

const hashed = { consistentHash: { key: "clientAddress" } };

const schedulers: Readonly<Record<string, Balance>> = {
  rr: { balance: "roundRobin", isWeighted: false },
  wrr: { balance: "roundRobin", isWeighted: true },
  lc: { balance: "leastConnections", isWeighted: false },
  wlc: { balance: "leastConnections", isWeighted: true },
  sed: { balance: "leastConnections", isWeighted: true, note: "the fewest connections by weight, as `wlc`" },
  nq: { balance: "leastConnections", isWeighted: true, note: "the fewest connections by weight, as `wlc`" },
  twos: { balance: "twoChoices", isWeighted: true },
  sh: {
    balance: hashed,
    isWeighted: true,
    note: "the same client meets the same target, by another hash than IPVS has",
  },
  mh: {
    balance: hashed,
    isWeighted: true,
    note: "the same client meets the same target, by another hash than IPVS has",
  },
};

const schedulerDefault = "wlc";

export function writeLayer4(
  findings: Findings,
  native: Native,
  servers: readonly VirtualServer[],
  options: { readonly globals: Globals; readonly groups: readonly ServerGroup[] },
): void {
  const { globals, groups } = options;
  const [mailed] = globals.mail.to;
  const alert = globals.mail.alertChecker ?? globals.mail.alertAll;
  if (mailed !== undefined && servers.length > 0 && alert?.value !== false) {
    const message =
      "`notification_email`: keepalived mails of real servers that come and go, here nobody is told by mail";
    findings.warn(mailed.place, "mail", { message, expected: "GET /v1/events, which tells of the health of targets" });
  }
  const names = new Set<string>();
  for (const server of servers) {
    for (const endpoint of endpointsOf(findings, server, groups)) {
      writeServer(findings, native, { server, endpoint, globals, names });
    }
  }
}

function endpointsOf(findings: Findings, { at }: VirtualServer, groups: readonly ServerGroup[]): readonly Endpoint[] {
  if (!("group" in at)) return [at];
  const group = groups.find(({ name }) => name === at.group.text);
  if (group !== undefined) return group.endpoints;
  const message = `there is no \`virtual_server_group ${at.group.text}\``;
  findings.complain(at.group.place, "group", {
    message,
    suggestion: nearest(
      at.group.text,
      groups.map(({ name }) => name),
    ),
  });
  return [];
}

type Writing = {
  readonly server: VirtualServer;
  readonly endpoint: Endpoint;
  readonly globals: Globals;
  readonly names: Set<string>;
};

function writeServer(findings: Findings, native: Native, { server, endpoint, globals, names }: Writing): void {
  const { protocol, place } = server;
  if (protocol === undefined) {
    const message = "`protocol` is missing: keepalived 2.2 takes UDP, its manual says TCP";
    findings.complain(place, "missing", { message, expected: "`protocol TCP` or `protocol UDP`" });
    return;
  }
  const name = plainName(`${endpoint.host.replaceAll(":", "-")}_${endpoint.port}_${protocol.value}`);
  if (names.has(name)) {
    const message = `\`virtual_server ${endpoint.host} ${endpoint.port}\` stands here a second time for ${protocol.value.toUpperCase()}`;
    findings.complain(endpoint.place, "twice", { message, expected: "each once" });
    return;
  }
  names.add(name);
  const balance = balanceOf(findings, server);
  if (balance === undefined) return;
  const listener = (key: string, value: unknown, at: ForeignPlace = endpoint.place) =>
    native.put(["listeners", name, key], { value, place: at });
  native.put(["listeners", name], { value: {}, place });
  listener("bind", formatSocketAddress({ host: endpoint.host, port: endpoint.port }));
  listener("protocol", protocol.value, protocol.place);
  const obstacle = proxyReason(server, balance.balance);
  if (obstacle === undefined) {
    listener("engine", "kernel", place);
    listener("preserveClientAddress", true, place);
  } else {
    findings.warn(obstacle.place, "address", {
      message: `${obstacle.value}, so targets see this node's address instead of the client's`,
      expected: "`lb_algo rr`, `wrr`, `sh` or `mh` where they must see it",
    });
  }
  listener("pool", name, place);
  const silence = protocol.value === "tcp" ? globals.tunnelTimeout : globals.flowTimeout;
  if (silence !== undefined) {
    const key = protocol.value === "tcp" ? "tunnel" : "flow";
    native.put(["listeners", name, "timeouts", key], { value: durationText(silence.value), place: silence.place });
  }
  writePool(findings, native, { server, name, balance, globals });
}

function proxyReason(server: VirtualServer, balance: unknown): Said<string> | undefined {
  const { scheduler, place } = server;
  if (balance === "leastConnections" || balance === "twoChoices") {
    return {
      value: `\`${scheduler?.value ?? schedulerDefault}\` counts connections, which this program carries itself`,
      place: scheduler?.place ?? place,
    };
  }
  const limited = server.reals.find(({ maxConnections }) => maxConnections !== undefined)?.maxConnections;
  return limited === undefined
    ? undefined
    : { value: "`uthreshold` counts connections, which this program carries itself", place: limited.place };
}

function balanceOf(findings: Findings, { scheduler, persistence, place }: VirtualServer): Balance | undefined {
  const name = scheduler?.value ?? schedulerDefault;
  const found = Object.hasOwn(schedulers, name) ? schedulers[name] : undefined;
  if (found === undefined) {
    const message = `\`${name}\` is no way of balancing here`;
    const expected = Object.keys(schedulers)
      .map((one) => `\`${one}\``)
      .join(", ");
    findings.complain(scheduler?.place ?? place, "refused", { message, expected });
    return undefined;
  }
  if (found.note !== undefined) findings.note(scheduler?.place ?? place, "lb_algo", found.note);
  if (persistence === undefined) return found;
  findings.warn(persistence.place, "persistence", {
    message:
      "`persistence_timeout`: a client stays with its target by the hash of its address, without end, instead of by a list with a timeout; new clients are not shared out by `lb_algo`",
    expected: "`lb_algo mh` without it, which says so",
  });
  return { balance: hashed, isWeighted: found.isWeighted };
}

type Pool = {
  readonly server: VirtualServer;
  readonly name: string;
  readonly balance: Balance;
  readonly globals: Globals;
};

function writePool(findings: Findings, native: Native, { server, name, balance, globals }: Pool): void {
  const path = ["pools", name];
  native.put(path, { value: {}, place: server.place });
  if (balance.balance !== "roundRobin") {
    native.put([...path, "balance"], { value: balance.balance, place: server.scheduler?.place ?? server.place });
  }
  const check = commonCheck(findings, server, globals);
  if (check !== undefined) native.put([...path, "healthCheck"], check);
  native.put([...path, "targets"], { value: {}, place: server.place });
  for (const { endpoint, weight, maxConnections } of server.reals) {
    const key = formatSocketAddress({ host: endpoint.host, port: endpoint.port });
    if (native.places.has([...path, "targets", key].join("\0"))) {
      findings.complain(endpoint.place, "twice", {
        message: `\`${key}\` stands here a second time`,
        expected: "each real server once",
      });
      continue;
    }
    const counts = weight !== undefined && weight.value !== 1 && (balance.isWeighted || weight.value === 0);
    if (weight !== undefined && weight.value > 1 && !balance.isWeighted) {
      const algorithm = server.scheduler?.value ?? schedulerDefault;
      findings.idle(weight.place, "weight", `\`${algorithm}\` looks at no weights`);
    }
    const target = {
      ...(counts ? { weight: weight.value } : {}),
      ...(maxConnections === undefined ? {} : { maxConnections: maxConnections.value }),
    };
    native.put([...path, "targets", key], { value: target, place: endpoint.place });
  }
  const { sorry } = server;
  if (sorry === undefined) return;
  const key = formatSocketAddress({ host: sorry.host, port: sorry.port });
  native.put([...path, "targets", key], { value: { backup: true }, place: sorry.place });
  if (check !== undefined)
    findings.note(sorry.place, "sorry_server", "it is probed as the real servers are, and must pass");
}

/** The health check that all real servers have; a pool has one. */
function commonCheck(findings: Findings, server: VirtualServer, globals: Globals): Said<unknown> | undefined {
  let common: Said<unknown> | undefined;
  for (const [index, { endpoint, checkers, times }] of server.reals.entries()) {
    const [checker, second] = checkers;
    if (second !== undefined) {
      const message = "a second checker: targets have one health check";
      findings.complain(second.place, "refused", {
        message,
        expected: "the one that says most, or a MISC_CHECK that asks both",
      });
    }
    if (checker === undefined) {
      if (common === undefined) continue;
      const message = `\`${endpoint.host}\` has no checker beside others that have one`;
      findings.complain(endpoint.place, "refused", { message, expected: "the same checker for all real servers" });
      continue;
    }
    const { scriptUser } = globals;
    const value = healthCheckOf(findings, checker, { ...endpoint, inherited: [times, server.times], scriptUser });
    if (value === undefined) continue;
    if (common === undefined && index === 0) common = { value, place: checker.place };
    else if (common === undefined || !same(common.value, value)) {
      const message = "this checker is not that of the first real server, and a pool has one health check for all";
      findings.complain(checker.place, "refused", {
        message,
        expected: "the same checker for all, or a virtual server for each kind",
      });
    }
  }
  return common;
}
