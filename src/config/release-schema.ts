// The shape of a release file as an operator writes it (docs/release.md). On the change's way; what it becomes, and what must
// hold between its keys, is release-file.ts. Words, bounds and messages are those of the configuration where it has them.

import * as z from "zod";
import { balancersMax, noticesMax, releaseEventTypes, releaseTargetsMax } from "../model/release.ts";
import { serverName } from "./health-check-leaf.ts";
import { type CheckType, checkTypes, healthCheckShapes } from "./health-check-schema.ts";
import { absolutePath, duration, fixedWord, flag, integer, name, oneOf } from "./leaf.ts";
import { commandWordsMax, endpointsMax, filePathBytesMax, socketPathBytesMax } from "./limits.ts";
import { adminUrl, batch, releaseWord, targetAddress, version } from "./release-leaf.ts";
import { datacenter, endpoint, keyPrefix, storeName } from "./source-leaf.ts";

const positive = duration({ off: false });
const orOff = duration({ off: true });
const filePath = () => absolutePath(filePathBytesMax);
const words = () => z.array(releaseWord()).max(commandWordsMax);

const commandFields = {
  command: words().describe("Program and arguments; no shell reads them."),
  timeout: positive.prefault("5m").describe("Then it is ended, and the step has failed."),
  on: oneOf(["here", "target"])
    .optional()
    .describe("Where it runs: by ssh on the target's machine when there is `ssh`."),
  onInterrupted: oneOf(["rerun", "ask", "fail"])
    .prefault("rerun")
    .describe("What `resume` does when the release was killed while it ran."),
};

const command = (what: string) =>
  z
    .union([words(), z.strictObject(commandFields)])
    .optional()
    .describe(what);

const tls = z
  .strictObject({
    ca: filePath().optional(),
    certificate: filePath().optional(),
    key: filePath().optional(),
    serverName: serverName().optional(),
    verify: flag().prefault(true),
  })
  .optional()
  .describe("Of `https://` endpoints, as in a pool's source.");

const storeShapes = {
  api: z.strictObject({ type: fixedWord("api").describe("The balancers themselves, by their admin APIs.") }),
  consul: z.strictObject({
    type: fixedWord("consul"),
    endpoints: z.array(endpoint({ usualPort: 8500, secrets: "the token in `tokenFile`" })).max(endpointsMax),
    prefix: keyPrefix("consul").describe("As the pool's source has it."),
    tokenFile: filePath()
      .optional()
      .describe("ACL token: session write, and key_prefix write of the pool and evenkeel/releases/."),
    datacenter: datacenter().optional(),
    tls,
  }),
  etcd: z.strictObject({
    type: fixedWord("etcd"),
    endpoints: z.array(endpoint({ usualPort: 2379, secrets: "`user` and `passwordFile` beside it" })).max(endpointsMax),
    prefix: keyPrefix("etcd").describe("As the pool's source has it."),
    user: storeName("the name of a user").optional(),
    passwordFile: filePath().optional(),
    tls,
  }),
} as const;

export const storeTypes = ["api", "consul", "etcd"] as const;
export const releaseStoreShapes: Readonly<Record<(typeof storeTypes)[number], z.ZodType<ReleaseStoreFile>>> =
  storeShapes;
export const unknownStore = z.looseObject({ type: oneOf(storeTypes) });
export type ReleaseStoreFile = {
  [T in keyof typeof storeShapes]: z.output<(typeof storeShapes)[T]>;
}[keyof typeof storeShapes];

const balancer = z.strictObject({
  name: name().optional().describe("What the output calls it; by default its socket or URL."),
  socket: absolutePath(socketPathBytesMax).optional().describe("Its admin socket, on this machine."),
  admin: adminUrl().optional().describe("Its admin API over TCP, on this machine or through a tunnel."),
  tokenFile: filePath().optional().describe("The token for `admin`."),
});

