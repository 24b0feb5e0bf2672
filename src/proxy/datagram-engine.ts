// The border between the core and whatever moves datagrams; engine.ts is the same for streams. The core above knows no
// socket, an engine knows no flow. Everything is a callback that runs to completion. A datagram is a range of the arena,
// always whole: one handed to `onDatagram` is the core's to read and to send until it returns, and stays as it came; one
// handed to `send` is the engine's only during the call. UDP promises nothing, and neither does `send`.

/** A bound socket that clients send to. After its end every send is a no-op. */
export type ClientSocket = {
  /** Goes out from the address that the socket is bound to. What cannot be sent is lost and told by `onLost`. */
  send(start: number, end: number, address: string, port: number): void;
};

export type ClientSocketOwner = {
  /** The address is text as the system gives it, with a zone where it is link-local. */
  onDatagram(start: number, end: number, address: string, port: number): void;
  /** A datagram to some client was not sent; errorCode is the system's, or one of LostCode. */
  onLost(errorCode: string): void;
};

/** A socket of our own, connected to a target, so that it hears the target alone and ICMP's word of it. */
export type TargetSocket = {
  send(start: number, end: number): void;
  /** The owner hears nothing more. */
  close(): void;
};

/** No callback is ever made from within a call of the core. */
export type TargetSocketOwner = {
  onDatagram(start: number, end: number): void;
  /** The socket could not be had, and what was sent on it is lost; errorCode is the system's (`EMFILE`). */
  onUnopened(errorCode: string): void;
  /**
   * The system's word (`ECONNREFUSED`), or one of LostCode. `unsent`: the datagram sent last has met it and has not gone
   * out; the cause may be one before it. Otherwise one that had gone out met it on its way. The socket can be used on.
   */
  onError(errorCode: string, unsent: boolean): void;
};

export type DatagramEngine = {
  /** Opens at once; a failure is told by `onUnopened`. The host is an IP address. */
  connect(host: string, port: number, owner: TargetSocketOwner): TargetSocket;
};

/** Errors of the engine's own. */
export const LostCode = {
  /** The system takes nothing for now, and as much waits as may. */
  queueFull: "queueFull",
  /** The client cannot be answered: it sends from port 0. */
  noPort: "noPort",
} as const;
