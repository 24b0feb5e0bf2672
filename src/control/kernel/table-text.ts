// The rules as text for the nft command: what the table `inet evenkeel` holds whatever is configured, and what each listener
// adds. Pure; the change's way. Every text is one transaction of `nft -f`. It names no table but ours, and changes nothing
// in place that a packet may be looking at: how changes are ordered is change.ts.
//
//   prerouting, output  ->  dispatch: bind address -> go-LISTENER: limit, slot -> target  (first packet of a connection)
//   postrouting, input  ->  begun: counts the connection;  hide: masquerade
//   prerouting, output  ->  traffic: counts packets and bytes of connections under way, where the operator asked for it
//
// All but the last are nat chains, which meet the first packet of a connection only: those that follow meet no rule.
//
// Why addresses, not marks, tell our connections: docs/decisions/0007-kernel-engine.md.

import { sourceSeed } from "../../balance/source-table.ts";
import { type Carried, type CarriedTarget, type CountKind, countKinds } from "./plan.ts";

export const tableName = "evenkeel";
const table = `inet ${tableName}`;

/** Chain whose only purpose is its name: a table of another layout is replaced whole instead of taken over. */
export const layoutMark = "layout-1";

const families = [4, 6] as const;
const protocols = ["tcp", "udp"] as const;
type Family = (typeof families)[number];

/** `bind4` has addresses, `any4` the ports of listeners on every address. */
export type DispatchMap = "bind4" | "bind6" | "any4" | "any6";

export function dispatchMapOf(carried: Pick<Carried, "family" | "wildcard">): DispatchMap {
  return carried.wildcard ? `any${carried.family}` : `bind${carried.family}`;
}

function addressType(family: Family): string {
  return family === 4 ? "ipv4_addr" : "ipv6_addr";
}

/** `ip` or `ip6`: the keyword of the family's header. */
function header(family: Family): string {
  return family === 4 ? "ip" : "ip6";
}

/** Names that the table has whatever is configured. */
export function baseNames(): { readonly maps: readonly string[]; readonly chains: readonly string[] } {
  const base = baseText();
  const named = (kind: string) =>
    [...base.matchAll(new RegExp(`^ (?:${kind}) (\\S+) \\{`, "gm"))].map((m) => m[1] ?? "");
  return { maps: named("map|set"), chains: named("chain") };
}

/** Makes the whole table without a listener in it. */
export function baseText(): string {
  return [
    `table ${table} {`,
    ...baseMaps(),
    ...addressChains(),
    ...countChains(),
    ` chain ${layoutMark} { }`,
    "}",
    "",
  ].join("\n");
}

/** Removes the table, whatever is in it; no error when there is none. */
export function removalText(): string {
  return `add table ${table}\ndelete table ${table}\n`;
}

function baseMaps(): string[] {
  const lines: string[] = [];
  for (const family of families) {
    const bind = { bind: `${addressType(family)} . inet_proto . inet_service`, any: "inet_proto . inet_service" };
    for (const scope of ["bind", "any"] as const) {
      lines.push(` map ${scope}${family} { type ${bind[scope]} : verdict; }`);
      const connection = `${bind[scope]} . ${addressType(family)} . inet_service`;
      lines.push(` set ${hideSet(`${scope}${family}`)} { type ${connection}; }`);
      for (const kind of countKinds) {
        lines.push(` map ${countMap(kind, `${scope}${family}`)} { type ${connection} : counter; }`);
      }
    }
  }
  return lines;
}

/** Of the connections whose client is hidden behind an address of this machine. */
export function hideSet(dispatch: DispatchMap): string {
  return `hide-${dispatch}`;
}

export function countMap(kind: CountKind, dispatch: DispatchMap): string {
  return `count-${kind}-${dispatch}`;
}

function addressChains(): string[] {
  // Behind other tables' rules at the usual priorities: whoever leads these packets elsewhere leads them past a proxy too.
  return [
    " chain dispatch {",
    "  ip daddr . meta l4proto . th dport vmap @bind4",
    "  ip6 daddr . meta l4proto . th dport vmap @bind6",
    "  meta nfproto ipv4 meta l4proto . th dport vmap @any4",
    "  meta nfproto ipv6 meta l4proto . th dport vmap @any6",
    " }",
    " chain prerouting { type nat hook prerouting priority dstnat + 10; policy accept; goto dispatch; }",
    " chain output { type nat hook output priority -90; policy accept; goto dispatch; }",
    ...connectionChains("hide", (key, set) => `${key} @${set} masquerade`, hideSet),
    // A target on this machine itself answers over the loopback interface without it.
    ' chain postrouting { type nat hook postrouting priority srcnat + 10; policy accept; oif != "lo" ct status dnat goto hide; }',
  ];
}

function countChains(): string[] {
  const counting = (kind: CountKind) =>
    connectionChains(
      kind,
      (key, map) => `counter name ${key} map @${map} accept`,
      (dispatch) => countMap(kind, dispatch),
    );
  return [
    ...counting("begun"),
    ...counting("to"),
    ...counting("from"),
    // A nat chain meets the first packet of a connection only: in front of every other, which may end its way.
    " chain begun-routed { type nat hook postrouting priority srcnat - 10; policy accept; ct status dnat goto begun; }",
    " chain begun-here { type nat hook input priority 90; policy accept; ct status dnat goto begun; }",
    " chain traffic {",
    "  ct direction original goto to",
    "  goto from",
    " }",
  ];
}

