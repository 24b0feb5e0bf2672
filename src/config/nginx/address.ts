// Addresses of nginx.conf: what listens, what is connected to, with the ports that go without saying. On the change's way,
// pure: no name is looked up here.

import { formatIp, parseIp } from "../../core/address.ts";

export type HostPort =
  /** An address, IPv6 without brackets. */
  | { readonly kind: "address"; readonly host: string; readonly port: number }
  | { readonly kind: "name"; readonly host: string; readonly port: number }
  | { readonly kind: "unix" };

/** `host`, `host:port`, `[ipv6]:port` or `unix:/path`; a failure is nginx's own word for it. */
export function parseHostPort(
  text: string,
  portDefault: number,
): HostPort | { readonly kind: "wrong"; readonly why: string } {
  if (text.startsWith("unix:")) return { kind: "unix" };
  const match = /^(\[[^\]]*\]|[^:]*)(?::(.*))?$/.exec(text);
  if (match === null) return { kind: "wrong", why: "invalid host" };
  const [, hostText = "", portText] = match;
  if (hostText === "") return { kind: "wrong", why: "no host" };
  const port = portText === undefined ? portDefault : Number(/^\d{1,5}$/.test(portText) ? portText : Number.NaN);
  if (!(port >= 1 && port <= 65_535))
    return { kind: "wrong", why: portText === undefined ? "no port" : "invalid port" };
  const bracketed = hostText.startsWith("[");
  const address = parseIp(bracketed ? hostText.slice(1, -1) : hostText);
  if (bracketed && address?.family !== 6) return { kind: "wrong", why: "invalid IPv6 address" };
  if (address !== undefined) return { kind: "address", host: formatIp(address), port };
  // Every machine has this name for itself; nginx looks it up as well.
  if (hostText.toLowerCase() === "localhost") return { kind: "address", host: "127.0.0.1", port };
  if (!/^[A-Za-z0-9_.-]+$/.test(hostText)) return { kind: "wrong", why: "invalid host" };
  return { kind: "name", host: hostText, port };
}

export type Bind = { readonly host: string; readonly port: number };

export type ListenAddress =
  | { readonly kind: "binds"; readonly binds: readonly Bind[] }
  | { readonly kind: "unix" }
  | { readonly kind: "name"; readonly name: string }
  | { readonly kind: "wrong"; readonly why: string };

/** Ports of one range, more than which nobody wants. */
const portsMax = 256;

/** The first word of `listen`: `80`, `*:80`, `10.0.0.1`, `10.0.0.1:80`, `[::]:80`, `8000-8010`. */
export function parseListen(text: string, portDefault: number | undefined): ListenAddress {
  if (text.startsWith("unix:")) return { kind: "unix" };
  const [, hostText = "", portText] = /^(?:(\[[^\]]*\]|\*|[^:[\]]*?):)?(\d+(?:-\d+)?)$/.exec(text) ?? [];
  // An address has dots or colons of its own, so digits alone are a port.
  if (portText === undefined) {
    if (portDefault === undefined) return { kind: "wrong", why: `no port in "${text}" of the "listen" directive` };
    return withPorts(text, text, [portDefault]);
  }
  const [first = 0, last = first] = portText.split("-").map(Number);
  if (first < 1 || last > 65_535 || last < first || last - first >= portsMax) {
    return { kind: "wrong", why: `invalid port in "${text}" of the "listen" directive` };
  }
  const ports = Array.from({ length: last - first + 1 }, (_, index) => first + index);
  return withPorts(text, hostText === "" ? "*" : hostText, ports);
}

function withPorts(text: string, hostText: string, ports: readonly number[]): ListenAddress {
  if (hostText === "*") return { kind: "binds", binds: ports.map((port) => ({ host: "0.0.0.0", port })) };
  const address = parseIp(hostText.startsWith("[") ? hostText.slice(1, -1) : hostText);
  if (address !== undefined) return { kind: "binds", binds: ports.map((port) => ({ host: formatIp(address), port })) };
  if (hostText.toLowerCase() === "localhost") {
    return { kind: "binds", binds: ports.map((port) => ({ host: "127.0.0.1", port })) };
  }
  if (/^[A-Za-z0-9_.-]+$/.test(hostText)) return { kind: "name", name: hostText };
  return { kind: "wrong", why: `invalid host in "${text}" of the "listen" directive` };
}
