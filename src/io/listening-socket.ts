// Listening sockets as plain descriptors, several for one address (SO_REUSEPORT): one for each worker slot. The
// supervisor keeps them for the life of the listener, so that connections that wait in the backlog of a killed worker, and
// datagrams in its socket, are there for its replacement. The change's way; accepts and reads nothing. Failures are values
// whose detail an operator can act on.

import { fstatSync } from "node:fs";
import { formatSocketAddress } from "../core/address.ts";
import type { Failure, Result } from "../core/failure.ts";
import { bad, good } from "../core/failure.ts";
import { encodeKernelAddress } from "./kernel-address.ts";
import {
  addressFamily,
  bindSocket,
  type CallResult,
  closeDescriptor,
  datagramSocket,
  duplicateDescriptor,
  listenSocket,
  type SocketOption,
  setNumber,
  setOption,
  streamSocket,
} from "./libc.ts";
import { findPortHolders, type PortHolder, type Transport } from "./port-holder.ts";

/** Without a transport it is TCP. A floating address need not be here now: clients are served once it is. */
type Bind = {
  readonly host: string;
  readonly port: number;
  readonly transport?: Transport;
  readonly floating?: boolean;
};

/**
 * What the kernel keeps for a worker that does not read just now; what comes beyond is lost. Linux doubles it, for its
 * own share of each: that makes some 3,600 full-size or 10,000 small datagrams. Memory is taken only for what waits.
 */
export const receiveBufferBytes = 4 * 1024 * 1024;

function failure(code: string, detail: string): Failure {
  return { code, origin: "self", retrySafe: false, detail };
}

/**
 * Whether the address is free for us. Binds without SO_REUSEPORT, since with it a bind beside another program of the
 * same user that set it too would succeed, and the two would share the clients. Sockets whose inodes are in `own`
 * (a listener of ours that this one replaces) do not count as taken.
 * Codes: listener.bind.inUse, .denied, .addressNotAvailable, .failed.
 */
export function probeAddress(bind: Bind, own: ReadonlySet<number> = new Set()): Result<true> {
  // For datagrams SO_REUSEADDR is a permission to share, for connections it is not.
  const opened = openBound(bind, bind.transport === "udp" ? [] : ["reuseAddress"]);
  if (opened.ok) {
    closeDescriptor(opened.value);
    return good(true);
  }
  if (opened.failure.code !== "listener.bind.inUse") return opened;
  const holders = findPortHolders(bind);
  if (holders.length > 0 && holders.every((holder) => own.has(holder.inode))) return good(true);
  return bad(failure("listener.bind.inUse", describeInUse(bind, holders)));
}

function describeInUse(bind: Bind, holders: readonly PortHolder[]): string {
  const address = formatSocketAddress(bind);
  const known = new Map<number, string>();
  for (const { process } of holders) if (process !== undefined) known.set(process.pid, process.command);
  if (known.size > 0) {
    const names = [...known].map(([pid, command]) => `process ${pid} (${command})`);
    return `${address} is in use by ${names.join(" and ")}: stop it or choose another port`;
  }
  const whose = holders.length > 0 ? "a process that this user may not look into" : "a process that could not be found";
  const command = bind.transport === "udp" ? "ss -lunp" : "ss -ltnp";
  return `${address} is in use by ${whose}: find it as root with \`${command}\`, stop it or choose another port`;
}

/**
 * A socket bound to the address, for connections not yet listening, which shares the address with its sisters. Probe first.
 * The value is the descriptor; whoever asked closes it. Codes as for probeAddress.
 */
export function bindShared(bind: Bind): Result<number> {
  if (bind.transport !== "udp") return openBound(bind, ["reuseAddress", "reusePort"]);
  const bound = openBound(bind, ["reusePort"]);
  if (!bound.ok) return bound;
  // Beyond net.core.rmem_max with CAP_NET_ADMIN; without it the kernel cuts to that, which is no reason to refuse.
  const forced = setNumber(bound.value, "receiveBufferForced", receiveBufferBytes);
  const set = forced.ok ? forced : setNumber(bound.value, "receiveBuffer", receiveBufferBytes);
  return set.ok ? bound : closeAfter(bound.value, describeCall(bind, "setsockopt", set));
}

