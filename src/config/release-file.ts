// The text of a release file to a plan, or to every problem at once, each with its place: as decode.ts does it for the
// configuration. The change's way; pure. What only the balancers and the machine can tell (is there such a pool, such a
// program) is not asked here: `release run --dry-run` does (src/control/release/check-plan.ts).

import type {
  CommandStep,
  ReleaseBalancer,
  ReleaseCommand,
  ReleaseHealthCheck,
  ReleasePlan,
  ReleaseStore,
} from "../model/release.ts";
import { commandSteps } from "../model/release.ts";
import { buildHealthCheck, contradictionsOf } from "./build-health-check.ts";
import type { Environment } from "./environment.ts";
import { checkTypes, healthCheckShapes, unknownHealthCheck } from "./health-check-schema.ts";
import { type Part, type Reader, readPart } from "./part.ts";
import { addProblem, type Complaint, createReport, type Path, type Problem, sortProblems } from "./problem.ts";
import {
  type ReleaseCommandFile,
  type ReleaseShell,
  type ReleaseStoreFile,
  releaseCheckPolicy,
  releaseCheckShapes,
  releaseShell,
  releaseStoreShapes,
  unknownStore,
} from "./release-schema.ts";
import { offsetAt, parseTree, plainOf, positionAt, treeAt } from "./tree.ts";
import { readTyped } from "./typed-part.ts";

export type ReleaseFileOptions = {
  /** What problems call the file. */
  readonly file: string;
  readonly environment: Environment;
  /** Where the admin socket of a balancer is that the file says nothing of. */
  readonly socketDefault: string;
};

export type ReleaseFileRead =
  | { readonly ok: true; readonly plan: ReleasePlan }
  | { readonly ok: false; readonly problems: readonly Problem[] };

/** Decodes the text of a release file. */
export function decodeReleaseFile(text: string, options: ReleaseFileOptions): ReleaseFileRead {
  const report = createReport(options.file);
  const source = parseTree(text, options.environment, report);
  if (source === undefined) return { ok: false, problems: sortProblems(report.problems) };
  const complain = (path: Path, complaint: Complaint) => {
    const offset = offsetAt(source.root, path, complaint.atKey ?? false);
    if (source.unresolved.has(offset)) return;
    addProblem(report.problems, complaint, { ...positionAt(source.lines, offset), file: options.file, path });
  };
  const reader: Reader = { source, plain: new Map(), complain };
  const shell = readPart(reader, releaseShell, []);
  const store = readTyped<ReleaseStoreFile>(reader, ["store"], {
    what: "a store",
    shapes: releaseStoreShapes,
    unknown: unknownStore,
  });
  const healthCheck = readCheck(reader);
  if (shell.value !== undefined) judgeKeys(shell, store?.value, complain);
  if (report.problems.length > 0 || shell.value === undefined) {
    return { ok: false, problems: sortProblems(report.problems) };
  }
  return { ok: true, plan: buildPlan(shell.value, { store: store?.value, healthCheck }, options) };
}

function readCheck(reader: Reader): ReleaseHealthCheck | undefined {
  const path = ["healthCheck"];
  const part = readTyped<unknown>(reader, path, {
    what: "a health check",
    shapes: releaseCheckShapes,
    unknown: unknownHealthCheck,
  });
  const tree = treeAt(reader.source.root, path);
  if (part === undefined || tree === undefined || part.broken.size > 0) return undefined;
  const input: Readonly<Record<string, unknown>> = Object(plainOf(tree, reader.plain));
  const policy = releaseCheckPolicy.parse(input);
  const { for: _for, every: _every, rise: _rise, ...own } = input;
  const type = checkTypes.find((one) => one === input["type"]);
  // The same text again, as a pool's health check: what it asks is built as there.
  const again = type === undefined ? undefined : healthCheckShapes[type].safeParse(own).data;
  if (again === undefined) return undefined;
  for (const { key, complaint } of contradictionsOf(again)) reader.complain([...path, key], complaint);
  const { probe, port } = buildHealthCheck(again);
  return { probe, port, within: policy.for, every: policy.every, timeout: policy.timeout, rise: policy.rise };
}

type Complain = (path: Path, complaint: Complaint) => void;

