// A netlink socket and one exchange over it: a request goes out in one send, its answers are read until the last one is
// there. The change's way, synchronous: the kernel does the work inside send(2) and has queued the answers when it
// returns, so that reading them does not wait; SO_RCVTIMEO and a deadline are for a kernel that does otherwise. Must not be
// shared between threads. The socket belongs to the network namespace that the process was in when it was opened.

import { bad, type Failure, good, type Result } from "../core/failure.ts";
import { decodeAnswer, type NetlinkAnswer } from "../wire/netlink/answer.ts";
import { decodeMessages, messageType, type NetlinkMessage } from "../wire/netlink/reader.ts";
import { messageFlag, type NetlinkRequest } from "../wire/netlink/writer.ts";
import {
  type CallResult,
  closeDescriptor,
  connectToKernel,
  netlinkSocket,
  receiveDatagram,
  sendDatagram,
  setNumber,
  setReceiveTimeout,
} from "./libc.ts";

/** What an exchange needs of a socket and a clock; a test brings its own. */
export type NetlinkPort = {
  send(bytes: Uint8Array): CallResult;
  /** One datagram; the value is its true length. Fails with EAGAIN when nothing came in time. */
  receive(into: Uint8Array): CallResult;
  /** Milliseconds that only grow. */
  now(): number;
  close(): void;
};

/** How long an exchange may last in all. A dump of 262,144 connections takes less than 2 s. */
export const EXCHANGE_MS_MAX = 5_000;
/** How often a dump begins anew because the kernel's tables changed while it ran. */
export const DUMP_ATTEMPTS_MAX = 8;
const receiveWaitMs = 1_000;
/** The kernel sends datagrams of at most 32 KiB to a dump's reader. */
const datagramBytesMax = 64 * 1024;
const sendBufferBytes = 17 * 1024 * 1024;
const receiveBufferBytes = 4 * 1024 * 1024;

function failure(code: string, detail: string): Failure {
  return { code, origin: "self", retrySafe: false, detail };
}

/** A socket of that netlink protocol. Codes: netlink.unsupported, netlink.failed. */
export function openNetlinkPort(protocol: number): Result<NetlinkPort> {
  const socket = netlinkSocket(protocol);
  if (!socket.ok) {
    const known = socket.name === "EPROTONOSUPPORT" || socket.name === "EAFNOSUPPORT";
    const detail = `socket(AF_NETLINK, ${protocol}) failed with ${socket.name}`;
    return bad(failure(known ? "netlink.unsupported" : "netlink.failed", detail));
  }
  const fd = socket.value;
  const steps = [connectToKernel(fd), setReceiveTimeout(fd, receiveWaitMs)];
  const wrong = steps.find((step) => !step.ok);
  if (wrong?.ok === false) {
    closeDescriptor(fd);
    return bad(failure("netlink.failed", `a netlink socket could not be set up: ${wrong.name}`));
  }
  // Each is an improvement that an old kernel, or one that does not trust us, may refuse; what it is for fails then by itself.
  setNumber(fd, "netlinkCappedAnswers", 1);
  setNumber(fd, "netlinkExplainedAnswers", 1);
  if (!setNumber(fd, "sendBufferForced", sendBufferBytes).ok) setNumber(fd, "sendBuffer", sendBufferBytes);
  if (!setNumber(fd, "receiveBufferForced", receiveBufferBytes).ok) setNumber(fd, "receiveBuffer", receiveBufferBytes);
  return good({
    send: (bytes) => sendDatagram(fd, bytes),
    receive: (into) => receiveDatagram(fd, into),
    now: () => performance.now(),
    close: () => {
      closeDescriptor(fd);
    },
  });
}

export type NetlinkExchange = {
  /** The sequence number of the next request, which may use this one and `count - 1` more. */
  sequence(count: number): number;
  /**
   * Sends and reads until the last message's answer. Gives the refusals; none: all was done. Codes: those of `open`,
   * netlink.unanswered, .overrun, .malformed, .failed. After a failure it is unknown whether the request was carried out.
   */
  transact(request: NetlinkRequest): Result<readonly NetlinkAnswer[]>;
  /**
   * Asks for a dump and hands each message to `take`, whose failure ends it. When the kernel says that its tables changed
   * meanwhile, `restart` is called and the dump begins anew. Gives a refusal, or undefined. Codes as above and
   * netlink.interrupted.
   */
  dump(request: NetlinkRequest, take: Take, restart: () => void): Result<NetlinkAnswer | undefined>;
  close(): void;
};

type Take = (message: NetlinkMessage) => Result<unknown>;

/**
 * Exchanges over a socket that is opened when it is first needed, and anew after a failure: the old one may have answers
 * under way, or a dump, beside which the kernel begins no other (EBUSY).
 */
