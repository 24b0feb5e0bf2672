// What is said to etcd and what it says, as its JSON gateway has it (etcd-io/etcd, rpc.proto; etcd 3.4 and newer below
// `/v3`): keys and values in base64, 64 bit numbers as text, and whatever is 0, false or empty left out. The change's way,
// pure. Strict: an answer without a header and its revision is not etcd's, and nothing is concluded from it.

import { good, type Result } from "../core/failure.ts";
import { failed } from "./store-client.ts";

export type EtcdHeader = { readonly clusterId: string; readonly revision: bigint };

export type EtcdPair = {
  /** base64: the identity of a key, whose bytes need not be text. */
  readonly key: string;
  /** base64. */
  readonly value: string;
  readonly modRevision: bigint;
};

export type EtcdRange = {
  readonly header: EtcdHeader;
  readonly pairs: readonly EtcdPair[];
  /** Of the whole range, whatever was left out of the answer. */
  readonly count: bigint;
};

export type EtcdEvent = { readonly type: "put" | "delete"; readonly pair: EtcdPair };

export type EtcdWatchMessage =
  | { readonly type: "events"; readonly header: EtcdHeader; readonly events: readonly EtcdEvent[] }
  | { readonly type: "created"; readonly header: EtcdHeader }
  /** The revision that was asked for is forgotten: everything must be read anew. */
  | { readonly type: "compacted" }
  | { readonly type: "canceled"; readonly said: EtcdError };

/** An error as gRPC has it: `code` of google.rpc.Code where it is known. */
export type EtcdError = { readonly code: number | undefined; readonly message: string };

export const rpcCode = {
  invalidArgument: 3,
  permissionDenied: 7,
  failedPrecondition: 9,
  unavailable: 14,
  unauthenticated: 16,
} as const;

/** The keys that begin with a text. */
export type KeyRange = { readonly key: string; readonly rangeEnd: string };

const base64 = (text: string | Uint8Array) => Buffer.from(text).toString("base64");

/** Both in base64. All keys: from `\0` to `\0` (rpc.proto, RangeRequest). */
export function rangeOfPrefix(prefix: string): KeyRange {
  const end = Buffer.from(prefix);
  for (let at = end.length - 1; at >= 0; at--) {
    const byte = end[at] ?? 0;
    if (byte === 0xff) continue;
    end[at] = byte + 1;
    return { key: base64(prefix), rangeEnd: base64(end.subarray(0, at + 1)) };
  }
  return { key: base64("\0"), rangeEnd: base64("\0") };
}

/** Everything in the range, linearizable: a server that has lost its cluster cannot answer with what once was. */
export function encodeRange(range: KeyRange): string {
  return JSON.stringify({ key: range.key, range_end: range.rangeEnd });
}

/** Whether anything was put since a revision, and how many keys there are: as good as a whole read that finds no change. */
export function encodePulse(range: KeyRange, since: bigint): string {
  const filter = { min_mod_revision: String(since + 1n), keys_only: true, limit: "1" };
  return JSON.stringify({ key: range.key, range_end: range.rangeEnd, ...filter });
}

/** Every change from a revision on. */
export function encodeWatch(range: KeyRange, from: bigint): string {
  const request = { key: range.key, range_end: range.rangeEnd, start_revision: String(from) };
  return JSON.stringify({ create_request: request });
}

export function encodeAuthenticate(name: string, password: string): string {
  return JSON.stringify({ name, password });
}

type Tree = Readonly<Record<string, unknown>>;

function treeOf(value: unknown): Tree | undefined {
  return typeof value === "object" && value !== null && !Array.isArray(value) ? (value as Tree) : undefined;
}

