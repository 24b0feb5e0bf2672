// A node whose listeners the kernel carries, inside one machine of the layer-4 topology, for the kernel engine's tests.

import { writeFileSync } from "node:fs";
import { join } from "node:path";
import type { NodeStatus } from "../../src/control/node-status.ts";
import { type Answer, ask, evenkeel, type Program, type Scope, temporaryDirectory, until } from "./kit.ts";
import type { Layer4Topology, Machine } from "./netns-kit.ts";

export const echoPort = 9_000;
export const targetWeights: readonly number[] = [40, 30, 30];

export type KernelNode = {
  readonly program: Program;
  readonly configFile: string;
  readonly socketPath: string;
  admin(method: string, path: string): Promise<Answer>;
  status(): Promise<NodeStatus>;
  /** Writes the configuration anew and reloads; throws when that is refused. */
  reload(text: string): Promise<void>;
  /** Log lines with this message. */
  logged(message: string): readonly Readonly<Record<string, unknown>>[];
};

/** Per target: `{ weight: 40, intent: drain }`. */
export type TargetText = (index: number) => string;

/** The three echo targets as a pool, in YAML. */
export function poolText(
  top: Layer4Topology,
  family: "v4" | "v6",
  options: { readonly target?: TargetText; readonly more?: string; readonly names?: readonly number[] } = {},
): string {
  const { target = (index) => `{ weight: ${targetWeights[index]} }`, more = "" } = options;
  const targets = (options.names ?? [0, 1, 2]).map((index) => {
    const address = top.targetAddresses[index]![family];
    const host = family === "v4" ? address : `[${address}]`;
    return `"${host}:${echoPort}": ${target(index)}`;
  });
  return `{ ${more} targets: { ${targets.join(", ")} } }`;
}

export type KernelNodeOptions = {
  /** Goes in front of the command: `setpriv ...`. */
  readonly under?: readonly string[];
  readonly directory?: string;
  readonly ready?: boolean;
};

/** `body` is the configuration without admin and workers. */
export async function startKernelNode(
  scope: Scope,
  at: Machine,
  body: string,
  options: KernelNodeOptions = {},
): Promise<KernelNode> {
  const directory = options.directory ?? temporaryDirectory(scope);
  const configFile = join(directory, "evenkeel.yaml");
  const socketPath = join(directory, "admin.sock");
  const own = `admin: { socket: ${socketPath} }\nstateDirectory: ${join(directory, "state")}\nworkers: 1\n`;
  const write = (text: string) => writeFileSync(configFile, `${own}${text}\n`);
  write(body);
  const [command = evenkeel, ...args] = [...(options.under ?? []), evenkeel, "run", "-c", configFile];
  const program = at.start(scope, command, args);
  const lines = () =>
    program
      .stderr()
      .split("\n")
      .filter((line) => line.startsWith("{") && line.endsWith("}"))
      .map((line): Readonly<Record<string, unknown>> => JSON.parse(line));
  const node: KernelNode = {
    program,
    configFile,
    socketPath,
    admin: (method, path) => ask({ socketPath, method, path }),
    status: async () => JSON.parse((await ask({ socketPath, path: "/v1/status" })).body),
    reload: async (text) => {
      write(text);
      const answer = await ask({ socketPath, method: "POST", path: "/v1/reload" });
      if (answer.status !== 200) throw new Error(`reload refused: ${answer.body}`);
    },
    logged: (message) => lines().filter((line) => line["message"] === message),
  };
  if (options.ready === false) return node;
  await until("the node", () => node.logged("ready").length > 0, { onTimeout: program.stderr });
  return node;
}

/** What the machine's nftables hold, elements and counters left out: they change by themselves. */
export async function rulesOf(scope: Scope, at: Machine): Promise<string> {
  return (await at.run(scope, "nft", ["--stateless", "list", "ruleset"])).stdout;
}
