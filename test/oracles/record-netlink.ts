// Asks this machine's kernel and its nft command, in a network namespace of its own, and writes every byte of the talk to
// netlink.json, from where the unit tests of src/wire/netlink take it. `node test/oracles/record-netlink.ts &&
// biome check --write test/oracles/netlink.json` records anew
// (root; Debian packages nftables and conntrack). It calls itself inside the namespace: a socket belongs to the one that
// its process was started in.

import { spawnSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { stripVTControlCharacters } from "node:util";
import { assert } from "../../src/core/assert.ts";
import { good } from "../../src/core/failure.ts";
import {
  type NetlinkExchange,
  type NetlinkPort,
  netlinkExchange,
  openNetlinkPort,
} from "../../src/io/netlink-socket.ts";
import {
  decodeConnection,
  encodeConnectionDump,
  encodeDeletions,
  encodeProtocolDump,
} from "../../src/wire/netlink/conntrack.ts";
import {
  encodeCounterDump,
  encodeElementChanges,
  encodeGenerationQuestion,
  encodeTableTrial,
} from "../../src/wire/netlink/nftables.ts";
import { addressAndPort, addressBytes, hostNumber } from "../../src/wire/netlink/registers.ts";
import type { NetlinkRequest } from "../../src/wire/netlink/writer.ts";
import type { Scope } from "../e2e/kit.ts";
import { machine } from "../e2e/netns-kit.ts";

/** All bytes as hex. */
export type Recording = {
  readonly kernel: string;
  readonly nft: string;
  readonly talks: Readonly<Record<string, { readonly request: string; readonly answers: readonly string[] }>>;
  /** Attributes of the messages that nft sends for a line of its language. */
  readonly sentByNft: Readonly<Record<string, readonly string[]>>;
};

const recordingPath = fileURLToPath(new URL("netlink.json", import.meta.url));

const ruleset = `
table inet talk {
  counter empty { }
  counter full { packets 7 bytes 1234567890123 }
  quota other { over 25 mbytes }
  map slots4 { typeof numgen inc mod 4 : ip daddr . tcp dport; elements = { 0 : 10.45.2.21 . 9000 } }
  map slots6 { typeof numgen inc mod 4 : ip6 daddr . udp dport; elements = { 0 : fd45:2::21 . 9000 } }
  map marks { typeof ip saddr : meta mark; }
}
table inet stranger {
  counter full { packets 1 bytes 2 }
}
`;

/** What nft makes of them is compared with what we send for the same: src/wire/netlink/recorded.test.ts. */
const nftLines = [
  "delete element inet talk slots4 { 0 }",
  "add element inet talk slots4 { 3 : 10.45.2.23 . 443 }",
  "add element inet talk slots6 { 2 : fd45:2::22 . 53 }",
  "add element inet talk marks { 192.0.2.1 : 0x12 }",
];

const connections = [
  "-p tcp -s 10.45.1.2 -d 10.45.1.100 --sport 1001 --dport 80 -r 10.45.2.21 -q 10.45.1.2 --reply-port-src 9000 --reply-port-dst 1001 --state ESTABLISHED -u ASSURED -m 7",
  "-p tcp -s 10.45.1.2 -d 10.45.1.100 --sport 1002 --dport 80 -r 10.45.2.21 -q 10.45.1.2 --reply-port-src 9000 --reply-port-dst 1002 --state TIME_WAIT -m 8",
  "-p tcp -s 10.45.1.2 -d 10.45.2.21 --sport 1003 --dport 9000 --state ESTABLISHED",
  "-p tcp -s 10.45.2.21 -d 10.45.1.2 --sport 9000 --dport 1004 -r 10.45.1.2 -q 10.45.1.100 --reply-port-src 1004 --reply-port-dst 80 --state ESTABLISHED",
  "-p tcp -s 10.45.1.2 -d 10.45.1.100 --sport 1005 --dport 80 -r 10.45.2.22 -q 10.45.1.2 --reply-port-src 9000 --reply-port-dst 1005 --state ESTABLISHED -m 7",
  "-p udp -s fd45:1::2 -d fd45:1::100 --sport 1006 --dport 80 -r fd45:2::21 -q fd45:1::2 --reply-port-src 9000 --reply-port-dst 1006",
  "-p udp -s fd45:1::2 -d fd45:1::100 --sport 1007 --dport 80 -r fd45:2::22 -q fd45:1::2 --reply-port-src 9000 --reply-port-dst 1007",
];

function run(command: string, args: readonly string[], input = ""): string {
  const ran = spawnSync(command, [...args], { encoding: "utf8", input });
  assert(ran.status === 0, `${command} ${args.join(" ")}: ${ran.stderr}${ran.error ?? ""}`);
  return ran.stdout;
}

type Talks = Record<string, { request: string; answers: string[] }>;

/** A port that writes down what goes through it, under the name that was set last. */
function recordingPort(port: NetlinkPort, talks: Talks, name: () => string): NetlinkPort {
  return {
    ...port,
    send: (bytes) => {
      talks[name()] = { request: Buffer.from(bytes).toString("hex"), answers: [] };
      return port.send(bytes);
    },
    receive: (into) => {
      const received = port.receive(into);
      if (received.ok) talks[name()]?.answers.push(Buffer.from(into.subarray(0, received.value)).toString("hex"));
      return received;
    },
  };
}

function recordTalks(): Talks {
  const talks: Talks = {};
  let name = "";
  const opened = openNetlinkPort(12);
  assert(opened.ok, "a netlink socket");
  const exchange = netlinkExchange(() => good(recordingPort(opened.value, talks, () => name)));
  const named = (next: string) => {
    name = next;
    return exchange;
  };
  run("nft", ["-f", "-"], ruleset);
  for (const line of connections) run("conntrack", ["-I", "-t", "600", ...line.split(" ")]);

  named("generation").transact(encodeGenerationQuestion(exchange.sequence(1)));
  named("trial").transact(encodeTableTrial("trial", exchange.sequence(4)));
  recordChanges(named);
  named("counters").dump(
    encodeCounterDump("talk", exchange.sequence(1)),
    () => good(true),
    () => {},
  );
  named("counters of no table").dump(
    encodeCounterDump("none", exchange.sequence(1)),
    () => good(true),
    () => {},
  );
  recordConnections(named);
  exchange.close();
  return talks;
}

function recordChanges(named: (name: string) => NetlinkExchange): void {
  const data = (host: string) => addressAndPort({ host, port: 9000 });
  const slot0 = (host: string) => ({ key: hostNumber(0), data: data(host) });
  const change = (name: string, table: string, changes: Parameters<typeof encodeElementChanges>[1]) => {
    const exchange = named(name);
    const request = encodeElementChanges(table, changes, exchange.sequence(8));
    assert(request.ok, "a request");
    exchange.transact(request.value);
  };
  change("change", "talk", [{ map: "slots4", remove: [hostNumber(0)], add: [slot0("10.45.2.22")] }]);
  change("element to remove is not there", "talk", [
    { map: "slots4", remove: [hostNumber(0), hostNumber(77)], add: [slot0("10.45.2.23")] },
  ]);
  change("element to add is there", "talk", [{ map: "slots4", remove: [], add: [slot0("10.45.2.24")] }]);
  change("no such table", "none", [{ map: "slots4", remove: [hostNumber(0)], add: [] }]);
  change("data of the wrong width", "talk", [
    { map: "slots6", remove: [], add: [{ key: hostNumber(1), data: data("10.45.2.24") }] },
  ]);
}

function recordConnections(named: (name: string) => NetlinkExchange): void {
  const names: Parameters<typeof encodeDeletions>[0][number][] = [];
  const dump = (name: string, encode: (sequence: number) => NetlinkRequest) => {
    const exchange = named(name);
    exchange.dump(
      encode(exchange.sequence(1)),
      (message) => {
        const connection = decodeConnection(message);
        assert(connection.ok, "a connection");
        if (connection.value === undefined) return connection;
        const { name: found } = connection.value;
        names.push({ ...found, originalTuple: new Uint8Array(found.originalTuple) });
        return connection;
      },
      () => {},
    );
  };
  const v4 = { protocol: 6, source: { address: addressBytes("10.45.2.21"), port: 9000 }, mark: undefined };
  const v6 = { protocol: 17, source: { address: addressBytes("fd45:2::21"), port: 9000 }, mark: undefined };
  dump("connections of IPv4, reply", (sequence) => encodeConnectionDump({ ...v4, direction: "reply" }, sequence));
  dump("connections of IPv4, original", (sequence) => encodeConnectionDump({ ...v4, direction: "original" }, sequence));
  dump("connections of IPv4 with a mark", (sequence) =>
    encodeConnectionDump({ ...v4, mark: 7, direction: "reply" }, sequence),
  );
  dump("connections of IPv6", (sequence) => encodeConnectionDump({ ...v6, direction: "reply" }, sequence));
  const tcp4 = { protocol: 6, addressBytes: 4 };
  dump("connections of TCP over IPv4", (sequence) => encodeProtocolDump(tcp4, sequence));
  const exchange = named("deletions, the second and third of one");
  const [first, second] = names;
  assert(first !== undefined && second !== undefined, "connections");
  exchange.transact(encodeDeletions([first, second, second], exchange.sequence(3)));
}

/** The attributes of each message in the output of `nft --debug=mnl` that changes elements, put together again. */
function attributesSent(output: string): string[] {
  const messages: { type: number; bytes: number[] }[] = [];
  for (const line of stripVTControlCharacters(output).split("\n")) {
    const type = /^\| (\d{5}) \| .{4} \|/.exec(line);
    const attribute = /^\|(\d{5})\|(..)\|(\d{5})\|/.exec(line);
    const data = /^\|((?: [0-9a-f]{2}){4}) {2}\|\t\| {6}data/.exec(line);
    if (type !== null) messages.push({ type: Number(type[1]), bytes: [] });
    const bytes: number[] = messages.at(-1)?.bytes ?? [];
    if (attribute !== null) {
      const length = Number(attribute[1]);
      const number = Number(attribute[3]) | (attribute[2]?.startsWith("N") === true ? 0x8000 : 0);
      bytes.push(length & 0xff, length >> 8, number & 0xff, number >> 8);
    }
    if (data !== null)
      bytes.push(
        ...(data[1] ?? "")
          .trim()
          .split(" ")
          .map((byte) => Number.parseInt(byte, 16)),
      );
  }
  return messages
    .filter(({ type }) => type === 2572 || type === 2574)
    .map(({ bytes }) => Buffer.from(bytes).toString("hex"));
}

function recordHere(): Recording {
  const talks = recordTalks();
  run("nft", ["-f", "-"], `delete table inet talk\n${ruleset.split("table inet stranger")[0]}`);
  const sentByNft: Record<string, string[]> = {};
  for (const line of nftLines) sentByNft[line] = attributesSent(run("nft", ["--debug=mnl", "-f", "-"], `${line}\n`));
  const nft = run("nft", ["--version"]).trim();
  return { kernel: run("uname", ["-r"]).trim(), nft, talks, sentByNft };
}

async function main(): Promise<void> {
  if (process.argv[2] === "here") {
    process.stdout.write(JSON.stringify(recordHere(), undefined, 2));
    return;
  }
  const ends: (() => void | Promise<void>)[] = [];
  const scope: Scope = { after: (end) => ends.push(end) };
  try {
    const recorded = await machine(scope, "record").run(scope, process.execPath, [
      fileURLToPath(import.meta.url),
      "here",
    ]);
    assert(recorded.code === 0, recorded.stderr);
    writeFileSync(recordingPath, `${recorded.stdout}\n`);
  } finally {
    for (const end of ends) await end();
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) await main();
