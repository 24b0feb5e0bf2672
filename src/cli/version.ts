// `evenkeel version`, and the version for everybody else who tells it.

import { readFileSync } from "node:fs";
import type { Command } from "commander";
import { assert } from "../core/assert.ts";
import type { CliIo } from "./cli-io.ts";

/** The version in the package's own description. */
export function programVersion(): string {
  const description: unknown = JSON.parse(readFileSync(new URL("../../package.json", import.meta.url), "utf8"));
  const fields: Readonly<Record<string, unknown>> = Object(description);
  assert(typeof fields["version"] === "string", "package.json has a version");
  return fields["version"];
}

export function addVersionCommand(program: Command, io: CliIo): void {
  program
    .command("version")
    .description("print the version of evenkeel and of its Node")
    .action(() => io.out(`evenkeel ${programVersion()} (node ${process.versions.node})\n`));
}
