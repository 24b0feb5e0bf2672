// The values of a source that nothing else has: servers of a store, prefixes of keys, names of services and of the DNS. On
// the change's way, below source-schema.ts. What comes out has one spelling, so that two of one place are seen to be one.
// Must not repeat a text that may hold a password.

import { formatIp, formatSocketAddress, isUnspecified, parseIp, parseSocketAddress } from "../core/address.ts";
import { leaf, type Reading, read, refuse, textReader } from "./leaf.ts";
import { storeNameBytesMax, storePrefixBytesMax } from "./limits.ts";

const endpointExpected = "`host:port`, `http://host:port` or `https://host:port`";

/**
 * A store's server as a URL of scheme, host and port, `http://127.0.0.1:8500`. Without a scheme the port must stand there,
 * with one it is the scheme's own if need be (RFC 9110 section 4.2). `usualPort` is suggested, `secrets` names the keys
 * that belong in the place of a password in a URL.
 */
export function endpoint(options: { readonly usualPort: number; readonly secrets: string }) {
  const reader = textReader(endpointExpected, (text): Reading<string> => {
    if (text.includes("@")) {
      return refuse("config.endpoint.user", "the address names a user", `the server alone, and ${options.secrets}`);
    }
    const [, scheme, authority = "", rest = ""] = /^(?:([^/]*):\/\/)?([^/?#]*)(.*)$/s.exec(text) ?? [];
    if (scheme !== undefined && scheme !== "http" && scheme !== "https") {
      const lower = /^https?$/i.test(scheme) ? text.replace(scheme, scheme.toLowerCase()) : undefined;
      return refuse("config.endpoint.scheme", `\`${scheme}\` is not spoken with a store`, endpointExpected, lower);
    }
    if (rest !== "") {
      const bare = text.slice(0, text.length - rest.length);
      return refuse("config.endpoint.path", `\`${text}\` has a path`, `${endpointExpected} alone`, bare);
    }
    return readAuthority(text, { scheme, authority, usualPort: options.usualPort });
  });
  const json = { type: "string", pattern: "^((https?://)?[^/?#@]+|.*\\$\\{.*)$" };
  return leaf(reader, json, endpointExpected);
}

type Authority = { readonly scheme: string | undefined; readonly authority: string; readonly usualPort: number };

function readAuthority(text: string, { scheme, authority, usualPort }: Authority): Reading<string> {
  const match = /^(\[[^\]]*\]|[^:]+)(?::(.*))?$/.exec(authority);
  const host = match === null ? undefined : readHostName(match[1] ?? "");
  if (host === undefined) return refuse("config.endpoint", `\`${text}\` names no server`, endpointExpected);
  if (host === "0.0.0.0" || host === "[::]") {
    return refuse(
      "config.address.unspecified",
      `\`${text}\` is no address to connect to`,
      "the address of one machine",
    );
  }
  const digits = match?.[2] ?? (scheme === undefined ? undefined : scheme === "http" ? "80" : "443");
  if (digits === undefined) {
    return refuse("config.endpoint.port", `\`${text}\` has no port`, endpointExpected, `${host}:${usualPort}`);
  }
  const port = /^[1-9]\d{0,4}$/.test(digits) ? Number(digits) : 0;
  if (port >= 1 && port <= 65_535) return read(`${scheme ?? "http"}://${host}:${port}`);
  return refuse("config.endpoint.port", `\`${text}\` has a port that is not 1 to 65535`, endpointExpected);
}

/** A name in lower case or an address in canonical text, IPv6 in brackets; undefined for anything else. */
function readHostName(text: string): string | undefined {
  if (text.startsWith("[")) {
    const address = parseIp(text.slice(1, -1));
    return address?.family === 6 ? `[${formatIp(address)}]` : undefined;
  }
  const address = parseIp(text);
  if (address !== undefined) return formatIp(address);
  const name = text.toLowerCase();
  return isDomainName(name) ? name : undefined;
}

/** Labels of a name in the DNS, with `_`, whose last is no number: what ends in a number is meant as an address. */
function isDomainName(name: string): boolean {
  const labels = name.split(".");
  if (name.length > 253 || /^\d*$/.test(labels.at(-1) ?? "")) return false;
  return labels.every((label) => /^(?!-)[a-z0-9_-]{1,63}(?<!-)$/.test(label));
}

/** True when an endpoint's or server's URL leads nowhere but to this machine. */
export function staysHere(url: string): boolean {
  const host = url.replace(/^https?:\/\//, "").replace(/:\d+$/, "");
  return host === "localhost" || host === "[::1]" || (host.startsWith("127.") && parseIp(host) !== undefined);
}

const prefixExpected = "a prefix of keys that ends with `/`, such as `upstreams/app/`";

/** Where a store's own API begins in a URL, as nginx-upsync-module's `upsync` line has it in front of the prefix. */
const apiPath = /^(?:https?:\/\/)?[^/]*\/(?:v1\/kv|v2\/keys)\//;

/**
 * What the keys of a pool's targets begin with, up to their addresses. A key of Consul never begins with `/`, and has no
 * empty, `.` or `..` part, which its HTTP server would redirect.
 */
export function keyPrefix(store: "consul" | "etcd") {
  const reader = textReader(prefixExpected, (text): Reading<string> => {
    const bytes = new TextEncoder().encode(text).length;
    if (bytes > storePrefixBytesMax) {
      return refuse("config.source.prefix", `the prefix has ${bytes} bytes`, `at most ${storePrefixBytesMax}`);
    }
    const clean = cleanPrefix(text, store);
    const isPrefix = text === clean && (clean !== "/" || store === "etcd");
    if (isPrefix && !/[\u0000-\u001f\u007f]/.test(text)) return read(text);
    const better = clean === text || clean === "/" ? undefined : clean;
    return refuse("config.source.prefix", `\`${text.slice(0, 60)}\` is no prefix`, prefixExpected, better);
  });
  return leaf(reader, { type: "string", pattern: "(/|\\$\\{.*)$" }, prefixExpected);
}

function cleanPrefix(text: string, store: "consul" | "etcd"): string {
  const bare = text.replace(apiPath, "");
  const ended = bare.endsWith("/") ? bare : `${bare}/`;
  if (store === "etcd") return ended;
  const parts = ended.split("/").filter((part) => part !== "" && part !== "." && part !== "..");
  return `${parts.join("/")}/`;
}

/** Any characters but control characters, and not nothing: the name of a service, a tag, a user. */
export function storeName(what: string) {
  const expected = `${what} of 1 to ${storeNameBytesMax} bytes`;
  const reader = textReader(`text: ${expected}`, (text): Reading<string> => {
    const bytes = new TextEncoder().encode(text).length;
    if (bytes >= 1 && bytes <= storeNameBytesMax && !/[\u0000-\u001f\u007f]/.test(text)) return read(text);
    return refuse("config.source.name", `\`${text.slice(0, 60)}\` is not that`, expected);
  });
  return leaf(reader, { type: "string", pattern: "." }, expected);
}

const datacenterExpected = "the name of a datacenter: letters, digits, `_` and `-`";

export function datacenter() {
  const reader = textReader(`text: ${datacenterExpected}`, (text): Reading<string> => {
    if (/^[A-Za-z0-9_-]{1,64}$/.test(text)) return read(text);
    return refuse("config.source.datacenter", `\`${text.slice(0, 60)}\` is no datacenter`, datacenterExpected);
  });
  return leaf(reader, { type: "string" }, datacenterExpected);
}

const dnsNameExpected = "a name of the DNS, such as `app.example.com` or `_http._tcp.app.example.com`";

/** In lower case, without a dot at its end: it is whole as it stands, no domain is searched. */
export function dnsName() {
  const reader = textReader(dnsNameExpected, (text): Reading<string> => {
    const name = text.toLowerCase().replace(/\.$/, "");
    if (isDomainName(name)) return read(name);
    const bare = name.replace(/^[a-z]+:\/\//, "").replace(/[:/].*$/, "");
    const better = bare !== name && isDomainName(bare) ? bare : undefined;
    return refuse("config.source.name", `\`${text.slice(0, 60)}\` is no name`, dnsNameExpected, better);
  });
  return leaf(reader, { type: "string" }, dnsNameExpected);
}

const nameServerExpected = "the IP address of a name server, with its port when that is not 53";

/** `10.0.0.2` or `10.0.0.2:53` to `10.0.0.2:53`. */
export function nameServer() {
  const reader = textReader(nameServerExpected, (text): Reading<string> => {
    const bare = parseIp(text);
    const parsed = bare === undefined ? parseSocketAddress(text) : undefined;
    const server = bare === undefined ? parsed : { ok: true as const, value: { host: formatIp(bare), port: 53 } };
    if (server === undefined || !server.ok) {
      return refuse("config.source.server", `\`${text.slice(0, 60)}\` is none`, nameServerExpected);
    }
    const address = parseIp(server.value.host);
    if (address !== undefined && !isUnspecified(address)) return read(formatSocketAddress(server.value));
    return refuse("config.address.unspecified", `\`${text}\` is no address to ask`, nameServerExpected);
  });
  return leaf(reader, { type: "string" }, nameServerExpected);
}
