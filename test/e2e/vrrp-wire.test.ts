// VRRP packets beside the real thing: what keepalived sends is read by our decoder, what we write is read by tshark without
// a complaint. No evenkeel runs; a link between two network namespaces is made and removed. Root and both programs needed.

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { decodeArp, encodeGratuitousArp } from "../../src/wire/arp.ts";
import { allNodes, decodeNeighbourAdvertisement, encodeUnsolicitedAdvertisement } from "../../src/wire/neighbour.ts";
import type { Advertisement } from "../../src/wire/vrrp/advertisement.ts";
import { decodeIpv4Packet, decodeIpv6Payload, type ReceivedAdvertisement } from "../../src/wire/vrrp/decode.ts";
import { encodeAdvertisement, encodeIpv4Packet, encodeIpv6Packet } from "../../src/wire/vrrp/encode.ts";
import { lacks } from "./http-kit.ts";
import { atEnd, runProgram, startProgram, temporaryDirectory, until } from "./kit.ts";

function unable(t: TestContext): boolean {
  if (lacks(t, "keepalived", "tshark", "ip")) return true;
  if (process.getuid?.() === 0) return false;
  t.skip("needs root for a network namespace");
  return true;
}

const sender = `ek-vw-${process.pid}-a`;
const listener = `ek-vw-${process.pid}-b`;
const ip = (...args: readonly string[]) => execFileSync("ip", [...args], { stdio: "pipe" });

function makeLink(t: TestContext): void {
  for (const name of [sender, listener]) {
    ip("netns", "add", name);
    atEnd(t, () => {
      ip("netns", "del", name);
    });
  }
  ip("-n", sender, "link", "add", "ek0", "type", "veth", "peer", "name", "ek1", "netns", listener);
  ip("-n", sender, "addr", "add", "10.77.0.1/24", "dev", "ek0");
  // Without duplicate detection an IPv6 address may be spoken from at once.
  ip("-n", sender, "addr", "add", "fe80::77:1/64", "dev", "ek0", "nodad");
  ip("-n", listener, "addr", "add", "10.77.0.2/24", "dev", "ek1");
  ip("-n", listener, "link", "set", "ek1", "up");
  ip("-n", sender, "link", "set", "ek0", "up");
}

// Priority 255 speaks at once; the names tell the cases apart by vrid.
const keepalivedConf = `
global_defs {
  vrrp_garp_master_repeat 1
}
vrrp_instance V2 {
  interface ek0
  virtual_router_id 21
  priority 255
  state MASTER
  advert_int 1
  virtual_ipaddress { 10.77.0.21/24 }
}
vrrp_instance V2_PASS {
  interface ek0
  virtual_router_id 22
  priority 255
  state MASTER
  advert_int 2
  authentication { 
    auth_type PASS
    auth_pass s3cret
  }
  virtual_ipaddress {
    10.77.0.22/24
    10.77.0.23/24
  }
}
vrrp_instance V3 {
  interface ek0
  version 3
  virtual_router_id 31
  priority 255
  state MASTER
  advert_int 0.25
  virtual_ipaddress { 10.77.0.31/24 }
}
vrrp_instance V3_UNICAST {
  interface ek0
  version 3
  virtual_router_id 32
  priority 255
  state MASTER
  advert_int 0.25
  unicast_src_ip 10.77.0.1
  unicast_peer { 10.77.0.2 }
  virtual_ipaddress { 10.77.0.32/24 }
}
vrrp_instance V3_IPV6 {
  interface ek0
  version 3
  virtual_router_id 61
  priority 255
  state MASTER
  advert_int 0.25
  virtual_ipaddress {
    fe80::77:61/64
    2001:db8:77::61/64
  }
}
`;

/** A program that sends one datagram over the link, so that there is something to capture. */
const speak = `const socket = require("node:dgram").createSocket("udp4");
socket.send("hello", 9, "10.77.0.2", () => socket.close());`;

/** The frames of a capture in the classic format, whose numbers are in the machine's order (little endian). */
function framesOf(pcap: Buffer): readonly Buffer[] {
  assert.equal(pcap.readUInt32LE(0), 0xa1b2c3d4, "a classic capture");
  const frames: Buffer[] = [];
  for (let at = 24; at + 16 <= pcap.length; ) {
    const length = pcap.readUInt32LE(at + 8);
    // The last one may still be being written.
    if (at + 16 + length > pcap.length) break;
    frames.push(pcap.subarray(at + 16, at + 16 + length));
    at += 16 + length;
  }
  return frames;
}

function pcapOf(frames: readonly Uint8Array[]): Buffer {
  const header = Buffer.alloc(24);
  header.writeUInt32LE(0xa1b2c3d4, 0);
  header.writeUInt16LE(2, 4);
  header.writeUInt16LE(4, 6);
  header.writeUInt32LE(65535, 16);
  header.writeUInt32LE(1, 20);
  const records = frames.map((frame, index) => {
    const record = Buffer.alloc(16);
    record.writeUInt32LE(index, 0);
    record.writeUInt32LE(frame.length, 8);
    record.writeUInt32LE(frame.length, 12);
    return Buffer.concat([record, frame]);
  });
  return Buffer.concat([header, ...records]);
}

