// What real nginx is asked: every rule of its round robin, least_conn and ip_hash that can be seen from outside.
// Scripts with chance in them come from a fixed seed, so that the recorder asks the same again on another day.

import { seededRandom } from "../../src/core/random.ts";
import type { Case } from "./nginx-case.ts";

const random = seededRandom(20_260_101);
const below = (limit: number): number => Math.floor(random() * limit);

/** Requests opened and answered in a random order, at most `heldMax` at a time. */
function heldScript(steps: number, heldMax: number): string {
  const words: string[] = [];
  const held: number[] = [];
  let opened = 0;
  while (words.length < steps) {
    if (held.length > 0 && (held.length >= heldMax || random() < 0.4)) {
      words.push(`-${held.splice(below(held.length), 1)[0]}`);
    } else {
      words.push("+");
      held.push(opened++);
    }
  }
  return [...words, ...held.map((request) => `-${request}`)].join(" ");
}

function clients4(count: number): string[] {
  return Array.from({ length: count }, () => `${1 + below(223)}.${below(256)}.${below(256)}.${below(256)}`);
}

function clients6(count: number): string[] {
  const group = (): string => below(65_536).toString(16);
  return Array.from({ length: count }, (_, index) =>
    index % 5 === 0 ? `2001:db8::${group()}` : `2001:db8:${Array.from({ length: 6 }, group).join(":")}`,
  );
}

const neighbours = ["192.0.2.1", "192.0.2.254", "192.0.3.1", "10.0.0.1", "10.0.0.2", "10.0.1.1", "::1", "fe80::1"];
const clients = [...neighbours, ...clients4(170), ...clients6(60)].join(" ");
const clientsTwice = [...clients4(100), ...clients6(20)].flatMap((client) => [client, client]).join(" ");
const mixedWeights = [3, 1, 4, 1, 5, 9, 2, 6, 5, 3];
const crowd = Array.from({ length: 30 }, (_, index) => {
  if (index === 11) return "weight=2";
  if (index === 12) return "weight=1";
  return "weight=1 down";
});

