// Steady HTTP load for end-to-end tests, of two kinds: kept connections with one request after the other, and a new
// connection for each request. What fails is kept by its reason; a test that wants no failure says so itself.

import { Agent, request } from "node:http";
import { atEnd, type Scope } from "./kit.ts";

export type Load = {
  served: number;
  /** Connections that the kept clients have opened. */
  connects: number;
  readonly failures: string[];
  stop(): Promise<void>;
};

/** `kept` clients with one connection each and `fresh` ones with a new connection a request. */
export function startLoad(
  scope: Scope,
  port: number,
  clients: { readonly kept: number; readonly fresh: number },
): Load {
  let stopped = false;
  const load: Load = { served: 0, connects: 0, failures: [], stop };
  const agents: Agent[] = [];
  const run = async (agent: Agent | false) => {
    while (!stopped) {
      try {
        const status = await askThrough(agent, port, load);
        if (status === 200) load.served++;
        else load.failures.push(`status ${status}`);
      } catch (error) {
        load.failures.push((error as NodeJS.ErrnoException).code ?? String(error));
        // Who is refused once will be refused for ever: the balancer has ended.
        if (load.failures.at(-1) === "ECONNREFUSED") return;
      }
    }
  };
  const runs = [
    ...Array.from({ length: clients.kept }, () => {
      const agent = new Agent({ keepAlive: true, maxSockets: 1 });
      agents.push(agent);
      return run(agent);
    }),
    ...Array.from({ length: clients.fresh }, () => run(false)),
  ];
  async function stop(): Promise<void> {
    stopped = true;
    await Promise.all(runs);
    for (const agent of agents) agent.destroy();
  }
  atEnd(scope, stop);
  return load;
}

function askThrough(agent: Agent | false, port: number, load: Load): Promise<number> {
  return new Promise((resolve, reject) => {
    const outgoing = request({ host: "127.0.0.1", port, path: "/ping", agent }, (response) => {
      response.resume().on("error", reject);
      response.on("end", () => resolve(response.statusCode ?? 0));
    });
    outgoing.on("socket", (socket) => {
      if (agent !== false && socket.connecting) load.connects++;
    });
    outgoing.on("error", (error: NodeJS.ErrnoException) => {
      reject(outgoing.reusedSocket ? new Error(`${error.code} on a kept connection`) : error);
    });
    outgoing.end();
  });
}