const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString("hex");
const ipv6Text = (bytes: Buffer) => `${bytes.toString("hex").match(/.{4}/g)?.join(":")}`;
const canonical = (text: string) => new URL(`http://[${text}]`).hostname.slice(1, -1);

function decodeFrame(frame: Buffer): ReceivedAdvertisement | undefined {
  const etherType = frame.readUInt16BE(12);
  const options = { ttlMin: 255, checksumForm: "pseudoHeader" } as const;
  if (etherType === 0x0800 && frame[23] === 112) {
    const decoded = decodeIpv4Packet(frame.subarray(14), options);
    assert.ok(decoded.ok, decoded.ok ? "" : `${decoded.code}: ${hex(frame)}`);
    return decoded.value;
  }
  if (etherType !== 0x86dd || frame[20] !== 112) return undefined;
  const envelope = {
    source: canonical(ipv6Text(frame.subarray(22, 38))),
    destination: canonical(ipv6Text(frame.subarray(38, 54))),
    hopLimit: frame[21] ?? 0,
    trafficClass: undefined,
  };
  const decoded = decodeIpv6Payload(frame.subarray(54, 54 + frame.readUInt16BE(18)), envelope, options);
  assert.ok(decoded.ok, decoded.ok ? "" : `${decoded.code}: ${hex(frame)}`);
  return decoded.value;
}

const expected: Readonly<Record<number, Advertisement>> = {
  21: {
    ...{ version: 2, family: 4, vrid: 21, priority: 255, interval: 1000, password: undefined },
    addresses: ["10.77.0.21"],
  },
  22: {
    ...{ version: 2, family: 4, vrid: 22, priority: 255, interval: 2000, password: "s3cret" },
    addresses: ["10.77.0.22", "10.77.0.23"],
  },
  31: {
    ...{ version: 3, family: 4, vrid: 31, priority: 255, interval: 250, password: undefined },
    addresses: ["10.77.0.31"],
  },
  32: {
    ...{ version: 3, family: 4, vrid: 32, priority: 255, interval: 250, password: undefined },
    addresses: ["10.77.0.32"],
  },
  61: {
    ...{ version: 3, family: 6, vrid: 61, priority: 255, interval: 250, password: undefined },
    addresses: ["fe80::77:61", "2001:db8:77::61"],
  },
};
const vrids = Object.keys(expected).map(Number);

test("keepalived's packets are read as it meant them, and ours are the same bytes", { timeout: 60_000 }, async (t) => {
  if (unable(t)) return;
  const directory = temporaryDirectory(t);
  makeLink(t);
  const capture = join(directory, "keepalived.pcap");
  const inNamespace = (name: string, ...command: readonly string[]) =>
    startProgram(t, "ip", ["netns", "exec", name, ...command]);
  const tshark = inNamespace(listener, "tshark", "-q", "-l", "-F", "pcap", "-i", "ek1", "-w", capture);
  await until("tshark captures", () => /Capturing on/.test(tshark.stderr()));
  // The capture file exists before the socket does; a probe that it shows is the proof.
  await until("a frame is captured", () => {
    ip("netns", "exec", sender, process.execPath, "-e", speak);
    return framesOf(readFileSync(capture)).length > 0;
  });
  const configuration = join(directory, "keepalived.conf");
  writeFileSync(configuration, keepalivedConf);
  const files = ["-p", join(directory, "parent.pid"), "-r", join(directory, "vrrp.pid")];
  const keepalived = inNamespace(sender, "keepalived", "-n", "-l", "-P", "-f", configuration, ...files);
  const seen = () => framesOf(readFileSync(capture)).flatMap((frame) => decodeFrame(frame) ?? []);
  await until(
    "every instance has spoken",
    () => {
      const spoken = new Set(seen().map(({ advertisement }) => advertisement.vrid));
      return vrids.every((vrid) => spoken.has(vrid));
    },
    { onTimeout: () => keepalived.stdout() + keepalived.stderr() },
  );
  keepalived.signal("SIGTERM");
  await keepalived.exited();
  await until("every instance has resigned", () => {
    const resigned = new Set(seen().flatMap(({ advertisement: { vrid, priority } }) => (priority === 0 ? [vrid] : [])));
    return vrids.every((vrid) => resigned.has(vrid));
  });
  const frames = framesOf(readFileSync(capture));
  for (const frame of frames) {
    const received = decodeFrame(frame);
    if (received === undefined) continue;
    const { advertisement } = received;
    const meant = expected[advertisement.vrid];
    assert.ok(meant !== undefined);
    assert.deepEqual(advertisement, advertisement.priority === 0 ? { ...meant, priority: 0 } : meant);
    assert.deepEqual(received.oddities, [], `vrid ${advertisement.vrid}`);
    const message = encodeAdvertisement(advertisement, received);
    const start = advertisement.family === 4 ? 34 : 54;
    assert.equal(hex(message), hex(frame.subarray(start)), `vrid ${advertisement.vrid}: our message`);
    if (advertisement.family === 4) {
      const packet = encodeIpv4Packet(message, received);
      // Identification and header checksum are the kernel's.
      const without = (bytes: Uint8Array) =>
        hex(bytes.subarray(0, 4)) + hex(bytes.subarray(6, 10)) + hex(bytes.subarray(12));
      assert.equal(without(packet), without(frame.subarray(14)), `vrid ${advertisement.vrid}: our packet`);
    }
  }
  compareAnnouncements(frames);
});