/** What must hold between the keys. */
function judgeKeys(shell: Part<ReleaseShell>, store: ReleaseStoreFile | undefined, complain: Complain): void {
  const { value: file, broken } = shell;
  if (file === undefined) return;
  const code = "config.release";
  for (const [index, one] of file.balancers.entries()) {
    const path = ["balancers", index];
    if ((one.socket === undefined) === (one.admin === undefined) && !broken.has("balancers")) {
      complain(path, {
        code,
        message: `balancers[${index}]: has not exactly one of \`socket\` and \`admin\``,
        expected: "one of the two",
      });
    }
    if (one.tokenFile !== undefined && one.socket !== undefined) {
      complain([...path, "tokenFile"], {
        code,
        message: "`tokenFile` is not asked for at a socket",
        expected: "it with `admin`",
        atKey: true,
      });
    }
    const name = nameOf(one, "");
    const first = file.balancers.findIndex((other) => nameOf(other, "") === name);
    if (first < index)
      complain(path, {
        code,
        message: `balancers[${index}]: \`${name}\` stands there already`,
        expected: "each balancer once",
      });
  }
  for (const [index, address] of (file.order ?? []).entries()) {
    if ((file.order ?? []).indexOf(address) === index) continue;
    complain(["order", index], {
      code,
      message: `order[${index}]: \`${address}\` stands there already`,
      expected: "each target once",
    });
  }
  if (file.order?.length === 0)
    complain(["order"], { code, message: "order: names no target", expected: "at least one, or no `order`" });
  for (const step of commandSteps) {
    const said = file[step];
    if (said === undefined) continue;
    if ((wordsOf(said)[0] ?? "") === "")
      complain([step], { code, message: `${step}: names no program`, expected: "at least one word" });
    if (!Array.isArray(said) && said.on === "target" && file.ssh === undefined) {
      complain([step, "on"], {
        code,
        message: "on: `target` needs a way to the target's machine",
        expected: "`ssh` in the file, or `here`",
      });
    }
  }
  for (const [index, { command }] of file.notify.entries()) {
    if ((command[0] ?? "") !== "") continue;
    complain(["notify", index, "command"], {
      code,
      message: "command: names no program",
      expected: "at least one word",
    });
  }
  if (store !== undefined && store.type !== "api" && store.endpoints.length === 0) {
    complain(["store", "endpoints"], { code, message: "endpoints: names no server", expected: "at least one" });
  }
  const nothing =
    commandSteps.every((step) => file[step] === undefined) && !commandSteps.some((step) => broken.has(step));
  if (nothing)
    complain([], {
      code,
      message: "the file has no command, so nothing would be released",
      expected: "`stop`, `deploy` or `start`",
    });
}

function wordsOf(said: NonNullable<ReleaseCommandFile>): readonly string[] {
  return Array.isArray(said) ? said : said.command;
}

type BalancerFile = ReleaseShell["balancers"][number];

function nameOf({ name, socket, admin }: BalancerFile, otherwise: string): string {
  return name ?? socket ?? admin ?? otherwise;
}

function buildPlan(
  file: ReleaseShell,
  parts: { readonly store: ReleaseStoreFile | undefined; readonly healthCheck: ReleaseHealthCheck | undefined },
  options: ReleaseFileOptions,
): ReleasePlan {
  const { pool, version, order, batch, minEligible, drain, applyTimeout, eligibleTimeout, slowStart, pause } = file;
  const balancers = file.balancers.length === 0 ? [{ socket: options.socketDefault }] : file.balancers;
  const commands = commandSteps.map((step) => [step, buildCommand(file, step)] as const);
  return {
    pool,
    version,
    balancers: balancers.map((one) => buildBalancer(one, options.socketDefault)),
    store: buildStore(parts.store),
    order,
    batch,
    minEligible,
    drain,
    commands: Object.fromEntries(commands.filter(([, command]) => command !== undefined)),
    ssh: file.ssh && { ...file.ssh, user: file.ssh.user, port: file.ssh.port, identityFile: file.ssh.identityFile },
    healthCheck: parts.healthCheck,
    applyTimeout,
    eligibleTimeout,
    slowStart,
    pause:
      pause === "untilResume" ? { kind: "resume" } : pause === 0 ? { kind: "none" } : { kind: "time", time: pause },
    notify: file.notify.map(({ command: words, events, timeout }) => ({ words, events, timeout })),
  };
}

const commandTimeoutDefault = 300_000;

function buildCommand(file: ReleaseShell, step: CommandStep): ReleaseCommand | undefined {
  const said = file[step];
  if (said === undefined) return undefined;
  const on = file.ssh === undefined ? "here" : "target";
  if (Array.isArray(said)) return { words: said, timeout: commandTimeoutDefault, on, onInterrupted: "rerun" };
  const { command: words, timeout, onInterrupted } = said;
  return { words, timeout, on: said.on ?? on, onInterrupted };
}

function buildBalancer(file: Partial<BalancerFile>, socketDefault: string): ReleaseBalancer {
  const { socket, admin, tokenFile } = file;
  const name = file.name ?? socket ?? admin ?? socketDefault;
  if (admin !== undefined) return { name, place: { kind: "http", url: admin, tokenFile } };
  return { name, place: { kind: "socket", path: socket ?? socketDefault } };
}

function buildStore(file: ReleaseStoreFile | undefined): ReleaseStore {
  if (file === undefined || file.type === "api") return { type: "api" };
  const { ca, certificate, key, serverName, verify } = file.tls ?? {};
  const secure = file.endpoints.some((url) => url.startsWith("https:"));
  const tls = secure
    ? { caFile: ca, certificateFile: certificate, keyFile: key, serverName, verify: verify ?? true }
    : undefined;
  const { endpoints, prefix } = file;
  if (file.type === "etcd") {
    return { type: "etcd", endpoints, prefix, user: file.user, passwordFile: file.passwordFile, tls };
  }
  return { type: "consul", endpoints, prefix, tokenFile: file.tokenFile, datacenter: file.datacenter, tls };
}
