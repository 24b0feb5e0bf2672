// TCP and TLS probes against real servers with good and bad manners.

import assert from "node:assert/strict";
import { Socket } from "node:net";
import { type TestContext, test } from "node:test";
import { createServer as createTlsServer } from "node:tls";
import type { ProbePlan } from "../model/health-check.ts";
import { closeDescriptor } from "./libc.ts";
import { bindShared, startListening } from "./listening-socket.ts";
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

const tcp: ProbePlan = { kind: "tcp" };
const tls: ProbePlan = { kind: "tls", tls: { serverName: undefined, verify: false } };

test("a target that accepts passes, and its connection ends with a reset", async (t) => {
  const server = await serve(t, () => {});
  const outcome = await probe(t, tcp, server.port);
  assert.deepEqual([outcome.verdict, outcome.code], ["passed", "probe.passed"]);
  await until("the connection's end", () => server.ends.length === 1);
  assert.deepEqual(server.ends, ["reset"], "no TIME_WAIT for either side");
});

test("a closed port is refused", async (t) => {
  const outcome = await probe(t, tcp, await closedPort());
  assert.deepEqual([outcome.verdict, outcome.code], ["failed", "probe.connect.refused"]);
});

test("a target that answers no SYN fails at the timeout, with nothing left open", async (t) => {
  const bind = { host: "127.0.0.1", port: await closedPort() };
  const bound = bindShared(bind);
  assert.ok(bound.ok);
  t.after(() => closeDescriptor(bound.value));
  assert.ok(startListening(bound.value, bind, 0).ok);
  // Nobody accepts, and there is room for one: of the next ones the kernel drops the SYN.
  const filler = new Socket();
  t.after(() => filler.destroy());
  filler.connect(bind);
  await until("a full backlog", () => !filler.connecting);
  const before = descriptors();
  const outcome = await probe(t, tcp, bind.port, 200);
  assert.deepEqual(
    [outcome.verdict, outcome.code, outcome.text],
    ["failed", "probe.timeout", "no answer within 200 ms: connecting"],
  );
  assert.equal(descriptors(), before);
});

test("a thousand probes leave no descriptor behind", async (t) => {
  const server = await serve(t, () => {});
  const made = prober(t, tcp, server.port);
  await probeOnce(made);
  await until("the first one's end", () => server.ends.length === 1);
  const before = descriptors();
  for (let n = 0; n < 1_000; n++) assert.equal((await probeOnce(made)).verdict, "passed");
  await until("their ends", () => server.ends.length === 1_001);
  assert.ok(descriptors() <= before + 1, `${before} before, ${descriptors()} now`);
});

test("a prober that is closed tells no end", async (t) => {
  const server = await serve(t, () => {});
  const made = prober(t, tls, server.port);
  let told = false;
  made.start(5_000, () => {
    told = true;
  });
  await until("the connection", () => server.sockets.length === 1);
  made.close();
  await until("its end", () => server.ends.length === 1);
  assert.equal(told, false);
});

/** A server with a certificate of its own for `lb.test`. */
async function serveTls(t: TestContext): Promise<number> {
  const server = createTlsServer(certificate(t), (socket) => {
    socket.on("error", () => {});
    names.push(socket.servername);
  });
  server.on("tlsClientError", () => {});
  return listen(t, server);
}

const names: unknown[] = [];

test("a TLS handshake passes with any certificate, and asks for the server name", async (t) => {
  const port = await serveTls(t);
  names.length = 0;
  const outcome = await probe(t, { kind: "tls", tls: { serverName: "lb.test", verify: false } }, port);
  assert.equal(outcome.verdict, "passed", outcome.text);
  await until("the server's handshake", () => names.length === 1);
  assert.deepEqual(names, ["lb.test"]);
});

test("with `verify` a certificate that nobody vouches for fails, with its own code", async (t) => {
  const port = await serveTls(t);
  const outcome = await probe(t, { kind: "tls", tls: { serverName: "lb.test", verify: true } }, port);
  assert.deepEqual([outcome.verdict, outcome.code], ["failed", "probe.tls.certificate"], outcome.text);
});

test("a target that speaks no TLS, resets, hangs up or keeps silent fails the handshake", async (t) => {
  const garbage = await serve(t, (socket) => socket.end("220 mail ready\r\n"));
  const resetting = await serve(t, (socket) => socket.once("data", () => socket.resetAndDestroy()));
  const hangingUp = await serve(t, (socket) => socket.once("data", () => socket.end()));
  const silent = await serve(t, () => {});
  const codes = [
    (await probe(t, tls, garbage.port)).code,
    (await probe(t, tls, resetting.port)).code,
    (await probe(t, tls, hangingUp.port)).code,
    (await probe(t, tls, silent.port, 100)).code,
  ];
  assert.deepEqual(codes, ["probe.tls.handshake", "probe.connection.reset", "probe.connection.reset", "probe.timeout"]);
});