const checkPolicy = {
  for: positive.prefault("120s").describe("How long it may take until it has passed."),
  every: positive.prefault("10s").describe("From one probe to the next."),
  timeout: positive.prefault("5s").describe("Of one probe."),
  rise: integer(1, 1000).prefault(1).describe("Passed probes in a row."),
};

/** Keys of a pool's health check that mean nothing here. */
const poolPolicy = { interval: true, fastInterval: true, jitterPercent: true, fall: true, initial: true } as const;

/** By type: those of a pool's health check, with the policy of a release in place of a balancer's. */
export const releaseCheckShapes: Readonly<Record<CheckType, z.ZodType>> = Object.fromEntries(
  checkTypes.map((type) => {
    const shape = healthCheckShapes[type];
    return [type, shape instanceof z.ZodObject ? shape.omit(poolPolicy).extend(checkPolicy) : shape];
  }),
) as Record<CheckType, z.ZodType>;
export const releaseCheckPolicy = z.looseObject(checkPolicy);

const notice = z.strictObject({
  command: words().describe("Program and arguments; EVENKEEL_RELEASE_EVENT and others are in its environment."),
  events: z.array(oneOf(releaseEventTypes)).prefault([]).describe("Only these; by default all."),
  timeout: positive.prefault("10s").describe("The release waits for it no longer."),
});

/** Store and health check are read by their types. */
export const releaseShell = z.strictObject({
  pool: name().describe("The pool whose targets get the new version."),
  version: version().optional().describe("`{version}` in the commands; `--version` goes before it."),
  balancers: z
    .array(balancer)
    .max(balancersMax)
    .prefault([])
    .describe("Every balancer that carries the pool; by default the one on this machine."),
  store: z.unknown().optional(),
  order: z
    .array(targetAddress())
    .max(releaseTargetsMax)
    .optional()
    .describe("Targets in the order of their turns; by default all, as the pool has them."),
  batch: batch().prefault(1).describe("Targets that have their turn at a time: a number, or a share such as `25%`."),
  minEligible: integer(0, 10_000).describe("Never fewer eligible targets than this at any balancer."),
  drain: z
    .strictObject({
      intent: oneOf(["drain", "down"])
        .prefault("drain")
        .describe("What a target is told; Consul and etcd know `down` alone."),
      timeout: positive.prefault("60s").describe("How long its work may take to end."),
      onTimeout: oneOf(["goOn", "fail"]).prefault("goOn").describe("What then: it is stopped, or the release fails."),
    })
    .prefault({}),
  stop: command("Stops the service."),
  deploy: command("Brings the new version."),
  start: command("Starts the service. A process that it leaves must have its own output."),
  rollback: command("Brings the old version back, for `release rollback`."),
  ssh: z
    .strictObject({
      host: releaseWord().prefault("{host}").describe("By default the target's own address."),
      user: storeName("the name of a user").optional(),
      port: integer(1, 65_535).optional(),
      identityFile: filePath().optional(),
      options: z.array(releaseWord()).max(32).prefault([]).describe("Further options of ssh, each as behind `-o`."),
    })
    .optional()
    .describe("Commands run on the targets' machines, by the system's ssh."),
  healthCheck: z.unknown().optional(),
  applyTimeout: positive.prefault("60s").describe("How long the balancers may take to apply an intent."),
  eligibleTimeout: positive.prefault("60s").describe("How long they may take to find the target eligible again."),
  slowStart: orOff.optional().describe("Its share grows in this time; the next turn begins when it has all."),
  pause: z
    .union([oneOf(["untilResume"]), orOff])
    .prefault(0)
    .describe("Between two batches: a time, or `untilResume`."),
  notify: z
    .array(notice)
    .max(noticesMax)
    .prefault([])
    .describe("Commands that are told what happens, one after the other."),
});

export type ReleaseShell = z.output<typeof releaseShell>;
export type ReleaseCommandFile = z.output<ReturnType<typeof command>>;
