// For tests of commands: a command line run against the admin API of a stand-in node, over a real socket.

import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { TestContext } from "node:test";
import type { Controlled } from "../admin/controlled.ts";
import { openAdminServer } from "../admin/server.ts";
import type { Log } from "../core/log.ts";
import type { AdminConfig } from "../model/config.ts";
import { runCommandLine } from "./program.ts";

export type Said = { readonly out: string; readonly err: string; readonly code: number };

export type CommandRun = (args: readonly string[], environment?: Readonly<Record<string, string>>) => Promise<Said>;

export function temporaryDirectory(t: TestContext): string {
  const directory = mkdtempSync(join(tmpdir(), "ek-cli-"));
  t.after(() => rmSync(directory, { recursive: true }));
  return directory;
}

/** Runs a command line with an environment and nothing else. */
export async function runCli(
  args: readonly string[],
  environment: Readonly<Record<string, string>> = {},
  heard: (text: string) => void = () => {},
): Promise<Said> {
  const said = { out: "", err: "", code: 0 };
  await runCommandLine(args, {
    out: (text) => {
      said.out += text;
      heard(said.out);
    },
    err: (text) => {
      said.err += text;
    },
    environment,
    setExitCode: (code) => {
      said.code = code;
    },
  });
  return said;
}

const quiet: Log = { debug() {}, info() {}, warn() {}, error() {} };

/** The environment in which commands find the node; it is closed after the test, or before. */
export async function serveNode(
  t: TestContext,
  controlled: Controlled,
  http?: AdminConfig["http"],
): Promise<{ readonly environment: { readonly EVENKEEL_SOCKET: string }; readonly close: () => Promise<void> }> {
  const socket = join(temporaryDirectory(t), "admin.sock");
  const opened = await openAdminServer({
    admin: { socket, http },
    controlled,
    log: quiet,
    clock: () => performance.now(),
    peerName: () => Promise.resolve("somebody"),
  });
  if (!opened.ok) assert.fail(opened.failure.detail);
  let closed: Promise<void> | undefined;
  const close = () => {
    closed ??= opened.value.close();
    return closed;
  };
  t.after(close);
  return { environment: { EVENKEEL_SOCKET: socket }, close };
}
