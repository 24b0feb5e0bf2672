// The shape of the file that an operator writes: every key, its meaning, its bounds and its default, once. The types of
// the file, its JSON Schema and its decoding all come from here. On the change's way, kept out of the workers. Says
// nothing about how parts belong together (a route's pool must exist): that is validate-*.ts.

import * as z from "zod";
import { haFile } from "./ha-schema.ts";
import {
  bindAddress,
  headerName,
  headerNameKey,
  headerValue,
  host,
  location,
  matchPath,
  plainHeaderValue,
  regex,
  rewritePath,
  type TargetKnown,
} from "./http-leaf.ts";
import { limitOfFlows, protocol, tcpListenerFile, timeoutOfFlow, udpListenerFile } from "./layer4-schema.ts";
import {
  absolutePath,
  duration,
  fixedWord,
  flag,
  integer,
  ipRange,
  type JsonSchema,
  leaf,
  name,
  nameKey,
  oneOf,
  oneOfNumbers,
  read,
  size,
  textReader,
} from "./leaf.ts";
import {
  backlogMax,
  bodyBytesMax,
  connectionsMax,
  filePathBytesMax,
  headerBytesMax,
  headerBytesMin,
  headerCountMax,
  headerRulesPerRouteMax,
  listenersMax,
  poolsMax,
  retryStatusesMax,
  routesPerListenerMax,
  socketPathBytesMax,
  triesMax,
  trustedProxiesMax,
  workersMax,
} from "./limits.ts";
import { poolFile } from "./pool-schema.ts";

const positive = duration({ off: false });
const orOff = duration({ off: true });

/** A text of any characters: line breaks are welcome. */
function anyText() {
  return leaf(textReader("text", read), { type: "string" }, "text");
}

const timeoutFields = {
  clientHeader: positive.describe("From the first byte of a request head to its blank line, then 408."),
  clientBody: orOff.describe("Silence of a client within a request body, then 408; 0 is none."),
  keepAlive: orOff.describe("How long a client's connection may wait for its next request; 0 is without end."),
  connect: positive.describe("TCP connect to a target, then the next target, then 504."),
  send: positive.describe("How long the other side may take none of our bytes: target 504, client closed."),
  firstByte: positive.describe("From the end of a request to the first byte of its response, then 504."),
  idle: positive.describe(
    "Silence of a target within a response: 504 before its head, afterwards the client is closed.",
  ),
  exchange: orOff.describe("The whole exchange, all tries together; 0 is no limit."),
  tunnel: orOff.describe("Silence on a tunnel (TCP, or after Upgrade or CONNECT); 0 is without end."),
};

/**
 * Timeouts with their defaults. Those that nginx has are nginx's, but for connect: nginx waits 60 s for a SYN's answer,
 * which comes within a rack at once or not at all.
 */
const timeoutDefaults = z.strictObject({
  clientHeader: timeoutFields.clientHeader.prefault("60s"),
  clientBody: timeoutFields.clientBody.prefault("60s"),
  keepAlive: timeoutFields.keepAlive.prefault("75s"),
  connect: timeoutFields.connect.prefault("5s"),
  send: timeoutFields.send.prefault("60s"),
  firstByte: timeoutFields.firstByte.prefault("60s"),
  idle: timeoutFields.idle.prefault("60s"),
  exchange: timeoutFields.exchange.prefault(0),
  tunnel: timeoutFields.tunnel.prefault("1h"),
  flow: timeoutOfFlow.prefault("60s"),
});

const timeoutChanges = z.strictObject(timeoutFields).partial();

const limitFields = {
  headerBytes: size(headerBytesMin, headerBytesMax).describe(
    "Bytes of one head or of trailers: 431 for a client, 502 for a target. At most 60KiB, for heads are built in a fixed area.",
  ),
  headerCount: integer(1, headerCountMax).describe("Header lines of one head: 431 for a client, 502 for a target."),
  connections: integer(1, connectionsMax).describe(
    "Client connections of the listener on this node; the next ones wait in the backlog.",
  ),
  exchangesPerConnection: integer(0, 2 ** 31 - 1).describe(
    "Exchanges on one client connection before it is closed; 0 is no limit.",
  ),
};

const limitDefaults = z.strictObject({
  headerBytes: limitFields.headerBytes.prefault("32KiB"),
  headerCount: limitFields.headerCount.prefault(100),
  connections: limitFields.connections.prefault(10_000),
  exchangesPerConnection: limitFields.exchangesPerConnection.prefault(0),
  flows: limitOfFlows.prefault(65_536),
});

const limitChanges = z.strictObject(limitFields).partial();

const retryFields = {
  tries: integer(1, triesMax).describe("Tries in all, the first included."),
  time: orOff.describe("No new try starts after this much of the exchange has passed; 0 is no limit."),
  statuses: z
    .array(integer(400, 599))
    .max(retryStatusesMax)
    .describe("Response statuses that count as a failed try of an idempotent request, such as 502 and 503."),
};