/** What is said in JSON; undefined when it is none. */
export function parseTree(text: string): Tree | undefined {
  try {
    return treeOf(JSON.parse(text));
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
}

/** A 64 bit number: as text, and left out when it is 0. */
function numberOf(value: unknown): bigint | undefined {
  if (value === undefined) return 0n;
  if (typeof value === "string" && /^\d{1,19}$/.test(value)) return BigInt(value);
  return typeof value === "number" && Number.isSafeInteger(value) && value >= 0 ? BigInt(value) : undefined;
}

function textOf(value: unknown): string | undefined {
  return value === undefined ? "" : typeof value === "string" ? value : undefined;
}

/** A store's revision begins with 1, so one that is left out is no store's. */
function headerOf(value: unknown): EtcdHeader | undefined {
  const tree = treeOf(value);
  const revision = numberOf(tree?.["revision"]);
  const clusterId = tree?.["cluster_id"];
  if (revision === undefined || revision === 0n || typeof clusterId !== "string") return undefined;
  return { clusterId, revision };
}

function pairOf(value: unknown): EtcdPair | undefined {
  const tree = treeOf(value);
  const key = tree?.["key"];
  const text = textOf(tree?.["value"]);
  const modRevision = numberOf(tree?.["mod_revision"]);
  if (typeof key !== "string" || key === "" || text === undefined || modRevision === undefined) return undefined;
  return { key, value: text, modRevision };
}

function listOf<T>(value: unknown, read: (item: unknown) => T | undefined): readonly T[] | undefined {
  if (value === undefined) return [];
  if (!Array.isArray(value)) return undefined;
  const items: T[] = [];
  for (const item of value) {
    const one = read(item);
    if (one === undefined) return undefined;
    items.push(one);
  }
  return items;
}

/** The answer of `/v3/kv/range`. Fails with `etcd.foreign`. */
export function decodeRange(body: string, endpoint: string): Result<EtcdRange> {
  const tree = parseTree(body);
  const header = headerOf(tree?.["header"]);
  const pairs = listOf(tree?.["kvs"], pairOf);
  const count = numberOf(tree?.["count"]);
  if (header === undefined || pairs === undefined || count === undefined) return foreign(endpoint, body);
  return good({ header, pairs, count });
}

/** The answer of `/v3/auth/authenticate`. Fails with `etcd.foreign`. */
export function decodeToken(body: string, endpoint: string): Result<string> {
  const token = parseTree(body)?.["token"];
  // It goes into a header; and it must not be told, whatever it is.
  if (typeof token === "string" && /^[\x21-\x7e]{1,8192}$/.test(token)) return good(token);
  return failed("etcd.foreign", `${endpoint} answered with something else than a token`);
}

/** One line of the answer of `/v3/watch`. Fails with `etcd.foreign`. */
export function decodeWatchLine(line: string, endpoint: string): Result<EtcdWatchMessage> {
  const tree = parseTree(line);
  const error = treeOf(tree?.["error"]);
  if (error !== undefined) return good({ type: "canceled", said: errorOf(error) });
  const result = treeOf(tree?.["result"]);
  if (result === undefined) return foreign(endpoint, line);
  if (result["canceled"] === true) {
    if (numberOf(result["compact_revision"]) !== 0n) return good({ type: "compacted" });
    const reason = textOf(result["cancel_reason"]) || "no reason given";
    return good({ type: "canceled", said: { code: undefined, message: reason } });
  }
  const header = headerOf(result["header"]);
  const events = listOf(result["events"], eventOf);
  if (header === undefined || events === undefined) return foreign(endpoint, line);
  return good(result["created"] === true ? { type: "created", header } : { type: "events", header, events });
}

function eventOf(value: unknown): EtcdEvent | undefined {
  const tree = treeOf(value);
  const pair = pairOf(tree?.["kv"]);
  const type = textOf(tree?.["type"]);
  if (pair === undefined || pair.modRevision === 0n) return undefined;
  if (type === "" || type === "PUT") return { type: "put", pair };
  return type === "DELETE" ? { type: "delete", pair } : undefined;
}

/** The body of a refusal, or the error in a stream. */
export function errorOf(tree: Tree | undefined): EtcdError {
  const code = tree?.["code"] ?? tree?.["grpc_code"];
  const message = tree?.["message"] ?? tree?.["error"];
  return {
    code: typeof code === "number" ? code : undefined,
    message: typeof message === "string" ? message : "",
  };
}

const quotedMax = 120;

/** The beginning of what was said, on one line and free of control characters. */
export function quoted(text: string): string {
  return text
    .slice(0, quotedMax)
    .replaceAll(/[^\x20-\x7e]+/g, " ")
    .trim();
}

function foreign(endpoint: string, said: string) {
  return failed("etcd.foreign", `${endpoint} answered with something else than was asked for: "${quoted(said)}"`);
}
