// The shape of `ha` as an operator writes it: virtual routers, what they track, sync groups, services. Every key, its
// meaning, its bounds and its default. On the change's way, part of schema.ts; how the parts belong together is
// validate-ha.ts, what they become build-ha.ts.

import * as z from "zod";
import { spreadNodesMax } from "../ha/spread.ts";
import {
  checkedAddress,
  command,
  interfaceName,
  ipAddress,
  readVariable,
  trackName,
  userName,
  virtualAddress,
  vrrpPassword,
} from "./ha-leaf.ts";
import { bytesText } from "./health-check-leaf.ts";
import { healthCheckFile } from "./health-check-schema.ts";
import { plainHeaderValue } from "./http-leaf.ts";
import {
  absolutePath,
  duration,
  flag,
  integer,
  keyLeaf,
  name,
  nameKey,
  oneOf,
  oneOfNumbers,
  textReader,
} from "./leaf.ts";
import {
  poolsMax,
  servicesMax,
  silentAddressesMax,
  syncGroupsMax,
  tracksMax,
  tracksPerRouterMax,
  unicastPeersMax,
  virtualAddressesMax,
  virtualRoutersMax,
} from "./limits.ts";
import { notifyFile } from "./notify-schema.ts";

const positive = duration({ off: false });
const orOff = duration({ off: true });
const filePath = absolutePath(4095);

const weightText = [
  "Above 0 it is added to the priority while the track is up, below 0 while it is down;",
  "0, the default, takes the node out of the election while it is down. As keepalived counts.",
].join(" ");
const weight = integer(-253, 253);
const reverseText = "Counts down as up and up as down.";

const effectFields = {
  weight: weight.prefault(0).describe(weightText),
  reverse: flag().prefault(false).describe(reverseText),
};

function countFields(fall: number) {
  return {
    rise: integer(1, 1000)
      .prefault(1)
      .describe("Passed outcomes in a row that bring it up; the first one decides alone."),
    fall: integer(1, 1000).prefault(fall).describe("Failed outcomes in a row that bring it down."),
  };
}

const interval = positive.prefault("1s").describe("From the start of one look to the start of the next.");

export const trackKinds = ["command", "process", "file", "balancer", "gateway", "healthCheck", "interface"] as const;
export type TrackKind = (typeof trackKinds)[number];

const healthCheckTrack = {
  ...effectFields,
  address: checkedAddress().describe("What is asked: `127.0.0.1:80`."),
};

const trackShapes = {
  command: z.strictObject({
    command: command().describe("Program and arguments, run without a shell; exit status 0 is up."),
    user: userName().optional().describe("Who runs it; by default the program's own user."),
    interval,
    timeout: positive.optional().describe("After which it is killed and has failed; by default the interval."),
    ...countFields(1),
    ...effectFields,
  }),
  process: z.strictObject({
    process: plainHeaderValue().describe("Name of a process, as `ps -e` shows it; up while it runs."),
    match: plainHeaderValue().optional().describe("A text that its command line must hold besides."),
    quorum: integer(1, 10_000).prefault(1).describe("How many of them there must be."),
    interval,
    ...countFields(1),
    ...effectFields,
  }),
  file: z.strictObject({
    file: filePath.describe("Path of a file: a switch that scripts and people can turn."),
    upWhen: oneOf(["present", "absent", "zero", "number"])
      .prefault("present")
      .describe(
        "Up while the file is there, is not there, or holds the number 0; `number` adds its number times the weight, as keepalived's track_file.",
      ),
    interval,
    ...countFields(1),
    ...effectFields,
  }),
  balancer: z.strictObject({
    balancer: z
      .array(name())
      .max(poolsMax)
      .describe("Up while this node's workers answer and each of these pools has an eligible target."),
    ...countFields(1),
    ...effectFields,
  }),
  gateway: z.strictObject({
    gateway: ipAddress().describe("Address of the router; up while it answers ARP or neighbour solicitations."),
    interface: interfaceName().describe("Where it is asked for."),
    interval,
    timeout: positive.prefault("500ms").describe("How long an answer is waited for."),
    ...countFields(3),
    ...effectFields,
  }),
  interface: z.strictObject({
    interface: interfaceName().describe("Up while it exists, is up and has its carrier."),
    waitForInterface: flag().prefault(false).describe("It may be missing at the start; otherwise that is an error."),
    ...countFields(1),
    ...effectFields,
  }),
  healthCheck: z.strictObject({ ...healthCheckTrack, healthCheck: z.unknown() }),
} satisfies Record<TrackKind, z.ZodType>;

/** By kind, to read one track by itself; the health check in it is read apart. */
export const trackShapeOf: Readonly<Record<TrackKind, z.ZodType<TrackFile>>> = trackShapes;

