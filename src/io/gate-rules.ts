// The rules of the address gate as text for nft: while a node holds a lease on a virtual address, traffic, ARP and neighbour
// discovery for it pass; when the lease has run out they are dropped, by the kernel, whatever has become of our processes.
// The change's way, pure. Family netdev, since it alone sees ARP and IP in one place and shares one set between both; and at
// its egress hook an advertisement renews the lease of its virtual router as it leaves, so that nothing has to be asked of
// the kernel in between (a question to nftables waits while a firewall's rules are loaded; a sent packet does not).
//
//   advertisement leaves -> update armed (a minute), update lease (the lease)
//   packet for or from a virtual address -> armed, but no lease -> drop
//
// "Armed" ends by itself too: rules that a killed process has left stop no one who later adds the address by hand.

import type { Milliseconds } from "../core/clock.ts";
import { type Family, putAddress } from "../wire/ip-bytes.ts";
import { vrrpProtocol } from "../wire/vrrp/advertisement.ts";

export type GatedRouter = {
  /** Names the virtual router in the sets: 1 to 65535, no other's. */
  readonly key: number;
  readonly interface: string;
  readonly family: Family;
  readonly vrid: number;
  /** Canonical texts of the family, each once; at least one. */
  readonly addresses: readonly string[];
  /** Counted from the last advertisement sent. The kernel counts in steps of 1 to 10 ms. */
  readonly lease: Milliseconds;
};

export const gateTable = "evenkeel_gate";
export const gateSets = { lease: "lease", armed: "armed" } as const;
/** Longer than any address's lifetime in the kernel. */
export const armedTime: Milliseconds = 60_000;
/** Before connection tracking and every firewall; only taps see more. */
const priority = -500;
const setSize = 1024;

/**
 * Makes the table anew in one transaction, whatever was there. `egress` false, for kernels before 5.16: no rule renews the
 * lease or stops what leaves; then address-gate.ts renews it by hand.
 */
export function gateRuleset(routers: readonly GatedRouter[], options: { readonly egress: boolean }): string {
  const interfaces = [...new Set(routers.map((router) => router.interface))];
  const set = (name: string) => `  set ${name} { type mark; size ${setSize}; flags dynamic,timeout; }`;
  const lines = [
    removalRuleset(),
    `table netdev ${gateTable} {`,
    set(gateSets.lease),
    set(gateSets.armed),
    ...routers.flatMap(gateChain),
  ];
  for (const [index, name] of interfaces.entries()) {
    const here = routers.filter((router) => router.interface === name);
    lines.push(...baseChain({ chain: `in_${index}`, hook: "ingress", device: name }, here.flatMap(ingressRules)));
    if (!options.egress) continue;
    const rules = [...here.map(renewalRule), ...here.flatMap(egressRules)];
    lines.push(...baseChain({ chain: `out_${index}`, hook: "egress", device: name }, rules));
  }
  return `${lines.join("\n")}\n}\n`;
}

/** Takes the table away; no failure when there is none. */
export function removalRuleset(): string {
  return `table netdev ${gateTable}\ndelete table netdev ${gateTable}`;
}

function baseChain(
  base: { readonly chain: string; readonly hook: "ingress" | "egress"; readonly device: string },
  rules: readonly string[],
): string[] {
  const { chain, hook, device } = base;
  const head = `    type filter hook ${hook} device "${device}" priority ${priority}; policy accept;`;
  return [`  chain ${chain} {`, head, ...rules.map((rule) => `    ${rule}`), "  }"];
}

/** Whatever the packet's mark is, this is the router's key: nft wants an expression where a constant would do. */
function keyOf(router: GatedRouter): string {
  return `meta mark and 0x0 or 0x${router.key.toString(16)}`;
}

function gateChain(router: GatedRouter): string[] {
  const key = keyOf(router);
  const verdict = `${key} == @${gateSets.armed} ${key} != @${gateSets.lease} counter drop`;
  return [`  chain gate_${router.key} {`, `    ${verdict}`, "  }"];
}

function ingressRules(router: GatedRouter): string[] {
  const { family, addresses, key } = router;
  const jump = `jump gate_${key}`;
  const listed = `{ ${addresses.join(", ")} }`;
  if (family === 4) return [`arp daddr ip ${listed} ${jump}`, `ip daddr ${listed} ${jump}`];
  return [`icmpv6 type nd-neighbor-solicit @th,64,128 ${targets(addresses)} ${jump}`, `ip6 daddr ${listed} ${jump}`];
}

/** What the kernel itself would say in the address's name: questions that neighbours learn from, retransmissions. */
function egressRules(router: GatedRouter): string[] {
  const { family, addresses, key } = router;
  const jump = `jump gate_${key}`;
  const listed = `{ ${addresses.join(", ")} }`;
  if (family === 4) return [`arp saddr ip ${listed} ${jump}`, `ip saddr ${listed} ${jump}`];
  return [`icmpv6 type nd-neighbor-advert @th,64,128 ${targets(addresses)} ${jump}`, `ip6 saddr ${listed} ${jump}`];
}

function renewalRule(router: GatedRouter): string {
  const { family, vrid } = router;
  const protocol = family === 4 ? "ip protocol" : "ip6 nexthdr";
  const key = keyOf(router);
  const update = (set: string, time: Milliseconds) => `update @${set} { ${key} timeout ${Math.round(time)}ms }`;
  const match = `${protocol} ${vrrpProtocol} @th,8,8 ${vrid}`;
  return `${match} ${update(gateSets.armed, armedTime)} ${update(gateSets.lease, router.lease)}`;
}

/** The target of a neighbour message lies 8 bytes in and has no name in older versions of nft. */
function targets(addresses: readonly string[]): string {
  const numbers = addresses.map((address) => {
    const bytes = new Uint8Array(16);
    putAddress(bytes, 0, 6, address);
    return `0x${Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("")}`;
  });
  return `{ ${numbers.join(", ")} }`;
}
