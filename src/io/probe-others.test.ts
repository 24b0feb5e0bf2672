// UDP, command and gRPC probes, and the deadline of a process that stood still.

import assert from "node:assert/strict";
import { createSocket } from "node:dgram";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { createServer as createHttp2Server, createSecureServer } from "node:http2";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import type { Expectation, ProbeOutcome, ProbePlan } from "../model/health-check.ts";
import { Attempt } from "./probe.ts";
import { decodeHealth, encodeCheck } from "./probe-grpc.ts";
import {
  certificate,
  closedPort,
  descriptors,
  listen,
  probe,
  probeOnce,
  prober,
  serve,
  until,
} from "./probe-test-kit.ts";

function udpServer(t: TestContext, answer: (asked: string) => string | undefined): Promise<number> {
  const socket = createSocket("udp4");
  t.after(() => socket.close());
  socket.on("message", (asked, from) => {
    const said = answer(asked.toString("latin1"));
    if (said !== undefined) socket.send(Buffer.from(said, "latin1"), from.port, from.address);
  });
  return new Promise((resolve) => socket.bind(0, "127.0.0.1", () => resolve(socket.address().port)));
}

function udp(expect?: Expectation): ProbePlan {
  return { kind: "udp", send: "\u00ffping\0", expect };
}

test("a datagram goes out byte for byte, and its answer must hold what is expected", async (t) => {
  const port = await udpServer(t, (asked) => (asked === "\u00ffping\0" ? "\u00fepong" : "what?"));
  assert.equal((await probe(t, udp({ kind: "text", text: "\u00fepo" }), port)).code, "probe.passed");
  assert.equal((await probe(t, udp({ kind: "regex", source: "^\\xfepong$" }), port)).code, "probe.passed");
  assert.equal((await probe(t, udp({ kind: "text", text: "ping" }), port)).code, "probe.expect.missing");
  assert.equal((await probe(t, udp(), port)).code, "probe.passed");
});

test("a closed UDP port is known by ICMP, long before the timeout", async (t) => {
  const outcome = await probe(t, udp(), await closedPort());
  assert.deepEqual([outcome.verdict, outcome.code], ["failed", "probe.connect.refused"]);
});

test("silence over UDP passes where no answer is expected, and fails where one is", async (t) => {
  const port = await udpServer(t, () => undefined);
  const before = descriptors();
  assert.equal((await probe(t, udp(), port, 50)).verdict, "passed");
  assert.equal((await probe(t, udp({ kind: "text", text: "x" }), port, 50)).code, "probe.timeout");
  await until("the sockets' ends", () => descriptors() <= before);
});

function sh(script: string): ProbePlan {
  return { kind: "command", command: ["/bin/sh", "-c", script] };
}

test("a command's exit status decides, and the start of its output is told", async (t) => {
  const good = await probe(t, sh('echo "$EVENKEEL_POOL $EVENKEEL_TARGET $EVENKEEL_HOST $EVENKEEL_PORT"'), 81);
  assert.deepEqual([good.verdict, good.text], ["passed", "app 127.0.0.1:81 127.0.0.1 81"]);
  const bad = await probe(t, sh("echo broken >&2; exit 3"), 81);
  assert.deepEqual([bad.verdict, bad.code, bad.text], ["failed", "probe.command.exit", "exit 3: broken"]);
  const loud = await probe(t, sh("head -c 5000000 /dev/zero | tr '\\0' x; exit 1"), 81);
  assert.equal(loud.code, "probe.command.exit");
  assert.ok(loud.text.length <= 256, `${loud.text.length}`);
  assert.equal((await probe(t, sh("kill -TERM $$"), 81)).code, "probe.command.signal");
  assert.equal((await probe(t, { kind: "command", command: ["/no/such/program"] }, 81)).code, "probe.command.missing");
  assert.equal((await probe(t, { kind: "command", command: ["/etc/passwd"] }, 81)).code, "probe.command.denied");
  const within = await probe(t, { kind: "command", command: ["/etc/passwd/program"] }, 81);
  assert.equal(within.code, "probe.command.missing");
});

function isAlive(pid: number): boolean {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "latin1");
    return stat[stat.lastIndexOf(")") + 2] !== "Z";
  } catch {
    // It is gone: the answer we ask for.
    return false;
  }
}

test("a command that does not end is killed with all that it started, and nothing is left of one that did", async (t) => {
  const directory = mkdtempSync(join(tmpdir(), "evenkeel-probe-"));
  t.after(() => rmSync(directory, { recursive: true, force: true }));
  const pids = (name: string) => readFileSync(join(directory, name), "utf8").trim().split("\n").map(Number);
  const before = descriptors();
  const slow = await probe(
    t,
    sh(`sleep 600 & echo $! > ${directory}/slow; echo $$ >> ${directory}/slow; wait`),
    81,
    1_000,
  );
  assert.equal(slow.code, "probe.timeout");
  await until("the end of the whole group", () => !pids("slow").some(isAlive));
  const leaving = await probe(t, sh(`sleep 600 & echo $! > ${directory}/left`), 81);
  assert.equal(leaving.verdict, "passed");
  await until("the end of what it left behind", () => !pids("left").some(isAlive));
  await until("the pipes' ends", () => descriptors() <= before);
});

