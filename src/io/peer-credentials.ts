// Who stands at the other end of a unix socket's connection, as the kernel knows it: the user that connected (SO_PEERCRED,
// unix(7)). The change's way: the admin API tells by it who changed something. It is for the record, never for a decision
// who may do what: that is the mode of the socket's file. Reads the descriptor of Node's private
// `_handle`, and nothing is lost where there is none: the user is then not named (docs/decisions/0001).

import { readFile } from "node:fs/promises";
import type { Socket } from "node:net";
import koffi from "koffi";
import { bad, good, type Result } from "../core/failure.ts";
import { runCommand } from "./bounded-command.ts";
import { resultOf } from "./libc.ts";

const library = koffi.load(null);

const cGetsockopt: (fd: number, level: number, name: number, into: Uint8Array, length: Uint8Array) => number =
  library.func("int getsockopt(int, int, int, void *, void *)");

const socketLevel = 1;
const peerCredentials = 17;
/** struct ucred: pid, uid, gid, 4 bytes each. */
const credentialBytes = 12;
const usersFile = "/etc/passwd";
const askTimeMax = 2_000;
/** Names that are remembered; a machine has fewer users who may open the socket. */
const namesMax = 1_000;

export type PeerCredentials = { readonly pid: number; readonly uid: number; readonly gid: number };

/** Of a connected socket; the user and group are those of the moment of connect(2). Code: peer.unknown. */
export function readPeerCredentials(fd: number): Result<PeerCredentials> {
  const into = new Uint8Array(credentialBytes);
  const length = new Uint8Array(new Uint32Array([credentialBytes]).buffer);
  const read = resultOf(cGetsockopt(fd, socketLevel, peerCredentials, into, length));
  if (!read.ok) return unknown(read.name);
  // As C has it: in the machine's own order.
  const [pid = 0, uid = 0, gid = 0] = new Uint32Array(into.buffer);
  // A socket that is none of the unix domain answers too, with nobody: pid 0 and the ids -1.
  if (pid === 0) return unknown("it is no connection of a unix socket");
  return good({ pid, uid, gid });
}

function unknown(why: string): Result<PeerCredentials> {
  const detail = `who is at the other end of the connection is not known: ${why}`;
  return bad({ code: "peer.unknown", origin: "self", retrySafe: true, detail });
}

/** The name of a user in the text of a user file, or undefined. passwd(5). */
export function parseUserName(text: string, uid: number): string | undefined {
  for (const line of text.split("\n")) {
    const [name = "", , number] = line.split(":");
    if (number === String(uid) && name !== "") return name;
  }
  return undefined;
}

/** Tells users by name; each is looked up once. */
export class PeerNames {
  readonly #names = new Map<number, Promise<string>>();

  /** `root`; the number for a user without a name; undefined when the kernel does not say who it is. To be called at once. */
  nameOf(socket: Socket): Promise<string> | undefined {
    const fd = descriptorOf(socket);
    const read = fd === undefined ? undefined : readPeerCredentials(fd);
    if (read?.ok !== true) return undefined;
    const { uid } = read.value;
    const known = this.#names.get(uid) ?? findUserName(uid);
    if (this.#names.size < namesMax) this.#names.set(uid, known);
    return known;
  }
}

function descriptorOf(socket: Socket): number | undefined {
  const { _handle: handle }: { readonly _handle?: unknown } = Object(socket);
  const { fd }: { readonly fd?: unknown } = Object(handle);
  return typeof fd === "number" && fd >= 0 ? fd : undefined;
}

/** First the file, which costs no process; a user who is kept elsewhere is asked for with getent. */
async function findUserName(uid: number): Promise<string> {
  const known = parseUserName(await readFile(usersFile, "utf8").catch(() => ""), uid);
  if (known !== undefined) return known;
  const asked = await runCommand({ program: "getent", args: ["passwd", String(uid)], input: "", timeMax: askTimeMax });
  const told = asked.kind === "ended" && asked.code === 0 ? parseUserName(asked.stdout, uid) : undefined;
  return told ?? String(uid);
}
