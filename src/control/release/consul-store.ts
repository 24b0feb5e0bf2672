// Consul as the store of a release: the lock is a key that a session holds, the record a key beside it, the intents the `down`
// of nginx-upsync-module's entries. The change's way, an edge. Every write is a transaction that checks the session's lock
// first, so that one who has lost it (a process that stood still) changes nothing any more. LockIndex, which Consul counts up
// with every new holder, is the fencing number.
//
// Consul's own rules (agent/consul/session_ttl.go, txn_endpoint.go): a session's TTL is 10 s at least, and it may be ended as
// late as twice that. LockDelay is 0, for what it protects from (a holder that lost the lock and writes on) the check in
// each transaction prevents.

import { bad, good, type Result } from "../../core/failure.ts";
import type { Random } from "../../core/random.ts";
import { formatDuration } from "../../core/units.ts";
import type { ReleaseStore } from "../../model/release.ts";
import { readToken } from "../../sources/consul-query.ts";
import { type EndpointTurn, firstTurn, turnAnswered, turnFailed } from "../../sources/endpoints.ts";
import { type StoreAnswer, StoreClient } from "../../sources/store-client.ts";
import { held } from "./api-store.ts";
import { type IntentBoard, type Kept, type Lock, type LockAsked, lockTtl, type ReleaseKeep } from "./store.ts";
import { downOf, withDown } from "./upsync-down.ts";

export type ConsulStore = Extract<ReleaseStore, { readonly type: "consul" }>;

/** Of one request to one server. */
const requestTimeout = 3_000;
/** A write that somebody else's came before is made again with what is there then. */
const casTriesMax = 5;

type Call = { readonly method: "GET" | "PUT"; readonly path: string; readonly body?: string };
type Key = {
  readonly value: string;
  readonly session: string | undefined;
  readonly index: number;
  readonly lockIndex: number;
};
type Operation = Readonly<Record<string, string | number>>;

export class ConsulReleases {
  readonly name: string;
  readonly #store: ConsulStore;
  readonly #pool: string;
  readonly #random: Random;
  readonly #client: StoreClient;
  readonly #lockKey: string;
  readonly #recordKey: string;
  #turn: EndpointTurn = firstTurn;
  #session: string | undefined;

  constructor(pool: string, store: ConsulStore, random: Random) {
    this.#store = store;
    this.#pool = pool;
    this.#random = random;
    this.#client = new StoreClient(store.tls);
    this.#lockKey = `evenkeel/releases/${pool}/lock`;
    this.#recordKey = `evenkeel/releases/${pool}/record`;
    this.name = `consul ${this.#recordKey}`;
  }

  close(): void {
    this.#client.close();
  }

