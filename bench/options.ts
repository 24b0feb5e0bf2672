// The flags of `npm run bench`, decoded. Every wrong flag is told at once.

import { parseArgs } from "node:util";
import { workloads } from "./workloads.ts";

export const systemNames = ["nginx", "nginx-again", "nginx-tuned", "haproxy", "haproxy-tuned", "evenkeel"] as const;
export type SystemName = (typeof systemNames)[number];

export type Options = {
  readonly rounds: number;
  readonly seconds: number;
  readonly warmSeconds: number;
  /** Names of workloads, in the order they are run. */
  readonly only: readonly string[];
  readonly systems: readonly SystemName[];
  readonly logFormat: "json" | "combined";
  readonly proxyCores: string;
  readonly loadCores: string;
  /** The name under bench/results/ to keep the results by; undefined keeps nothing. */
  readonly saveAs: string | undefined;
};

export const usage = `npm run bench -- [flags]                  (HTTP; for TCP and UDP: npm run bench -- layer4 --help)
  --rounds N          interleaved rounds, 5 by default
  --seconds N         length of a round, 3 by default
  --warm N            seconds each system is warmed up before a workload, 2 by default
  --only A,B          workloads: ${workloads.map(({ name }) => name).join(" ")}
  --systems A,B       ${systemNames.join(" ")}
  --log json|combined what a line of the access log holds, json by default
  --proxy-cores LIST  cores of the proxies, 0 by default
  --load-cores LIST   cores of the load generator and the targets, 1 by default
  --save              keep the results as bench/results/http.md and http.json
  --name NAME         keep them as bench/results/NAME.md and NAME.json instead
  --help`;

export type Decoded =
  | { readonly kind: "run"; readonly options: Options }
  | { readonly kind: "help" }
  | { readonly kind: "wrong"; readonly problems: readonly string[] };

/** Full results keep the plain name; a run of some workloads or systems must have another, so that it never replaces them. */
const FULL_NAME = "http";

export function decodeOptions(argv: readonly string[]): Decoded {
  const problems: string[] = [];
  const values = readFlags(argv, problems);
  if (values === undefined) return { kind: "wrong", problems };
  if (values.help === true) return { kind: "help" };
  const whole = (flag: "rounds" | "seconds" | "warm", least: number): number => {
    const text = values[flag];
    if (!/^\d{1,4}$/.test(text) || Number(text) < least)
      problems.push(`--${flag} ${text}: a whole number from ${least}`);
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
  const { log } = values;
  if (log !== "json" && log !== "combined") problems.push(`--log ${log}: json or combined`);
  const only = choice(
    "only",
    workloads.map(({ name }) => name),
  );
  const systems = choice("systems", systemNames);
  const partial = only.length < workloads.length || systems.length < systemNames.length;
  if (values.name !== undefined && !/^[a-z0-9-]+$/.test(values.name))
    problems.push(`--name ${values.name}: a-z, 0-9 and -`);
  if (partial && (values.name === FULL_NAME || (values.save === true && values.name === undefined))) {
    problems.push(`a partial run would replace the full results of ${FULL_NAME}: give it a --name of its own`);
  }
  const options: Options = {
    rounds: whole("rounds", 1),
    seconds: whole("seconds", 1),
    warmSeconds: whole("warm", 1),
    only,
    systems,
    logFormat: log === "combined" ? "combined" : "json",
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
  readonly log: string;
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
        warm: { type: "string", default: "2" },
        only: { type: "string" },
        systems: { type: "string" },
        log: { type: "string", default: "json" },
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