const retryDefaults = z.strictObject({
  tries: retryFields.tries.prefault(3),
  time: retryFields.time.prefault("10s"),
  statuses: retryFields.statuses.prefault([]),
});

const retryChanges = z.strictObject(retryFields).partial();

const bodyLimit = size(0, bodyBytesMax).describe("Bytes of a request body, beyond them 413; 0 is no limit.");

const defaultsSection = z.strictObject({
  timeouts: timeoutDefaults.prefault({}).describe("Timeouts of every listener and route that says nothing else."),
  limits: limitDefaults.prefault({}).describe("Limits of every listener that says nothing else."),
  bodyLimit: bodyLimit.prefault("1MiB"),
  retry: retryDefaults
    .prefault({})
    .describe("How often a request is tried again, for every route that says nothing else."),
});

const oneKey: JsonSchema = { minProperties: 1, maxProperties: 1 };

const pathMatch = z
  .union([
    matchPath().describe("A prefix of the path, compared byte by byte: `/api` matches `/apix`, `/api/` does not."),
    z
      .strictObject({
        exact: matchPath().optional().describe("The whole path."),
        prefix: matchPath().optional().describe("A prefix of the path; the same as the path alone."),
        regex: regex().optional().describe("A JavaScript regular expression, unanchored."),
      })
      .meta(oneKey),
  ])
  .describe("Which paths, decoded and normalized; by default every one.");

function headerRules(options: { readonly target: TargetKnown }) {
  const value = headerValue(options);
  return z.strictObject({
    set: z
      .record(headerNameKey({ mayBeHost: true }), value)
      .prefault({})
      .meta({ maxProperties: headerRulesPerRouteMax })
      .describe("Replaces every line of the name. Values may hold $variables; one that comes out empty sets nothing."),
    add: z
      .record(headerNameKey({ mayBeHost: false }), z.union([value, z.array(value).max(headerRulesPerRouteMax)]))
      .prefault({})
      .meta({ maxProperties: headerRulesPerRouteMax })
      .describe("Adds a line, or one for each value of a list, beside those that exist."),
    remove: z
      .array(headerName({ rule: true }))
      .max(headerRulesPerRouteMax)
      .prefault([])
      .describe("Removes every line of the name, before the other rules."),
  });
}

const respond = z.strictObject({
  status: integer(200, 599).prefault(200).describe("Status of the response."),
  contentType: plainHeaderValue().prefault("text/plain; charset=utf-8").describe("Content-Type of the response."),
  body: anyText().prefault("").describe("Body of the response."),
});

const redirect = z.strictObject({
  status: oneOfNumbers([301, 302, 303, 307, 308]).prefault(302).describe("Status of the response."),
  location: location().describe("Where to, a URL or path; may hold $variables: `https://$host$path`."),
});

const tunnelOrRefuse = oneOf(["refuse", "tunnel"]);

export const routeFile = z
  .strictObject({
    name: name().optional().describe("Shown in logs and metrics; by default `listener[index]`."),
    host: host().optional().describe("`iam.example.com`, or `*.example.com` for every name below it; by default any."),
    path: pathMatch.optional(),
    pool: name().optional().describe("The pool whose targets answer."),
    respond: respond.optional().describe("A fixed response."),
    redirect: redirect.optional().describe("A redirect."),
    rewritePrefix: rewritePath()
      .optional()
      .describe("Replaces the matched prefix of the path; with a prefix match and a pool."),
    upgrade: tunnelOrRefuse
      .optional()
      .describe(
        "`tunnel` lets Upgrade (WebSocket) through to the target; `refuse`, the default, forwards the request without it.",
      ),
    connect: tunnelOrRefuse
      .optional()
      .describe("`tunnel` lets CONNECT through to the target; `refuse`, the default, answers 405."),
    retry: retryChanges.optional().describe("What differs from `defaults.retry`."),
    requestHeaders: headerRules({ target: "the request is written before a target is picked" })
      .optional()
      .describe("Rules for the request to the target: remove, then set, then add. $targetAddress is not known yet."),
    responseHeaders: headerRules({ target: "picked" })
      .optional()
      .describe("Rules for the response to the client: remove, then set, then add."),
    bodyLimit: bodyLimit.optional(),
    timeouts: timeoutChanges.optional().describe("What differs from the listener's timeouts."),
  })
  .meta({ oneOf: [{ required: ["pool"] }, { required: ["respond"] }, { required: ["redirect"] }] });

const httpFields = {
  bind: bindAddress().describe("Address and port to accept on: `0.0.0.0:80`, `[::]:80` (IPv6 alone), `10.0.4.99:443`."),
  trustedProxies: z
    .array(ipRange())
    .max(trustedProxiesMax)
    .prefault([])
    .describe("Addresses and ranges whose X-Forwarded-* lines are believed; those of others are replaced."),
  forwarded: flag()
    .prefault(true)
    .describe("Sets X-Forwarded-For, -Host, -Proto and X-Real-IP on requests to targets."),
  timeouts: timeoutChanges.optional().describe("What differs from `defaults.timeouts`."),
  limits: limitChanges.optional().describe("What differs from `defaults.limits`."),
  backlog: integer(1, backlogMax)
    .prefault(4096)
    .describe("Connections that may wait to be accepted; the kernel's net.core.somaxconn bounds it as well."),
  bodyLimit: bodyLimit.optional(),
};

