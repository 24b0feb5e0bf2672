// The options by which commands are told their configuration: `-c` once or several times, and who reads it. One place, so that
// all commands understand the same.

import { Option } from "commander";

const adapterNames = ["native", "nginx", "keepalived"];

/** `-c FILE`, repeatable and required: all files are one configuration. */
export function configOption(): Option {
  const description = "configuration file: YAML, JSON, nginx.conf or keepalived.conf; several are one configuration";
  const collect = (file: string, before: readonly string[] | undefined) => [...(before ?? []), file];
  return new Option("-c, --config <file>", description).argParser(collect).makeOptionMandatory();
}

/** `--adapter NAME`, for files whose names don't tell. */
export function adapterOption(): Option {
  return new Option("--adapter <name>", "what language the files are in; by default their names tell").choices(
    adapterNames,
  );
}
