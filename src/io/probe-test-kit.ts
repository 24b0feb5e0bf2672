// What the tests of probes share: one probe against a real server of the test, servers of every kind of bad manners, and
// the count of descriptors that must be what it was. Must not be imported by anything but tests.

import { execFileSync } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { createServer, type Server, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { performance } from "node:perf_hooks";
import type { TestContext } from "node:test";
import type { ProbeOutcome, ProbePlan } from "../model/health-check.ts";
import type { Prober, ProbeTarget } from "./probe.ts";
import { createProbers } from "./prober.ts";

const createProber = createProbers(() => performance.now());

/** Enough for a busy machine; tests that want a timeout give a short one. */
export const patienceMs = 10_000;

export function targetAt(port: number, host = "127.0.0.1"): ProbeTarget {
  return { pool: "app", address: host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`, host, port };
}

/** A prober that is closed with the test. */
export function prober(t: TestContext, plan: ProbePlan, port: number): Prober {
  const made = createProber(plan, targetAt(port));
  t.after(() => made.close());
  return made;
}

export function probeOnce(made: Prober, timeoutMs = patienceMs): Promise<ProbeOutcome> {
  return new Promise((resolve) => made.start(timeoutMs, resolve));
}

/** One probe by a prober of its own. */
export async function probe(t: TestContext, plan: ProbePlan, port: number, timeoutMs?: number): Promise<ProbeOutcome> {
  const made = prober(t, plan, port);
  const outcome = await probeOnce(made, timeoutMs);
  made.close();
  return outcome;
}

export type TestServer = {
  readonly port: number;
  readonly sockets: readonly Socket[];
  /** How each connection ended for the server: `end` (FIN), `reset`; in the order of their ends. */
  readonly ends: readonly string[];
};

/** A TCP server on a free port of 127.0.0.1, gone with the test. */
export async function serve(
  t: TestContext,
  onConnection: (socket: Socket, index: number) => void,
): Promise<TestServer> {
  const sockets: Socket[] = [];
  const ends: string[] = [];
  const server = createServer((socket) => {
    socket.once("end", () => ends.push("end"));
    socket.once("error", () => ends.push("reset"));
    onConnection(socket, sockets.push(socket) - 1);
    // Ends are seen by those who read only.
    socket.resume();
  });
  const port = await listen(t, server);
  t.after(() => {
    for (const socket of sockets) socket.destroy();
  });
  return { port, sockets, ends };
}

export function listen(t: TestContext, server: Server): Promise<number> {
  t.after(() => server.close());
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen(0, "127.0.0.1", () => {
      const address = server.address();
      resolve(typeof address === "object" && address !== null ? address.port : 0);
    });
  });
}

/** A port of 127.0.0.1 that was just free. */
export async function closedPort(): Promise<number> {
  const server = createServer();
  const port = await new Promise<number>((resolve) => {
    server.listen(0, "127.0.0.1", () => {
      const address = server.address();
      resolve(typeof address === "object" && address !== null ? address.port : 0);
    });
  });
  await new Promise<void>((resolve) => server.close(() => resolve()));
  return port;
}

/** A key and a certificate for `lb.test` that nobody vouches for. */
export function certificate(t: TestContext): { readonly key: Buffer; readonly cert: Buffer } {
  const directory = mkdtempSync(join(tmpdir(), "evenkeel-probe-"));
  t.after(() => rmSync(directory, { recursive: true, force: true }));
  const [key, cert] = [join(directory, "key.pem"), join(directory, "cert.pem")];
  const words = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=lb.test";
  execFileSync("openssl", [...words.split(" "), "-keyout", key, "-out", cert], { stdio: "ignore" });
  return { key: readFileSync(key), cert: readFileSync(cert) };
}

/** Open descriptors of this process. */
export function descriptors(): number {
  return readdirSync("/proc/self/fd").length;
}

/** Waits for a condition, looking again every few milliseconds. */
export async function until(what: string, look: () => boolean): Promise<void> {
  const deadline = performance.now() + patienceMs;
  while (!look()) {
    if (performance.now() > deadline) throw new Error(`not within ${patienceMs} ms: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}
