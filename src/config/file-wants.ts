// The files that a configuration names and the program reads later: tokens, passwords, certificates, keys, each with its place.
// On the change's way, with the building of a draft; judge-machine.ts holds them against what is there. Must not open any.

import type { MachineWant } from "./machine-wants.ts";
import type { Path } from "./problem.ts";
import type { Draft, PoolPart } from "./shape.ts";

/** In the order of the file's sections. */
export function fileWants({ root, pools, locate }: Pick<Draft, "root" | "pools" | "locate">): MachineWant[] {
  const token = root.value?.admin.tokenFile;
  const named: NamedFile[] = token === undefined ? [] : [{ at: ["admin", "tokenFile"], path: token }];
  for (const pool of pools) named.push(...filesOf(pool));
  return named.map(({ at, path }) => ({ kind: "file", path, place: locate(at) }));
}

type NamedFile = { readonly at: Path; readonly path: string };

function filesOf({ source }: PoolPart): NamedFile[] {
  const file = source?.value;
  if (source === undefined || file === undefined || file.type === "dns") return [];
  const secret: readonly [string, string | undefined] =
    file.type === "consul" ? ["tokenFile", file.tokenFile] : ["passwordFile", file.passwordFile];
  const tls = (["ca", "certificate", "key"] as const).map((key) => [["tls", key], file.tls?.[key]] as const);
  return [[[secret[0]], secret[1]] as const, ...tls].flatMap(([keys, path]) =>
    path === undefined ? [] : [{ at: [...source.path, ...keys], path }],
  );
}
