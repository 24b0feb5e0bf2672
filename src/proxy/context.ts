// What every connection and exchange of one worker shares: the arena with its readers and writers, the engine, time,
// chance, and the ways out (log, reports). One per worker, made by data-plane.ts and handed down; nothing here is global.

import type { Pick } from "../balance/balancer.ts";
import type { Clock, Milliseconds } from "../core/clock.ts";
import type { Log } from "../core/log.ts";
import type { Random } from "../core/random.ts";
import type { Arena } from "../wire/arena.ts";
import type { RequestHead, ResponseHead } from "../wire/http1/head.ts";
import type { HeadParser } from "../wire/http1/parse.ts";
import type { ProxyHeader } from "../wire/proxy-protocol/header.ts";
import type { ClientHello, ClientHelloParser } from "../wire/tls/client-hello.ts";
import type { AccessLog } from "./access-log.ts";
import type { Counts } from "./counts.ts";
import type { DatagramEngine } from "./datagram-engine.ts";
import type { Engine } from "./engine.ts";
import type { Exchange } from "./exchange.ts";
import type { HeadWriter } from "./head-writer.ts";
import type { Slots } from "./layout.ts";
import type { TellPassive } from "./pool-state.ts";
import type { TunnelRecord } from "./tunnel-record.ts";

/** A client's connection, whatever it speaks, as the sweep of deadlines sees it. */
export type Client = {
  /** Place in context.clients. */
  index: number;
  readonly listener: { readonly closing: boolean };
  /** Looks at every deadline; called some times a second. */
  sweep(nowMs: Milliseconds): void;
  /** For a drain, or a listener that is gone: closes the connection if nothing is under way. */
  closeIdle(): void;
  /** Closes at once, whatever is under way. */
  close(): void;
};

export type Context = {
  readonly arena: Arena;
  readonly parser: HeadParser;
  readonly requestHead: RequestHead;
  readonly responseHead: ResponseHead;
  readonly writer: HeadWriter;
  readonly proxyHeader: ProxyHeader;
  readonly clientHello: ClientHello;
  readonly helloParser: ClientHelloParser;
  /** Marks of the header lines that are not forwarded; filled and read within one event. */
  readonly dropped: Uint8Array;
  readonly slots: Slots;
  readonly engine: Engine;
  readonly datagrams: DatagramEngine;
  readonly clock: Clock;
  /** Milliseconds since 1970, for logs only. */
  readonly wallClock: () => Milliseconds;
  readonly random: Random;
  readonly log: Log;
  readonly counts: Counts;
  accessLog: AccessLog | undefined;
  /** Filled and written within one event. */
  readonly tunnelRecord: TunnelRecord;
  /** A target failed in live traffic: the other workers shall know. */
  readonly reportFailure: (pool: string, target: string, code: string) => void;
  /** The passive judge of this worker took a target out, or finds it healthy again: the supervisor shall know. */
  readonly reportPassive: TellPassive;
  /** The worker stops: every exchange is the last of its connection. */
  draining: boolean;
  /** Reused for every pick. */
  readonly pick: Pick;
  /** The last exchange's; never 0 for an exchange. */
  serial: number;
  /** Every client connection, for the sweep of deadlines. */
  readonly clients: Client[];
  /** Exchanges to be used again. */
  readonly spareExchanges: Exchange[];
};
