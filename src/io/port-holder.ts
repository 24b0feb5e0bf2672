// Who listens on a port: the row of /proc/net/tcp{,6} or udp{,6} gives the socket's inode, the descriptors under /proc/*/fd
// give the process. Asked only when a bind was refused, to name the culprit to the operator; the change's way. Without the
// right to look into a process (another user's) it says nothing rather than guess.

import { readdirSync, readFileSync, readlinkSync } from "node:fs";
import { endianness } from "node:os";
import { formatIp, parseIp } from "../core/address.ts";

export type SocketRow = {
  /** Canonical text of the address. */
  readonly host: string;
  readonly port: number;
  readonly listening: boolean;
  readonly inode: number;
};

export type PortHolder = {
  readonly inode: number;
  /** Undefined when no process that we may look into has it. */
  readonly process: { readonly pid: number; readonly command: string } | undefined;
};

const stateListen = "0A";

export type Transport = "tcp" | "udp";
const commandLengthMax = 120;

/**
 * Parses /proc/net/tcp or udp, tcp6 or udp6 (Linux, Documentation/networking/proc_net_tcp.rst). Odd rows are left out. Of
 * UDP every socket counts as listening: whatever it is for, its port is taken.
 */
export function parseSocketTable(
  text: string,
  order: "LE" | "BE" = endianness(),
  transport: Transport = "tcp",
): SocketRow[] {
  const rows: SocketRow[] = [];
  for (const line of text.split("\n").slice(1)) {
    const fields = line.trim().split(/\s+/);
    const [address, port] = (fields[1] ?? "").split(":");
    const inode = Number(fields[9]);
    if (address === undefined || port === undefined || !Number.isInteger(inode)) continue;
    const host = decodeKernelAddress(address, order);
    if (host === undefined) continue;
    const listening = transport === "udp" || fields[3] === stateListen;
    rows.push({ host, port: Number.parseInt(port, 16), listening, inode });
  }
  return rows;
}

// The kernel prints 32-bit words as numbers of its own byte order: 0100007F is 127.0.0.1 on x86.
function decodeKernelAddress(hex: string, order: "LE" | "BE"): string | undefined {
  if (!/^(?:[0-9A-Fa-f]{8}|[0-9A-Fa-f]{32})$/.test(hex)) return undefined;
  const bytes = [...Buffer.from(hex, "hex")];
  if (order === "LE") {
    for (let word = 0; word < bytes.length; word += 4) {
      bytes.splice(word, 4, ...bytes.slice(word, word + 4).reverse());
    }
  }
  return formatIp({ family: bytes.length === 4 ? 4 : 6, bytes });
}

/**
 * The rows that stand in the way of a bind to this address: listening, same port, same address or one of the two is
 * the wildcard. Rows of the other family only count when there is none of the same (a v6 wildcard may take v4 as well).
 */
export function conflictingRows(
  bind: { readonly host: string; readonly port: number },
  tables: { readonly v4: readonly SocketRow[]; readonly v6: readonly SocketRow[] },
): SocketRow[] {
  const address = parseIp(bind.host);
  if (address === undefined) return [];
  const wanted = formatIp(address);
  const v4 = address.family === 4;
  const sameWay = (row: SocketRow) =>
    row.listening && row.port === bind.port && (isWildcard(row.host) || isWildcard(wanted) || row.host === wanted);
  const same = (v4 ? tables.v4 : tables.v6).filter(sameWay);
  return same.length > 0 ? same : (v4 ? tables.v6 : tables.v4).filter(sameWay);
}

function isWildcard(host: string): boolean {
  return host === "0.0.0.0" || host === "::";
}

/** Every holder of the port, one entry a socket. Empty when the kernel shows no listening socket (bound only). */
export function findPortHolders(bind: {
  readonly host: string;
  readonly port: number;
  readonly transport?: Transport;
}): PortHolder[] {
  const { transport = "tcp" } = bind;
  const rows = conflictingRows(bind, {
    v4: parseSocketTable(readIfThere(`/proc/net/${transport}`), endianness(), transport),
    v6: parseSocketTable(readIfThere(`/proc/net/${transport}6`), endianness(), transport),
  });
  const processes = processesOfSockets(new Set(rows.map((row) => row.inode)));
  return rows.map((row) => ({ inode: row.inode, process: processes.get(row.inode) }));
}

/** The process that listens on a unix socket path, through /proc/net/unix. */
export function findUnixSocketHolder(path: string): PortHolder["process"] {
  for (const line of readIfThere("/proc/net/unix").split("\n")) {
    // Num RefCount Protocol Flags Type St Inode Path; flag 00010000 says that it listens.
    const fields = line.trim().split(/\s+/);
    if (fields.slice(7).join(" ") !== path || fields[3] !== "00010000") continue;
    const inode = Number(fields[6]);
    const holder = processesOfSockets(new Set([inode])).get(inode);
    if (holder !== undefined) return holder;
  }
  return undefined;
}

// The lowest process id wins: of a parent and the children that share its socket it is nearly always the parent.
function processesOfSockets(inodes: ReadonlySet<number>): Map<number, { pid: number; command: string }> {
  const found = new Map<number, { pid: number; command: string }>();
  if (inodes.size === 0) return found;
  const pids = listIfThere("/proc")
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
    .sort((a, b) => a - b);
  for (const pid of pids) {
    if (found.size === inodes.size) break;
    for (const fd of listIfThere(`/proc/${pid}/fd`)) {
      const inode = socketInode(`/proc/${pid}/fd/${fd}`);
      if (inode === undefined || !inodes.has(inode) || found.has(inode)) continue;
      found.set(inode, { pid, command: commandOf(pid) });
    }
  }
  return found;
}

function socketInode(link: string): number | undefined {
  try {
    const match = /^socket:\[(\d+)\]$/.exec(readlinkSync(link));
    return match === null ? undefined : Number(match[1]);
  } catch {
    // The descriptor was closed, or its process ended, between the listing and the look.
    return undefined;
  }
}

function commandOf(pid: number): string {
  const line = readIfThere(`/proc/${pid}/cmdline`).replaceAll("\0", " ").trim();
  const command = line === "" ? readIfThere(`/proc/${pid}/comm`).trim() : line;
  return command.length > commandLengthMax ? `${command.slice(0, commandLengthMax)}…` : command;
}

function readIfThere(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    // Processes come and go, a kernel without IPv6 has no tcp6: nothing to read is an answer.
    return "";
  }
}

function listIfThere(path: string): string[] {
  try {
    return readdirSync(path);
  } catch {
    // Gone, or not ours to look into.
    return [];
  }
}
