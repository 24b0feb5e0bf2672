// One client's datagrams on their way to one target and back, until the client falls silent. On the request's way. It has
// a target for as long as it lives; when that fails it goes to the next with the datagram that met the failure. Bytes it
// does not read. Finding flows, their number and their idleness are the table's business (flow-table.ts).

import type { Milliseconds } from "../core/clock.ts";
import { noTrial, type Trial } from "../health/passive.ts";
import type { ClientSocket, TargetSocket, TargetSocketOwner } from "./datagram-engine.ts";
import { type FlowFault, FlowFaults, targetFault, unopenedFault } from "./flow-faults.ts";
import type { FlowTable } from "./flow-table.ts";
import { HeldDatagram } from "./held-datagram.ts";
import { OUT } from "./layout.ts";
import type { PoolState } from "./pool-state.ts";
import type { TargetState } from "./target-state.ts";

/** Targets that one datagram may meet. */
const TRIES_MAX = 5;
/** ICMP's answer is here long before. A target that owes no response and was sent one this long ago is there. */
export const QUIET_PROOF: Milliseconds = 1_000;

export class Flow implements TargetSocketOwner {
  readonly address: string;
  readonly port: number;
  readonly hash: number;
  readonly startedMs: Milliseconds;
  /** The table's: chain of a bucket, and the list from the flow that was silent longest to the last that spoke. */
  next: Flow | undefined = undefined;
  older: Flow | undefined = undefined;
  newer: Flow | undefined = undefined;
  lastMs: Milliseconds;
  /** The socket by which the client's last datagram came: by the same one it is answered. */
  client: ClientSocket;
  target: TargetState;
  trial: Trial = noTrial;
  requests = 0;
  responses = 0;
  requestBytes = 0;
  responseBytes = 0;
  /** Targets that it was given to. */
  tries = 0;
  firstResponseMs: Milliseconds = -1;
  ended = false;
  private readonly table: FlowTable;
  private socket: TargetSocket;
  /** Targets that have failed the datagrams at hand; none of them is picked for these again. */
  private readonly tried: TargetState[] = [];
  /** When this target was sent its first datagram; -1 before. */
  private openedMs: Milliseconds = -1;
  /** When the oldest datagram was sent that no response has followed; -1 when there is none. */
  private waitingMs: Milliseconds = -1;
  /** The target has answered this flow, or failed it: its judge has heard of us. */
  private judged = false;
  /** The datagram sent last, unless a response has followed, and the one before it: should the last not go out at all. */
  private last: HeldDatagram;
  private before: HeldDatagram;
  /** Both of them went out, one behind the other, when the flow moved. */
  private together = false;

  constructor(table: FlowTable, options: FlowOptions) {
    this.table = table;
    this.address = options.address;
    this.port = options.port;
    this.hash = options.hash;
    this.client = options.client;
    this.startedMs = options.nowMs;
    this.lastMs = options.nowMs;
    this.last = new HeldDatagram(table.memory);
    this.before = new HeldDatagram(table.memory);
    this.target = options.target;
    this.socket = this.open(options.target, options.nowMs);
  }

  fromClient(start: number, end: number, nowMs: Milliseconds): void {
    this.requests += 1;
    this.requestBytes += end - start;
    this.tried.length = 0;
    this.together = false;
    if (!this.settle(nowMs)) return;
    const { last } = this;
    this.last = this.before;
    this.before = last;
    this.last.sentMs = nowMs;
    if (!this.last.keep(this.table.context.arena.bytes, start, end)) this.table.countLimit("flow.held");
    this.transmit(start, end, nowMs);
  }

  // ---- what the target's socket tells