export function netlinkExchange(open: () => Result<NetlinkPort>): NetlinkExchange {
  const room = new Uint8Array(datagramBytesMax);
  let next = 1;
  let port: NetlinkPort | undefined;
  const close = () => {
    port?.close();
    port = undefined;
  };
  const over = <T>(exchange: (port: NetlinkPort) => Result<T>): Result<T> => {
    if (port === undefined) {
      const opened = open();
      if (!opened.ok) return opened;
      port = opened.value;
    }
    const result = exchange(port);
    if (!result.ok) close();
    return result;
  };
  return {
    sequence: (count) => {
      if (next + count > 0xffffffff) next = 1;
      const first = next;
      next += count;
      return first;
    },
    transact: (request) => over((opened) => transact(opened, room, request)),
    dump: (request, take, restart) => over((opened) => dump({ port: opened, room, request }, take, restart)),
    close,
  };
}

type Asked = { readonly port: NetlinkPort; readonly room: Uint8Array; readonly request: NetlinkRequest };

function dump(asked: Asked, take: Take, restart: () => void): Result<NetlinkAnswer | undefined> {
  for (let attempt = 1; attempt <= DUMP_ATTEMPTS_MAX; attempt++) {
    if (attempt > 1) restart();
    const dumped = dumpOnce(asked, take);
    if (!dumped.ok) return dumped;
    if (dumped.value !== "interrupted") return good(dumped.value);
  }
  return bad(failure("netlink.interrupted", `the kernel's tables changed during each of ${DUMP_ATTEMPTS_MAX} dumps`));
}

function send(port: NetlinkPort, request: NetlinkRequest, deadline: number): Result<true> {
  for (;;) {
    const sent = port.send(request.bytes);
    if (sent.ok) return good(true);
    if (sent.name === "EINTR" && port.now() < deadline) continue;
    const size = `${request.bytes.length} bytes`;
    if (sent.name === "EMSGSIZE") {
      const remedy = "raise net.core.wmem_max or give the program CAP_NET_ADMIN";
      return bad(failure("netlink.failed", `a request of ${size} is more than the socket's buffer takes: ${remedy}`));
    }
    return bad(failure("netlink.failed", `send of ${size} failed with ${sent.name}`));
  }
}

/** The messages of the next datagram that answer this request; others are left over from one that failed. */
function receive(
  port: NetlinkPort,
  room: Uint8Array,
  request: NetlinkRequest,
  deadline: number,
): Result<readonly NetlinkMessage[]> {
  for (;;) {
    const received = port.receive(room);
    const late = port.now() >= deadline;
    if (!received.ok) {
      if (received.name === "EINTR" && !late) continue;
      return bad(receiveFailure(received.name));
    }
    if (received.value > room.length) {
      return bad(failure("netlink.malformed", `a datagram of ${received.value} bytes, above ${room.length}`));
    }
    const messages = decodeMessages(room.subarray(0, received.value));
    if (!messages.ok) return messages;
    const ours = messages.value.filter(({ sequence }) => sequence >= request.first && sequence <= request.last);
    if (ours.length > 0) return good(ours);
    if (late) return bad(receiveFailure("EAGAIN"));
  }
}

function receiveFailure(name: string): Failure {
  switch (name) {
    case "EAGAIN":
    case "EINTR":
      return failure("netlink.unanswered", "the kernel did not answer in time");
    case "ENOBUFS":
      return failure("netlink.overrun", "answers of the kernel were lost: the socket's receive buffer was full");
    default:
      return failure("netlink.failed", `recv failed with ${name}`);
  }
}

function transact(port: NetlinkPort, room: Uint8Array, request: NetlinkRequest): Result<readonly NetlinkAnswer[]> {
  const deadline = port.now() + EXCHANGE_MS_MAX;
  const sent = send(port, request, deadline);
  if (!sent.ok) return sent;
  const refusals: NetlinkAnswer[] = [];
  for (;;) {
    const messages = receive(port, room, request, deadline);
    if (!messages.ok) return messages;
    for (const message of messages.value) {
      if (message.type !== messageType.answer) continue;
      const answer = decodeAnswer(message);
      if (!answer.ok) return answer;
      if (answer.value.errno !== 0) refusals.push(answer.value);
      const refusesAll = request.batch && answer.value.errno !== 0 && answer.value.sequence === request.first;
      if (refusesAll || answer.value.sequence === request.last) return good(refusals);
    }
    if (port.now() >= deadline) return bad(receiveFailure("EAGAIN"));
  }
}

function dumpOnce(asked: Asked, take: Take): Result<NetlinkAnswer | "interrupted" | undefined> {
  const { port, room, request } = asked;
  const deadline = port.now() + EXCHANGE_MS_MAX;
  const sent = send(port, request, deadline);
  if (!sent.ok) return sent;
  let interrupted = false;
  for (;;) {
    const messages = receive(port, room, request, deadline);
    if (!messages.ok) return messages;
    for (const message of messages.value) {
      if ((message.flags & messageFlag.interrupted) !== 0) interrupted = true;
      if (message.type === messageType.answer || message.type === messageType.done) {
        const answer = decodeAnswer(message);
        if (!answer.ok) return answer;
        if (answer.value.errno !== 0) return good(answer.value);
        return good(interrupted ? "interrupted" : undefined);
      }
      const taken = take(message);
      if (!taken.ok) return taken;
    }
    if (port.now() >= deadline) return bad(receiveFailure("EAGAIN"));
  }
}