function compareAnnouncements(frames: readonly Buffer[]): void {
  const arps = frames.filter((frame) => frame.readUInt16BE(12) === 0x0806);
  const announced = arps.flatMap((frame) => {
    const decoded = decodeArp(frame);
    if (!decoded.ok || decoded.value.meaning !== "announcement") return [];
    const { senderMac, senderAddress } = decoded.value;
    const ours = encodeGratuitousArp({ mac: senderMac, address: senderAddress });
    assert.equal(hex(ours), hex(frame.subarray(0, 42)), "our gratuitous ARP");
    return [senderAddress];
  });
  for (const address of ["10.77.0.21", "10.77.0.31", "10.77.0.32"]) assert.ok(announced.includes(address), address);
  const neighbours = frames.filter(
    (frame) => frame.readUInt16BE(12) === 0x86dd && frame[20] === 58 && frame[54] === 136,
  );
  const targets = neighbours.flatMap((frame) => {
    const source = canonical(ipv6Text(frame.subarray(22, 38)));
    const destination = canonical(ipv6Text(frame.subarray(38, 54)));
    const message = frame.subarray(54, 54 + frame.readUInt16BE(18));
    const decoded = decodeNeighbourAdvertisement(message, { source, destination, hopLimit: frame[21] ?? 0 });
    assert.ok(decoded.ok, decoded.ok ? "" : decoded.code);
    const { target, mac, router, solicited } = decoded.value;
    if (destination !== allNodes || mac === undefined || solicited) return [];
    const ours = encodeUnsolicitedAdvertisement({ mac, address: target, source, router });
    assert.equal(hex(ours), hex(message), "our neighbour advertisement");
    return [target];
  });
  assert.ok(targets.includes("2001:db8:77::61"), targets.join(" "));
}

const ethernet = (etherType: number, packet: Uint8Array, destination = "01005e000012") =>
  Buffer.concat([Buffer.from(`${destination}020000000001${etherType.toString(16).padStart(4, "0")}`, "hex"), packet]);

test("tshark reads our packets without a complaint, every checksum good", { timeout: 60_000 }, async (t) => {
  if (unable(t)) return;
  const file = join(temporaryDirectory(t), "ours.pcap");
  const to4 = { source: "10.77.0.1", destination: "224.0.0.18" };
  const to6 = { source: "fe80::77:1", destination: "ff02::12" };
  const frames: Uint8Array[] = Object.values(expected).map((advertisement) => {
    if (advertisement.family === 4) {
      return ethernet(0x0800, encodeIpv4Packet(encodeAdvertisement(advertisement, to4), to4));
    }
    const envelope = { ...to6, protocol: 112, trafficClass: 0xc0 };
    return ethernet(0x86dd, encodeIpv6Packet(encodeAdvertisement(advertisement, to6), envelope), "333300000012");
  });
  const mac = "02:00:00:00:00:01";
  frames.push(encodeGratuitousArp({ mac, address: "10.77.0.21" }));
  const na = encodeUnsolicitedAdvertisement({ mac, address: "2001:db8:77::61", source: to6.source, router: true });
  const naEnvelope = { source: to6.source, destination: allNodes, protocol: 58, trafficClass: 0 };
  frames.push(ethernet(0x86dd, encodeIpv6Packet(na, naEnvelope), "333300000001"));
  writeFileSync(file, pcapOf(frames));
  const read = async (...args: readonly string[]) => {
    const checks = ["-o", "ip.check_checksum:TRUE"];
    const ran = await runProgram(t, "tshark", ["-n", "-r", file, ...checks, ...args]);
    assert.equal(ran.code, 0, ran.stderr);
    return ran.stdout.split("\n").filter((line) => line !== "");
  };
  const fields = ["vrrp.virt_rtr_id", "vrrp.version", "vrrp.checksum.status", "vrrp.auth_string"];
  const asked = fields.flatMap((field) => ["-e", field]);
  assert.deepEqual(await read("-Y", "vrrp", "-T", "fields", ...asked), [
    "21\t2\t1\t",
    "22\t2\t1\ts3cret",
    "31\t3\t1\t",
    "32\t3\t1\t",
    "61\t3\t1\t",
  ]);
  assert.deepEqual(await read("-Y", "icmpv6", "-T", "fields", "-e", "icmpv6.checksum.status"), ["1"]);
  assert.deepEqual(await read("-Y", "arp.isgratuitous", "-T", "fields", "-e", "arp.src.proto_ipv4"), ["10.77.0.21"]);
  // Warnings and errors of any dissector: wrong lengths, bad checksums, malformed packets.
  assert.deepEqual(await read("-Y", '_ws.malformed or _ws.expert.severity >= "Warning"'), []);
});