  onDatagram(start: number, end: number): void {
    const { table, target } = this;
    const nowMs = table.context.clock();
    // It may have been sent nothing yet, and speak all the same.
    const latencyMs = this.openedMs < 0 ? 0 : nowMs - this.openedMs;
    this.responses += 1;
    this.responseBytes += end - start;
    if (this.firstResponseMs < 0) this.firstResponseMs = nowMs - this.startedMs;
    target.counters.datagramsFromTarget += 1;
    target.counters.bytesFromTarget += end - start;
    target.heardMs = nowMs;
    if (!this.judged) {
      this.judged = true;
      target.counters.countAnswer(latencyMs);
      this.pool()?.succeeded(target, this.trial, latencyMs, nowMs);
      this.trial = noTrial;
    }
    this.waitingMs = -1;
    this.last.drop();
    this.before.drop();
    table.touch(this, nowMs);
    table.toClient(this, start, end);
    const { responsesMax } = table.config;
    if (responsesMax !== undefined && responsesMax > 0 && this.responses >= responsesMax * this.requests) {
      table.end(this, undefined);
    }
  }

  onUnopened(errorCode: string): void {
    const fault = unopenedFault(errorCode);
    if (fault !== FlowFaults.noSocket) {
      this.failed(fault, true);
      return;
    }
    this.table.countLimit(fault.code);
    this.table.makeRoom(this);
    this.lose(fault, true);
  }

  onError(errorCode: string, unsent: boolean): void {
    const fault = targetFault(errorCode);
    if (fault !== undefined) {
      this.failed(fault, unsent);
      return;
    }
    this.table.drop(`target.send.${errorCode}`, 1);
    if (unsent) this.last.drop();
  }

  // ---- what the table tells

  /** Silent for as long as it may be. A target that owed responses and said nothing to anybody has failed. */
  expire(nowMs: Milliseconds): void {
    const silent = this.isSilent(nowMs);
    if (silent) this.report(FlowFaults.silent, this.waitingMs);
    this.table.end(this, silent ? FlowFaults.silent : undefined);
  }

  /** Without a response that it owes: silence from ICMP is all that a target can prove, and after a while it has. */
  proveByQuiet(nowMs: Milliseconds): void {
    const { responsesMax } = this.table.config;
    if (this.judged || (responsesMax !== undefined && responsesMax > 0)) return;
    if (this.openedMs < 0 || nowMs - this.openedMs < QUIET_PROOF) return;
    this.judged = true;
    this.pool()?.proved(this.target, this.trial);
    this.trial = noTrial;
  }

  /** Once, by the table: lets go of everything. */
  finish(nowMs: Milliseconds): void {
    this.proveByQuiet(nowMs);
    this.ended = true;
    this.leave();
    this.last.free();
    this.before.free();
  }

  // ---- which target

  /** Makes sure that the datagram that has come has a target; false when there is none, and the flow is over. */
  private settle(nowMs: Milliseconds): boolean {
    const { target, table } = this;
    const pool = this.pool();
    if (pool === undefined || target.retired || target.config.intent === "down") return this.moveOrEnd(nowMs);
    if (this.isSilent(nowMs)) {
      this.report(FlowFaults.silent, this.waitingMs);
      this.tried.push(target);
      return this.moveOrEnd(nowMs);
    }
    this.proveByQuiet(nowMs);
    if (!pool.isOut(target, nowMs)) return true;
    // Others have found it dead. Better there than nowhere, though.
    const next = pool.pickLayer4(table.pickFor(this.address, this.tried, nowMs));
    if (next === undefined || next === target) return true;
    // The word on what was sent to a dead target need not come: systems send few such words, and we may be ahead of it.
    this.together = this.last.full && this.last.sentMs >= target.doubtSinceMs;
    this.give(next, nowMs);
    if (this.together) this.sendAgain(this.last, nowMs);
    return true;
  }

  private moveOrEnd(nowMs: Milliseconds): boolean {
    const { table } = this;
    const next = table.pool?.pickLayer4(table.pickFor(this.address, this.tried, nowMs));
    if (next !== undefined) {
      this.give(next, nowMs);
      return true;
    }
    const code = table.whyNone();
    table.drop(code, 1);
    table.end(this, { code, status: 502 });
    return false;
  }

