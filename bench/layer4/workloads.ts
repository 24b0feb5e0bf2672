// What is sent through every layer-4 balancer, what is measured of it, and the goals for evenkeel's two engines. Data only.
// The figure that is compared is the CPU time of the whole machine less that of plain routing: softirqs, which carry
// the kernel engine's work, belong to no process of a balancer, and a proxy costs the kernel more than its own time.

import { paths } from "../systems/targets.ts";
import type { Goal, Goals, Measure, Request } from "../workloads.ts";

/** Bytes of a datagram each way. */
export const datagramBytes = 64;
/** Fresh flows of one round at most: what the port range of a masquerading kernel and a table of connections bear. */
export const freshFlowsMax = 60_000;

type Common = {
  readonly name: string;
  readonly title: string;
  /** One unit of work, for the columns. */
  readonly unit: string;
  readonly connections: number;
  readonly measures: readonly Measure[];
};

export type TcpWorkload = Common & {
  readonly kind: "tcp";
  readonly request: Request;
  readonly responseBytes: number;
  /** CPU time is counted per connection or round trip, or per MB (10^6 bytes) of responses. */
  readonly per: "response" | "MB";
};

/** Datagrams that are answered, `connections` of them under way at a time; `fresh`: each from an address it never came from. */
export type UdpWorkload = Common & { readonly kind: "udp"; readonly fresh: boolean };

export type TrafficWorkload = TcpWorkload | UdpWorkload;

/** One target of so many is taken out and put back again. */
export type FlipWorkload = Common & { readonly kind: "flip"; readonly targets: number };

export type Layer4Workload = TrafficWorkload | FlipWorkload;

const get = (path: string, headers: Readonly<Record<string, string>> = {}): Request => ({
  method: "GET",
  path,
  headers,
  bodyBytes: 0,
});

type EngineGoals = { readonly proxy?: number; readonly kernel?: number };

const ratio = (most: number): Goal => ({ kind: "ratio", most });

function cpuMeasures(unit: string, { proxy, kernel }: EngineGoals): readonly Measure[] {
  const goals: Goals = {
    ...(proxy === undefined ? {} : { "evenkeel-proxy": ratio(proxy) }),
    ...(kernel === undefined ? {} : { "evenkeel-kernel": ratio(kernel) }),
  };
  return [
    { figure: "netUs", title: `machine's CPU ${unit}, routing deducted`, goals },
    { figure: "cpuUs", title: `own CPU ${unit}`, goals: {} },
  ];
}

function flip(targets: number, most: number | undefined): FlipWorkload {
  const goal: Goal | undefined = most === undefined ? undefined : { kind: "milliseconds", most };
  return {
    kind: "flip",
    name: `flip${targets}`,
    title: `flip of one target among ${targets}`,
    unit: "flip",
    connections: 0,
    targets,
    measures: [
      { figure: "flipMs", title: "ms to take effect", goals: goal === undefined ? {} : { "evenkeel-kernel": goal } },
      { figure: "flipCpuMs", title: "CPU ms", goals: {} },
    ],
  };
}

export const layer4Workloads: readonly Layer4Workload[] = [
  {
    kind: "tcp",
    name: "connection",
    title: "new TCP connection with one request",
    unit: "connection",
    connections: 64,
    request: get(paths.small, { Connection: "close" }),
    responseBytes: 1,
    per: "response",
    measures: cpuMeasures("µs/connection", { proxy: 2.3, kernel: 0.35 }),
  },
  {
    kind: "tcp",
    name: "roundtrip",
    title: "TCP round trip on a standing connection",
    unit: "round trip",
    connections: 64,
    request: get(paths.small),
    responseBytes: 1,
    per: "response",
    measures: cpuMeasures("µs/round trip", { kernel: 0.25 }),
  },
  {
    kind: "tcp",
    name: "bulk",
    title: "TCP bulk, 100 MiB downloads",
    unit: "MB",
    connections: 4,
    request: get(paths.body100m),
    responseBytes: 100 * 1024 * 1024,
    per: "MB",
    // A microsecond a megabyte is a millisecond a gigabyte.
    measures: cpuMeasures("ms/GB", { kernel: 0.1 }),
  },
  {
    kind: "udp",
    name: "datagram",
    title: "UDP datagram and its answer, known flow",
    unit: "datagram",
    connections: 64,
    fresh: false,
    measures: cpuMeasures("µs/datagram", { proxy: 2.8, kernel: 0.25 }),
  },
  {
    kind: "udp",
    name: "flow",
    title: "UDP datagram and its answer, new flow each",
    unit: "flow",
    connections: 64,
    fresh: true,
    measures: cpuMeasures("µs/flow", {}),
  },
  flip(10, undefined),
  flip(100, undefined),
  flip(1000, 5),
];
