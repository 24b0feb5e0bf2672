// A datagram of the UDP workloads as client and echo server read it: who sent it and its number, so that one that is lost,
// doubled or answered late is known as such, and which target answered. Pure.
//
//   0 lane u32 | 4 serial u32 | 8 target u32, written by the echo server | 12 filling

export const laneAt = 0;
export const serialAt = 4;
export const targetAt = 8;

const AF_INET = 2;

/** struct sockaddr_in. The host is four decimal numbers. */
export function socketAddress(host: string, port: number): Uint8Array {
  const bytes = new Uint8Array(16);
  const view = new DataView(bytes.buffer);
  view.setUint16(0, AF_INET, true);
  view.setUint16(2, port);
  view.setUint32(4, addressNumber(host));
  return bytes;
}

/** 10.0.0.1 as 0x0a000001. */
export function addressNumber(host: string): number {
  return host.split(".").reduce((sum, octet) => sum * 256 + Number(octet), 0);
}

/** Numbered flows over some sockets and the addresses of a network: no two numbers below `flows` have both in common. */
export type FlowSpace = { readonly sockets: number; readonly first: number };

export function placeOf(space: FlowSpace, flow: number): { readonly socket: number; readonly address: number } {
  return { socket: flow % space.sockets, address: space.first + Math.floor(flow / space.sockets) };
}