test("the health messages of gRPC are read and written as protobuf has them", () => {
  assert.equal(encodeCheck("").toString("hex"), "0000000000");
  assert.equal(encodeCheck("a.B").toString("hex"), "00000000050a03612e42");
  assert.equal(encodeCheck("x".repeat(200)).subarray(0, 8).toString("hex"), "00000000cb0ac801");
  const health = (hex: string) => decodeHealth(Buffer.from(hex, "hex"));
  assert.equal(health("00000000020801"), "SERVING");
  assert.equal(health("00000000020802"), "NOT_SERVING");
  assert.equal(health("0000000000"), "UNKNOWN");
  assert.equal(health("000000000512016108" + "01"), "SERVING", "a field that we don't know is passed over");
  for (const broken of [
    "",
    "00",
    "01000000020801",
    "0000000009080100",
    "00000000010a",
    "0000000003120901",
    "0000000002ffff",
  ]) {
    assert.equal(health(broken), undefined, broken);
  }
});

type Answer = { readonly body: string; readonly status: string; readonly http?: number };

/** A gRPC server that answers each service by its name. */
async function grpcServer(t: TestContext, answers: Readonly<Record<string, Answer>>, secure = false) {
  const server = secure ? createSecureServer(certificate(t)) : createHttp2Server();
  let sessions = 0;
  server.on("session", (session) => {
    sessions++;
    session.on("error", () => {});
    t.after(() => session.destroy());
  });
  server.on("stream", (stream, headers) => {
    const chunks: Buffer[] = [];
    stream.on("error", () => {});
    stream.on("data", (bytes: Buffer) => chunks.push(bytes));
    stream.on("end", () => {
      const answer = answers[Buffer.concat(chunks).subarray(7).toString()];
      if (answer === undefined || headers[":path"] !== "/grpc.health.v1.Health/Check") return;
      stream.respond({ ":status": answer.http ?? 200, "content-type": "application/grpc" }, { waitForTrailers: true });
      stream.on("wantTrailers", () => stream.sendTrailers({ "grpc-status": answer.status, "grpc-message": "as told" }));
      stream.end(Buffer.from(answer.body, "hex"));
    });
  });
  const port = await listen(t, server);
  return { port, sessions: () => sessions };
}

function grpc(service: string, connection: "own" | "kept" = "own"): ProbePlan {
  return { kind: "grpc", service, tls: undefined, connection };
}

test("SERVING passes; anything else that a gRPC server says fails with its code", async (t) => {
  const { port } = await grpcServer(t, {
    "": { body: "00000000020801", status: "0" },
    down: { body: "00000000020802", status: "0" },
    none: { body: "", status: "5" },
    broken: { body: "ffff", status: "0" },
    proxy: { body: "", status: "0", http: 502 },
    large: { body: "00".repeat(5_000), status: "0" },
  });
  const codes: Record<string, string> = {};
  for (const service of ["", "down", "none", "broken", "proxy", "large"]) {
    codes[service] = (await probe(t, grpc(service), port)).code;
  }
  assert.deepEqual(codes, {
    "": "probe.passed",
    down: "probe.grpc.notServing",
    none: "probe.grpc.status",
    broken: "probe.grpc.answer",
    proxy: "probe.grpc.answer",
    large: "probe.grpc.answer",
  });
  assert.equal((await probe(t, grpc("silent"), port, 150)).code, "probe.timeout");
});

test("gRPC over TLS is the same", async (t) => {
  const { port, sessions } = await grpcServer(t, { "": { body: "00000000020801", status: "0" } }, true);
  const tls = { serverName: undefined, verify: false };
  const plan: ProbePlan = { kind: "grpc", service: "", tls, connection: "kept" };
  const made = prober(t, plan, port);
  for (let n = 0; n < 3; n++) assert.equal((await probeOnce(made)).code, "probe.passed");
  assert.equal(sessions(), 1);
  const verified = await probe(t, { ...plan, tls: { ...tls, verify: true } }, port);
  assert.equal(verified.code, "probe.tls.certificate");
});

test("a gRPC connection is kept when asked for, and opened anew when it has gone", async (t) => {
  const { port, sessions } = await grpcServer(t, { "": { body: "00000000020801", status: "0" } });
  const made = prober(t, grpc("", "kept"), port);
  for (let n = 0; n < 4; n++) assert.equal((await probeOnce(made)).verdict, "passed");
  assert.equal(sessions(), 1);
});

test("a target that speaks no HTTP/2, hangs up or resets fails the gRPC probe and leaves nothing open", async (t) => {
  const before = descriptors();
  const http1 = await serve(t, (socket) => socket.end("HTTP/1.1 400 Bad Request\r\n\r\n"));
  const closing = await serve(t, (socket) => socket.end());
  const resetting = await serve(t, (socket) => socket.once("data", () => socket.resetAndDestroy()));
  for (const { port } of [http1, closing, resetting]) {
    const outcome: ProbeOutcome = await probe(t, grpc(""), port, 2_000);
    assert.equal(outcome.verdict, "failed");
    assert.match(outcome.code, /^probe\.(connection\.reset|grpc\.answer)$/, outcome.text);
  }
  // Three listeners are still there.
  await until("the descriptors' ends", () => descriptors() <= before + 3);
  assert.equal((await probe(t, grpc(""), await closedPort())).code, "probe.connect.refused");
});

test("a deadline that comes far too late judges nobody: it is we who stood still", async () => {
  let now = 0;
  const outcome = await new Promise<ProbeOutcome>((resolve) => {
    new Attempt(() => now, 20, resolve);
    now = 5_000;
  });
  assert.deepEqual([outcome.verdict, outcome.code], ["unable", "probe.self.late"]);
});
