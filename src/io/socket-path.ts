// The place of the admin socket in the file system. A program that was killed leaves its socket's file behind: it is
// replaced. One that lives is never pushed aside, and this is also what keeps two programs from running one configuration
// at the same time. Told apart by connecting. The change's way.

import { lstatSync, mkdirSync, unlinkSync } from "node:fs";
import { connect } from "node:net";
import { dirname } from "node:path";
import { bad, type Failure, good, type Result } from "../core/failure.ts";
import { findUnixSocketHolder } from "./port-holder.ts";

const connectTimeoutMs = 1_000;

/**
 * Makes the path free to bind: its directory exists (mode 0755), nothing stands at it. Codes: admin.socket.inUse (a
 * living program; the detail names it), admin.socket.notASocket, admin.socket.denied, admin.socket.failed.
 */
export async function claimSocketPath(path: string): Promise<Result<true>> {
  try {
    mkdirSync(dirname(path), { recursive: true, mode: 0o755 });
    const stat = lstatSync(path, { throwIfNoEntry: false });
    if (stat === undefined) return good(true);
    if (!stat.isSocket()) {
      return refuse("notASocket", `${path} exists and is no socket: move it away or choose another path`);
    }
    if (await answers(path)) return refuse("inUse", describeHolder(path));
    unlinkSync(path);
    return good(true);
  } catch (error) {
    return bad(describeError(path, error));
  }
}

/** Anything but a refusal counts as alive: a full backlog, or a program that is too slow to accept. */
function answers(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(path);
    const told = (alive: boolean) => {
      clearTimeout(timer);
      socket.destroy();
      resolve(alive);
    };
    const timer = setTimeout(() => told(true), connectTimeoutMs);
    socket.once("connect", () => told(true));
    socket.once("error", (error: NodeJS.ErrnoException) =>
      told(error.code !== "ECONNREFUSED" && error.code !== "ENOENT"),
    );
  });
}

function describeHolder(path: string): string {
  const holder = findUnixSocketHolder(path);
  const who = holder === undefined ? "a program that runs" : `process ${holder.pid} (${holder.command})`;
  return `${path} is in use by ${who}: another evenkeel runs with this admin.socket; stop it or choose another path`;
}

function describeError(path: string, error: unknown): Failure {
  const { code, message } = error instanceof Error ? (error as NodeJS.ErrnoException) : { code: "", message: "" };
  if (code === "EACCES" || code === "EPERM" || code === "EROFS") {
    const detail = `admin socket ${path}: this user may not create it (${code}): run as a user who may, or set admin.socket to a path of its own`;
    return { code: "admin.socket.denied", origin: "self", retrySafe: false, detail };
  }
  const detail = `admin socket ${path}: ${message === "" ? String(error) : message}`;
  return { code: "admin.socket.failed", origin: "self", retrySafe: false, detail };
}

function refuse(code: string, detail: string): { readonly ok: false; readonly failure: Failure } {
  return bad({ code: `admin.socket.${code}`, origin: "self", retrySafe: false, detail: `admin socket ${detail}` });
}
