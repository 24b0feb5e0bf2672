import assert from "node:assert/strict";
import { constants } from "node:os";
import { test } from "node:test";
import { bad, good } from "../core/failure.ts";
import type { NetlinkAnswer } from "../wire/netlink/answer.ts";
import { decodeMessages } from "../wire/netlink/reader.ts";
import { type AddressEntry, decodeRouteNews, encodeAddressRequest } from "../wire/netlink/route.ts";
import type { NetlinkExchange } from "./netlink-socket.ts";
import {
  claimAddress,
  forgetAddress,
  ownedAddresses,
  ownerMark,
  releaseAddress,
  removeLeftovers,
  renewAddress,
  type VirtualAddress,
} from "./owned-addresses.ts";

/** A kernel of one list of addresses; with `marks` false it forgets whose they are, as those before 5.18. */
function fakeKernel(options: { readonly marks: boolean } = { marks: true }) {
  const addresses: AddressEntry[] = [];
  const log: string[] = [];
  let refuseWith = 0;
  const same = (one: AddressEntry, other: AddressEntry) =>
    one.address === other.address &&
    one.prefixLength === other.prefixLength &&
    one.interfaceIndex === other.interfaceIndex;
  const answer = (errno: number): readonly NetlinkAnswer[] =>
    errno === 0 ? [] : [{ sequence: 1, errno, text: undefined, offset: undefined }];
  const exchange: NetlinkExchange = {
    sequence: () => 1,
    transact: (request) => {
      if (refuseWith !== 0) return good(answer(refuseWith));
      const messages = decodeMessages(request.bytes);
      const [message] = messages.ok ? messages.value : [];
      const news = message === undefined ? undefined : decodeRouteNews(message);
      if (message === undefined || news === undefined || !news.ok)
        return bad({ code: "test", origin: "self", retrySafe: false, detail: "" });
      if (news.value?.kind === "addressRemoved") {
        const { entry } = news.value;
        const at = addresses.findIndex((each) => same(each, entry));
        if (at < 0) return good(answer(constants.errno.EADDRNOTAVAIL));
        addresses.splice(at, 1);
        log.push(`del ${entry.address}/${entry.prefixLength}`);
      } else if (news.value?.kind === "addressAdded") {
        const entry = { ...news.value.entry, protocol: options.marks ? news.value.entry.protocol : 0 };
        const at = addresses.findIndex((each) => same(each, entry));
        if (at >= 0 && (message.flags & 0x200) !== 0) return good(answer(constants.errno.EEXIST));
        if (at >= 0) addresses.splice(at, 1);
        addresses.push(entry);
        log.push(`${at >= 0 ? "renew" : "add"} ${entry.address}/${entry.prefixLength} ${entry.validSeconds}`);
      }
      return good([]);
    },
    dump: (_request, take) => {
      for (const entry of addresses) {
        const request = encodeAddressRequest("add", { ...entry, scope: "global" }, 1);
        const messages = decodeMessages(request.bytes);
        if (messages.ok) for (const message of messages.value) take(message);
      }
      return good(undefined);
    },
    close: () => undefined,
  };
  const byOperator = (address: string, prefixLength: number, interfaceIndex = 2) => {
    const entry = {
      family: address.includes(":") ? 6 : 4,
      scope: 0,
      flags: 0x80,
      label: undefined,
      protocol: 0,
    } as const;
    addresses.push({
      ...entry,
      address,
      prefixLength,
      interfaceIndex,
      validSeconds: undefined,
      preferredSeconds: undefined,
    });
  };
  const refuse = (errno: number) => {
    refuseWith = errno;
  };
  return { exchange, addresses, log, byOperator, refuse };
}

function wanted(address: string, prefixLength = 32): VirtualAddress {
  return { address, prefixLength, interfaceIndex: 2, interfaceName: "eth0", scope: "global", label: undefined };
}

function codeOf(result: { readonly ok: boolean; readonly failure?: { readonly code: string } }): string | undefined {
  return result.failure?.code;
}

test("a claimed address is marked, renewed and released", () => {
  const kernel = fakeKernel();
  const owned = ownedAddresses(kernel.exchange);
  const claimed = claimAddress(owned, wanted("10.0.0.9"), 3);
  assert.ok(claimed.ok && claimed.value.marked);
  assert.equal(kernel.addresses[0]?.protocol, ownerMark);
  assert.deepEqual(renewAddress(owned, claimed.value, 2), { ok: true, value: "renewed" });
  assert.deepEqual(releaseAddress(owned, claimed.value), { ok: true, value: "removed" });
  assert.deepEqual(kernel.log, ["add 10.0.0.9/32 3", "renew 10.0.0.9/32 2", "del 10.0.0.9/32"]);
});

