// What is sent through every proxy, what is measured of it, and the goal that evenkeel's ratio to nginx has to reach.
// Data only. The goals are for the portable engine, one worker on one core, access log on.

import { browserBody, paths, smallBody, uploadBytes } from "./systems/targets.ts";

export type Request = {
  readonly method: "GET" | "POST";
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  /** Bytes of a request body; 0 is none. */
  readonly bodyBytes: number;
};

/** One figure of a round. Times are microseconds, sizes bytes. */
export type Figure =
  | "cpuUs" // CPU time of all processes of the proxy for one unit of work
  | "systemUs" // CPU time of the whole machine for one unit of work
  | "netUs" // of it, what plain routing of the same traffic does not take
  | "flipMs" // from the wish to change a target's share to its being in force
  | "flipCpuMs" // CPU time of all processes of the balancer for that
  | "supervisorUs" // the share of it that did not carry traffic
  | "perSecond" // units of work a second
  | "p50Us"
  | "p99Us"
  | "rssBytes"
  | "idleBytes" // growth of resident memory for one idle connection
  | "lateUs" // how late the paced client sent, 99th percentile: its own fault, not the proxy's
  | "ownShare" // CPU time of the proxy over the length of the round: below 1 the load, not the proxy, was the limit
  | "foreignShare"; // of the proxy's core, taken by anything but the proxy

export type Goal =
  | { readonly kind: "ratio"; readonly most: number }
  | { readonly kind: "bytes"; readonly most: number }
  | { readonly kind: "milliseconds"; readonly most: number }
  /** Not above nginx's beyond the noise of nginx against itself. */
  | { readonly kind: "notAbove" };

/** A figure that is compared between the systems; the others are shown beside it. */
export type Measure = { readonly figure: Figure; readonly title: string; readonly goals: Goals };

/** By the name of the system that has to reach it. */
export type Goals = Readonly<Partial<Record<string, Goal>>>;

type Common = {
  readonly name: string;
  readonly title: string;
  readonly request: Request;
  readonly connections: number;
  readonly measures: readonly Measure[];
};

/** As many requests as the proxy can take, by wrk. */
export type SaturatedWorkload = Common & {
  readonly kind: "saturated";
  /** CPU time is counted per exchange, or per MiB of response bodies where a round holds too few exchanges. */
  readonly unit: "request" | "MiB";
  /** Bytes of one response body. */
  readonly responseBytes: number;
  /** Body workloads run the tuned variants too. */
  readonly bodies: boolean;
};

/** Requests on a schedule at half of nginx's rate, latency counted from the scheduled time. */
export type PacedWorkload = Common & { readonly kind: "paced" };

/** Connections that did one request and wait. */
export type IdleWorkload = Common & { readonly kind: "idle" };

export type Workload = SaturatedWorkload | PacedWorkload | IdleWorkload;

const get = (path: string, headers: Readonly<Record<string, string>> = {}): Request => ({
  method: "GET",
  path,
  headers,
  bodyBytes: 0,
});

const cpu = (unit: string, goal: number | undefined): readonly Measure[] => [
  {
    figure: "cpuUs",
    title: `CPU µs/${unit}`,
    goals: goal === undefined ? {} : { evenkeel: { kind: "ratio", most: goal } },
  },
];

/** Twelve lines beside Host: thirteen, and about 700 bytes of head with the request line. */
const browserHeaders: Readonly<Record<string, string>> = {
  Connection: "keep-alive",
  "Cache-Control": "max-age=0",
  "User-Agent": "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Safari/537.36",
  Accept: "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,image/apng,*/*;q=0.8",
  "Accept-Encoding": "gzip, deflate, br, zstd",
  "Accept-Language": "en-GB,en;q=0.9,de;q=0.7",
  Referer: "https://harbour.example.com/berths/481516?view=tide&from=2024-05-01",
  "Sec-Fetch-Site": "same-origin",
  "Sec-Fetch-Mode": "navigate",
  "Sec-Fetch-Dest": "document",
  "Upgrade-Insecure-Requests": "1",
  Cookie: "visit=c2VhLWFuZC1zYWlscy1hbmQtc2hpcHM; theme=dark; consent=YWxs",
};

export const small: SaturatedWorkload = {
  kind: "saturated",
  name: "small",
  title: "small keep-alive request",
  request: get(paths.small),
  connections: 64,
  unit: "request",
  responseBytes: smallBody.length,
  bodies: false,
  measures: cpu("request", 1.25),
};

export const workloads: readonly Workload[] = [
  small,
  {
    ...small,
    name: "browser",
    title: "13-header browser request",
    request: get(paths.browser, browserHeaders),
    responseBytes: browserBody.length,
    measures: cpu("request", 1.2),
  },
  {
    ...small,
    name: "close",
    title: "new connection each",
    request: get(paths.small, { Connection: "close" }),
    measures: cpu("request", 1.8),
  },
  {
    ...small,
    name: "body16k",
    title: "16 KiB body",
    request: get(paths.body16k),
    responseBytes: 16 * 1024,
    bodies: true,
    measures: cpu("request", 1.15),
  },
  {
    ...small,
    name: "body1m",
    title: "1 MiB download",
    request: get(paths.body1m),
    connections: 8,
    unit: "MiB",
    responseBytes: 1024 * 1024,
    bodies: true,
    measures: cpu("MiB", 1.15),
  },
  {
    ...small,
    name: "body100m",
    title: "100 MiB download",
    request: get(paths.body100m),
    connections: 2,
    unit: "MiB",
    responseBytes: 100 * 1024 * 1024,
    bodies: true,
    measures: cpu("MiB", undefined),
  },
  {
    ...small,
    name: "upload10m",
    title: "10 MiB upload",
    request: { method: "POST", path: paths.upload, headers: {}, bodyBytes: uploadBytes },
    connections: 4,
    responseBytes: String(uploadBytes).length + 1,
    bodies: true,
    measures: cpu("request", 1.2),
  },
  {
    kind: "paced",
    name: "half",
    title: "half load, latency from the scheduled time",
    request: get(paths.small),
    connections: 64,
    measures: [
      { figure: "p99Us", title: "p99 µs", goals: { evenkeel: { kind: "notAbove" } } },
      { figure: "p50Us", title: "p50 µs", goals: {} },
      { figure: "cpuUs", title: "CPU µs/request", goals: {} },
    ],
  },
  {
    kind: "idle",
    name: "idle",
    title: "idle keep-alive connection",
    request: get(paths.small),
    connections: 10_000,
    measures: [
      { figure: "idleBytes", title: "bytes/connection", goals: { evenkeel: { kind: "bytes", most: 5 * 1024 } } },
    ],
  },
];
