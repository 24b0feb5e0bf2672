// How often the addresses are announced: keepalived's words for gratuitous ARP and neighbour advertisements, global with `vrrp_` before
// them and of an instance without. On the change's way.

import type { Findings, Said } from "./findings.ts";
import { durationText, flagInto, idle, integerOf, one, type Rules, secondsOf } from "./rules.ts";

export type Announce = {
  delay?: Said<number>;
  repeat?: Said<number>;
  refresh?: Said<number>;
  refreshRepeat?: Said<number>;
  lowerPriorityDelay?: Said<number>;
  lowerPriorityRepeat?: Said<number>;
  minimal?: Said<boolean>;
};

type Times = "delay" | "refresh" | "lowerPriorityDelay";
type Counts = "repeat" | "refreshRepeat" | "lowerPriorityRepeat";

export function announceRules(findings: Findings, announce: Announce, prefix: "vrrp_" | ""): Rules {
  const time = (key: Times) =>
    one((word, { keyword }) => {
      const said = secondsOf(findings, word, keyword, { least: 0, most: 86_400 });
      if (said !== undefined) announce[key] = said;
    });
  const count = (key: Counts) =>
    one((word, { keyword }) => {
      const said = integerOf(findings, word, keyword, { least: 1, most: 100 });
      if (said !== undefined) announce[key] = said;
    });
  const lower = prefix === "" ? "garp_lower_prio" : "vrrp_garp_lower_prio";
  return new Map([
    [`${prefix}garp_master_delay`, time("delay")],
    [`${prefix}garp_master_repeat`, count("repeat")],
    [`${prefix}garp_master_refresh`, time("refresh")],
    [`${prefix}garp_master_refresh_repeat`, count("refreshRepeat")],
    [`${lower}_delay`, time("lowerPriorityDelay")],
    [`${lower}_repeat`, count("lowerPriorityRepeat")],
    [`${prefix}garp_extra_if`, idle("an address on another interface is announced there as any other")],
    [`${prefix}min_garp`, flagInto(findings, announce, "minimal")],
  ]);
}

type Announced = { readonly [Key in Times | Counts]: Said<string | number> | undefined };

const defaults: Readonly<Record<string, string | number>> = {
  repeat: 5,
  delay: "5s",
  refreshRepeat: 1,
  lowerPriorityRepeat: 5,
  lowerPriorityDelay: "5s",
};

/** What differs from our defaults; an instance's words lie over the global ones, and without a lower priority's those of a takeover hold. */
export function announced(globals: Announce, own: Announce): [string, Said<string | number>][] {
  const { minimal } = globals;
  const least = (value: number): Said<number> | undefined =>
    minimal?.value === true ? { value, place: minimal.place } : undefined;
  const repeat = globals.repeat ?? least(1);
  const delay = globals.delay ?? least(0);
  const refresh = own.refresh ?? globals.refresh;
  const said: Announced = {
    repeat: own.repeat ?? repeat,
    delay: timeOf(own.delay ?? delay),
    refresh: timeOf(refresh),
    // Beside no refresh it would mean nothing.
    refreshRepeat: refresh?.value === 0 ? undefined : (own.refreshRepeat ?? globals.refreshRepeat),
    lowerPriorityRepeat: own.lowerPriorityRepeat ?? globals.lowerPriorityRepeat ?? repeat,
    lowerPriorityDelay: timeOf(own.lowerPriorityDelay ?? globals.lowerPriorityDelay ?? delay),
  };
  return Object.entries(said).flatMap(([key, one]): [string, Said<string | number>][] =>
    one === undefined || one.value === defaults[key] ? [] : [[key, one]],
  );
}

function timeOf(said: Said<number> | undefined): Said<string | number> | undefined {
  return said === undefined ? undefined : { value: durationText(said.value), place: said.place };
}
