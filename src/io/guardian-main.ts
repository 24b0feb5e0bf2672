// The guardian: a small process that waits for the death of the one that holds virtual addresses. That one holds the other
// end of a pipe; however it ends, kill -9 included, the kernel closes the pipe, and the guardian sends the prepared
// advertisements of priority 0 and removes the addresses. The change's way. In between it renews the addresses' lifetime on
// demand, since the kernel may keep whoever asks for that waiting, and an advertisement must not wait. It must know nothing
// of elections, and must not end before it is told: signals to the whole service are not for it.

import { writeSync } from "node:fs";
import type { Failure } from "../core/failure.ts";
import { decodeOrder, type Farewell, type GuardedAddress, type GuardianReport } from "./guardian-message.ts";
import { neverWait } from "./libc-sockets.ts";
import { type LineChannel, lineChannel, readLines, writeLine } from "./line-channel.ts";
import { readAddresses, routeExchange } from "./netlink-route.ts";
import { releaseForAnother, renewForAnother } from "./owned-addresses.ts";
import { ignoreSignals } from "./privileges.ts";
import { closeRawSocket, messageRooms, type RawSocket, sendPacket } from "./raw-socket.ts";
import { bootClock, requestRealtime } from "./realtime.ts";
import { openVrrpSocket } from "./vrrp-socket.ts";
import { addSource, waitLoop, waitOnce } from "./wait-loop.ts";

const standardInput = 0;
const standardOutput = 1;
const standardError = 2;

type Guardian = {
  readonly channel: LineChannel;
  readonly exchange: ReturnType<typeof routeExchange>;
  readonly rooms: ReturnType<typeof messageRooms>;
  readonly now: () => number;
  addresses: readonly GuardedAddress[];
  farewells: readonly { readonly farewell: Farewell; readonly socket: RawSocket }[];
  ended: "done" | "widowed" | undefined;
};

function report(guardian: Guardian, said: GuardianReport): void {
  // One that is gone will be noticed by reading; there is nobody else to tell.
  writeLine(guardian.channel, JSON.stringify(said));
}

function reportFailure(guardian: Guardian, failure: Failure): void {
  report(guardian, { kind: "failed", code: failure.code, detail: failure.detail });
}

function read(guardian: Guardian): void {
  const said = readLines(guardian.channel);
  if (!said.ok) {
    reportFailure(guardian, said.failure);
    // Orders that cannot be read any more: what was guarded last is what is known.
    guardian.ended = "widowed";
    return;
  }
  for (const line of said.value.lines) obey(guardian, line);
  if (said.value.ended) guardian.ended ??= "widowed";
}

function obey(guardian: Guardian, line: string): void {
  const order = decodeOrder(line);
  if (!order.ok) {
    reportFailure(guardian, order.failure);
    return;
  }
  switch (order.value.kind) {
    case "done":
      guardian.ended = "done";
      return;
    case "renew":
      renew(guardian, order.value.untilBootMs);
      return;
    case "guard":
      guard(guardian, order.value.addresses, order.value.farewells);
      return;
    default:
      order.value satisfies never;
  }
}

/** Sockets are opened now: when they are needed there is no time, and the interface's own address may be gone. */
function guard(guardian: Guardian, addresses: readonly GuardedAddress[], farewells: readonly Farewell[]): void {
  for (const { socket } of guardian.farewells) closeRawSocket(socket);
  const opened: { farewell: Farewell; socket: RawSocket }[] = [];
  for (const farewell of farewells) {
    const { family, source, peers } = farewell;
    const socket = openVrrpSocket({ family, interface: farewell.interface, source, peers }, guardian.rooms);
    if (socket.ok) opened.push({ farewell, socket: socket.value });
    else reportFailure(guardian, socket.failure);
  }
  guardian.addresses = addresses;
  guardian.farewells = opened;
  report(guardian, { kind: "guarding", addresses: addresses.length, farewells: opened.length });
}

function renew(guardian: Guardian, untilBootMs: number): void {
  const seconds = Math.floor((untilBootMs - guardian.now()) / 1000);
  if (seconds < 1) return;
  for (const guarded of guardian.addresses) {
    const renewed = renewForAnother(guardian.exchange, guarded, seconds);
    if (!renewed.ok) reportFailure(guardian, renewed.failure);
    else if (renewed.value === "gone") report(guardian, { kind: "gone", address: guarded.wanted.address });
  }
}

/** All farewells before any removal: each millisecond of the first is one that a successor begins later. */
function takeLeave(guardian: Guardian): string {
  const began = performance.now();
  let sent = 0;
  let removed = 0;
  const wrong: Failure[] = [];
  for (const { farewell, socket } of guardian.farewells) {
    for (const destination of farewell.destinations) {
      const done = sendPacket(socket, destination, farewell.packet);
      if (done.ok) sent++;
      else wrong.push(done.failure);
    }
  }
  for (const guarded of guardian.addresses) {
    const released = releaseForAnother(guardian.exchange, guarded);
    if (!released.ok) wrong.push(released.failure);
    else if (released.value === "removed") removed++;
  }
  const took = (performance.now() - began).toFixed(3);
  const said = `guardian: the process that held the virtual addresses is gone; ${sent} advertisements of priority 0 sent, ${removed} addresses removed in ${took} ms`;
  return [said, ...wrong.map((failure) => `guardian: ${failure.code}: ${failure.detail}`)].join("\n");
}

function main(): void {
  const ignored = ignoreSignals(["SIGTERM", "SIGINT", "SIGHUP", "SIGQUIT"]);
  neverWait(standardInput);
  neverWait(standardOutput);
  const guardian: Guardian = {
    channel: lineChannel({ readFd: standardInput, writeFd: standardOutput }),
    exchange: routeExchange(),
    rooms: messageRooms(),
    now: bootClock(),
    addresses: [],
    farewells: [],
    ended: undefined,
  };
  if (!ignored.ok) reportFailure(guardian, ignored.failure);
  // The answer opens the socket and shows that the kernel talks to us.
  const asked = readAddresses(guardian.exchange);
  if (!asked.ok) reportFailure(guardian, asked.failure);
  report(guardian, { kind: "ready", realtime: requestRealtime().ok });
  const loop = waitLoop();
  addSource(loop, { fd: standardInput, onReady: () => read(guardian) });
  while (guardian.ended === undefined) {
    const waited = waitOnce(loop, undefined);
    if (!waited.ok) {
      reportFailure(guardian, waited.failure);
      guardian.ended = "widowed";
    }
  }
  if (guardian.ended === "widowed" && guardian.addresses.length + guardian.farewells.length > 0) {
    writeSync(standardError, `${takeLeave(guardian)}\n`);
  }
  process.exit(0);
}

main();
