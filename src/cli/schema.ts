// `evenkeel schema`: the JSON Schema of the configuration file, for editors and pipelines.

import type { Command } from "commander";
import type { CliIo } from "./cli-io.ts";

export function addSchemaCommand(program: Command, io: CliIo): void {
  program
    .command("schema")
    .description("print the JSON Schema of the configuration file")
    .action(async () => {
      const { configJsonSchema } = await import("../config/schema.ts");
      io.out(`${JSON.stringify(configJsonSchema(), undefined, 2)}\n`);
    });
}
