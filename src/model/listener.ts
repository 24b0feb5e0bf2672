// A listener and its routes as the rest of the program reads them: decoded, defaulted, validated, plain JSON data that
// crosses to the workers as it is. The shape of the file an operator writes is src/config/schema.ts.

import type { Milliseconds } from "../core/clock.ts";

export type BindAddress = {
  /** An IP address without brackets; `0.0.0.0` and `::` mean every address of the family. */
  readonly host: string;
  readonly port: number;
};

/** All in milliseconds; 0 switches one off, except clientHeader, connect, send, firstByte and idle, which must be above 0. */
export type HttpTimeouts = {
  /** From the first byte of a request head (or from accept, for the first request) to its blank line: 408. */
  readonly clientHeader: Milliseconds;
  /** Silence of a client within a request body: 408. */
  readonly clientBody: Milliseconds;
  /** Between exchanges on a kept connection of a client: closed without a word. */
  readonly keepAlive: Milliseconds;
  /** TCP connect to a target: next target, then 504. */
  readonly connect: Milliseconds;
  /** Bytes of ours that the other side does not take: target 504, client closed. */
  readonly send: Milliseconds;
  /** From the end of the request to the first byte of the response head: 504. */
  readonly firstByte: Milliseconds;
  /** Silence of a target within a response: 504 before the head, afterwards the client is closed. */
  readonly idle: Milliseconds;
  /** The whole exchange, all tries together. */
  readonly exchange: Milliseconds;
  /** Silence on a tunnel (after Upgrade or CONNECT). */
  readonly tunnel: Milliseconds;
};

export type HttpLimits = {
  /** Bytes of a request or response head, or of trailers. 431 for a client, 502 for a target. */
  readonly headerBytesMax: number;
  /** Header lines of one head. */
  readonly headerCountMax: number;
  /** Client connections of the listener on this node. The next ones wait in the backlog. */
  readonly connectionsMax: number;
  /** Exchanges on one client connection before it is closed; 0 is no limit. */
  readonly exchangesPerConnectionMax: number;
};

export type HostMatch =
  | { readonly kind: "any" }
  | { readonly kind: "exact"; readonly name: string } // lower case, no port, no final dot
  | { readonly kind: "suffix"; readonly suffix: string }; // `.example.com`, lower case: matches a.example.com, not example.com

export type PathMatch =
  | { readonly kind: "exact"; readonly path: string }
  | { readonly kind: "prefix"; readonly path: string } // bytes, as nginx's prefix location: /api matches /apix
  | { readonly kind: "regex"; readonly source: string }; // JavaScript, unanchored, tried on the decoded, normalized path

export type HeaderRules = {
  /** Replaces every line of that name. A value may hold $variables; an empty value after expansion sets nothing. */
  readonly set: readonly HeaderRule[];
  /** Adds a line beside those that exist. */
  readonly add: readonly HeaderRule[];
  /** Names, lower case. */
  readonly remove: readonly string[];
};

export type HeaderRule = { readonly name: string; readonly value: string };

export type Retry = {
  /** Tries in all, the first included. */
  readonly triesMax: number;
  /** No new try starts after this much of the exchange has passed; 0 is no limit. */
  readonly timeMax: Milliseconds;
  /** Response statuses that count as a failed try of an idempotent request: 502, 503, ... */
  readonly statuses: readonly number[];
};

export type RouteAction =
  | {
      readonly kind: "pool";
      readonly pool: string;
      /** Replaces the matched prefix of the path; only with a prefix match. */
      readonly rewritePrefix: string | undefined;
      /** `tunnel` lets Upgrade through to the target (WebSocket); `refuse` forwards the request without it. */
      readonly upgrade: "refuse" | "tunnel";
      /** `tunnel` lets CONNECT through to the target; `refuse` answers 405. */
      readonly connect: "refuse" | "tunnel";
      readonly retry: Retry;
    }
  | { readonly kind: "respond"; readonly status: number; readonly contentType: string; readonly body: string }
  /** The location may hold $variables. */
  | { readonly kind: "redirect"; readonly status: number; readonly location: string };

