// What a worker counts, as plain numbers that its requests bump and that the supervisor asks for and sums. No atomics,
// no map look-ups on the request's way: the compiled listener, route and target each hold their own object.

export type ListenerCounters = {
  connectionsAccepted: number;
  /** Gauge. */
  connectionsOpen: number;
  exchanges: number;
  /** Responses by first digit: index 1 to 5; index 0 counts exchanges that ended without a status (client gone). */
  readonly statusClasses: number[];
  bytesFromClients: number;
  bytesToClients: number;
  /** Of UDP listeners. */
  datagramsFromClients: number;
  datagramsToClients: number;
  flowsOpened: number;
  /** Gauge. */
  flowsOpen: number;
  /** Datagrams that went nowhere, by reason; only touched when there is one. */
  readonly drops: Record<string, number>;
  /** A named limit bit: code of the limit to count, only touched when it bites. */
  readonly limits: Record<string, number>;
};

export type TargetCounters = {
  connectionsOpened: number;
  /** Gauge: connections waiting in the idle pool. */
  connectionsIdle: number;
  /** Tries of HTTP exchanges and of TCP clients, and flows, that it was given. */
  exchanges: number;
  failures: number;
  retries: number;
  bytesToTarget: number;
  bytesFromTarget: number;
  datagramsToTarget: number;
  datagramsFromTarget: number;
};

export function listenerCounters(): ListenerCounters {
  return {
    connectionsAccepted: 0,
    connectionsOpen: 0,
    exchanges: 0,
    statusClasses: [0, 0, 0, 0, 0, 0],
    bytesFromClients: 0,
    bytesToClients: 0,
    datagramsFromClients: 0,
    datagramsToClients: 0,
    flowsOpened: 0,
    flowsOpen: 0,
    drops: {},
    limits: {},
  };
}

export function targetCounters(): TargetCounters {
  return {
    connectionsOpened: 0,
    connectionsIdle: 0,
    exchanges: 0,
    failures: 0,
    retries: 0,
    bytesToTarget: 0,
    bytesFromTarget: 0,
    datagramsToTarget: 0,
    datagramsFromTarget: 0,
  };
}
