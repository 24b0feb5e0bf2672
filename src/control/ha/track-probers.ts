// From what a track watches to what asks it: the one place that knows all kinds. The change's way. The edges are in src/io;
// what is here are the kinds that only look at something that is known already: links, files, the data plane.

import type { Clock, Milliseconds } from "../../core/clock.ts";
import { type FilterRoom, filterRoom } from "../../io/arp-socket.ts";
import { openGatewayLine } from "../../io/gateway.ts";
import { readLinks, routeExchange } from "../../io/netlink-route.ts";
import type { NetlinkExchange } from "../../io/netlink-socket.ts";
import { createProgramProber } from "../../io/probe-command.ts";
import { isPresent, readFileNumber } from "../../io/probe-file.ts";
import { createGatewayProber } from "../../io/probe-gateway.ts";
import { createProcessProber } from "../../io/probe-process.ts";
import { createProbers } from "../../io/prober.ts";
import { type MessageRooms, messageRooms } from "../../io/raw-socket.ts";
import type { Track, Watch } from "../../model/ha.ts";
import type { ProbeOutcome } from "../../model/health-check.ts";
import { isLinkUp, type LinkEntry } from "../../wire/netlink/route.ts";
import type { TrackContext } from "./track-watch.ts";

/** A file's number is no verdict: what it is worth depends on the weight of whoever tracks it. */
export type TrackOutcome =
  | ProbeOutcome
  | { readonly verdict: "number"; readonly value: number; readonly code: string; readonly text: string };

/** As src/io/probe.ts: `end` is called once for each start, never from within it; never after `close`. */
export type TrackProber = {
  start(timeoutMs: Milliseconds, end: (outcome: TrackOutcome) => void): void;
  close(): void;
};

/** What this node's data plane says of itself. */
export type DataPlaneView = {
  /** Workers that take connections; undefined while the first ones are starting, which is no failure yet. */
  readonly workersServing: () => number | undefined;
  /** False for a pool that does not exist. */
  readonly hasEligibleTarget: (pool: string) => boolean;
};

/** Interfaces and the data plane are looked at this often: the kernel's own news of a lost carrier takes up to a second. */
export const lookInterval: Milliseconds = 100;
/** One list of links serves all tracks that look within this time. */
const linksFreshFor: Milliseconds = 20;

/** How often, and how long an answer may take. */
export function timesOf(watch: Watch): { readonly interval: Milliseconds; readonly timeout: Milliseconds } {
  switch (watch.kind) {
    case "command":
    case "gateway":
      return watch;
    case "healthCheck":
      return watch.check;
    case "process":
    case "file":
      return { interval: watch.interval, timeout: watch.interval };
    case "interface":
    case "balancer":
      return { interval: lookInterval, timeout: lookInterval };
    default:
      return watch satisfies never;
  }
}

/** Makes probers that share what they can: `clock` is monotonic. Belongs to the network namespace of this process. */
export function createTrackProbers(
  clock: Clock,
  dataPlane: DataPlaneView,
): (track: Track, context: TrackContext) => TrackProber {
  const healthProber = createProbers(clock);
  const exchange = routeExchange();
  const links = linkView(exchange, clock);
  // Memory that is never given back: only where a gateway is tracked.
  let rooms: { readonly filterRoom: FilterRoom; readonly messageRooms: MessageRooms } | undefined;
  return (track, context) => {
    const { watch } = track;
    switch (watch.kind) {
      case "command":
        return createProgramProber(
          {
            command: watch.command,
            user: watch.user,
            environment: { EVENKEEL_TRACK: track.name },
            leavesProcesses: false,
          },
          { clock },
        );
      case "process":
        return createProcessProber(watch);
      case "gateway": {
        rooms ??= { filterRoom: filterRoom(), messageRooms: messageRooms() };
        const shared = { exchange, ...rooms };
        const question = { address: watch.address, interface: watch.interface, avoid: context.virtualAddresses };
        return createGatewayProber(watch, () => openGatewayLine(question, shared), clock);
      }
      case "healthCheck": {
        const { host, port, check } = watch;
        return healthProber(check.probe, { pool: "", address: track.name, host, port });
      }
      case "interface":
        return lookingProber(() => judgeInterface(watch.interface, links()));
      case "file":
        return lookingProber(() => judgeFile(watch));
      case "balancer":
        return lookingProber(() => judgeDataPlane(watch.pools, dataPlane));
      default:
        return watch satisfies never;
    }
  };
}

