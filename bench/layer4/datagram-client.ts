// A program of its own: sends numbered datagrams, as many under way at a time as it is told, and counts exactly what comes
// back. A flow is a client address and port; all addresses of a network are this machine's own, so that a few sockets are
// enough for tens of thousands of flows. Says `ready`, waits for a line, works, says what came out. Run by datagrams.ts.

import { readSync } from "node:fs";
import { parseArgs } from "node:util";
import { bindSocket, type CallResult, datagramSocket, setNumber } from "../../src/io/libc.ts";
import { messageRoom, pollDescriptors, receiveNow, sendMessage } from "../../src/io/libc-sockets.ts";
import { addressNumber, type FlowSpace, laneAt, placeOf, serialAt, socketAddress, targetAt } from "./datagram.ts";

const AF_INET = 2;
const IPPROTO_IP = 0;
const IP_PKTINFO = 8;
const POLL_IN = 1;
const SOCKETS = 8;
const RECEIVE_BUFFER_BYTES = 4 * 1024 * 1024;
const TURN_MAX = 64;
/** An answer that takes longer is lost. */
const LOST_AFTER_MS = 1_000;
const LOOK_MS = 100;

export type DatagramTotals = {
  /** Datagrams that were answered. */
  readonly answered: number;
  readonly durationUs: number;
  readonly lost: number;
  /** Answers that nobody waited for: doubled, or later than a second. */
  readonly stray: number;
  readonly wrongSize: number;
  /** Answers by the number of the target. */
  readonly shares: readonly number[];
};

export type ClientOptions = {
  readonly targets: readonly string[];
  readonly port: number;
  readonly first: string;
  readonly lanes: number;
  readonly fresh: boolean;
  readonly flowsMax: number;
  readonly seconds: number;
  readonly bytes: number;
};

function must(what: string, result: CallResult): number {
  if (result.ok) return result.value;
  throw new Error(`${what}: ${result.name}`);
}

class DatagramRun {
  readonly #options: ClientOptions;
  readonly #space: FlowSpace;
  readonly #to: readonly Uint8Array[];
  readonly #sockets: readonly number[];
  readonly #room: ReturnType<typeof messageRoom>;
  readonly #payload: Uint8Array;
  readonly #payloadView: DataView;
  /** struct in_pktinfo: interface, then the address that the datagram is sent from. */
  readonly #source = new Uint8Array(12);
  readonly #sourceView = new DataView(this.#source.buffer);
  readonly #control = { level: IPPROTO_IP, type: IP_PKTINFO, data: this.#source };
  /** By lane: the serial that is under way, 0 for none, and when it left. */
  readonly #serials: Uint32Array;
  readonly #sentMs: Float64Array;
  /** By the number that a target wrote into its answer, one byte. */
  readonly #shares = new Uint32Array(256);
  #serial = 0;
  #sending = true;
  #underWay = 0;
  #answered = 0;
  #lost = 0;
  #stray = 0;
  #wrongSize = 0;

