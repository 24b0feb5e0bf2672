// The process that carries the data plane: it wires engine, core, health and log together and talks with the supervisor
// over its channel. The supervisor decides; a worker obeys, counts, and ends when the supervisor is gone.

import { Socket as DatagramSocket } from "node:dgram";
import { Server } from "node:net";
import { assert } from "../core/assert.ts";
import { createEventClock } from "../core/event-clock.ts";
import { seededRandom } from "../core/random.ts";
import { farewellTime } from "../ha/timing.ts";
import { DataPlane } from "../proxy/data-plane.ts";
import { createDgramEngine } from "../proxy/dgram-engine.ts";
import { ARENA_BYTES, READ } from "../proxy/layout.ts";
import { createNetEngine } from "../proxy/net-engine.ts";
import { WorkerCounters } from "../state/slot-worker.ts";
import type { Snapshot } from "../state/snapshot.ts";
import { beatInterval, type FromWorker, type ToWorker } from "../state/worker-protocol.ts";
import { createArena } from "../wire/arena.ts";
import { measureProcess, openCounterRows, rowsToSend } from "./counter-memory.ts";
import { createListening } from "./listening.ts";
import { createWorkerAccessLog } from "./worker-access-log.ts";
import { createWorkerLog } from "./worker-log.ts";

/** How long a worker that lost its supervisor lets its exchanges finish, once nobody new comes any more. */
const ORPHAN_DRAIN_MS = 5_000;

// The supervisor has just gone; `disconnect` follows, and what is under way finishes. Without this it would end us at once.
function unheard(): void {}

function say(message: FromWorker): void {
  if (process.connected) process.send?.(message, undefined, undefined, unheard);
}

const eventClock = createEventClock(() => performance.now());
const clock = eventClock.now;
const log = createWorkerLog(say, clock);
const accessLog = createWorkerAccessLog(log);
const arena = createArena(ARENA_BYTES);
const engine = createNetEngine(arena, READ, eventClock);
const rows = openCounterRows(process.argv, log);
const counters = new WorkerCounters(rows);
const datagrams = createDgramEngine(arena, READ, eventClock);
const listening = createListening(engine, datagrams);
const dataPlane = new DataPlane({
  arena,
  engine,
  datagrams,
  clock,
  wallClock: Date.now,
  random: seededRandom(process.pid ^ Date.now()),
  log,
  rows,
  reportFailure: (pool, target, code) => say({ type: "report", pool, target, code }),
  reportPassive: (pool, target, out) => say({ type: "passive", pool, target, out }),
  onFull(listener, full) {
    // Whoever comes now waits in the backlog of the socket, which the supervisor holds.
    if (full) listening.stop(listener);
    else say({ type: "room", listener });
  },
});

function take(message: ToWorker, handle: unknown): void {
  eventClock.begin();
  switch (message.type) {
    case "snapshot": {
      const { snapshot } = message;
      virtualRouters = snapshot.virtualRouters;
      listening.keepOnly(snapshot.listeners);
      dataPlane.apply(snapshot, accessLog.configure(snapshot.accessLog, snapshot.node), message.unhealthy);
      say({ type: "applied", generation: dataPlane.generation });
      return;
    }
    case "pools":
      dataPlane.takePools(message);
      say({ type: "applied", generation: dataPlane.generation });
      return;
    case "health":
      dataPlane.takeHealth(message.changes);
      return;
    case "listen":
      listen(message.listener, message.address, handle);
      return;
    case "drain":
      drain(message.deadlineMs);
      return;
    case "reopenLogs":
      accessLog.reopen();
      return;
    case "status":
      say({ type: "status", id: message.id, status: { ...dataPlane.status(process.pid), rows: rowsToSend(rows) } });
      return;
    case "report":
      dataPlane.report(message.pool, message.target);
      return;
    default:
      message satisfies never;
  }
}

function listen(listener: string, address: string, handle: unknown): void {
  if (handle instanceof DatagramSocket) {
    const accept = dataPlane.datagramAcceptor(listener);
    assert(accept !== undefined, "a listener is in the snapshot before it reads");
    listening.read(listener, address, handle, accept);
    say({ type: "listening", listener });
    return;
  }
  assert(handle instanceof Server, "a listen message brings a handle");
  const accept = dataPlane.acceptor(listener);
  assert(accept !== undefined, "a listener is in the snapshot before it listens");
  listening.start(listener, handle, accept, () => say({ type: "listening", listener }));
}

let draining = false;
let virtualRouters: Snapshot["virtualRouters"] = [];

function drain(within: number): void {
  dataPlane.drain(within, () => void leave());
  draining = true;
  // Closing a socket resets who waits in its backlog. One more turn of the loop accepts them all; then it is closed at
  // once, so that next to nobody can have come in between.
  setImmediate(() => setImmediate(() => listening.stopAll()));
}

async function leave(): Promise<void> {
  await accessLog.close();
  process.exit(0);
}

let beatUnderWay = false;

// One at a time: a supervisor that stands still must not find an hour of beats, nor may they fill our memory. One that
// could not be sent (the channel is closed) is told by "disconnect".
function beat(): void {
  if (beatUnderWay || !process.connected) return;
  beatUnderWay = true;
  process.send?.({ type: "beat" } satisfies FromWorker, beatSent);
}

function beatSent(): void {
  beatUnderWay = false;
}

process.on("message", (message, handle) => take(message as ToWorker, handle));
process.on("disconnect", () => {
  if (draining) return;
  // The process that speaks VRRP has seen it too, and resigns: until another node has the addresses, clients come here.
  const farewell = Math.max(0, ...virtualRouters.map(farewellTime));
  if (farewell === 0) drain(ORPHAN_DRAIN_MS);
  else setTimeout(() => drain(ORPHAN_DRAIN_MS), farewell);
});
// The terminal's Ctrl-C reaches the whole group; only the supervisor decides what it means.
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP", "SIGUSR1"] as const) process.on(signal, () => {});
setInterval(beat, beatInterval).unref();
measureProcess(counters);
setInterval(() => measureProcess(counters), beatInterval).unref();
say({ type: "ready" });