/** A prober that only looks. What the look throws is trouble of our own. */
export function lookingProber(look: () => TrackOutcome | Promise<TrackOutcome>): TrackProber {
  let closed = false;
  const seen = async (): Promise<TrackOutcome> => {
    try {
      return await look();
    } catch (error) {
      return {
        verdict: "unable",
        code: "track.unreadable",
        text: error instanceof Error ? error.message : String(error),
      };
    }
  };
  return {
    start(_timeoutMs, end) {
      void seen().then((outcome) => {
        if (!closed) end(outcome);
      });
    },
    close() {
      closed = true;
    },
  };
}

type Links =
  | { readonly list: readonly LinkEntry[] }
  | { readonly failure: { readonly code: string; readonly detail: string } };

function linkView(exchange: NetlinkExchange, clock: Clock): () => Links {
  let read: Links | undefined;
  let readAt = 0;
  return () => {
    const now = clock();
    if (read !== undefined && now - readAt < linksFreshFor) return read;
    const links = readLinks(exchange);
    readAt = now;
    read = links.ok ? { list: links.value } : { failure: links.failure };
    return read;
  };
}

/** Codes: interface.up, .down, .noCarrier, .missing, and why the kernel could not be asked. */
export function judgeInterface(name: string, links: Links): TrackOutcome {
  if ("failure" in links) return { verdict: "unable", code: links.failure.code, text: links.failure.detail };
  const link = links.list.find((each) => each.name === name);
  if (link === undefined) return { verdict: "failed", code: "interface.missing", text: `${name} does not exist` };
  if (isLinkUp(link)) return { verdict: "passed", code: "interface.up", text: `${name} is up and has its carrier` };
  const isOn = (link.flags & 1) !== 0;
  if (isOn) return { verdict: "failed", code: "interface.noCarrier", text: `${name} has no carrier` };
  return { verdict: "failed", code: "interface.down", text: `${name} is set down` };
}

/** Codes: file.present, .absent, .number. */
export async function judgeFile(watch: Watch & { readonly kind: "file" }): Promise<TrackOutcome> {
  const { path, upWhen } = watch;
  if (upWhen === "number" || upWhen === "zero") {
    const value = await readFileNumber(path);
    const said = { code: "file.number", text: `${path} says ${value}` };
    if (upWhen === "number") return { verdict: "number", value, ...said };
    return { verdict: value === 0 ? "passed" : "failed", ...said };
  }
  const present = await isPresent(path);
  return {
    verdict: present === (upWhen === "present") ? "passed" : "failed",
    code: present ? "file.present" : "file.absent",
    text: present ? `${path} is there` : `there is no ${path}`,
  };
}

/** Codes: balancer.serving, .starting, .noWorker, .noTarget. */
export function judgeDataPlane(pools: readonly string[], view: DataPlaneView): TrackOutcome {
  const workers = view.workersServing();
  if (workers === undefined) return { verdict: "unable", code: "balancer.starting", text: "the workers are starting" };
  if (workers === 0) return { verdict: "failed", code: "balancer.noWorker", text: "no worker serves" };
  const empty = pools.filter((pool) => !view.hasEligibleTarget(pool));
  if (empty.length > 0) {
    const named = empty.map((pool) => `\`${pool}\``).join(", ");
    return { verdict: "failed", code: "balancer.noTarget", text: `no eligible target in pool ${named}` };
  }
  return {
    verdict: "passed",
    code: "balancer.serving",
    text: `${workers} worker${workers === 1 ? " serves" : "s serve"}`,
  };
}