  /** The target failed: the next one gets what it did not take, or the flow is over. */
  private failed(fault: FlowFault, unsent: boolean): void {
    const { table, tried, target } = this;
    const nowMs = table.context.clock();
    this.report(fault, unsent && this.before.full ? this.before.sentMs : this.last.sentMs);
    if (!tried.includes(target)) tried.push(target);
    const next =
      tried.length < TRIES_MAX ? table.pool?.pickLayer4(table.pickFor(this.address, tried, nowMs)) : undefined;
    if (next === undefined) {
      this.lose(fault, unsent);
      return;
    }
    this.give(next, nowMs);
    this.together ||= unsent;
    if (this.together) this.sendAgain(this.before, nowMs);
    this.sendAgain(this.last, nowMs);
  }

  /** Ends with what could not be sent. */
  private lose(fault: FlowFault, unsent: boolean): void {
    const lost = ((unsent || this.together) && this.before.full ? 1 : 0) + (this.last.full ? 1 : 0);
    if (lost > 0) this.table.drop(fault.code, lost);
    this.table.end(this, fault);
  }

  private give(target: TargetState, nowMs: Milliseconds): void {
    this.leave();
    this.socket = this.open(target, nowMs);
  }

  private open(target: TargetState, nowMs: Milliseconds): TargetSocket {
    const { table } = this;
    this.target = target;
    this.tries += 1;
    this.openedMs = -1;
    this.waitingMs = -1;
    this.judged = false;
    target.counters.exchanges += 1;
    this.trial = table.pool?.begin(target, nowMs) ?? noTrial;
    target.activeFlows += 1;
    if (this.trial !== noTrial) table.trials.push(this);
    return table.context.datagrams.connect(target.config.host, target.config.port, this);
  }

  private leave(): void {
    const { target } = this;
    this.socket.close();
    target.active -= 1;
    target.activeFlows -= 1;
    if (this.trial !== noTrial) this.pool()?.abandoned(target, this.trial);
    this.trial = noTrial;
  }

  // ---- bytes

  private transmit(start: number, end: number, nowMs: Milliseconds): void {
    const { counters } = this.target;
    counters.datagramsToTarget += 1;
    counters.bytesToTarget += end - start;
    if (this.openedMs < 0) this.openedMs = nowMs;
    if (this.waitingMs < 0) this.waitingMs = nowMs;
    this.socket.send(start, end);
  }

  private sendAgain(held: HeldDatagram, nowMs: Milliseconds): void {
    if (!held.full) return;
    this.target.counters.retries += 1;
    held.sentMs = nowMs;
    held.copyTo(this.table.context.arena.bytes, OUT);
    this.transmit(OUT, OUT + held.length, nowMs);
  }

  // ---- what is known of the target

  /** It owes responses, and has said nothing to anybody for as long as a flow may be silent. */
  private isSilent(nowMs: Milliseconds): boolean {
    const { responsesMax, timeouts } = this.table.config;
    if (responsesMax === undefined || responsesMax === 0 || this.waitingMs < 0) return false;
    return nowMs - this.waitingMs >= timeouts.flow && this.target.heardMs < this.waitingMs;
  }

  /** The listener's pool as it is now; undefined when the target is another pool's. */
  private pool(): PoolState | undefined {
    const { pool } = this.table;
    return pool?.name === this.target.pool ? pool : undefined;
  }

  /** `sinceMs`: when the datagram was sent that tells it. */
  private report(fault: FlowFault, sinceMs: Milliseconds): void {
    const { target, table } = this;
    const nowMs = table.context.clock();
    target.counters.failures += 1;
    this.judged = true;
    this.trial = noTrial;
    const pool = this.pool();
    if (pool === undefined) return;
    // A dead target fails thousands of flows at once; the other workers need to hear of it until it is out.
    const news = !pool.isOut(target, nowMs);
    pool.failed(target, nowMs, sinceMs);
    if (news) table.context.reportFailure(pool.name, target.address, fault.code);
  }
}

export type FlowOptions = {
  readonly address: string;
  readonly port: number;
  readonly hash: number;
  readonly client: ClientSocket;
  readonly target: TargetState;
  readonly nowMs: Milliseconds;
};
