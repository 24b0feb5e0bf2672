// Carries out what the virtual router machine asks for, one effect after the other in its order: an address is on the
// machine before it is advertised, advertised before it is announced, and its successor has spoken before it goes. The
// change's way. It decides nothing; what goes wrong becomes an input to the machine.

import type { Milliseconds } from "../core/clock.ts";
import type { Failure } from "../core/failure.ts";
import { downInterval, leaseAfter, leaseTime } from "../ha/timing.ts";
import type { VirtualRouterEffect, VirtualRouterInput } from "../ha/virtual-router-state.ts";
import type { VirtualAddress } from "../model/virtual-router.ts";
import type { FromVrrp } from "../state/vrrp-protocol.ts";
import { familyOf } from "../wire/ip-bytes.ts";
import { type VrrpFaultCode, type VrrpOddityCode, vrrpFaults, vrrpOddities } from "../wire/vrrp/faults.ts";
import type { Edges } from "./edges.ts";
import { claimAll, destinationsOf, encodeFor, type HeldAddresses, releaseAll, renewAll } from "./held-addresses.ts";
import { count, type RouterInstance } from "./router-instance.ts";
import type { Surroundings } from "./surroundings.ts";

export type Stage = {
  readonly edges: Edges;
  readonly held: HeldAddresses;
  readonly say: (message: FromVrrp) => void;
  /** As they were when the kernel was asked last. */
  around: Surroundings;
  instances: readonly RouterInstance[];
  /** What follows from an effect: an input for the next step. */
  readonly later: (instance: RouterInstance, input: VirtualRouterInput) => void;
  /** Something in the kernel is not as it is believed to be: ask it. */
  lookDue: boolean;
  /** What the last order was denied with. */
  denied: { readonly code: string; readonly detail: string } | undefined;
  /** By router, code and cause: when it was logged last. */
  readonly loggedAt: Map<string, Milliseconds>;
};

const sameLogEvery: Milliseconds = 60_000;
const loggedMax = 1_024;

/** `at`: the time of the step that asked for it. */
export function perform(stage: Stage, instance: RouterInstance, effect: VirtualRouterEffect, at: Milliseconds): void {
  const { name } = instance.setup.router;
  switch (effect.type) {
    case "advertise":
      advertise(stage, instance, effect.advertisement.priority, at);
      break;
    case "addAddresses":
      addAddresses(stage, instance, effect.addresses);
      break;
    case "removeAddresses":
      removeAddresses(stage, instance, effect.addresses);
      break;
    case "announce":
      announce(stage, instance, effect.addresses, effect.repeat);
      break;
    case "mode": {
      const { from, to, cause, priority } = effect;
      const { takeovers } = instance.state;
      const heardLately = hasHeardLately(instance, at);
      stage.say({ type: "mode", router: name, from, to, cause, priority, takeovers, heardLately });
      break;
    }
    case "priority":
      stage.say({ type: "priority", router: name, from: effect.from, to: effect.to });
      break;
    case "dropped":
      count(instance.dropped, effect.code);
      logPacket(stage, name, effect.code, effect.source);
      break;
    case "odd":
      count(instance.odd, effect.code);
      logPacket(stage, name, effect.code, effect.source);
      break;
    case "alarm":
      alarm(stage, instance, effect.code, effect.detail);
      break;
    case "denied":
      stage.denied = { code: effect.code, detail: effect.detail };
      break;
    case "drainSocket":
      instance.port?.port.drain();
      break;
    case "wantsActive":
      // Its sync group is judged after every step.
      break;
    case "stopped":
      instance.stopped = true;
      break;
    default:
      effect satisfies never;
  }
}

function hasHeardLately({ setup: { router }, state }: RouterInstance, now: Milliseconds): boolean {
  const { said, priority } = state;
  return said.some(({ at, interval }) => now - at < downInterval(router, priority, interval));
}

/** Counted always, told at most once a minute. */
export function alarm(stage: Stage, instance: RouterInstance, code: string, detail: string): void {
  const now = stage.edges.now();
  const seen = instance.alarms.get(code);
  const tells = seen === undefined || now - seen.toldAt >= sameLogEvery;
  instance.alarms.set(code, {
    count: (seen?.count ?? 0) + 1,
    detail,
    at: now,
    toldAt: tells ? now : (seen?.toldAt ?? now),
  });
  if (tells) stage.say({ type: "alarm", router: instance.setup.router.name, code, detail });
}

/** Once per cause and minute: a packet that anybody may send must not fill a disk. */
export function logPacket(stage: Stage, of: string, code: VrrpFaultCode | VrrpOddityCode, source: string): void {
  const key = `${of} ${code} ${source}`;
  const now = stage.edges.now();
  const last = stage.loggedAt.get(key);
  if (last !== undefined && now - last < sameLogEvery) return;
  if (stage.loggedAt.size >= loggedMax) stage.loggedAt.clear();
  stage.loggedAt.set(key, now);
  const { detail } = code in vrrpFaults ? vrrpFaults[code as VrrpFaultCode] : vrrpOddities[code as VrrpOddityCode];
  const message = code in vrrpFaults ? "advertisement dropped" : "advertisement is odd";
  stage.say({ type: "log", level: "warn", message, fields: { virtualRouter: of, code, source, detail } });
}

