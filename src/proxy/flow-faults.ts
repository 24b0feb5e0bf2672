// Why a flow ended before its time, why a datagram was dropped, and what of it is the target's fault. On the request's way;
// the codes are stable, operators alert on them. A dropped datagram is counted by its reason and told to nobody: UDP
// has no word for it.

export type FlowFault = {
  readonly code: string;
  /** As nginx's stream module: 502 target, 500 ourselves. */
  readonly status: number;
};

function fault(code: string, status: number): FlowFault {
  return { code, status };
}

export const FlowFaults = {
  /** ICMP said that nobody listens on the port. */
  refused: fault("target.connect.refused", 502),
  unreachable: fault("target.connect.failed", 502),
  /** It owes responses and has answered nobody for as long as a flow may be silent. */
  silent: fault("target.silent", 502),
  /** The listener has as many flows as it may: this one was silent longest. */
  evicted: fault("listener.flows", 500),
  /** No descriptor, no local port or no memory for a socket towards the target. */
  noSocket: fault("flow.socket", 500),
  removed: fault("listener.removed", 500),
  drained: fault("worker.drained", 500),
} as const satisfies Record<string, FlowFault>;

/** Reasons of dropped datagrams, beside the codes of pools (`pool.allOut`) and of the faults above. */
export const DropReason = {
  draining: "listener.draining",
  poolUnknown: "pool.unknown",
} as const;

/** What the system's word about a target means; undefined: nothing that is the target's fault. */
export function targetFault(errorCode: string): FlowFault | undefined {
  switch (errorCode) {
    case "ECONNREFUSED":
      return FlowFaults.refused;
    case "EHOSTUNREACH":
    case "ENETUNREACH":
    case "ENOPROTOOPT":
    case "EACCES":
      return FlowFaults.unreachable;
    default:
      return undefined;
  }
}

/** The same for a socket that could not be opened: want of our own, or a target that cannot be reached from here. */
export function unopenedFault(errorCode: string): FlowFault {
  switch (errorCode) {
    case "EMFILE":
    case "ENFILE":
    case "ENOMEM":
    case "ENOBUFS":
    case "EADDRINUSE":
    case "EAGAIN":
      return FlowFaults.noSocket;
    default:
      return FlowFaults.unreachable;
  }
}
