// The shape of layer-4 listeners as an operator writes them: every key of `protocol: tcp` and `protocol: udp`, its meaning,
// its bounds and its default. On the change's way, part of schema.ts. Keys that HTTP listeners have as well are said
// here anew, because here they mean something else: there is no 504, only a reset.

import * as z from "zod";
import { bindAddress, host } from "./http-leaf.ts";
import {
  duration,
  fixedWord,
  flag,
  integer,
  ipRange,
  leaf,
  name,
  oneOf,
  type Reading,
  read,
  refuse,
  textReader,
} from "./leaf.ts";
import {
  backlogMax,
  connectionsMax,
  flowsMax,
  responsesMax,
  routesPerListenerMax,
  triesMax,
  trustedProxiesMax,
} from "./limits.ts";
import { slipsBetween } from "./nearest.ts";

const positive = duration({ off: false });
const orOff = duration({ off: true });

const protocols = ["http", "tcp", "udp"] as const;
export type Protocol = (typeof protocols)[number];

/** The protocol that a text is, or at most a slip away from; `sctp` is no slip of `http`. */
export function nearestProtocol(text: string): Protocol | undefined {
  return protocols.find((known) => slipsBetween(text.toLowerCase(), known) <= 1);
}

const protocolExpected = `one of ${protocols.map((one) => `\`${one}\``).join(", ")}`;

/** What a listener's clients speak; which keys it has besides depends on it. */
export function protocol() {
  const reader = textReader(protocolExpected, (text): Reading<Protocol> => {
    const near = nearestProtocol(text);
    if (near === text) return read(near);
    return refuse("config.value.unknown", `\`${text}\` is unknown`, protocolExpected, near);
  });
  return leaf(reader, { enum: protocols }, protocolExpected);
}

const kernelLimit =
  "`engine: kernel` drops what is over it, and counts only where it is written here or under `defaults`: elsewhere the machine's nf_conntrack_max is the limit.";

export const limitOfFlows = integer(1, flowsMax).describe(
  `Flows of the listener on this node; when full, the one that was silent longest gives way. ${kernelLimit}`,
);

export const timeoutOfFlow = positive.describe("Silence of a UDP flow both ways, after which it ends.");

const engine = oneOf(["proxy", "kernel", "auto"])
  .prefault("proxy")
  .describe(
    [
      "`proxy` carries it in this program; `kernel` by nftables, which costs a tenth and knows less;",
      "`auto` is the kernel where the listener and the machine allow it, else the proxy.",
    ].join(" "),
  );

const preserveClientAddress = flag()
  .prefault(false)
  .describe("Targets see the client's address, and must route back through this node; of the kernel engine alone.");

export const tcpRouteFile = z.strictObject({
  name: name().optional().describe("Shown in logs and metrics; by default `listener[index]`."),
  host: host()
    .optional()
    .describe(
      "Of the server name in the client's TLS hello: `a.example.com`, or `*.example.com` for every name below it; by default any, and clients without TLS.",
    ),
  pool: name().describe("The pool whose targets answer."),
});

const proxyProtocol = z.strictObject({
  receive: flag()
    .prefault(false)
    .describe("Connections begin with a PROXY header, v1 or v2, that names the client; without one they are reset."),
  trustedProxies: z
    .array(ipRange())
    .max(trustedProxiesMax)
    .prefault([])
    .describe("Addresses and ranges that send the header; connections of others have none. Empty: everyone sends it."),
  send: oneOf(["off", "v1", "v2"])
    .prefault("off")
    .describe("The PROXY header that a target gets before anything else: v1 is text, v2 binary."),
});

const tcpTimeouts = z
  .strictObject({
    clientHeader: positive.describe("From accept to the end of a PROXY header and a TLS hello, where they are read."),
    connect: positive.describe("TCP connect to a target, then the next target, then a reset."),
    send: positive.describe("How long one side may take none of the other's bytes, then both are reset."),
    tunnel: orOff.describe("Silence both ways, after which the connection is closed; 0 is without end."),
  })
  .partial();

const tcpFields = {
  bind: bindAddress().describe(
    "Address and port to accept on: `0.0.0.0:443`, `[::]:443` (IPv6 alone), `10.0.4.99:443`.",
  ),
  engine,
  pool: name().optional().describe("The pool whose targets answer every client; instead of `routes`."),
  proxyProtocol: proxyProtocol
    .prefault({})
    .describe("PROXY headers, by which proxies tell each other who the client is."),
  preserveClientAddress,
  timeouts: tcpTimeouts.optional().describe("What differs from `defaults.timeouts`."),
  retry: z
    .strictObject({
      tries: integer(1, triesMax).describe("Targets that are tried in all."),
      time: orOff.describe("No further target is tried after this much time; 0 is no limit."),
    })
    .partial()
    .optional()
    .describe("What differs from `defaults.retry`: how often a connect is tried again."),
  limits: z
    .strictObject({
      connections: integer(1, connectionsMax).describe(
        `Client connections of the listener on this node; the next ones wait in the backlog. ${kernelLimit}`,
      ),
    })
    .partial()
    .optional()
    .describe("What differs from `defaults.limits`."),
  backlog: integer(1, backlogMax)
    .prefault(4096)
    .describe("Connections that may wait to be accepted; the kernel's net.core.somaxconn bounds it as well."),
};

/** A TCP listener whose routes are read one by one. */
export const tcpListenerShell = z.strictObject({
  ...tcpFields,
  protocol: protocol(),
  routes: z.array(z.unknown()).max(routesPerListenerMax).optional(),
});

export const tcpListenerFile = z
  .strictObject({
    ...tcpFields,
    protocol: fixedWord("tcp").describe("Connections are passed through as they are, TLS included."),
    routes: z
      .array(tcpRouteFile)
      .max(routesPerListenerMax)
      .optional()
      .describe("By TLS server name, tried in this order, the first that matches is taken; none: reset."),
  })
  .meta({ oneOf: [{ required: ["pool"] }, { required: ["routes"] }] });

const udpFields = {
  bind: bindAddress().describe("Address and port to receive on: `0.0.0.0:514`, `[::]:514` (IPv6 alone)."),
  engine,
  pool: name().describe("The pool whose targets get the datagrams; a flow stays with its target."),
  responses: z
    .union([oneOf(["unlimited"]), integer(0, responsesMax)])
    .prefault("unlimited")
    .describe("Datagrams of the target after which a flow ends: 1 for DNS, 0 where none is sent (logs, reports)."),
  preserveClientAddress,
  timeouts: z
    .strictObject({ flow: timeoutOfFlow })
    .partial()
    .optional()
    .describe("What differs from `defaults.timeouts`."),
  limits: z.strictObject({ flows: limitOfFlows }).partial().optional().describe("What differs from `defaults.limits`."),
};

export const udpListenerShell = z.strictObject({ ...udpFields, protocol: protocol() });

export const udpListenerFile = z.strictObject({
  ...udpFields,
  protocol: fixedWord("udp").describe("Datagrams, in flows by the client's address and port."),
});

export type TcpRouteFile = z.output<typeof tcpRouteFile>;
export type TcpListenerShell = z.output<typeof tcpListenerShell>;
export type UdpListenerShell = z.output<typeof udpListenerShell>;
