// For tests of the etcd source: a gateway on a loopback port that says what a test has it say. It stands on neither way,
// and nothing that runs may import it.

import { once } from "node:events";
import { createServer, type IncomingHttpHeaders, type ServerResponse } from "node:http";
import type { TestContext } from "node:test";

export type Asked = {
  /** Below `/v3`. */
  readonly path: string;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
};

export type Gateway = {
  readonly endpoint: string;
  readonly asked: Asked[];
};

/** `says` ends the answer, or leaves it open. */
export async function startGateway(
  t: TestContext,
  says: (asked: Asked, answer: ServerResponse, count: number) => void,
): Promise<Gateway> {
  const asked: Asked[] = [];
  const server = createServer((incoming, answer) => {
    let body = "";
    incoming.setEncoding("utf8");
    incoming.on("data", (part: string) => {
      body += part;
    });
    incoming.on("end", () => {
      const one = { path: (incoming.url ?? "").replace(/^\/v3/, ""), headers: incoming.headers, body };
      asked.push(one);
      says(one, answer, asked.length);
    });
  });
  t.after(() => {
    server.close();
    server.closeAllConnections();
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  if (typeof address !== "object" || address === null) throw new Error("no address");
  return { endpoint: `http://127.0.0.1:${address.port}`, asked };
}

export function say(answer: ServerResponse, status: number, body: unknown): void {
  answer.writeHead(status, { "content-type": "application/json" });
  answer.end(JSON.stringify(body));
}

/** A refusal as etcd has it. */
export function refuse(answer: ServerResponse, status: number, code: number, message: string): void {
  say(answer, status, { error: message, message, code });
}

export const base64 = (text: string): string => Buffer.from(text).toString("base64");

export const header = (revision: number, cluster = "1"): object => ({
  cluster_id: cluster,
  revision: String(revision),
});

export const pair = (key: string, revision: number, value = ""): object => ({
  key: base64(key),
  mod_revision: String(revision),
  ...(value === "" ? {} : { value: base64(value) }),
});
