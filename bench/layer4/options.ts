// The flags of `npm run bench -- layer4`, decoded. Every wrong flag is told at once.

import { parseArgs } from "node:util";
import { layer4Workloads } from "./workloads.ts";

export const layer4SystemNames = [
  "nginx",
  "nginx-again",
  "nginx-tuned",
  "haproxy",
  "haproxy-tuned",
  "evenkeel-proxy",
  "evenkeel-kernel",
  "evenkeel-kernel-preserve",
] as const;
export type Layer4SystemName = (typeof layer4SystemNames)[number];

export type Layer4Options = {
  readonly rounds: number;
  readonly seconds: number;
  readonly warmSeconds: number;
  /** Names of workloads, in the order they are run. */
  readonly only: readonly string[];
  readonly systems: readonly Layer4SystemName[];
  readonly proxyCores: string;
  readonly loadCores: string;
  /** The name under bench/results/ to keep the results by; undefined keeps nothing. */
  readonly saveAs: string | undefined;
};

export const layer4Usage = `npm run bench -- layer4 [flags]      (as root: it works in network namespaces of its own)
  --rounds N          interleaved rounds, 5 by default
  --seconds N         length of a round, 3 by default
  --warm N            seconds each system is warmed up before a workload, 1 by default
  --only A,B          workloads: ${layer4Workloads.map(({ name }) => name).join(" ")}
  --systems A,B       ${layer4SystemNames.join(" ")}
                      (plain routing runs always)
  --proxy-cores LIST  cores of the balancers' processes, 0 by default
  --load-cores LIST   cores of the load generator and the targets, 1 by default
  --save              keep the results as bench/results/layer4.md and layer4.json
  --name NAME         keep them as bench/results/NAME.md and NAME.json instead
  --help`;

export type DecodedLayer4 =
  | { readonly kind: "run"; readonly options: Layer4Options }
  | { readonly kind: "help" }
  | { readonly kind: "wrong"; readonly problems: readonly string[] };

/** Full results keep the plain name; a run of some workloads or systems must have another, so that it never replaces them. */
const FULL_NAME = "layer4";

export function decodeLayer4Options(argv: readonly string[]): DecodedLayer4 {
  const problems: string[] = [];
  const values = readFlags(argv, problems);
  if (values === undefined) return { kind: "wrong", problems };
  if (values.help === true) return { kind: "help" };
  const whole = (flag: "rounds" | "seconds" | "warm"): number => {
    const text = values[flag];
    if (!/^[1-9]\d{0,3}$/.test(text)) problems.push(`--${flag} ${text}: a whole number from 1`);
    return Number(text);
  };
  const cores = (flag: "proxy-cores" | "load-cores"): string => {
    const text = values[flag];
    if (!/^\d+(-\d+)?(,\d+(-\d+)?)*$/.test(text)) problems.push(`--${flag} ${text}: a list of cores such as 0 or 1-3`);
    return text;
  };
  const choice = <T extends string>(flag: "only" | "systems", known: readonly T[]): readonly T[] => {
    const wanted = values[flag]?.split(",");
    if (wanted === undefined) return known;
    for (const name of wanted) {
      if (!known.some((one) => one === name)) problems.push(`--${flag} ${name}: one of ${known.join(", ")}`);
    }
    return known.filter((name) => wanted.includes(name));
  };
  const only = choice(
    "only",
    layer4Workloads.map(({ name }) => name),
  );
  const systems = choice("systems", layer4SystemNames);
  const partial = only.length < layer4Workloads.length || systems.length < layer4SystemNames.length;
  if (values.name !== undefined && !/^[a-z0-9-]+$/.test(values.name))
    problems.push(`--name ${values.name}: a-z, 0-9 and -`);
  if (partial && (values.name === FULL_NAME || (values.save === true && values.name === undefined))) {
    problems.push(`a partial run would replace the full results of ${FULL_NAME}: give it a --name of its own`);
  }
  const options: Layer4Options = {
    rounds: whole("rounds"),
    seconds: whole("seconds"),
    warmSeconds: whole("warm"),
    only,
    systems,
    proxyCores: cores("proxy-cores"),
    loadCores: cores("load-cores"),
    saveAs: values.name ?? (values.save === true ? FULL_NAME : undefined),
  };
  return problems.length > 0 ? { kind: "wrong", problems } : { kind: "run", options };
}

type Flags = {
  readonly rounds: string;
  readonly seconds: string;
  readonly warm: string;
  readonly only?: string | undefined;
  readonly systems?: string | undefined;
  readonly "proxy-cores": string;
  readonly "load-cores": string;
  readonly save?: boolean | undefined;
  readonly name?: string | undefined;
  readonly help?: boolean | undefined;
};

/** Undefined when a flag is unknown or lacks its value; parseArgs throws then, and its message names the flag. */
function readFlags(argv: readonly string[], problems: string[]): Flags | undefined {
  try {
    return parseArgs({
      args: [...argv],
      options: {
        rounds: { type: "string", default: "5" },
        seconds: { type: "string", default: "3" },
        warm: { type: "string", default: "1" },
        only: { type: "string" },
        systems: { type: "string" },
        "proxy-cores": { type: "string", default: "0" },
        "load-cores": { type: "string", default: "1" },
        save: { type: "boolean" },
        name: { type: "string" },
        help: { type: "boolean" },
      },
    }).values;
  } catch (cause) {
    if (!(cause instanceof TypeError)) throw cause;
    problems.push(cause.message);
    return undefined;
  }
}
