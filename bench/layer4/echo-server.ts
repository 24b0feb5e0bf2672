// A program of its own: the UDP targets of one network. One socket for each target's address; what comes is sent back as
// it came, with the number of the target in it. Sleeps in one ppoll(2), answers as many as there are, sleeps again: it must
// cost little, since it shares its core with the client. Run by targets.ts, ended by a signal.

import { parseArgs } from "node:util";
import { bindSocket, type CallResult, datagramSocket, setNumber } from "../../src/io/libc.ts";
import {
  messageRoom,
  payloadOf,
  pollDescriptors,
  receiveMessage,
  senderOf,
  sendMessage,
} from "../../src/io/libc-sockets.ts";
import { socketAddress, targetAt } from "./datagram.ts";

const AF_INET = 2;
const POLL_IN = 1;
const RECEIVE_BUFFER_BYTES = 4 * 1024 * 1024;
/** Answered in a row before another target's turn. */
const TURN_MAX = 64;

function must(what: string, result: CallResult): number {
  if (result.ok) return result.value;
  throw new Error(`${what}: ${result.name}`);
}

function open(host: string, port: number): number {
  const fd = must("socket", datagramSocket(AF_INET));
  must("receive buffer", setNumber(fd, "receiveBufferForced", RECEIVE_BUFFER_BYTES));
  must(`bind ${host}:${port}`, bindSocket(fd, socketAddress(host, port)));
  return fd;
}

function main(): void {
  const { values } = parseArgs({ options: { hosts: { type: "string" }, port: { type: "string" } } });
  const sockets = (values.hosts ?? "").split(",").map((host) => open(host, Number(values.port)));
  const polled = new DataView(new ArrayBuffer(8 * sockets.length));
  for (const [at, fd] of sockets.entries()) {
    polled.setInt32(8 * at, fd, true);
    polled.setInt16(8 * at + 4, POLL_IN, true);
  }
  const descriptors = new Uint8Array(polled.buffer);
  const room = messageRoom(2048);
  process.stdout.write("ready\n");
  while (true) {
    pollDescriptors(descriptors, sockets.length, null);
    for (const [target, fd] of sockets.entries()) {
      if (polled.getInt16(8 * target + 6, true) === 0) continue;
      for (let turn = 0; turn < TURN_MAX; turn++) {
        const received = receiveMessage(fd, room);
        if (!received.ok) break;
        const payload = payloadOf(room, received.value);
        payload[targetAt] = target;
        // A client that is gone is no failure of the target: its answers are lost.
        sendMessage(fd, room, { to: senderOf(room), payload, control: undefined });
      }
    }
  }
}

main();
