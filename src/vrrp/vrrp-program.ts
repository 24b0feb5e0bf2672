// Wires the virtual routers to their process: the supervisor's channel, the guardian, the kernel's news, the ports and the
// clock, all in one wait. The change's way. One turn: wait until something is ready or due, see whether time has stood still,
// read what came, then fire what is due; so no timer of a sleeper fires before it knows that it slept.

import type { Milliseconds } from "../core/clock.ts";
import { type Failure, good, type Result } from "../core/failure.ts";
import { closeGuardian, type Guardian, readGuardian, startGuardian, tellGuardian } from "../io/guardian.ts";
import type { GuardianOrder, GuardianReport } from "../io/guardian-message.ts";
import { neverWait } from "../io/libc-sockets.ts";
import { type LineChannel, lineChannel, readLines, writeLine } from "../io/line-channel.ts";
import { openRouteMonitor, type RouteMonitor, readRouteNews } from "../io/netlink-route.ts";
import type { OwnedAddresses } from "../io/owned-addresses.ts";
import { addSource, removeSource, type WaitLoop, waitOnce } from "../io/wait-loop.ts";
import { type FromVrrp, supervisorSilenceMax, type ToVrrp } from "../state/vrrp-protocol.ts";
import { decodeToVrrp } from "./channel.ts";
import { type KernelEdges, kernelEdges, noGuardian } from "./kernel-edges.ts";
import { VrrpNode } from "./vrrp-node.ts";

/** A wait is never longer, so that a pause shows as one. */
const waitMax: Milliseconds = 1_000;
/** Scheduling, not sleep. */
const gapMin: Milliseconds = 5;
const guardianRestartWait: Milliseconds = 1_000;
const silentCause = "supervisorSilent";

/** What may have something to read, besides the ports. */
type Source = "channel" | "guardian" | "monitor";

export type VrrpProgramOptions = {
  readonly loop: WaitLoop;
  readonly channelFd: number;
  readonly realtime: Result<true>;
};

export class VrrpProgram {
  readonly owned: OwnedAddresses;
  readonly #options: VrrpProgramOptions;
  readonly #channel: LineChannel;
  readonly #edges: KernelEdges;
  readonly #node: VrrpNode;
  #guardian: Guardian | undefined;
  #guardianDueAt: Milliseconds | undefined;
  #monitor: RouteMonitor | undefined;
  #heardAt: Milliseconds;
  #silent = false;
  #orphaned = false;
  readonly #ready = new Set<Source>();

  constructor(options: VrrpProgramOptions) {
    this.#options = options;
    const { channelFd: fd } = options;
    neverWait(fd);
    this.#channel = lineChannel({ readFd: fd, writeFd: fd });
    this.#edges = kernelEdges(options.loop, (order) => this.#guard(order));
    this.owned = this.#edges.owned;
    this.#node = new VrrpNode(this.#edges, (message) => this.#say(message));
    this.#heardAt = this.#edges.now();
  }