export const cases: readonly Case[] = [
  {
    name: "round robin, equal weights",
    policy: "roundRobin",
    servers: "weight=1; weight=1; weight=1",
    steps: "get*30",
  },
  { name: "round robin, one heavy", policy: "roundRobin", servers: "weight=5; weight=1; weight=1", steps: "get*210" },
  { name: "round robin, 40 30 30", policy: "roundRobin", servers: "weight=40; weight=30; weight=30", steps: "get*250" },
  {
    name: "round robin, ten servers of mixed weights",
    policy: "roundRobin",
    servers: mixedWeights.map((weight) => `weight=${weight}`).join("; "),
    steps: "get*250",
  },
  {
    name: "round robin, one down",
    policy: "roundRobin",
    servers: "weight=3; weight=2 down; weight=1; weight=4",
    steps: "get*200",
  },
  {
    name: "round robin, all primaries down, two backups",
    policy: "roundRobin",
    servers: "weight=3 down; weight=2 backup; weight=1 down; weight=1 backup",
    steps: "get*200",
  },
  {
    name: "round robin, a server that refuses and is never taken out",
    policy: "roundRobin",
    servers: "weight=3 max_fails=0; weight=4 max_fails=0 stopped; weight=2 max_fails=0",
    steps: "get*200",
  },
  {
    name: "round robin, failures lower the effective weight until the server is out",
    policy: "roundRobin",
    servers: "weight=60 max_fails=12 fail_timeout=1h stopped; weight=25; weight=30",
    steps: "get*200",
  },
  {
    name: "round robin, the effective weight recovers when the server is back before it was taken out",
    policy: "roundRobin",
    servers: "weight=60 max_fails=12 fail_timeout=1h stopped; weight=25; weight=30",
    steps: "get*8 start0 get*200",
  },
  {
    name: "round robin, every primary refuses, then the backups serve",
    policy: "roundRobin",
    servers:
      "weight=2 max_fails=2 fail_timeout=1h stopped; weight=3 max_fails=1 fail_timeout=1h stopped; weight=2 backup; backup",
    steps: "get*60",
  },
  {
    name: "round robin, nobody left",
    policy: "roundRobin",
    servers: "max_fails=2 fail_timeout=1h stopped; max_fails=1 fail_timeout=1h stopped",
    steps: "get*6",
  },
  {
    name: "round robin, a single server is never taken out",
    policy: "roundRobin",
    servers: "max_fails=1 fail_timeout=1h stopped",
    steps: "get*5 start0 get*3",
  },
  {
    name: "round robin, one trial after the time out",
    policy: "roundRobin",
    servers: "weight=2 max_fails=1 fail_timeout=2s stopped; weight=1 max_fails=1 fail_timeout=2s",
    steps: "get*12 wait3200 get*12 start0 wait3200 get*24",
  },
  {
    name: "round robin, successes between failures hide nothing while fail_timeout lasts",
    policy: "roundRobin",
    servers: "max_fails=3 fail_timeout=1h stopped; weight=1",
    steps: "get*2 start0 get*6 stop0 get*2 start0 get*6 stop0 get*8",
  },
  {
    name: "round robin, failures far apart add up when no success came between them",
    policy: "roundRobin",
    servers: "max_fails=2 fail_timeout=2s stopped; weight=1",
    steps: "get*2 wait3200 get*12",
  },
  {
    name: "round robin, a success after fail_timeout clears the failures",
    policy: "roundRobin",
    servers: "max_fails=2 fail_timeout=2s stopped; weight=1",
    steps: "get*2 start0 wait3200 get*4 stop0 get*2 start0 get*6 stop0 get*8",
  },
  {
    name: "round robin, full servers",
    policy: "roundRobin",
    servers: "weight=5 max_conns=3; weight=2 max_conns=2; weight=1 max_conns=4",
    steps: heldScript(300, 11),
  },
  {
    name: "least connections, nothing under way",
    policy: "leastConnections",
    servers: "weight=3; weight=1; weight=2",
    steps: "get*200",
  },
  {
    name: "least connections, equal weights",
    policy: "leastConnections",
    servers: "weight=1; weight=1; weight=1; weight=1",
    steps: heldScript(400, 14),
  },
  {
    name: "least connections, mixed weights",
    policy: "leastConnections",
    servers: "weight=5; weight=3 down; weight=2; weight=3; weight=1",
    steps: heldScript(400, 25),
  },
  {
    name: "least connections, full servers and a backup",
    policy: "leastConnections",
    servers: "weight=4 max_conns=2; weight=3 max_conns=3; weight=1 backup max_conns=2; weight=2 backup",
    steps: heldScript(300, 10),
  },
  {
    name: "least connections, a server that refuses",
    policy: "leastConnections",
    servers: "weight=4; weight=5 max_fails=0 stopped; weight=2; weight=3 max_fails=3 fail_timeout=1h stopped",
    steps: "get*200",
  },
  { name: "ip hash, equal weights", policy: "ipHash", servers: "weight=1; weight=1; weight=1", steps: clients },
  {
    name: "ip hash, mixed weights",
    policy: "ipHash",
    servers: mixedWeights.map((weight) => `weight=${weight}`).join("; "),
    steps: clients,
  },
  {
    name: "ip hash, two of five down",
    policy: "ipHash",
    servers: "weight=2; weight=3 down; weight=1; weight=4; weight=2 down",
    steps: clients,
  },
  {
    name: "ip hash, so many down that round robin decides after 20 hashes",
    policy: "ipHash",
    servers: crowd.join("; "),
    steps: clients,
  },
  {
    name: "ip hash, servers that refuse",
    policy: "ipHash",
    servers: "weight=2; weight=3 max_fails=0 stopped; weight=1; weight=4 max_fails=3 fail_timeout=1h stopped",
    steps: clientsTwice,
  },
  {
    name: "ip hash, a crowd that refuses: retries count their hashes",
    policy: "ipHash",
    servers: crowd.map((server) => server.replace("down", "max_fails=0 stopped")).join("; "),
    steps: clients4(40).join(" "),
  },
];