  constructor(options: ClientOptions) {
    this.#options = options;
    this.#space = { sockets: SOCKETS, first: addressNumber(options.first) };
    this.#to = options.targets.map((target) => socketAddress(target, options.port));
    this.#sockets = Array.from({ length: SOCKETS }, () => {
      const fd = must("socket", datagramSocket(AF_INET));
      must("receive buffer", setNumber(fd, "receiveBufferForced", RECEIVE_BUFFER_BYTES));
      must("bind", bindSocket(fd, socketAddress("0.0.0.0", 0)));
      return fd;
    });
    this.#room = messageRoom(options.bytes);
    this.#payload = new Uint8Array(options.bytes).fill(0x62);
    this.#payloadView = new DataView(this.#payload.buffer);
    this.#serials = new Uint32Array(options.lanes);
    this.#sentMs = new Float64Array(options.lanes);
  }

  run(): DatagramTotals {
    const polled = new DataView(new ArrayBuffer(8 * SOCKETS));
    for (const [at, fd] of this.#sockets.entries()) {
      polled.setInt32(8 * at, fd, true);
      polled.setInt16(8 * at + 4, POLL_IN, true);
    }
    const descriptors = new Uint8Array(polled.buffer);
    // struct timespec: LOOK_MS.
    const look = new Uint8Array(new BigInt64Array([0n, BigInt(LOOK_MS) * 1_000_000n]).buffer);
    const startMs = performance.now();
    const endMs = startMs + this.#options.seconds * 1000;
    let lookedMs = startMs;
    for (let lane = 0; lane < this.#options.lanes; lane++) this.#send(lane, startMs);
    while (this.#underWay > 0) {
      const ready = pollDescriptors(descriptors, SOCKETS, look);
      const nowMs = performance.now();
      if (nowMs >= endMs) this.#sending = false;
      if (ready.ok && ready.value > 0) {
        for (let at = 0; at < SOCKETS; at++) {
          if (polled.getInt16(8 * at + 6, true) !== 0) this.#receive(at, nowMs);
        }
      }
      if (nowMs - lookedMs >= LOOK_MS) {
        lookedMs = nowMs;
        this.#giveUp(nowMs);
      }
    }
    const durationUs = (performance.now() - startMs) * 1000;
    const shares = [...this.#shares.subarray(0, this.#shares.findLastIndex((share) => share > 0) + 1)];
    const { lost, stray, wrongSize } = { lost: this.#lost, stray: this.#stray, wrongSize: this.#wrongSize };
    return { answered: this.#answered, durationUs, lost, stray, wrongSize, shares };
  }

  #send(lane: number, nowMs: number): void {
    const { fresh, flowsMax, targets } = this.#options;
    this.#serials[lane] = 0;
    if (!this.#sending || (fresh && this.#serial >= flowsMax)) return;
    const flow = fresh ? this.#serial : lane;
    const { socket, address } = placeOf(this.#space, flow);
    this.#serial += 1;
    this.#serials[lane] = this.#serial;
    this.#sentMs[lane] = nowMs;
    this.#underWay += 1;
    this.#payloadView.setUint32(laneAt, lane, true);
    this.#payloadView.setUint32(serialAt, this.#serial, true);
    this.#sourceView.setUint32(4, address);
    const to = this.#to[flow % targets.length];
    const fd = this.#sockets[socket];
    if (to === undefined || fd === undefined) throw new Error(`flow ${flow} has no place`);
    must("send", sendMessage(fd, this.#room, { to, payload: this.#payload, control: this.#control }));
  }

  #receive(socket: number, nowMs: number): void {
    const fd = this.#sockets[socket];
    if (fd === undefined) return;
    const { bytes, view } = this.#answer;
    for (let turn = 0; turn < TURN_MAX; turn++) {
      const received = receiveNow(fd, bytes);
      if (!received.ok) return;
      if (received.value !== this.#options.bytes) {
        this.#wrongSize += 1;
        continue;
      }
      const lane = view.getUint32(laneAt, true);
      const serial = view.getUint32(serialAt, true);
      if (serial === 0 || this.#serials[lane] !== serial) {
        this.#stray += 1;
        continue;
      }
      const target = bytes[targetAt] ?? 0;
      this.#shares[target] = (this.#shares[target] ?? 0) + 1;
      this.#answered += 1;
      this.#underWay -= 1;
      this.#send(lane, nowMs);
    }
  }

  readonly #answer = ((): { readonly bytes: Uint8Array; readonly view: DataView } => {
    const bytes = new Uint8Array(2048);
    return { bytes, view: new DataView(bytes.buffer) };
  })();

  #giveUp(nowMs: number): void {
    for (const [lane, serial] of this.#serials.entries()) {
      if (serial === 0 || nowMs - (this.#sentMs[lane] ?? nowMs) < LOST_AFTER_MS) continue;
      this.#lost += 1;
      this.#underWay -= 1;
      this.#send(lane, nowMs);
    }
  }
}

function main(): void {
  const { values } = parseArgs({
    options: {
      targets: { type: "string", default: "" },
      port: { type: "string", default: "" },
      first: { type: "string", default: "" },
      lanes: { type: "string", default: "" },
      fresh: { type: "boolean", default: false },
      "flows-max": { type: "string", default: "" },
      seconds: { type: "string", default: "" },
      bytes: { type: "string", default: "" },
    },
  });
  const run = new DatagramRun({
    targets: values.targets.split(","),
    port: Number(values.port),
    first: values.first,
    lanes: Number(values.lanes),
    fresh: values.fresh,
    flowsMax: Number(values["flows-max"]),
    seconds: Number(values.seconds),
    bytes: Number(values.bytes),
  });
  process.stdout.write("ready\n");
  readSync(0, new Uint8Array(16));
  process.stdout.write(`${JSON.stringify(run.run())}\n`);
  // The meter reads this process's surroundings once the line is there; it ends when it is told to.
  readSync(0, new Uint8Array(16));
}

main();