/** Every key that some track has. */
export const trackKeys: readonly string[] = [
  ...new Set(Object.values(trackShapes).flatMap((shape) => Object.keys(shape.shape))),
];

const trackFile = z.xor([
  trackShapes.command,
  trackShapes.process,
  trackShapes.file,
  trackShapes.balancer,
  trackShapes.gateway,
  trackShapes.interface,
  z.strictObject({ ...healthCheckTrack, healthCheck: healthCheckFile.describe("Its interval, rise and fall hold.") }),
]);

const tracked = z
  .array(
    z.union([
      trackName(),
      z.strictObject({
        name: trackName().describe("Which track."),
        weight: weight.optional().describe("Instead of the weight in its definition."),
        reverse: flag().optional().describe(reverseText),
      }),
    ]),
  )
  .max(tracksPerRouterMax)
  .prefault([])
  .describe(
    "`chk` of `ha.tracks`, `interface:eth1`, `balancer` (this node's workers), `balancer:POOL`, `gateway:ADDRESS`.",
  );

const placedAddress = z.union([
  virtualAddress(),
  z.strictObject({
    address: virtualAddress().describe("`10.0.4.99/24`."),
    interface: interfaceName().optional().describe("Where it is put; by default the virtual router's interface."),
  }),
]);

const unicastPeer = z.union([
  ipAddress(),
  z.strictObject({
    address: ipAddress().describe("Address of the other node."),
    ttlMin: integer(0, 255)
      .prefault(255)
      .describe("Packets that came further are dropped; 255: from the same link alone."),
  }),
]);

const repeat = integer(1, 100);

const announce = z.strictObject({
  repeat: repeat
    .prefault(5)
    .describe("Announcements of each address on taking over, and as many again after the delay."),
  delay: orOff.prefault("5s").describe("0: no second round."),
  refresh: orOff
    .prefault("60s")
    .describe(
      "While active, announced again this often, and once soon after taking over; 0: never. keepalived's default is never.",
    ),
  refreshRepeat: repeat.prefault(1).describe("Announcements of each address at every refresh."),
  lowerPriorityRepeat: repeat.prefault(5).describe("The same after another active of lower priority was heard."),
  lowerPriorityDelay: orOff.prefault("5s").describe("0: no second round."),
});

const requiredFields = {
  interface: interfaceName().describe("Where advertisements are sent and heard: `eth0`."),
  vrid: integer(1, 255).describe(
    "Number of the virtual router: the same on all its nodes, of no other on this network.",
  ),
  addresses: z
    .array(placedAddress)
    .max(virtualAddressesMax)
    .describe("What clients call: `10.0.4.99/24`; all of one family, of IPv6 a link-local one first."),
};

const virtualRouterFields = {
  waitForInterface: flag().prefault(false).describe("It may be missing at the start; otherwise that is an error."),
  version: oneOfNumbers([2, 3])
    .prefault(3)
    .describe("3 (RFC 9568) or 2 (RFC 3768: IPv4, whole seconds); the same on all nodes. keepalived's default is 2."),
  priority: integer(1, 255)
    .optional()
    .describe("The highest one has the addresses; 255 says that they are this node's own. Computed with `spread`."),
  advertisementInterval: positive
    .prefault("1s")
    .describe(
      "The same on all nodes. Failover takes three of them and a little; below 100ms a real-time priority is needed.",
    ),
  advertisementCopies: integer(1, 10)
    .optional()
    .describe(
      "So often each advertisement is said, a hundredth of the interval apart; by default 4 from 400ms on, fewer below, 1 at 100ms: no change of the active node where the network loses 30%. 1: as the RFC has it. It is the active node's that counts.",
    ),
  downAdvertisements: integer(2, 100)
    .prefault(3)
    .describe("After so many missing advertisements a backup takes over; more where the network loses many."),
  preempt: flag().prefault(true).describe("Takes the addresses from a live node of lower priority."),
  preemptDelay: orOff.prefault(0).describe("For how long such a node is left alone first."),
  silentAddresses: z
    .array(placedAddress)
    .max(silentAddressesMax)
    .prefault([])
    .describe("Move along without being advertised; of any family. keepalived's virtual_ipaddress_excluded."),
  sourceAddress: ipAddress().optional().describe("From where it speaks; by default the interface's first address."),
  unicastPeers: z
    .array(unicastPeer)
    .max(unicastPeersMax)
    .prefault([])
    .describe("The other nodes, where the network carries no multicast; empty: multicast."),
  password: vrrpPassword()
    .optional()
    .describe("Of version 2: up to 8 bytes, sent as they are. It stops mistakes, no attacker."),
  announce: announce.prefault({}).describe("How switches and neighbours are told who has the addresses."),
  track: tracked,
  v3ChecksumAsV2: flag().prefault(false).describe("Version 3 over IPv4: counts the checksum without pseudo-header."),
  addressMismatch: oneOf(["warn", "refuse"])
    .prefault("warn")
    .describe("Another node advertises other addresses: believed with a warning, or not, as keepalived up to 2.3.2."),
  notify: notifyFile.optional().describe("Whom to tell, besides `ha.notify`."),
};