function advertise(stage: Stage, instance: RouterInstance, priority: number, at: Milliseconds): void {
  const { port, setup, state } = instance;
  const { router, gateKey } = setup;
  if (port === undefined) return;
  // Stopped since the step began: what would go out now claims, and opens the gate for, a role that is over.
  if (priority > 0 && stage.edges.now() - at > leaseTime(router)) return;
  const { source } = port.key;
  let failure: Failure | undefined;
  let left = 0;
  for (const destination of destinationsOf(router)) {
    const sent = port.port.send(destination, encodeFor(router, source, destination, priority));
    if (sent.ok) left++;
    else failure = sent.failure;
  }
  if (left === 0 && failure !== undefined) {
    takeSendFailure(stage, instance, failure);
    return;
  }
  instance.sent++;
  if (state.mode !== "active" && instance.proofs.size === 0) return;
  const lease = leaseAfter(router, priority);
  const byHand = stage.held.gate === "renewedByHand";
  if (byHand || (stage.held.gate === "renewedByKernel" && lease > leaseTime(router))) {
    const renewed = stage.edges.renewGate(gateKey, lease);
    if (!renewed.ok) logFailure(stage, instance, "the gate's lease was not renewed", renewed.failure);
  }
  if (renewAll(stage.held, stage.instances, stage.edges.now())) stage.lookDue = true;
}

/** A full queue is no reason to give up, nor a peer without a route; that the link is down the kernel tells by itself. */
function takeSendFailure(stage: Stage, instance: RouterInstance, failure: Failure): void {
  logFailure(stage, instance, "advertisement not sent", failure);
  const part = failure.code.split(".").at(-1) ?? "";
  if (part === "busy" || part === "noRoute") return;
  stage.lookDue = true;
  // The farewell of one that gives up for this very reason fails as well.
  if (part === "linkDown" || instance.faults.has("send")) return;
  giveUpFor(stage, instance, { cause: "send", detail: failure.detail, graceful: false });
}

const retryFirst: Milliseconds = 5_000;
const retryMax: Milliseconds = 60_000;

/** Into fault until a retry shows that it is over. */
export function giveUpFor(
  stage: Stage,
  instance: RouterInstance,
  why: { readonly cause: string; readonly detail: string; readonly graceful: boolean },
): void {
  const { cause, detail, graceful } = why;
  const last = instance.retries.get(cause);
  const wait = last === undefined ? retryFirst : Math.min(retryMax, last.wait * 2);
  instance.retries.set(cause, { at: stage.edges.now() + wait, wait });
  instance.faults.set(cause, detail);
  stage.later(instance, { type: "fault", cause, graceful });
}

export function logFailure(stage: Stage, instance: RouterInstance, message: string, failure: Failure): void {
  const { name } = instance.setup.router;
  const key = `${name} ${failure.code} ${message}`;
  const now = stage.edges.now();
  const last = stage.loggedAt.get(key);
  if (last !== undefined && now - last < sameLogEvery) return;
  stage.loggedAt.set(key, now);
  const fields = { virtualRouter: name, code: failure.code, detail: failure.detail };
  stage.say({ type: "log", level: "error", message, fields });
}

function addAddresses(stage: Stage, instance: RouterInstance, addresses: readonly VirtualAddress[]): void {
  const failures = claimAll(stage.held, instance, addresses, stage.around.links);
  for (const { address, failure } of failures) {
    if (failure.code === "address.foreign") {
      // It is on the machine and answers, so clients are served; it is not ours to remove.
      alarm(stage, instance, "vrrp.alarm.addressForeign", failure.detail);
      continue;
    }
    logFailure(stage, instance, "address not added", failure);
    giveUpFor(stage, instance, { cause: `address ${address}`, detail: failure.detail, graceful: true });
  }
}

function removeAddresses(stage: Stage, instance: RouterInstance, addresses: readonly VirtualAddress[]): void {
  for (const failure of releaseAll(stage.held, instance, addresses)) {
    logFailure(stage, instance, "address not removed: its lifetime will end it", failure);
  }
  if (instance.proofs.size > 0 || stage.held.gate === "none") return;
  // What still comes for the addresses may be forwarded from now on.
  const disarmed = stage.edges.disarmGate(instance.setup.gateKey);
  if (!disarmed.ok) logFailure(stage, instance, "the gate was not disarmed", disarmed.failure);
}

function announce(stage: Stage, instance: RouterInstance, addresses: readonly VirtualAddress[], repeat: number): void {
  const { around, edges } = stage;
  for (let round = 0; round < repeat; round++) {
    for (const { address, interface: device } of addresses) {
      const link = around.links.find(({ name }) => name === (device ?? instance.setup.router.interface));
      if (link === undefined) continue;
      const told = edges.announce({ link, source: announceSource(stage, link.index, address), address });
      if (!told.ok) logFailure(stage, instance, "address not announced", told.failure);
    }
  }
}

/** From the interface's link-local address; where there is none, from the announced one itself. RFC 4861 section 4.4. */
function announceSource(stage: Stage, interfaceIndex: number, address: string): string {
  if (familyOf(address) === 4) return address;
  const own = stage.around.addresses.find(
    (entry) =>
      entry.interfaceIndex === interfaceIndex && /^fe[89ab][0-9a-f]:/.test(entry.address) && entry.address !== address,
  );
  return own?.address ?? address;
}
