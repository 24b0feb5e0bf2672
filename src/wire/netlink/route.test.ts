import assert from "node:assert/strict";
import { test } from "node:test";
import { decodeMessages, type NetlinkMessage } from "./reader.ts";
import {
  type AddressRequest,
  decodeRouteNews,
  encodeAddressDump,
  encodeAddressRemoval,
  encodeAddressRequest,
  encodeLinkDump,
  isLinkUp,
} from "./route.ts";

function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString("hex");
}

function only(bytes: Uint8Array): NetlinkMessage {
  const messages = decodeMessages(bytes);
  assert.ok(messages.ok && messages.value.length === 1);
  const [message] = messages.value;
  assert.ok(message !== undefined);
  return message;
}

const wanted: AddressRequest = {
  address: "10.45.1.100",
  prefixLength: 32,
  interfaceIndex: 7,
  scope: "global",
  label: "eth0:vip",
  validSeconds: 3,
  preferredSeconds: 3,
  protocol: 112,
};

test("an address is added with its lifetime, label and mark, byte by byte as linux/if_addr.h has it", () => {
  const { bytes } = encodeAddressRequest("add", wanted, 9);
  const expected = [
    "54000000 1400 0506 09000000 00000000", // length, RTM_NEWADDR, request acknowledge exclusive create, sequence, port
    "02 20 00 00 07000000", // AF_INET, /32, no flags, global, interface 7
    "0800 0200 0a2d0164", // IFA_LOCAL
    "0800 0100 0a2d0164", // IFA_ADDRESS
    "0d00 0300 657468303a766970 00 000000", // IFA_LABEL, padded
    "1400 0600 03000000 03000000 00000000 00000000", // IFA_CACHEINFO: preferred, valid
    "0500 0b00 70 000000", // IFA_PROTO
  ];
  assert.equal(hex(bytes), expected.join("").replaceAll(" ", ""));
});

test("an IPv6 address skips the search for duplicates", () => {
  const six = { ...wanted, address: "fd45:1::100", prefixLength: 128, label: undefined, preferredSeconds: 0 };
  const message = only(encodeAddressRequest("renew", six, 1).bytes);
  assert.equal(message.flags, 0x0505, "request, acknowledge, replace, create");
  assert.equal(hex(message.payload.subarray(0, 8)), "0a800200" + "07000000");
});

test("what is asked for is read back as the kernel would tell it", () => {
  for (const request of [
    wanted,
    {
      ...wanted,
      address: "fd45:1::100",
      prefixLength: 128,
      label: undefined,
      preferredSeconds: 0,
      scope: "link" as const,
    },
    { ...wanted, label: undefined, validSeconds: undefined, preferredSeconds: undefined },
  ]) {
    const news = decodeRouteNews(only(encodeAddressRequest("add", request, 1).bytes));
    assert.ok(news.ok && news.value?.kind === "addressAdded");
    const { address, prefixLength, interfaceIndex, label, protocol, validSeconds, preferredSeconds } = news.value.entry;
    const { scope: _scope, ...rest } = request;
    assert.deepEqual({ address, prefixLength, interfaceIndex, label, protocol, validSeconds, preferredSeconds }, rest);
  }
});

test("a removal names address, prefix length and interface", () => {
  const message = only(encodeAddressRemoval(wanted, 3).bytes);
  assert.equal(message.type, 21);
  assert.equal(message.flags, 0x5);
  const news = decodeRouteNews(message);
  assert.ok(news.ok && news.value?.kind === "addressRemoved");
  assert.equal(news.value.entry.address, "10.45.1.100");
  assert.equal(news.value.entry.prefixLength, 32);
});

test("dumps ask for one family, both, or all links", () => {
  assert.equal(hex(encodeAddressDump(4, 1).bytes), "1800000016000103010000000000000002000000" + "00000000");
  assert.equal(encodeAddressDump(undefined, 1).bytes[16], 0);
  const links = only(encodeLinkDump(2).bytes);
  assert.equal(links.type, 18);
  assert.equal(links.payload.length, 16);
});

// `ip monitor` of a veth whose other end went down: name eth0, Ethernet, MAC, MTU 1500.
const linkHex = (flags: string) =>
  `${"00 00 0100 07000000"}${flags}00000000 0900 0300 6574683000 000000 0800 0400 dc050000 0a00 0100 02aabbccddee 0000`;

function link(flags: string): NetlinkMessage {
  const payload = new Uint8Array(Buffer.from(linkHex(flags).replaceAll(" ", ""), "hex"));
  return { type: 16, flags: 0, sequence: 0, portId: 0, payload };
}

test("a link is up when it is switched on and has a carrier", () => {
  const up = decodeRouteNews(link("43100100"));
  assert.ok(up.ok && up.value?.kind === "link");
  assert.deepEqual(up.value.link, {
    index: 7,
    name: "eth0",
    hardwareType: 1,
    mac: "02:aa:bb:cc:dd:ee",
    mtu: 1500,
    flags: 0x11043,
  });
  assert.equal(isLinkUp(up.value.link), true);
  const down = decodeRouteNews(link("03100000"));
  assert.ok(down.ok && down.value?.kind === "link");
  assert.equal(isLinkUp(down.value.link), false);
});

test("with a peer, the own address is the local one", () => {
  const payload = Buffer.from("02200000070000000800010" + "00a000002" + "080002000a000001", "hex");
  const news = decodeRouteNews({ type: 20, flags: 0, sequence: 0, portId: 0, payload: new Uint8Array(payload) });
  assert.ok(news.ok && news.value?.kind === "addressAdded");
  assert.equal(news.value.entry.address, "10.0.0.1");
});

test("cut messages are failures at every length, other families and types are nothing", () => {
  const whole = only(encodeAddressRequest("add", wanted, 1).bytes);
  let refused = 0;
  for (let length = 0; length < whole.payload.length; length++) {
    const news = decodeRouteNews({ ...whole, payload: whole.payload.subarray(0, length) });
    if (!news.ok) refused++;
    else assert.ok(news.value?.kind === "addressAdded", "cut between two attributes");
  }
  assert.ok(refused > whole.payload.length / 2);
  const bridge = link("43100100");
  bridge.payload[0] = 7;
  assert.deepEqual(decodeRouteNews(bridge), { ok: true, value: undefined });
  assert.deepEqual(decodeRouteNews({ ...bridge, type: 24 }), { ok: true, value: undefined });
});
