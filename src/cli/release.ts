// `evenkeel release run|resume|rollback|abort|status FILE`: a new version to the targets of a pool, one after the other, without
// a failed request (docs/release.md). Exit 0 when it has ended as asked; 1 when a step failed or something is wrong; 2 when it
// stands and waits for `resume`; 3 when a guard or a lock forbids it. The first SIGINT, SIGTERM or SIGHUP lets those targets
// come back that are out, the second ends at once what runs.

import type { Command } from "commander";
import { Option } from "commander";
import { type AdminOptions, withAdminOptions } from "./admin-client.ts";
import type { CliIo } from "./cli-io.ts";

export type ReleaseOptions = AdminOptions & {
  readonly version?: string;
  readonly dryRun?: boolean;
  readonly json?: boolean;
  readonly interrupted?: string;
};

const descriptions = {
  run: "begin a release and carry it out",
  resume: "go on with the release that stands, failed, or whose command was killed, on this machine or another",
  rollback: "turn it back: the rollback commands of every target that was touched, the last one first",
  abort: "end it where it is: intents are put back as they were, nothing is run",
} as const;

export function addReleaseCommand(program: Command, io: CliIo): void {
  const release = program.command("release").description("release a new version to the targets of a pool");
  for (const order of ["run", "resume", "rollback", "abort"] as const) {
    const command = withAdminOptions(release.command(order))
      .description(descriptions[order])
      .argument("<file>", "the release file")
      .option("--version <version>", "stands for {version} in the commands")
      .option("--json", "one event a line, for programs");
    if (order === "run") command.option("--dry-run", "only tell the plan, and everything that is wrong with it");
    if (order === "resume" || order === "rollback") {
      command.addOption(
        new Option(
          "--interrupted <how>",
          "commands under way when it was killed, where the file asks: run again, or taken for done",
        ).choices(["rerun", "done"]),
      );
    }
    command.action(async (file: string, options: ReleaseOptions) => {
      // Only now: other commands need none of it.
      const { runReleaseCommand } = await import("./release-run.ts");
      await runReleaseCommand(order, file, options, io);
    });
  }
  withAdminOptions(release.command("status"))
    .description("tell how the last release stands: of the file's pool, or of all that the balancer knows")
    .argument("[file]", "the release file")
    .option("--json", "as JSON")
    .action(async (file: string | undefined, options: ReleaseOptions) => {
      const { showReleases } = await import("./release-status.ts");
      await showReleases(file, options, io);
    });
}
