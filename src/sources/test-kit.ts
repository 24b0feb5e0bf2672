// For the tests of the sources: a store that answers as the test says, over a real socket; targets; a wait with a deadline.

import { createServer, type IncomingMessage, type RequestListener, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { performance } from "node:perf_hooks";
import type { TestContext } from "node:test";
import { seededRandom } from "../core/random.ts";
import { type Target, targetDefaults } from "../model/pool.ts";
import type { SourceDeps, SourceReading } from "./source.ts";

const patienceMs = 10_000;

export async function until(what: string, look: () => boolean): Promise<void> {
  const deadline = performance.now() + patienceMs;
  while (!look()) {
    if (performance.now() > deadline) throw new Error(`not within ${patienceMs} ms: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
}

/** A target of a store that says nothing of it; `10.0.0.1:80`. */
export function target(address: string, changes: Partial<Target> = {}): Target {
  const [host = "", port] = address.split(":");
  return { address, host, port: Number(port), ...targetDefaults, slowStart: 0, ...changes };
}

export const deps: SourceDeps = { clock: () => performance.now(), random: seededRandom(1), known: [] };

export function addresses(reading: SourceReading | undefined): readonly string[] {
  return reading?.targets.map(({ address }) => address) ?? [];
}

export type FakeStore = {
  readonly endpoint: string;
  readonly server: Server;
  /** Requests that were asked, oldest first. */
  readonly asked: readonly IncomingMessage[];
  /** Answers the oldest one that waits, or waits for one. */
  answer(status: number, headers: Readonly<Record<string, string>>, body: string): Promise<void>;
  /** The oldest one that waits, for answers of another kind. */
  next(): Promise<ServerResponse>;
};

/** A server of a store on a port of its own, closed with the test. Nobody is answered but by the test. */
export async function fakeStore(
  t: TestContext,
  make: (listener: RequestListener) => Server = (listener) => createServer(listener),
): Promise<FakeStore> {
  const asked: IncomingMessage[] = [];
  const waiting: ServerResponse[] = [];
  const server = make((request, response) => {
    request.resume();
    asked.push(request);
    waiting.push(response);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  const next = async () => {
    await until("a request", () => waiting.length > 0);
    const response = waiting.shift();
    if (response === undefined) throw new Error("nobody waits");
    return response;
  };
  const { port } = server.address() as AddressInfo;
  return {
    endpoint: `http://127.0.0.1:${port}`,
    server,
    asked,
    next,
    async answer(status, headers, body) {
      (await next()).writeHead(status, headers).end(body);
    },
  };
}