export type Route = {
  /** Shown in logs and metrics; by default `<listener>[<index>]`. */
  readonly name: string;
  readonly host: HostMatch;
  readonly path: PathMatch;
  readonly action: RouteAction;
  readonly requestHeaders: HeaderRules;
  readonly responseHeaders: HeaderRules;
  /** Bytes of a request body; 0 is no limit. */
  readonly bodyBytesMax: number;
  readonly timeouts: HttpTimeouts;
};

export type HttpListener = {
  readonly name: string;
  readonly protocol: "http";
  readonly bind: BindAddress;
  /** The first route that matches is taken; none: 404. */
  readonly routes: readonly Route[];
  /** Addresses or CIDR ranges whose X-Forwarded-* lines we believe. */
  readonly trustedProxies: readonly string[];
  /** Sets X-Forwarded-For, -Host, -Proto and X-Real-IP on requests to targets. */
  readonly forwarded: boolean;
  readonly timeouts: HttpTimeouts;
  readonly limits: HttpLimits;
  readonly backlog: number;
};

/** What carries a layer-4 listener; `auto` is the kernel where the listener and the machine allow it, else the proxy. */
export type EngineChoice = "proxy" | "kernel" | "auto";

export type TcpTimeouts = {
  /** From accept to the end of a PROXY header and of a TLS ClientHello, where they are read: reset. */
  readonly clientHeader: Milliseconds;
  /** TCP connect to a target: next target, then reset. */
  readonly connect: Milliseconds;
  /** Bytes that one side does not take: both are reset. */
  readonly send: Milliseconds;
  /** Silence on the tunnel; 0 is without end. */
  readonly tunnel: Milliseconds;
};

/** Tries of a connect; once a target has accepted there is no other. */
export type ConnectRetry = { readonly triesMax: number; readonly timeMax: Milliseconds };

/** The first route whose host matches the name in the TLS ClientHello is taken; none: reset. */
export type TcpRoute = {
  /** Shown in logs and metrics; by default `<listener>[<index>]`. */
  readonly name: string;
  /** Of the server name (SNI). `any` matches a client without one, and one that speaks no TLS. */
  readonly host: HostMatch;
  readonly pool: string;
};

export type ProxyProtocol = {
  /** Every connection of a trusted proxy begins with a PROXY header (v1 or v2); a connection of another has none. */
  readonly receive: boolean;
  /** Addresses or CIDR ranges that send the header; none named: everyone does. */
  readonly trustedProxies: readonly string[];
  /** Written to the target before anything else. */
  readonly send: "off" | "v1" | "v2";
};

export type TcpListener = {
  readonly name: string;
  readonly protocol: "tcp";
  readonly bind: BindAddress;
  readonly engine: EngineChoice;
  /** One with host `any` reads no ClientHello, when it is the only one. */
  readonly routes: readonly TcpRoute[];
  readonly proxyProtocol: ProxyProtocol;
  /** Kernel engine: targets see the client's address and route back through this node. */
  readonly preserveClientAddress: boolean;
  readonly timeouts: TcpTimeouts;
  readonly retry: ConnectRetry;
  readonly limits: {
    /** Client connections of the listener on this node. The next ones wait in the backlog. */
    readonly connectionsMax: number;
  };
  /** Its limit stands in the file, here or under `defaults`: the kernel engine counts for no other, since counting costs. */
  readonly limitStated: boolean;
  readonly backlog: number;
};

export type UdpListener = {
  readonly name: string;
  readonly protocol: "udp";
  readonly bind: BindAddress;
  readonly engine: EngineChoice;
  readonly pool: string;
  /**
   * Datagrams of the target for each of the client, after which a flow ends, as nginx's proxy_responses; undefined: any
   * number. 0: none is expected (logs, reports).
   */
  readonly responsesMax: number | undefined;
  readonly preserveClientAddress: boolean;
  readonly timeouts: {
    /** Silence of a flow both ways. */
    readonly flow: Milliseconds;
  };
  readonly limits: {
    /** Flows of the listener on this node. When full, the flow that was silent longest gives way, counted. */
    readonly flowsMax: number;
  };
  /** As of a TCP listener. */
  readonly limitStated: boolean;
};

/** Whoever carries it: layer 4. */
export type Layer4Listener = TcpListener | UdpListener;

export type Listener = HttpListener | TcpListener | UdpListener;
