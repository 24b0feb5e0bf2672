// The process that speaks VRRP, seen from the supervisor: its start, the lines both ways, its end. The change's way. It
// knows nothing of why; virtual-routers.ts decides. The channel is the process's lifeline: when it closes, that one resigns.

import { type ChildProcess, spawn } from "node:child_process";
import { Socket } from "node:net";
import { fileURLToPath } from "node:url";
import { LINE_BYTES_MAX } from "../../io/line-channel.ts";
import type { FromVrrp, ToVrrp } from "../../state/vrrp-protocol.ts";
import { vrrpChannelFd } from "../../state/vrrp-protocol.ts";

/** The extension is this file's own: `.js` in the published package. */
export const vrrpMainPath = fileURLToPath(import.meta.url).replace(
  /control\/ha\/vrrp-process(\.[a-z]+)$/,
  "vrrp/main$1",
);

export type VrrpEvents = {
  readonly message: (message: FromVrrp) => void;
  /** It said something that is none of the protocol. */
  readonly broken: (reason: string) => void;
  /** Told exactly once, also when it could not be started. */
  readonly exited: (code: number | null, signal: string | null) => void;
};

export type VrrpProcess = {
  readonly pid: number | undefined;
  send(message: ToVrrp): void;
  kill(): void;
};

export function startVrrpProcess(path: string, events: VrrpEvents): VrrpProcess {
  const { NODE_OPTIONS: _ours, NODE_CHANNEL_FD: _none, ...env } = process.env;
  const stdio = ["ignore", "inherit", "inherit", "pipe"] as const;
  const child = spawn(process.execPath, [path], { stdio: [...stdio], env });
  let ended = false;
  const end = (code: number | null, signal: string | null) => {
    if (ended) return;
    ended = true;
    events.exited(code, signal);
  };
  child.once("exit", end);
  child.on("error", (error) => {
    if (child.pid === undefined) end(null, error.message);
  });
  const channel = channelOf(child);
  channel?.setEncoding("utf8");
  let partial = "";
  channel?.on("data", (text: string) => {
    const lines = (partial + text).split("\n");
    partial = lines.pop() ?? "";
    if (partial.length > LINE_BYTES_MAX) events.broken("a line without an end");
    for (const line of lines) {
      if (ended) return;
      const message = decodeFromVrrp(line);
      if (message === undefined) events.broken(`unknown message ${line.slice(0, 200)}`);
      else events.message(message);
    }
  });
  // Its end tells more than a channel that broke with it.
  channel?.on("error", () => {});
  return {
    pid: child.pid,
    send: (message) => {
      if (!ended && channel?.writable === true) channel.write(`${JSON.stringify(message)}\n`);
    },
    kill: () => {
      child.kill("SIGKILL");
    },
  };
}

function channelOf(child: ChildProcess): Socket | undefined {
  const stream = child.stdio[vrrpChannelFd];
  return stream instanceof Socket ? stream : undefined;
}

const logLevels: readonly unknown[] = ["info", "warn", "error"];

/** Checks the part of a message that the supervisor acts on. Undefined when it is none of the protocol. */
export function decodeFromVrrp(line: string): FromVrrp | undefined {
  let parsed: unknown;
  try {
    parsed = JSON.parse(line);
  } catch {
    // Output of Node itself, say: the caller tells.
    return undefined;
  }
  if (typeof parsed !== "object" || parsed === null || !("type" in parsed)) return undefined;
  const fields: Readonly<Record<string, unknown>> = { ...parsed };
  return isWhole(fields) ? (parsed as FromVrrp) : undefined;
}

function isWhole(fields: Readonly<Record<string, unknown>>): boolean {
  const isText = (name: string) => typeof fields[name] === "string";
  switch (fields["type"]) {
    case "ready":
      return Number.isInteger(fields["pid"]);
    case "configured":
    case "ordered":
      return Number.isInteger(fields["id"]);
    case "status":
      return Number.isInteger(fields["id"]) && typeof fields["status"] === "object" && fields["status"] !== null;
    case "mode":
      return isText("router") && isText("from") && isText("to") && isText("cause");
    case "priority":
      return isText("router") && Number.isInteger(fields["to"]);
    case "alarm":
      return isText("router") && isText("code") && isText("detail");
    case "log":
      return isText("message") && logLevels.includes(fields["level"]);
    case "resigning":
      return isText("router") && typeof fields["resigning"] === "boolean";
    case "interfaceRenewed":
      return isText("interface");
    case "stopped":
      return true;
    default:
      return false;
  }
}
