// What the figures were taken on: processor, cores, kernel, versions of every program that took part. Read once, kept
// beside the results, because a ratio without its machine says little.

import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { cpus, loadavg, release, totalmem } from "node:os";
import { wrkProgram } from "./load/wrk.ts";
import { haproxyProgram } from "./systems/haproxy.ts";
import { nginxProgram } from "./systems/nginx.ts";

export type Machine = {
  readonly processor: string;
  readonly cores: number;
  readonly memoryBytes: number;
  readonly kernel: string;
  readonly system: string;
  readonly hypervisor: boolean;
  /** Processes that wanted to run, over the minute before the benchmark began: above some tenths, figures are doubtful. */
  readonly loadBefore: number;
  readonly versions: Readonly<Record<string, string>>;
};

/** Throws when nginx, HAProxy or wrk is missing, naming the Debian package. */
export function describeMachine(): Machine {
  const information = readFileSync("/proc/cpuinfo", "utf8");
  return {
    processor: cpus()[0]?.model ?? "unknown",
    cores: cpus().length,
    memoryBytes: totalmem(),
    kernel: release(),
    system: /^PRETTY_NAME="(.*)"$/m.exec(readFileSync("/etc/os-release", "utf8"))?.[1] ?? "unknown",
    hypervisor: /^flags\s*:.*\bhypervisor\b/m.test(information),
    loadBefore: loadavg()[0] ?? 0,
    versions: {
      node: process.version,
      nginx: versionOf(nginxProgram, "-v", /nginx\/(\S+)/, "nginx"),
      haproxy: versionOf(haproxyProgram, "-v", /version (\S+)/, "haproxy"),
      wrk: versionOf(wrkProgram, "-v", /wrk (\S+)/, "wrk"),
    },
  };
}

function versionOf(program: string, flag: string, pattern: RegExp, debianPackage: string): string {
  const { stdout, stderr, error } = spawnSync(program, [flag], { encoding: "utf8" });
  if (error !== undefined)
    throw new Error(`${program} does not run (Debian package ${debianPackage}): ${error.message}`);
  return pattern.exec(`${stdout}${stderr}`)?.[1] ?? "unknown";
}
