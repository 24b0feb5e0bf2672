import assert from "node:assert/strict";
import { test } from "node:test";
import { decodeMessages } from "./reader.ts";
import { encodeTimedElements } from "./timed-elements.ts";

test("an element that is there is removed and added with its time in one transaction", () => {
  const changes = [{ set: "lease", key: 0x102, milliseconds: 300, present: true }];
  const request = encodeTimedElements("gate", changes, 5);
  const messages = decodeMessages(request.bytes);
  assert.ok(messages.ok);
  // Batch begin, delete elements, new elements, batch end; only the last change asks for an answer.
  assert.deepEqual(
    messages.value.map(({ type, flags, sequence }) => [type, flags, sequence]),
    [
      [0x10, 0x1, 5],
      [0xa0e, 0x1, 6],
      [0xa0c, 0x405, 7],
      [0x11, 0x1, 8],
    ],
  );
  assert.deepEqual([request.first, request.last, request.batch], [5, 7, true]);
  const added = Buffer.from(messages.value[2]?.payload ?? []).toString("hex");
  assert.match(added, /^05/, "family netdev");
  // NFTA_SET_ELEM_KEY { NFTA_DATA_VALUE 0x102 in host order }, NFTA_SET_ELEM_TIMEOUT in network order.
  assert.match(added, /0c0001800800010002010000/);
  assert.match(added, /0c000400000000000000012c$/);
});

test("one that is only removed carries no time, one that is not there is only added", () => {
  const types = (changes: Parameters<typeof encodeTimedElements>[1]) => {
    const messages = decodeMessages(encodeTimedElements("gate", changes, 1).bytes);
    assert.ok(messages.ok);
    return messages.value.map(({ type }) => type);
  };
  assert.deepEqual(types([{ set: "lease", key: 1, milliseconds: undefined, present: true }]), [0x10, 0xa0e, 0x11]);
  assert.deepEqual(types([{ set: "lease", key: 1, milliseconds: 5, present: false }]), [0x10, 0xa0c, 0x11]);
});
