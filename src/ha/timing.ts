// The arithmetic of VRRP's timers, and of ours beside them. The change's way; pure. The process that speaks VRRP asks here
// how long an address may be leased to it, so that what the kernel does on its own fits what the machine does.

import type { Milliseconds } from "../core/clock.ts";
import type { VirtualRouter } from "../model/virtual-router.ts";

/**
 * How much longer than its intervals a backup waits: less the higher its priority, so that the best one is first.
 * Version 2: (256 - priority) / 256 seconds, whatever the interval (RFC 3768 section 6.1). Version 3: the same share of
 * the active's interval (RFC 9568 section 6.1). Not cut to hundredths as keepalived cuts it: at an interval of 10 ms that
 * would make every priority's skew 0.
 */
export function skewTime(version: 2 | 3, priority: number, activeInterval: Milliseconds): Milliseconds {
  return ((256 - priority) / 256) * (version === 2 ? 1000 : activeInterval);
}

/**
 * How long silence lasts before a backup takes over: RFC 9568's Active_Down_Interval, whose three intervals keepalived
 * lets the operator change (`down_timer_adverts`), as the only remedy for a network that loses much.
 */
export function downInterval(router: VirtualRouter, priority: number, activeInterval: Milliseconds): Milliseconds {
  return router.downAdvertisements * activeInterval + skewTime(router.version, priority, activeInterval);
}

/**
 * For how long after its last advertisement an active may count on its role: shorter than any backup's down interval.
 * Addresses in the kernel live so long without renewal, and a node that slept longer is elected anew.
 */
export function leaseTime(router: VirtualRouter): Milliseconds {
  return (router.downAdvertisements - 0.5) * router.advertisementInterval;
}

/**
 * How long a resigning active waits for its successor: above the skew of the slowest one (priority 1), with room for its
 * work and the way between.
 */
export function handoverTime(router: VirtualRouter): Milliseconds {
  const slowest = skewTime(router.version, 1, router.advertisementInterval);
  return slowest + Math.max(100, slowest / 4);
}

/**
 * How long the addresses may live in the kernel after an advertisement of this priority was sent: every advertisement of a
 * node that holds them renews their lease, the resignation too, for as long as it waits for its successor.
 */
export function leaseAfter(router: VirtualRouter, priority: number): Milliseconds {
  return priority === 0 ? handoverTime(router) : leaseTime(router);
}

/** What a copy waits for behind the word before it, at least: one that is too close is lost together with that. */
const copyDelayMin: Milliseconds = 10;

/**
 * How far the copies of an advertisement are apart: a hundredth of the interval. A backup takes each of them for an
 * advertisement of its own (any version 2 or 3 receiver does), so after a crash it waits their span longer on average: 29 ms
 * of 3.1 s with 4 copies at 1 s, and at most as long as ever. Spread evenly over the interval they would cost 375 ms.
 */
export function copyDelay({ advertisementInterval, advertisementCopies }: VirtualRouter): Milliseconds {
  return Math.min(Math.max(copyDelayMin, advertisementInterval / 100), advertisementInterval / advertisementCopies);
}

/** The first announcements may be lost where a port has just come up, or a tree of switches is being spanned. */
const firstRefreshDelay: Milliseconds = 200;

/** When a new active announces its addresses again for the first time; undefined where refreshing is switched off. */
export function firstRefresh({ announce: { refresh } }: VirtualRouter): Milliseconds | undefined {
  return refresh > 0 ? Math.min(refresh, firstRefreshDelay) : undefined;
}

/** So often an active resigns before it gives up: one of its advertisements may be lost. */
export const resignationsMax = 2;

/** The longest that an active may hold its addresses after it was told to stop: every resignation unheard, and a second. */
export function farewellTime(router: VirtualRouter): Milliseconds {
  return handoverTime(router) * resignationsMax + 1_000;
}
