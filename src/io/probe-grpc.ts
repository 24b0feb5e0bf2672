// The gRPC probe: grpc.health.v1.Health/Check over HTTP/2, with TLS or without (prior knowledge), by node:http2. An edge,
// on the change's way. The two messages are so small that they are written and read here: a request is field 1, a string;
// a response is field 1, an enum whose 1 means SERVING (grpc/health/v1/health.proto). A frame is a compression flag, four
// bytes of length, and the message (gRPC over HTTP/2, "Length-Prefixed-Message").

import { type ClientHttp2Session, type ClientHttp2Stream, connect, constants } from "node:http2";
import type { Socket } from "node:net";
import type { Milliseconds } from "../core/clock.ts";
import type { ProbeConnection, ProbeOutcome, ProbeTls } from "../model/health-check.ts";
import { Attempt, failed, type Prober, type ProbeShared, type ProbeTarget, passed } from "./probe.ts";
import { authorityOf, cut, openTcp, openTls } from "./probe-connection.ts";

/** Bytes of an answer: a health answer has 7. */
const answerBytesMax = 4096;
const headerListBytesMax = 16 * 1024;

export type GrpcPlan = {
  readonly service: string;
  readonly tls: ProbeTls | undefined;
  readonly connection: ProbeConnection;
};

/** Codes: those of the connection, probe.grpc.status (an error of gRPC), .notServing, .answer, probe.timeout. */
export function createGrpcProber(target: ProbeTarget, plan: GrpcPlan, shared: ProbeShared): Prober {
  return new GrpcProber(target, plan, shared);
}

class GrpcProber implements Prober {
  readonly #target: ProbeTarget;
  readonly #plan: GrpcPlan;
  readonly #shared: ProbeShared;
  readonly #request: Buffer;
  #attempt: Attempt | undefined;
  #kept: ClientHttp2Session | undefined;

  constructor(target: ProbeTarget, plan: GrpcPlan, shared: ProbeShared) {
    this.#target = target;
    this.#plan = plan;
    this.#shared = shared;
    this.#request = encodeCheck(plan.service);
  }