/** An HTTP listener whose routes are read one by one. */
export const httpListenerShell = z.strictObject({
  ...httpFields,
  protocol: protocol().prefault("http"),
  routes: z.array(z.unknown()).max(routesPerListenerMax),
});

/** A listener of which nobody knows what its clients speak: no more is read of it than all listeners have. */
export const unknownListenerShell = z.looseObject({ bind: httpFields.bind, protocol: protocol() });

const httpListenerFile = z.strictObject({
  ...httpFields,
  protocol: fixedWord("http").prefault("http").describe("What clients speak: HTTP/1.1 and HTTP/1.0."),
  routes: z
    .array(routeFile)
    .max(routesPerListenerMax)
    .describe("Tried in this order, the first that matches is taken; none: 404."),
});

const accessLog = z.strictObject({
  path: absolutePath(filePathBytesMax, ["stdout"]).describe("A file, or `stdout`."),
  format: oneOf(["json", "combined"])
    .prefault("json")
    .describe("A JSON object each line with OpenTelemetry names, or the combined format."),
  buffer: size(0, 16 * 1024 * 1024)
    .prefault("64KiB")
    .describe("Bytes that gather before they are written."),
  flush: positive.prefault("1s").describe("The longest that a line waits."),
});

const rootFields = {
  node: name().optional().describe("Name of this node; by default the host name."),
  admin: z
    .strictObject({
      socket: absolutePath(socketPathBytesMax)
        .prefault("/run/evenkeel/admin.sock")
        .describe("Path of the unix socket that `evenkeel status`, `reload` and the others speak to."),
      http: bindAddress()
        .optional()
        .describe("The same API over TCP as well, with `tokenFile`: a loopback address and port, `127.0.0.1:9911`."),
      tokenFile: absolutePath(filePathBytesMax)
        .optional()
        .describe(
          "File of the tokens that `http` lets in, `NAME sha256:HEX` a line; `evenkeel token new NAME` makes one.",
        ),
    })
    .prefault({})
    .describe("How this node is administered."),
  stateDirectory: absolutePath(filePathBytesMax)
    .prefault("/var/lib/evenkeel")
    .describe(
      "Where the program keeps what it must not forget: changes by the API, the last good lists of sources, fencing tokens.",
    ),
  workers: z
    .union([oneOf(["auto"]), integer(1, workersMax)])
    .prefault("auto")
    .describe("Worker processes; `auto` is one for each core."),
  drainTimeout: orOff.prefault("30s").describe("How long exchanges may go on after SIGTERM; 0 ends them at once."),
  accessLog: accessLog.optional().describe("One line an exchange; absent: none."),
  kernel: z
    .strictObject({
      keepOnStop: flag()
        .prefault(false)
        .describe("The rules stay when the program stops: the kernel goes on balancing to the targets as they were."),
      countTraffic: flag()
        .prefault(false)
        .describe(
          "Counts packets and bytes to and from every target, a look-up for each packet. Connections and flows are always counted.",
        ),
    })
    .prefault({})
    .describe("Of listeners that the kernel carries."),
  defaults: defaultsSection.prefault({}).describe("What holds where a listener or route says nothing else."),
};

/** The file with its listeners and pools left unread: each is read by itself, so that one problem hides no other. */
export const rootShell = z.strictObject({
  ...rootFields,
  listeners: z.record(z.string(), z.unknown()).prefault({}),
  pools: z.record(z.string(), z.unknown()).prefault({}),
  ha: z.unknown().optional(),
});

/** The whole file. */
export const configFile = z
  .strictObject({
    ...rootFields,
    listeners: z
      .record(nameKey(), z.xor([httpListenerFile, tcpListenerFile, udpListenerFile]))
      .prefault({})
      .meta({ maxProperties: listenersMax })
      .describe("Where clients are accepted, by name."),
    pools: z
      .record(nameKey(), poolFile)
      .prefault({})
      .meta({ maxProperties: poolsMax })
      .describe("Targets that share work, by name."),
    ha: haFile.optional().describe("Floating addresses, by VRRP as keepalived speaks it."),
  })
  .meta({ title: "evenkeel configuration" });

export type RouteFile = z.output<typeof routeFile>;
export type HttpListenerShell = z.output<typeof httpListenerShell>;
export type UnknownListenerShell = z.output<typeof unknownListenerShell>;
export type RootShell = z.output<typeof rootShell>;

/** The JSON Schema (draft 2020-12) of the file as an operator writes it. */
export function configJsonSchema(): JsonSchema {
  return z.toJSONSchema(configFile, { io: "input", target: "draft-2020-12" });
}