test("an address that the machine has, whatever its prefix length and interface, is refused and left alone", () => {
  for (const [prefixLength, interfaceIndex] of [
    [32, 2],
    [24, 2],
    [32, 5],
  ] as const) {
    const kernel = fakeKernel();
    kernel.byOperator("10.0.0.9", prefixLength, interfaceIndex);
    const owned = ownedAddresses(kernel.exchange);
    assert.equal(codeOf(claimAddress(owned, wanted("10.0.0.9"), 3)), "address.foreign");
    assert.deepEqual(kernel.log, []);
  }
});

test("one that somebody adds between question and claim is refused by the kernel", () => {
  const kernel = fakeKernel();
  kernel.refuse(constants.errno.EEXIST);
  assert.equal(codeOf(claimAddress(ownedAddresses(kernel.exchange), wanted("10.0.0.9"), 3)), "address.foreign");
});

test("a proof is good for one removal and no stranger's proof is good for any", () => {
  const kernel = fakeKernel();
  const owned = ownedAddresses(kernel.exchange);
  const claimed = claimAddress(owned, wanted("10.0.0.9"), 3);
  assert.ok(claimed.ok);
  releaseAddress(owned, claimed.value);
  assert.throws(() => releaseAddress(owned, claimed.value), /invariant/);
  assert.throws(() => renewAddress(owned, { wanted: wanted("10.0.0.8"), marked: true }, 3), /invariant/);
});

test("an address that was removed and given by an operator is neither renewed nor removed", () => {
  const kernel = fakeKernel();
  const owned = ownedAddresses(kernel.exchange);
  const claimed = claimAddress(owned, wanted("10.0.0.9"), 3);
  assert.ok(claimed.ok);
  kernel.addresses.length = 0;
  assert.deepEqual(renewAddress(owned, claimed.value, 3), { ok: true, value: "gone" });
  kernel.byOperator("10.0.0.9", 32);
  assert.equal(codeOf(renewAddress(owned, claimed.value, 3)), "address.foreign");
  assert.deepEqual(releaseAddress(owned, claimed.value), { ok: true, value: "gone" });
  assert.equal(kernel.addresses.length, 1);
});

test("one that is gone can be forgotten and claimed again", () => {
  const kernel = fakeKernel();
  const owned = ownedAddresses(kernel.exchange);
  const first = claimAddress(owned, wanted("10.0.0.9"), 3);
  assert.ok(first.ok);
  kernel.addresses.length = 0;
  forgetAddress(owned, first.value);
  assert.ok(claimAddress(owned, wanted("10.0.0.9"), 3).ok);
  assert.equal(owned.held.size, 1);
});

test("a former run's address is taken over where it belongs and removed where it does not", () => {
  const kernel = fakeKernel();
  const former = ownedAddresses(kernel.exchange);
  for (const each of [wanted("10.0.0.9"), wanted("10.0.0.8", 31), wanted("10.0.0.7")]) {
    // Without a question to the machine about secondaries: as the former run put it there.
    kernel.exchange.transact(
      encodeAddressRequest("add", { ...each, validSeconds: 9, preferredSeconds: 9, protocol: ownerMark }, 1),
    );
  }
  assert.equal(former.held.size, 0);
  const owned = ownedAddresses(kernel.exchange);
  kernel.log.length = 0;
  assert.ok(claimAddress(owned, wanted("10.0.0.9"), 3).ok);
  assert.ok(claimAddress(owned, wanted("10.0.0.8"), 3).ok);
  const left = removeLeftovers(owned);
  assert.ok(left.ok);
  assert.deepEqual(
    left.value.map(({ address }) => address),
    ["10.0.0.7"],
  );
  assert.deepEqual(kernel.log, ["renew 10.0.0.9/32 3", "del 10.0.0.8/31", "add 10.0.0.8/32 3", "del 10.0.0.7/32"]);
});

test("a kernel that forgets marks is believed by the record alone", () => {
  const kernel = fakeKernel({ marks: false });
  const owned = ownedAddresses(kernel.exchange);
  const claimed = claimAddress(owned, wanted("fd00::9", 128), 3);
  assert.ok(claimed.ok);
  assert.equal(claimed.value.marked, false);
  assert.equal(kernel.addresses[0]?.preferredSeconds, 0, "never a source of new connections");
  assert.deepEqual(renewAddress(owned, claimed.value, 3), { ok: true, value: "renewed" });
  assert.deepEqual(releaseAddress(owned, claimed.value), { ok: true, value: "removed" });
});

test("a right that is missing is told with its remedy", () => {
  const kernel = fakeKernel();
  kernel.refuse(constants.errno.EPERM);
  const refused = claimAddress(ownedAddresses(kernel.exchange), wanted("10.0.0.9"), 3);
  assert.ok(!refused.ok);
  assert.equal(refused.failure.code, "address.denied");
  assert.match(refused.failure.detail, /CAP_NET_ADMIN/);
});
