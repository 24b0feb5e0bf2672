// `npm run bench -- layer4`: lays a network of namespaces, starts the targets and every balancer on a machine of its own,
// checks that all do the same work, runs the workloads and tells what came out. Needs root. Exit codes as in run.ts. It ends
// and removes what it made, also on a failure or Ctrl-C.

import { existsSync } from "node:fs";
import { join } from "node:path";
import { flipSettings, runFlips } from "./layer4/flips.ts";
import { layNetwork } from "./layer4/network.ts";
import { decodeLayer4Options, type Layer4Options, type Layer4SystemName, layer4Usage } from "./layer4/options.ts";
import { layer4Notes, layer4Summary, layer4Tables, layer4Terms, saveLayer4 } from "./layer4/report.ts";
import { type Layer4Bench, type Layer4Rounds, runTraffic } from "./layer4/rounds.ts";
import { type Layer4System, type Running, startLayer4 } from "./layer4/system.ts";
import { evenkeelLayer4, haproxyTcp, nginxStream, nginxStreamModule, routing } from "./layer4/systems.ts";
import { startHttpTarget } from "./layer4/targets.ts";
import { layer4Workloads } from "./layer4/workloads.ts";
import { describeMachine } from "./machine.ts";
import { machineLines } from "./record.ts";
import { allSound } from "./report.ts";
import { runSession } from "./session.ts";
import { raiseFileLimit, type Stage } from "./stage.ts";
import { drawText } from "./table.ts";

/** Flows and connections that a balancer is told to hold, within the limit of open files: each is two of a proxy. */
const CONNECTIONS_MAX = 30_000;

const systems: Readonly<Record<Layer4SystemName, () => Layer4System>> = {
  nginx: () => nginxStream("plain"),
  "nginx-again": () => nginxStream("again"),
  "nginx-tuned": () => nginxStream("tuned"),
  haproxy: () => haproxyTcp("plain"),
  "haproxy-tuned": () => haproxyTcp("tuned"),
  "evenkeel-proxy": () => evenkeelLayer4("proxy"),
  "evenkeel-kernel": () => evenkeelLayer4("kernel"),
  "evenkeel-kernel-preserve": () => evenkeelLayer4("kernel-preserve"),
};

function say(text: string): void {
  process.stdout.write(`${text}\n`);
}

/** Gives the exit code. `argv` are the flags behind `layer4`. */
export async function benchLayer4(argv: readonly string[]): Promise<number> {
  const decoded = decodeLayer4Options(argv);
  if (decoded.kind === "help") {
    say(layer4Usage);
    return 0;
  }
  const problems = decoded.kind === "wrong" ? decoded.problems : missing();
  if (decoded.kind === "wrong" || problems.length > 0) {
    process.stderr.write(`${problems.join("\n")}\n${decoded.kind === "wrong" ? `${layer4Usage}\n` : ""}`);
    return 1;
  }
  return runSession((stage) => bench(stage, decoded.options));
}

/** What this machine lacks, with the remedy. */
function missing(): string[] {
  const problems: string[] = [];
  if (process.getuid?.() !== 0) problems.push("the layer-4 benchmark makes network namespaces: run it as root");
  if (!existsSync(nginxStreamModule))
    problems.push(`${nginxStreamModule} is missing: install the Debian package libnginx-mod-stream`);
  return problems;
}

async function bench(stage: Stage, options: Layer4Options): Promise<number> {
  const machine = describeMachine();
  say([...machineLines(machine), ...layer4Terms.map((line) => `- ${line}`)].join("\n"));
  if (options.proxyCores === options.loadCores)
    say("WARNING: balancers and load share their cores: rates mean nothing");
  raiseFileLimit();
  const chosen = layer4Workloads.filter(({ name }) => options.only.includes(name));
  const setup = await setUp(
    stage,
    options,
    chosen.some(({ kind }) => kind !== "flip"),
  );
  const place = setup.network.addBalancer("flips");
  const names = Object.keys(flipSettings).filter((name) => options.systems.some((system) => flips(system, name)));
  const results: Layer4Rounds[] = [];
  for (const workload of chosen) {
    const result =
      workload.kind === "flip"
        ? await runFlips(setup, workload, { place, proxyCores: options.proxyCores, names })
        : await runTraffic(setup, workload);
    results.push(result);
    for (const { title, table } of layer4Tables(result)) say(`\n${title}\n${drawText(table)}`);
    for (const note of layer4Notes(result)) say(`  ${note}`);
  }
  const summary = layer4Summary(results);
  if (summary !== undefined) say(`\nGoals\n${drawText(summary)}`);
  if (options.saveAs !== undefined) {
    const settings = Object.fromEntries(setup.systems.map(({ system }) => [system.name, system.settings]));
    const record = { machine, options, settings, flips: flipSettings, results };
    const saved = saveLayer4(join(import.meta.dirname, "results"), options.saveAs, record);
    say(`\nkept as ${saved.markdown} and ${saved.json}`);
  }
  return allSound(results) ? 0 : 1;
}

/** The kernel engine is flipped in more than one way. */
function flips(system: Layer4SystemName, name: string): boolean {
  return name === system || (system === "evenkeel-kernel" && name.startsWith(`${system}-`));
}

async function setUp(stage: Stage, options: Layer4Options, traffic: boolean): Promise<Layer4Bench> {
  const { proxyCores, loadCores, rounds, seconds, warmSeconds } = options;
  const network = layNetwork(stage);
  const running: Running[] = [];
  if (traffic) {
    startHttpTarget(stage, { namespace: network.targets, cores: loadCores });
    const terms = { network, proxyCores, loadCores, connectionsMax: CONNECTIONS_MAX };
    for (const system of [routing, ...options.systems.map((name) => systems[name]())]) {
      const one = await startLayer4(stage, system, terms);
      for (const problem of one.unequal) say(`${system.name} is not on equal terms: ${problem}`);
      running.push(one);
    }
  }
  return { stage, network, systems: running, loadCores, rounds, seconds, warmSeconds };
}
