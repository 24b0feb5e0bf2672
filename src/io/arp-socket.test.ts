import assert from "node:assert/strict";
import { test } from "node:test";
import { encodeGratuitousArp } from "../wire/arp.ts";
import { encodeSenderFilter, LISTENED_SENDERS_MAX } from "./arp-socket.ts";

/** Runs the instructions that our filter uses; gives how many bytes of the frame it lets through. */
function runFilter(program: Uint8Array, frame: Uint8Array): number {
  const view = new DataView(program.buffer, program.byteOffset, program.length);
  const packet = new DataView(frame.buffer, frame.byteOffset, frame.length);
  let accumulator = 0;
  for (let at = 0; at < program.length; at += 8) {
    const value = view.getUint32(at + 4, true);
    const code = view.getUint16(at, true);
    if (code === 0x20) accumulator = packet.getUint32(value);
    else if (code === 0x06) return value;
    else if (code === 0x15) at += 8 * view.getUint8(at + (accumulator === value ? 2 : 3));
    else throw new Error(`instruction ${code}`);
  }
  throw new Error("the program has no end");
}

function frameOf(address: string): Uint8Array {
  return encodeGratuitousArp({ mac: "02:00:00:00:00:01", address });
}

test("the filter lets through what a listed sender says and nothing else", () => {
  const program = encodeSenderFilter(["10.0.0.1", "10.0.0.2", "10.0.0.3"]);
  for (const address of ["10.0.0.1", "10.0.0.2", "10.0.0.3"]) assert.ok(runFilter(program, frameOf(address)) > 60);
  for (const address of ["10.0.0.4", "0.0.0.0", "1.0.0.10"]) assert.equal(runFilter(program, frameOf(address)), 0);
});

test("of more senders than a filter holds the first are listened to", () => {
  const senders = Array.from({ length: LISTENED_SENDERS_MAX + 9 }, (_, index) => `10.0.1.${index}`);
  const program = encodeSenderFilter(senders);
  assert.ok(runFilter(program, frameOf("10.0.1.0")) > 0);
  assert.ok(runFilter(program, frameOf(`10.0.1.${LISTENED_SENDERS_MAX - 1}`)) > 0);
  assert.equal(runFilter(program, frameOf(`10.0.1.${LISTENED_SENDERS_MAX}`)), 0);
});

test("a filter for nobody lets nothing through", () => {
  assert.equal(runFilter(encodeSenderFilter([]), frameOf("10.0.0.1")), 0);
});