  get keep(): ReleaseKeep {
    return { name: this.name, acquire: (asked) => this.#acquire(asked), look: () => this.#look() };
  }

  get board(): IntentBoard {
    const { prefix } = this.#store;
    return {
      name: `consul ${prefix}`,
      read: async (address) => {
        const key = await this.#read(`${prefix}${address}`);
        if (!key.ok) return key;
        if (key.value === undefined) return this.#missing(address);
        const before = downOf(key.value.value);
        return before.ok ? good({ intent: before.value === "1" ? "down" : "up", before: before.value }) : before;
      },
      set: (address) => this.#setDown(address, "1"),
      restore: (address, before) => this.#setDown(address, before),
    };
  }

  async #acquire({ holder, isGone }: LockAsked): Promise<Result<Lock>> {
    const known = await this.#read(this.#lockKey);
    if (!known.ok) return known;
    const before = known.value;
    if (before?.session !== undefined) {
      if (!isGone(before.value)) return held(this.#pool, before.value);
      // Its session would hold the lock for up to twice its time.
      const ended = await this.#call({ method: "PUT", path: `/v1/session/destroy/${before.session}`, body: "" });
      if (!ended.ok) return ended;
      if (ended.value.status !== 200) return refusal(ended.value, "session write");
    }
    const session = await this.#openSession(holder);
    if (!session.ok) return session;
    this.#session = session.value;
    const path = `${kvPath(this.#lockKey)}?acquire=${session.value}`;
    const taken = await this.#call({ method: "PUT", path, body: holder });
    if (!taken.ok) return taken;
    if (taken.value.status !== 200) return refusal(taken.value, 'key_prefix "evenkeel/releases/" write');
    const now = await this.#read(this.#lockKey);
    if (!now.ok) return now;
    if (taken.value.body.trim() !== "true" || now.value?.session !== session.value) {
      await this.#leave();
      return held(this.#pool, now.value?.value ?? "somebody");
    }
    const record = await this.#read(this.#recordKey);
    if (!record.ok) return record;
    return good({
      fence: now.value.lockIndex,
      text: record.value?.value,
      keep: (text) => this.#keepRecord(text),
      renew: () => this.#renew(),
      leave: () => this.#leave(),
    });
  }

  async #look(): Promise<Result<Kept>> {
    const lock = await this.#read(this.#lockKey);
    if (!lock.ok) return lock;
    const record = await this.#read(this.#recordKey);
    if (!record.ok) return record;
    const holder = lock.value?.session === undefined ? undefined : lock.value.value;
    return good({ text: record.value?.value, holder });
  }

  async #keepRecord(text: string): Promise<Result<true>> {
    const done = await this.#write({ Verb: "set", Key: this.#recordKey, Value: base64(text) });
    if (!done.ok) return done;
    return done.value ? good(true) : this.#lost();
  }

