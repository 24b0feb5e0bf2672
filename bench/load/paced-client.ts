// A program of its own: sends requests on a fixed schedule, whatever the answers do (an open loop), and counts latency
// from the scheduled time, so that a proxy that stalls is charged for every request that had to wait. Run by paced.ts.
//
// Node's timers tick in milliseconds, fifteen requests at a time. So the loop naps some 0.1 ms in Atomics.wait between
// two looks at the sockets: that leaves the core to the targets, and a look costs little. What the nap adds to a latency
// is the same for every proxy, and is shown by the same client sent straight at a target.

import { connect, type Socket } from "node:net";
import { parseArgs } from "node:util";
import { percentile } from "../statistics.ts";
import { ResponseReader } from "./response-reader.ts";

const NAP_MS = 0.02;
/** How long the last responses may take after the last request was due. */
const TAIL_MS = 5_000;
const PROBLEMS_MAX = 20;
const READ_BYTES = 16 * 1024;

export type PacedTotals = {
  readonly requests: number;
  readonly p50Us: number;
  readonly p99Us: number;
  /** 99th percentile of how late this client itself sent a request for which a connection was free. */
  readonly lateUs: number;
  readonly problems: readonly string[];
};

type Lane = {
  readonly socket: Socket;
  readonly reader: ResponseReader;
  /** Bytes of a whole right response that came in one piece, once one did; 0 before. */
  usualBytes: number;
  dueMs: number;
};

class PacedRun {
  readonly #request: Buffer;
  readonly #intervalMs: number;
  readonly #total: number;
  /** The first requests warm the connections and this client up; they are not counted. */
  readonly #warm: number;
  readonly #latencies: Float64Array;
  readonly #late: Float64Array;
  readonly #free: Lane[] = [];
  /** The next request on the schedule; one that found no free connection waits as its due time passes. */
  #sent = 0;
  #answered = 0;
  #startMs = 0;
  readonly #problems: string[] = [];

  constructor(options: {
    readonly request: string;
    readonly rate: number;
    readonly seconds: number;
    readonly warm: number;
  }) {
    this.#request = Buffer.from(options.request);
    this.#intervalMs = 1000 / options.rate;
    this.#warm = Math.round(options.rate * options.warm);
    this.#total = this.#warm + Math.round(options.rate * options.seconds);
    this.#latencies = new Float64Array(this.#total);
    this.#late = new Float64Array(this.#total);
  }

  async open(port: number, connections: number): Promise<void> {
    for (let index = 0; index < connections; index++) {
      const onread = {
        buffer: Buffer.alloc(READ_BYTES),
        callback: (length: number): boolean => {
          this.#read(lane, onread.buffer, length);
          return true;
        },
      };
      const socket = connect({ host: "127.0.0.1", port, noDelay: true, onread });
      const lane: Lane = { socket, reader: new ResponseReader(), usualBytes: 0, dueMs: 0 };
      await new Promise<void>((resolve, reject) => socket.once("connect", resolve).once("error", reject));
      socket.on("error", (cause) => this.#complain(`socket error: ${cause.message}`));
      socket.on("close", () => this.#complain("connection closed by the proxy"));
      this.#free.push(lane);
    }
  }

  run(): Promise<PacedTotals> {
    const nap = new Int32Array(new SharedArrayBuffer(4));
    this.#startMs = performance.now();
    const endMs = this.#startMs + this.#total * this.#intervalMs + TAIL_MS;
    return new Promise((resolve) => {
      const turn = (): void => {
        this.#sendDue();
        if (this.#answered === this.#total || this.#problems.length >= PROBLEMS_MAX || performance.now() > endMs) {
          resolve(this.#totals());
          return;
        }
        Atomics.wait(nap, 0, 0, NAP_MS);
        setImmediate(turn);
      };
      turn();
    });
  }

  #sendDue(): void {
    const nowMs = performance.now();
    while (this.#sent < this.#total) {
      const dueMs = this.#startMs + this.#sent * this.#intervalMs;
      if (dueMs > nowMs) return;
      const lane = this.#free.pop();
      if (lane === undefined) return;
      this.#late[this.#sent] = performance.now() - dueMs;
      this.#send(lane, dueMs);
    }
  }

  #send(lane: Lane, dueMs: number): void {
    this.#sent += 1;
    lane.dueMs = dueMs;
    lane.socket.write(this.#request);
  }

  /** What is as long as the last whole response and has status 200 is one: no string is made for it. */
  #read(lane: Lane, buffer: Buffer, length: number): void {
    if (length !== lane.usualBytes || !isStatus200(buffer)) {
      const reading = lane.reader.feed(Buffer.from(buffer.subarray(0, length)));
      lane.usualBytes = 0;
      if (reading.kind === "partial") return;
      if (reading.kind === "problem") {
        this.#complain(reading.what);
        return;
      }
      if (reading.status !== 200) this.#complain(`status ${reading.status}`);
      if (reading.pieces === 1) lane.usualBytes = length;
    }
    this.#latencies[this.#answered] = performance.now() - lane.dueMs;
    this.#answered += 1;
    // A request that is overdue for want of a connection goes out at once, late by no fault of this client.
    const dueMs = this.#startMs + this.#sent * this.#intervalMs;
    if (this.#free.length === 0 && this.#sent < this.#total && dueMs <= performance.now()) this.#send(lane, dueMs);
    else this.#free.push(lane);
  }

  #complain(what: string): void {
    if (this.#problems.length < PROBLEMS_MAX) this.#problems.push(what);
  }

  #totals(): PacedTotals {
    const problems = [...this.#problems];
    if (this.#answered < this.#total) problems.push(`${this.#total - this.#answered} of ${this.#total} not answered`);
    const latencies = this.#latencies.slice(this.#warm, this.#answered).sort();
    const late = this.#late.slice(this.#warm, this.#sent).sort();
    return {
      requests: this.#total,
      p50Us: percentile(latencies, 0.5) * 1000,
      p99Us: percentile(latencies, 0.99) * 1000,
      lateUs: percentile(late, 0.99) * 1000,
      problems,
    };
  }
}

/** `HTTP/1.1 200`: the status stands at a fixed place. */
function isStatus200(bytes: Buffer): boolean {
  return bytes[9] === 0x32 && bytes[10] === 0x30 && bytes[11] === 0x30;
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      port: { type: "string", default: "" },
      connections: { type: "string", default: "64" },
      rate: { type: "string", default: "" },
      seconds: { type: "string", default: "3" },
      warm: { type: "string", default: "0.5" },
      request: { type: "string", default: "" },
    },
  });
  const run = new PacedRun({
    request: values.request,
    rate: Number(values.rate),
    seconds: Number(values.seconds),
    warm: Number(values.warm),
  });
  await run.open(Number(values.port), Number(values.connections));
  process.stdout.write(`${JSON.stringify(await run.run())}\n`, () => process.exit(0));
}

await main();
