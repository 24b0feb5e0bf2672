// What the tests of `evenkeel register` share: balancers with one pool, a registration with its service, and what a balancer
// says of the target.

import { type Balancer, listener, pool, startBalancer } from "./http-kit.ts";
import { ask, evenkeel, freePort, type Program, type Scope, startProgram, until } from "./kit.ts";

export type Node = { readonly balancer: Balancer; readonly port: number };

/** A balancer with one pool, which has these targets from its file. */
export async function startNode(
  t: Scope,
  more: { readonly targets?: readonly number[]; readonly app?: object } = {},
): Promise<Node> {
  const port = await freePort();
  const app = { ...pool(more.targets ?? []), ...more.app };
  const balancer = await startBalancer(t, { listeners: { web: listener(port, [{ pool: "app" }]) }, pools: { app } });
  return { balancer, port };
}

export const sockets = (nodes: readonly Node[]) => nodes.flatMap(({ balancer }) => ["--socket", balancer.socket]);

/** `evenkeel register app/127.0.0.1:PORT`, with a demo server as its service unless there is another. */
export function startRegister(t: Scope, port: number, args: readonly string[], command = echo(port)): Program {
  const options = ["--check", "tcp", "--interval", "100ms", ...args];
  return startProgram(t, evenkeel, ["register", `app/127.0.0.1:${port}`, ...options, "--", ...command], {
    graceMs: 15_000,
  });
}

function echo(port: number): readonly string[] {
  return [evenkeel, "echo", "--http", String(port), "--name", `s${port}`];
}

type View = {
  readonly desired: { readonly intent: string; readonly weight: number };
  readonly lease?: { readonly holder: string };
};

/** What a balancer says of the target; undefined: it has none. */
export async function shown({ balancer }: Node, port: number): Promise<View | undefined> {
  const { status, body } = await ask({ socketPath: balancer.socket, path: `/v1/pools/app/targets/127.0.0.1:${port}` });
  return status === 404 ? undefined : JSON.parse(body);
}

export async function intentOf(node: Node, port: number): Promise<string | undefined> {
  return (await shown(node, port))?.desired.intent;
}

export const isUp = async (nodes: readonly Node[], port: number) =>
  (await Promise.all(nodes.map((node) => intentOf(node, port)))).every((intent) => intent === "up");

export const isGone = async (nodes: readonly Node[], port: number) =>
  (await Promise.all(nodes.map((node) => shown(node, port)))).every((view) => view === undefined);

export async function servicePid(register: Program): Promise<number> {
  const told = await until(
    "the service's process",
    () => /runs as process (\d+)/.exec(register.stderr()) ?? undefined,
    {
      onTimeout: register.stderr,
    },
  );
  return Number(told[1]);
}
