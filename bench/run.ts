// `npm run bench`: the HTTP benchmark, or with the word `layer4` in front of the flags the one of layer4.ts. It starts two
// targets and the proxies, checks that all do the same work, runs the workloads and tells what came out. It ends what it
// started, also on a failure or Ctrl-C. Exit 0 when every response was right (a goal missed is
// a result, not a failure), 1 when something was wrong, 130 when interrupted.

import { join } from "node:path";
import { benchLayer4 } from "./layer4.ts";
import { describeMachine } from "./machine.ts";
import { decodeOptions, type Options, type SystemName, usage } from "./options.ts";
import { machineLines, saveRecord, terms as termLines } from "./record.ts";
import { allSound, summaryTable, workloadNotes, workloadTables } from "./report.ts";
import { type Bench, type Contender, runWorkload, type WorkloadRounds } from "./rounds.ts";
import { runSession } from "./session.ts";
import { raiseFileLimit, type Stage } from "./stage.ts";
import { evenkeel } from "./systems/evenkeel.ts";
import { haproxy } from "./systems/haproxy.ts";
import { nginx } from "./systems/nginx.ts";
import { type System, startSystem, type Terms } from "./systems/system.ts";
import { startTargets } from "./systems/targets.ts";
import { drawText } from "./table.ts";
import { verifyTerms } from "./verify.ts";
import { type Workload, workloads } from "./workloads.ts";

/** Descriptors of a proxy beside those of its clients: connections to targets, log, listeners. */
const FILES_BESIDE = 800;

const systems: Readonly<Record<SystemName, () => System>> = {
  nginx: () => nginx("plain"),
  "nginx-again": () => nginx("again"),
  "nginx-tuned": () => nginx("tuned"),
  haproxy: () => haproxy("plain"),
  "haproxy-tuned": () => haproxy("tuned"),
  evenkeel,
};

function say(text: string): void {
  process.stdout.write(`${text}\n`);
}

async function benchHttp(argv: readonly string[]): Promise<number> {
  const decoded = decodeOptions(argv);
  if (decoded.kind === "help") {
    say(usage);
    return 0;
  }
  if (decoded.kind === "wrong") {
    process.stderr.write(`${decoded.problems.join("\n")}\n${usage}\n`);
    return 1;
  }
  say("HTTP; layer 4 has a benchmark of its own: npm run bench -- layer4");
  return runSession((stage) => bench(stage, decoded.options));
}

async function bench(stage: Stage, options: Options): Promise<number> {
  const machine = describeMachine();
  say([...machineLines(machine), ...termLines.map((line) => `- ${line}`)].join("\n"));
  if (options.proxyCores === options.loadCores)
    say("WARNING: proxies and load share their cores, so rates and latencies mean nothing");
  const chosen = chosenWorkloads(options);
  const setup = await setUp(stage, options, Math.max(...chosen.map(({ connections }) => connections)));
  const results: WorkloadRounds[] = [];
  for (const workload of chosen) {
    const result = await runWorkload(setup, workload);
    results.push(result);
    for (const { title, table } of workloadTables(result)) say(`\n${title}\n${drawText(table)}`);
    for (const note of workloadNotes(result)) say(`  ${note}`);
  }
  const summary = summaryTable(results);
  if (summary !== undefined) say(`\nGoals\n${drawText(summary)}`);
  if (options.saveAs !== undefined) {
    const settings = Object.fromEntries(setup.contenders.map(({ system }) => [system.name, system.settings]));
    const saved = saveRecord(join(import.meta.dirname, "results"), options.saveAs, {
      machine,
      options,
      settings,
      results,
    });
    say(`\nkept as ${saved.markdown} and ${saved.json}`);
  }
  return allSound(results) ? 0 : 1;
}

/** As many idle connections as the limit of open files allows, told when they are fewer than the workload wants. */
function chosenWorkloads(options: Options): Workload[] {
  const most = raiseFileLimit() - FILES_BESIDE;
  return workloads
    .filter(({ name }) => options.only.includes(name))
    .map((workload) => {
      if (workload.connections <= most) return workload;
      say(`WARNING: the limit of open files allows ${most} connections, not ${workload.connections}`);
      return { ...workload, connections: most };
    });
}

async function setUp(stage: Stage, options: Options, connections: number): Promise<Bench> {
  const connectionsMax = connections + 256;
  const targets = await startTargets(stage, options.loadCores);
  const terms: Terms = {
    targets: targets.addresses,
    connectionsMax,
    logFormat: options.logFormat,
    cores: options.proxyCores,
  };
  const contenders: Contender[] = [];
  for (const name of options.systems) {
    const system = systems[name]();
    const running = await startSystem(stage, system, terms);
    const unequal = await verifyTerms(running.port, targets);
    for (const problem of unequal) say(`${name} is not on equal terms: ${problem}`);
    contenders.push({ system, running, unequal });
  }
  const { rounds, seconds, warmSeconds, loadCores } = options;
  return { stage, terms, targets, contenders, loadCores, rounds, seconds, warmSeconds };
}

const [first, ...rest] = process.argv.slice(2);
process.exitCode = await (first === "layer4" ? benchLayer4(rest) : benchHttp(process.argv.slice(2)));