/** The hooks by which packets reach the traffic counters: a look-up for every packet, so they are there only when wanted. */
export const trafficHooks = ["traffic-in", "traffic-out"] as const;

export function trafficText(hook: (typeof trafficHooks)[number]): string {
  // Every packet once: where it comes in from another machine, or leaves this one's programs.
  const [point, match] = hook === "traffic-in" ? ["prerouting", 'iif != "lo" '] : ["output", ""];
  return [
    `add chain ${table} ${hook} { type filter hook ${point} priority -80; policy accept; }`,
    `add rule ${table} ${hook} ${match}ct status dnat goto traffic`,
    "",
  ].join("\n");
}

/**
 * A chain and one behind it for each family and protocol, whose rules look a connection up by the address that the client
 * called (its port, where a listener has every address) and the target that it was given. nft knows what a port is only
 * behind `meta l4proto`.
 */
function connectionChains(
  name: string,
  rule: (key: string, map: string) => string,
  mapOf: (dispatch: DispatchMap) => string,
): string[] {
  const parts = families.flatMap((family) => protocols.map((protocol) => ({ family, protocol })));
  const lines = parts.flatMap(({ family, protocol }) => {
    const port = "meta l4proto . ct original proto-dst";
    const called = `ct original ${header(family)} daddr . ${port}`;
    const target = `ct reply ${header(family)} saddr . ct reply proto-src`;
    return [
      ` chain ${name}-${protocol}${family} {`,
      `  meta l4proto ${protocol} ${rule(`${called} . ${target}`, mapOf(`bind${family}`))}`,
      `  meta nfproto ipv${family} meta l4proto ${protocol} ${rule(`${port} . ${target}`, mapOf(`any${family}`))}`,
      " }",
    ];
  });
  const ways = parts.map(({ family, protocol }) => `ipv${family} . ${protocol} : goto ${name}-${protocol}${family}`);
  return [...lines, ` chain ${name} {`, `  meta nfproto . meta l4proto vmap { ${ways.join(", ")} }`, " }"];
}

/** The limit of a listener: what is over it is dropped, so that a client tries again as in front of a full backlog. */
export function roomText(room: string, { names, connectionsMax }: Carried): string {
  return [
    `add chain ${table} ${room}`,
    `add rule ${table} ${room} ct count over ${connectionsMax} counter name ${names.full} drop`,
    "",
  ].join("\n");
}

/** A slot's target, `undefined` where no target takes work. */
export type SlotOwner = CarriedTarget | undefined;

/** Map and chain of a listener, reached by nobody yet. */
export function listenerText(carried: Carried, owners: readonly SlotOwner[]): string {
  const { names, protocol, family, slotCount } = carried;
  // The type of the key is the one of numgen for jhash too: nft 1.0 cannot list a map whose key is `typeof jhash`.
  const type = `typeof numgen inc mod 65536 : ${header(family)} daddr . ${protocol} dport`;
  const elements = owners.flatMap((owner, slot) =>
    owner === undefined ? [] : [`${slot} : ${owner.host} . ${owner.port}`],
  );
  return [
    `add map ${table} ${names.slots} { ${type}; size ${slotCount}; }`,
    ...(elements.length === 0 ? [] : [`add element ${table} ${names.slots} { ${elements.join(", ")} }`]),
    `add chain ${table} ${names.chain}`,
    ...listenerRules(carried).map((rule) => `add rule ${table} ${names.chain} ${rule}`),
    "",
  ].join("\n");
}

function listenerRules(carried: Carried): string[] {
  const { names, protocol, family } = carried;
  const rules: string[] = [];
  if (carried.wildcard) {
    rules.push(`fib daddr type != local return`);
    // They could not leave the loopback interface: refused at once is better than lost.
    if (family === 6) rules.push("ip6 daddr ::1 return");
    else if (!carried.loopback) rules.push("ip daddr 127.0.0.0/8 return");
  }
  if (names.room !== undefined) rules.push(`jump ${names.room}`);
  rules.push(`meta l4proto ${protocol} dnat ${header(family)} to ${slotExpression(carried)} map @${names.slots}`);
  return rules;
}

function slotExpression({ choice, family, slotCount }: Carried): string {
  switch (choice) {
    case "turns":
      return `numgen inc mod ${slotCount}`;
    case "chance":
      return `numgen random mod ${slotCount}`;
    case "source":
      return `jhash ${header(family)} saddr mod ${slotCount} seed ${sourceSeed}`;
    default:
      return choice satisfies never;
  }
}

/** A listener's key in its dispatch map. */
export function bindKey({ wildcard, bind, protocol }: Pick<Carried, "wildcard" | "bind" | "protocol">): string {
  return wildcard ? `${protocol} . ${bind.port}` : `${bind.host} . ${protocol} . ${bind.port}`;
}

/** The key of a listener's connections to a target, where they are counted or hidden. */
export function connectionKey(carried: Pick<Carried, "wildcard" | "bind" | "protocol">, target: CarriedTarget): string {
  return `${bindKey(carried)} . ${target.host} . ${target.port}`;
}

/** One element, for `add element` or `delete element`. */
export function elementText(verb: "add" | "delete", map: string, element: string): string {
  return `${verb} element ${table} ${map} { ${element} }`;
}

/** `add counter`, `delete chain`, ... of one named thing. */
export function objectText(verb: "add" | "delete", kind: "counter" | "chain" | "map", name: string): string {
  return `${verb} ${kind} ${table} ${name}`;
}

export function flushText(kind: "map" | "set" | "chain", name: string): string {
  return `flush ${kind} ${table} ${name}`;
}