  start(timeoutMs: number, end: Parameters<Prober["start"]>[1]): void {
    const attempt = new Attempt(this.#shared.clock, timeoutMs, end);
    this.#attempt = attempt;
    const kept = this.#kept;
    this.#kept = undefined;
    if (kept === undefined || kept.closed || kept.destroyed) this.#open(attempt);
    else this.#ask(kept, attempt);
  }

  close(): void {
    this.#attempt?.giveUp();
    this.#kept?.destroy();
    this.#kept = undefined;
  }

  #open(attempt: Attempt): void {
    const { tls } = this.#plan;
    const begin = (connected: Socket) => {
      socket.removeAllListeners();
      const session = connect(`http${tls === undefined ? "" : "s"}://${authorityOf(this.#target, 0)}`, {
        createConnection: () => connected,
        settings: { enablePush: false, maxHeaderListSize: headerListBytesMax },
        maxSessionMemory: 1,
      });
      // The request's own events tell what goes wrong; after it a session that breaks is not kept.
      session.on("error", () => {});
      session.once("close", () => {
        if (this.#kept === session) this.#kept = undefined;
        connected.destroy();
      });
      this.#ask(session, attempt);
    };
    const socket =
      tls === undefined ? openTcp(this.#target, attempt, begin) : openTls(this.#target, tls, attempt, begin, ["h2"]);
    socket.once("close", () => attempt.fail("probe.connection.reset", `closed by the target (${attempt.doing})`));
    attempt.release = () => cut(socket);
  }

  #ask(session: ClientHttp2Session, attempt: Attempt): void {
    attempt.doing = "waiting for the gRPC answer";
    attempt.release = () => session.destroy();
    const stream = session.request({
      ":method": "POST",
      ":path": "/grpc.health.v1.Health/Check",
      "content-type": "application/grpc",
      "user-agent": "evenkeel",
      te: "trailers",
    });
    const reading = readCall(stream, attempt);
    stream.once("close", () => {
      if (attempt.over) return;
      if (this.#plan.connection === "kept" && reading.good() && !session.closed && !session.destroyed) {
        attempt.release = () => {};
        this.#kept = session;
      }
      attempt.finish(reading.judge());
    });
    session.once("close", () => attempt.fail("probe.connection.reset", "closed by the target before its gRPC answer"));
    stream.end(this.#request);
  }
}

type Reading = { readonly good: () => boolean; readonly judge: () => ProbeOutcome };

/** Gathers status, message and trailers of one call. */
function readCall(stream: ClientHttp2Stream, attempt: Attempt): Reading {
  let status = 0;
  let grpcStatus: string | undefined;
  let grpcMessage = "";
  let body = Buffer.alloc(0);
  const takeTrailers = (headers: Readonly<Record<string, unknown>>) => {
    if (headers["grpc-status"] !== undefined) grpcStatus = String(headers["grpc-status"]);
    if (headers["grpc-message"] !== undefined) grpcMessage = String(headers["grpc-message"]);
  };
  stream.on("response", (headers) => {
    status = headers[":status"] ?? 0;
    takeTrailers(headers);
  });
  stream.on("trailers", takeTrailers);
  stream.on("data", (bytes: Buffer) => {
    body = Buffer.concat([body, bytes]);
    if (body.length > answerBytesMax) {
      attempt.fail("probe.grpc.answer", `an answer of more than ${answerBytesMax} bytes`);
    }
  });
  stream.on("error", (error) => attempt.fail("probe.connection.reset", `the gRPC call broke: ${error.message}`));
  const health = () => decodeHealth(body);
  return {
    good: () => status === constants.HTTP_STATUS_OK && grpcStatus === "0" && health() === "SERVING",
    judge: () => judgeCall({ status, grpcStatus, grpcMessage, health: health(), tookMs: attempt.tookMs }),
  };
}

type Call = {
  /** 0: none came. */
  readonly status: number;
  readonly grpcStatus: string | undefined;
  readonly grpcMessage: string;
  readonly health: string | undefined;
  readonly tookMs: Milliseconds;
};

function judgeCall({ status, grpcStatus, grpcMessage, health, tookMs }: Call): ProbeOutcome {
  if (status === 0) return failed("probe.grpc.answer", "no answer before the call was closed");
  if (status !== constants.HTTP_STATUS_OK) return failed("probe.grpc.answer", `HTTP status ${status}`);
  if (grpcStatus !== "0") {
    const known = grpcStatus === "12" ? " (the server has no health service)" : "";
    return failed("probe.grpc.status", `grpc-status ${grpcStatus ?? "missing"}${known} ${grpcMessage}`);
  }
  if (health === "SERVING") return passed(`SERVING in ${tookMs.toFixed(1)} ms`);
  if (health === undefined) return failed("probe.grpc.answer", "the answer is no health message");
  return failed("probe.grpc.notServing", health);
}

/** A frame with the request for one service. Exported for tests. */
export function encodeCheck(service: string): Buffer {
  const name = Buffer.from(service, "latin1");
  const lengthBytes = name.length < 128 ? [name.length] : [(name.length & 127) | 128, name.length >> 7];
  // Field 1, length-delimited; a default value, the empty string, is not written (proto3).
  const message = name.length === 0 ? name : Buffer.concat([Buffer.from([0x0a, ...lengthBytes]), name]);
  const frame = Buffer.alloc(5);
  frame.writeUInt32BE(message.length, 1);
  return Buffer.concat([frame, message]);
}

const servingStatuses = ["UNKNOWN", "SERVING", "NOT_SERVING", "SERVICE_UNKNOWN"];

/** The status in a frame; undefined when it is no health answer. Unknown fields are passed over. Exported for tests. */
export function decodeHealth(frame: Buffer): string | undefined {
  if (frame.length < 5 || frame[0] !== 0) return undefined;
  const end = 5 + frame.readUInt32BE(1);
  if (end > frame.length) return undefined;
  let status = 0;
  let at = 5;
  while (at < end) {
    const key = readVarint(frame, at, end);
    if (key === undefined) return undefined;
    const field = readField(frame, key.next, end, key.value & 7);
    if (field === undefined) return undefined;
    if (key.value === 0x08) status = field.value;
    at = field.next;
  }
  return servingStatuses[status] ?? `status ${status}`;
}

type Read = { readonly value: number; readonly next: number };

/** One value of this wire type; that of a fixed or length-delimited one is 0. */
function readField(bytes: Buffer, at: number, end: number, wireType: number): Read | undefined {
  if (wireType === 0) return readVarint(bytes, at, end);
  const skip = (next: number) => (next <= end ? { value: 0, next } : undefined);
  if (wireType === 1) return skip(at + 8);
  if (wireType === 5) return skip(at + 4);
  const length = wireType === 2 ? readVarint(bytes, at, end) : undefined;
  return length === undefined ? undefined : skip(length.next + length.value);
}

function readVarint(bytes: Buffer, start: number, end: number): Read | undefined {
  let value = 0;
  for (let at = start; at < end && at < start + 5; at++) {
    const byte = bytes[at] ?? 0;
    value += (byte & 127) * 2 ** (7 * (at - start));
    if (byte < 128) return { value, next: at + 1 };
  }
  return undefined;
}