/** Takes back what a process that opened a UDP socket's descriptor has set: that others may share the address. */
export function unshareAddress(fd: number, bind: Bind): Result<true> {
  const set = setNumber(fd, "reuseAddress", 0);
  return set.ok ? good(true) : bad(describeCall(bind, "setsockopt", set));
}

function openBound(bind: Bind, options: readonly SocketOption[]): Result<number> {
  const address = encodeKernelAddress(bind.host, bind.port);
  if (address === undefined) {
    return bad(failure("listener.bind.failed", `${formatSocketAddress(bind)}: not an IP address`));
  }
  const socket = bind.transport === "udp" ? datagramSocket(address.family) : streamSocket(address.family);
  if (!socket.ok) return bad(describeCall(bind, "socket", socket));
  const wanted = [...options, ...familyOptions(address.family, bind.floating === true)];
  for (const option of wanted) {
    const set = setOption(socket.value, option);
    if (!set.ok) return closeAfter(socket.value, describeCall(bind, "setsockopt", set));
  }
  const bound = bindSocket(socket.value, address.bytes);
  return bound.ok ? good(socket.value) : closeAfter(socket.value, describeCall(bind, "bind", bound));
}

function familyOptions(family: number, floating: boolean): readonly SocketOption[] {
  if (family === addressFamily.v6) return floating ? ["v6Only", "freeBindV6"] : ["v6Only"];
  return floating ? ["freeBind"] : [];
}

function closeAfter(fd: number, why: Failure): Result<number> {
  closeDescriptor(fd);
  return bad(why);
}

function describeCall(bind: Bind, call: string, result: CallResult & { readonly ok: false }): Failure {
  const address = formatSocketAddress(bind);
  switch (result.name) {
    case "EADDRINUSE":
      return failure("listener.bind.inUse", `${address} is in use`);
    case "EACCES":
      return failure(
        "listener.bind.denied",
        `${address}: this user may not bind port ${bind.port}: run as root, give the program CAP_NET_BIND_SERVICE, or choose a port from 1024 on`,
      );
    case "EADDRNOTAVAIL":
      return failure(
        "listener.bind.addressNotAvailable",
        `${address}: no interface of this machine has the address ${bind.host}: check the address (ip addr), use 0.0.0.0 or [::] for every address, or set net.ipv4.ip_nonlocal_bind=1 (net.ipv6.ip_nonlocal_bind=1) when it arrives later`,
      );
    case "EAFNOSUPPORT":
      return failure("listener.bind.addressNotAvailable", `${address}: this kernel has no such address family`);
    case "EMFILE":
    case "ENFILE":
      return failure("listener.bind.failed", `${address}: out of file descriptors: raise the limit (ulimit -n)`);
    default:
      return failure("listener.bind.failed", `${address}: ${call} failed with ${result.name}`);
  }
}

/** Starts to listen, or changes the backlog of a socket that does. */
export function startListening(fd: number, bind: Bind, backlog: number): Result<true> {
  const result = listenSocket(fd, backlog);
  return result.ok ? good(true) : bad(describeCall(bind, "listen", result));
}

/** A second descriptor of the same socket. Fails with `descriptor.duplicate` when the process has no descriptor left. */
export function duplicate(fd: number): Result<number> {
  const result = duplicateDescriptor(fd);
  return result.ok
    ? good(result.value)
    : bad(failure("descriptor.duplicate", `descriptor ${fd}: fcntl failed with ${result.name}`));
}

export function closeListening(fd: number): void {
  closeDescriptor(fd);
}

/** The socket's inode: what /proc names it by. */
export function socketInode(fd: number): number {
  return fstatSync(fd).ino;
}