/** What a virtual router cannot do without, and what to say when it is missing. */
export const virtualRouterNeeds = {
  interface: "the interface of the network that the nodes share",
  vrid: "a whole number from 1 to 255, the same on all nodes",
  addresses: "a list of addresses",
} as const;

/** Read with nothing required, so that one wrong key does not hide the others. */
export const virtualRouterShell = z.strictObject({
  interface: requiredFields.interface.optional(),
  vrid: requiredFields.vrid.optional(),
  addresses: requiredFields.addresses.optional(),
  ...virtualRouterFields,
});

const virtualRouterFile = z.strictObject({ ...requiredFields, ...virtualRouterFields });

export const syncGroupFile = z.strictObject({
  members: z
    .array(name())
    .max(virtualRoutersMax)
    .describe("Virtual routers that are active together or not at all: the inside and the outside of a gateway."),
  track: tracked,
  notify: notifyFile.optional().describe("Whom to tell of the group as a whole, besides `ha.notify`."),
});

export const serviceFile = z.strictObject({
  command: command().describe(
    "Program and arguments; EVENKEEL_FENCING_TOKEN in its environment grows with every takeover.",
  ),
  follow: name().describe("The virtual router or sync group beside which it runs: only where that is active."),
  user: userName().optional().describe("Who runs it; by default the program's own user."),
  directory: filePath.optional().describe("Where it runs; by default `/`."),
  environment: z
    .record(keyLeaf(textReader("text", readVariable), { pattern: "^[A-Za-z_$]" }), bytesText())
    .prefault({})
    .meta({ maxProperties: 256 })
    .describe("Variables besides PATH and EVENKEEL_*."),
  stopTimeout: positive.prefault("5s").describe("From SIGTERM to SIGKILL; the addresses are given up afterwards."),
  restartDelay: positive.prefault("1s").describe("When it ended by itself; doubled each time."),
  restartDelayMax: positive.prefault("1m").describe("The longest of these; once it has run that long they begin anew."),
});

const haFields = {
  spread: flag()
    .prefault(false)
    .describe(
      "Computes the priorities from `nodes`, so that the addresses of a lost node go to all others in equal shares.",
    ),
  nodes: z
    .array(name())
    .max(spreadNodesMax)
    .prefault([])
    .describe("Names (`node`) of all nodes that share the virtual routers; with `spread: true`."),
  insecureCommands: oneOf(["refuse", "warn"])
    .prefault("refuse")
    .describe(
      "A command that would run as root though others can change it, or a folder on the way to it: an error, or a warning, as keepalived without enable_script_security.",
    ),
  notify: notifyFile.optional().describe("Whom to tell of every virtual router and sync group."),
};

/** `ha` with its parts left unread: each is read by itself. */
export const haShell = z.strictObject({
  ...haFields,
  tracks: z.record(z.string(), z.unknown()).prefault({}),
  virtualRouters: z.record(z.string(), z.unknown()).prefault({}),
  syncGroups: z.record(z.string(), z.unknown()).prefault({}),
  services: z.record(z.string(), z.unknown()).prefault({}),
});

export const haFile = z.strictObject({
  ...haFields,
  tracks: z.record(nameKey(), trackFile).prefault({}).meta({ maxProperties: tracksMax }).describe("What is watched."),
  virtualRouters: z
    .record(nameKey(), virtualRouterFile)
    .prefault({})
    .meta({ maxProperties: virtualRoutersMax })
    .describe("Addresses that move between nodes, by name."),
  syncGroups: z
    .record(nameKey(), syncGroupFile)
    .prefault({})
    .meta({ maxProperties: syncGroupsMax })
    .describe("Virtual routers that must be on one node."),
  services: z
    .record(nameKey(), serviceFile)
    .prefault({})
    .meta({ maxProperties: servicesMax })
    .describe("Processes that run on the active node alone."),
});

export type HaShell = z.output<typeof haShell>;
export type TrackFile = { [Kind in TrackKind]: z.output<(typeof trackShapes)[Kind]> }[TrackKind];
export type TrackedFile = z.output<typeof tracked>[number];
export type PlacedAddressFile = z.output<typeof placedAddress>;
export type VirtualRouterFile = z.output<typeof virtualRouterShell>;
export type SyncGroupFile = z.output<typeof syncGroupFile>;
export type ServiceFile = z.output<typeof serviceFile>;