  async #renew(): Promise<Result<true>> {
    const said = await this.#call({ method: "PUT", path: `/v1/session/renew/${this.#session}`, body: "" });
    if (!said.ok) return said;
    if (said.value.status === 404) return this.#lost();
    return said.value.status === 200 ? good(true) : refusal(said.value, "session write");
  }

  async #leave(): Promise<void> {
    const session = this.#session;
    this.#session = undefined;
    if (session !== undefined) await this.#call({ method: "PUT", path: `/v1/session/destroy/${session}`, body: "" });
  }

  async #setDown(address: string, down: string): Promise<Result<true>> {
    const key = `${this.#store.prefix}${address}`;
    for (let round = 0; round < casTriesMax; round++) {
      const seen = await this.#read(key);
      if (!seen.ok) return seen;
      if (seen.value === undefined) return this.#missing(address);
      const before = downOf(seen.value.value);
      if (!before.ok) return before;
      if (before.value === down) return good(true);
      const value = withDown(seen.value.value, down);
      const done = await this.#write({ Verb: "cas", Key: key, Value: base64(value), Index: seen.value.index });
      if (!done.ok) return done;
      if (done.value) return good(true);
      const renewed = await this.#renew();
      if (!renewed.ok) return renewed;
    }
    const detail = `${key} is written by somebody else again and again`;
    return bad({ code: "release.store", origin: "target", retrySafe: true, detail });
  }

  /** Under the lock. False: the lock is lost, or what was to be replaced is another by now. */
  async #write(operation: Operation): Promise<Result<boolean>> {
    const lock = { Verb: "check-session", Key: this.#lockKey, Session: this.#session ?? "" };
    const body = JSON.stringify([{ KV: lock }, { KV: operation }]);
    const said = await this.#call({ method: "PUT", path: "/v1/txn", body });
    if (!said.ok) return said;
    const { status } = said.value;
    if (status === 200) return good(true);
    if (status === 409) return good(false);
    return refusal(said.value, `key_prefix "${this.#store.prefix}" write`);
  }

  #lost() {
    const detail = `the lock of the release of pool ${this.#pool} is lost: its session in Consul has ended`;
    return bad({ code: "release.lost", origin: "client", retrySafe: false, detail });
  }

  #missing(address: string) {
    const detail = `Consul has no key ${this.#store.prefix}${address}`;
    return bad({ code: "release.target", origin: "client", retrySafe: false, detail });
  }

  async #openSession(holder: string): Promise<Result<string>> {
    const body = JSON.stringify({
      Name: `evenkeel release ${holder}`,
      TTL: formatDuration(lockTtl),
      Behavior: "release",
      LockDelay: "0s",
      // Without it the session would end with the agent that we happened to ask.
      Checks: [],
      NodeChecks: [],
    });
    const said = await this.#call({ method: "PUT", path: "/v1/session/create", body });
    if (!said.ok) return said;
    const id = /"ID"\s*:\s*"([0-9a-f-]{36})"/.exec(said.value.body)?.[1];
    return said.value.status === 200 && id !== undefined ? good(id) : refusal(said.value, "session write");
  }

  /** By the leader: an older answer could show a lock that is held as free. undefined: there is no such key. */
  async #read(key: string): Promise<Result<Key | undefined>> {
    const said = await this.#call({ method: "GET", path: `${kvPath(key)}?consistent` });
    if (!said.ok) return said;
    if (said.value.status === 404) return good(undefined);
    if (said.value.status !== 200) return refusal(said.value, `key "${key}" read`);
    const decoded = decodeKey(said.value.body);
    return decoded === undefined ? refusal(said.value, `key "${key}" read`) : good(decoded);
  }

  /** Asks each server at most once. Only what Consul itself says to the question is an answer. */
  async #call({ method, path, body }: Call): Promise<Result<StoreAnswer>> {
    const { endpoints, tokenFile, datacenter } = this.#store;
    const token = readToken(tokenFile);
    if (!token.ok) return token;
    const headers: Record<string, string> = { accept: "application/json", "user-agent": "evenkeel" };
    if (token.value !== undefined) headers["x-consul-token"] = token.value;
    const query = datacenter === undefined ? "" : `${path.includes("?") ? "&" : "?"}dc=${datacenter}`;
    let last: Result<StoreAnswer> = bad({
      code: "release.store",
      origin: "self",
      retrySafe: true,
      detail: "no server",
    });
    for (let asked = 0; asked < endpoints.length; asked++) {
      const endpoint = endpoints[this.#turn.at] ?? "";
      const request = { endpoint, method, path: `${path}${query}`, headers, body, timeout: requestTimeout, hold: 0 };
      last = await new Promise<Result<StoreAnswer>>((resolve) => this.#client.ask(request, resolve));
      if (last.ok && (last.value.status < 500 || /invalid session/i.test(last.value.body))) {
        this.#turn = turnAnswered(this.#turn);
        return last;
      }
      this.#turn = turnFailed(this.#turn, { count: endpoints.length, first: 0, most: 0 }, this.#random).turn;
    }
    return last;
  }
}

function kvPath(key: string): string {
  return `/v1/kv/${key.split("/").map(encodeURIComponent).join("/")}`;
}

function base64(text: string): string {
  return Buffer.from(text).toString("base64");
}

function decodeKey(body: string): Key | undefined {
  let tree: unknown;
  try {
    tree = JSON.parse(body);
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
  const { Value, Session, ModifyIndex, LockIndex } = Object(Array.isArray(tree) ? tree[0] : undefined);
  if (typeof ModifyIndex !== "number" || !(Value === null || typeof Value === "string")) return undefined;
  return {
    value: Value === null ? "" : Buffer.from(Value, "base64").toString("utf8"),
    session: typeof Session === "string" && Session !== "" ? Session : undefined,
    index: ModifyIndex,
    lockIndex: typeof LockIndex === "number" ? LockIndex : 0,
  };
}

const quotedMax = 120;

function refusal({ status, body }: StoreAnswer, rule: string) {
  const said = body
    .slice(0, quotedMax)
    .replaceAll(/[^\x20-\x7e]+/g, " ")
    .trim();
  const needs = status === 403 ? `: the token needs a policy with ${rule}` : "";
  const detail = `Consul answered ${status}${said === "" ? "" : ` "${said}"`}${needs}`;
  return bad({ code: "release.store", origin: "target", retrySafe: status >= 500 || status === 429, detail });
}