  /** Opens what is needed before anything is known of virtual routers. Codes: guardian.start, netlink.failed, wait.limit. */
  start(): Result<true> {
    const { loop, channelFd, realtime } = this.#options;
    const watched = addSource(loop, { fd: channelFd, onReady: () => this.#mark("channel") });
    if (!watched.ok) return watched;
    const guardian = this.#startGuardian();
    if (!guardian.ok) return guardian;
    const monitor = openRouteMonitor();
    if (!monitor.ok) return monitor;
    this.#monitor = monitor.value;
    const heard = addSource(loop, { fd: monitor.value.fd, onReady: () => this.#mark("monitor") });
    if (!heard.ok) return heard;
    this.#say({
      type: "ready",
      pid: process.pid,
      guardianPid: this.#guardian?.pid ?? 0,
      realtime: realtime.ok ? undefined : realtime.failure.detail,
    });
    return good(true);
  }

  /** Addresses that a former run had left, removed by now. */
  tellLeftovers(addresses: readonly string[]): void {
    if (addresses.length === 0) return;
    const message = "addresses of a former run removed";
    this.#say({ type: "log", level: "warn", message, fields: { addresses } });
  }

  /** Another one speaks here; its addresses are left to it. */
  tellCompanion({ code, detail }: Failure): void {
    this.#say({ type: "log", level: "warn", message: "not alone on this machine", fields: { code, detail } });
  }

  /** All is given up, after `stop` or without a supervisor. */
  get ended(): boolean {
    return this.#node.ended;
  }

  /** Fails with `wait.failed`. */
  turn(): Result<true> {
    const before = this.#edges.now();
    const due = this.#dueAt(before);
    const timeout = this.#node.ports.ready.size > 0 ? 0 : Math.min(waitMax, Math.max(0, due - before));
    const waited = waitOnce(this.#options.loop, timeout);
    if (!waited.ok) return waited;
    const gap = this.#edges.now() - before - timeout;
    if (gap > gapMin) {
      // Nobody could be heard while nothing ran here.
      this.#heardAt += gap;
      this.#node.woke(gap);
    }
    if (this.#take("channel")) this.#readChannel();
    if (this.#take("guardian")) this.#readGuardian();
    if (this.#take("monitor")) this.#readMonitor();
    const ports = [...this.#node.ports.ready];
    this.#node.ports.ready.clear();
    for (const port of ports) this.#node.receive(port);
    this.#node.tick();
    this.#watchSupervisor();
    this.#watchGuardian();
    return good(true);
  }

  #mark(what: Source): void {
    this.#ready.add(what);
  }

  #take(what: Source): boolean {
    return this.#ready.delete(what);
  }

  #dueAt(now: Milliseconds): Milliseconds {
    const due = this.#node.nextDueAt() ?? now + waitMax;
    return Math.min(due, this.#guardianDueAt ?? due);
  }

  #say(message: FromVrrp): void {
    if (this.#orphaned) return;
    const told = writeLine(this.#channel, JSON.stringify(message));
    // A supervisor that is gone, or reads nothing while a megabyte waits for it, is no supervisor any more.
    if (!told.ok) this.#orphan();
  }

  #orphan(): void {
    if (this.#orphaned) return;
    this.#orphaned = true;
    removeSource(this.#options.loop, this.#options.channelFd);
    this.#node.stop();
  }

  #readChannel(): void {
    const said = readLines(this.#channel);
    if (!said.ok) {
      this.#orphan();
      return;
    }
    this.#heardAt = this.#edges.now();
    for (const line of said.value.lines) {
      const message = decodeToVrrp(line);
      if (message.ok) this.#obey(message.value);
      else this.#say({ type: "log", level: "error", message: "not understood", fields: { ...message.failure } });
    }
    if (said.value.ended) this.#orphan();
  }

  #obey(message: ToVrrp): void {
    switch (message.type) {
      case "configure":
        this.#node.configure(message);
        this.#say({ type: "configured", id: message.id });
        break;
      case "track":
        this.#node.track(message.name, message.standing);
        break;
      case "order": {
        const denied = this.#node.order(message.router, message.order);
        this.#say({ type: "ordered", id: message.id, denied });
        break;
      }
      case "status": {
        const { realtime } = this.#options;
        const status = {
          pid: process.pid,
          guardianPid: this.#guardian?.pid ?? 0,
          realtime: realtime.ok ? undefined : realtime.failure.detail,
          ...this.#node.status(),
        };
        this.#say({ type: "status", id: message.id, status });
        break;
      }
      case "beat":
        break;
      case "stop":
        this.#node.stop();
        break;
      default:
        message satisfies never;
    }
  }

  // One that hangs cannot see that its workers do, and its tracks say nothing new.
  #watchSupervisor(): void {
    const silence = this.#edges.now() - this.#heardAt;
    if (silence > supervisorSilenceMax && !this.#silent) {
      this.#silent = true;
      this.#node.fault(silentCause, `the supervisor has said nothing for ${Math.round(silence / 1000)} s`);
    } else if (silence <= supervisorSilenceMax && this.#silent) {
      this.#silent = false;
      this.#node.clear(silentCause);
    }
  }

  #readMonitor(): void {
    if (this.#monitor === undefined) return;
    const news = readRouteNews(this.#monitor);
    if (!news.ok) this.#say({ type: "log", level: "error", message: "news of the kernel lost", fields: news.failure });
    // What became of it in the meantime is what counts.
    if (!news.ok || news.value.length > 0) this.#node.look();
  }

  #startGuardian(): Result<true> {
    const started = startGuardian();
    if (!started.ok) return started;
    this.#guardian = started.value;
    this.#guardianDueAt = undefined;
    const { readFd } = started.value.channel;
    return addSource(this.#options.loop, { fd: readFd, onReady: () => this.#mark("guardian") });
  }

  #guard(order: GuardianOrder): Result<true> {
    return this.#guardian === undefined ? noGuardian() : tellGuardian(this.#guardian, order);
  }

  #readGuardian(): void {
    if (this.#guardian === undefined) return;
    const news = readGuardian(this.#guardian);
    const reports = news.ok ? news.value.reports : [];
    for (const report of reports) this.#hearGuardian(report);
    if (news.ok && !news.value.ended) return;
    this.#say({ type: "log", level: "error", message: "the guardian has ended: another one is started", fields: {} });
    removeSource(this.#options.loop, this.#guardian.channel.readFd);
    closeGuardian(this.#guardian);
    this.#guardian = undefined;
    this.#guardianDueAt = this.#edges.now() + guardianRestartWait;
  }

  #hearGuardian(report: GuardianReport): void {
    switch (report.kind) {
      case "ready":
      case "guarding":
        break;
      case "gone":
        this.#node.look();
        break;
      case "failed": {
        const { code, detail } = report;
        this.#say({ type: "log", level: "error", message: "guardian", fields: { code, detail } });
        break;
      }
      default:
        report satisfies never;
    }
  }

  #watchGuardian(): void {
    if (this.#guardianDueAt === undefined || this.#edges.now() < this.#guardianDueAt) return;
    const started = this.#startGuardian();
    if (started.ok) {
      this.#node.guardAnew();
      return;
    }
    this.#say({ type: "log", level: "error", message: "no guardian", fields: started.failure });
    this.#guardianDueAt = this.#edges.now() + guardianRestartWait * 10;
  }

  /** At the end: the guardian has nothing to do any more. */
  takeLeave(): void {
    if (this.#guardian !== undefined) {
      tellGuardian(this.#guardian, { kind: "done" });
      closeGuardian(this.#guardian);
      this.#guardian = undefined;
    }
    this.#say({ type: "stopped" });
  }
}
