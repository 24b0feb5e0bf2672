// What a refused socket call means to an operator, with the remedy in words, for the raw and link-layer sockets. The
// change's way. It must stay independent of what is sent: the caller gives the prefix of the code (`vrrp.socket`) and says
// which interface it was about.

import { bad, type Failure } from "../core/failure.ts";
import type { CallResult } from "./libc.ts";

/** How a process gets the capabilities it lacks; the end of several messages. */
export const capabilityRemedy =
  "run as root, or give the service AmbientCapabilities=CAP_NET_ADMIN CAP_NET_RAW (in a container: --cap-add NET_ADMIN --cap-add NET_RAW)";

export type SocketPlace = {
  /** Prefix of the code, as `vrrp.socket`. */
  readonly code: string;
  readonly interface: string;
  /** The address that packets are to come from. */
  readonly source?: string | undefined;
};

/**
 * The failure of one call. Codes, behind the prefix: .denied, .interfaceMissing, .sourceMissing, .familyMissing,
 * .linkDown, .blocked, .noRoute, .busy, .limit, .failed.
 */
export function socketFailure(
  place: SocketPlace,
  call: string,
  result: CallResult & { readonly ok: false },
): { readonly ok: false; readonly failure: Failure } {
  const { part, detail } = explain(place, call, result.name);
  return bad({ code: `${place.code}.${part}`, origin: "self", retrySafe: false, detail });
}

function explain(place: SocketPlace, call: string, name: string): { readonly part: string; readonly detail: string } {
  const where = `interface ${place.interface}`;
  const sends = call.startsWith("send");
  switch (name) {
    case "EPERM":
    case "EACCES":
      if (sends)
        return { part: "blocked", detail: `${where}: a firewall of this machine refuses the packet (${name})` };
      return { part: "denied", detail: `${where}: this process may not open raw sockets: ${capabilityRemedy}` };
    case "ENODEV":
    case "ENXIO":
      return { part: "interfaceMissing", detail: `${where} does not exist: see \`ip link\` for those that do` };
    case "EADDRNOTAVAIL":
    case "EINVAL":
      if (place.source === undefined) break;
      return { part: "sourceMissing", detail: `${where} does not have the address ${place.source}: see \`ip addr\`` };
    case "EAFNOSUPPORT":
    case "EPROTONOSUPPORT":
      return { part: "familyMissing", detail: `${where}: this kernel has no such address family (is IPv6 disabled?)` };
    case "ENETDOWN":
      return { part: "linkDown", detail: `${where} is down: \`ip link set ${place.interface} up\`` };
    case "ENETUNREACH":
    case "EHOSTUNREACH":
      return { part: "noRoute", detail: `${where} has no route to the peer` };
    case "EAGAIN":
    case "ENOBUFS":
    case "ENOMEM":
      if (!sends) break;
      return { part: "busy", detail: `${where}: its send queue is full (${name})` };
    case "EMFILE":
    case "ENFILE":
      return { part: "limit", detail: `${where}: out of file descriptors: raise the limit (LimitNOFILE=, ulimit -n)` };
  }
  return { part: "failed", detail: `${where}: ${call} failed with ${name}` };
}
