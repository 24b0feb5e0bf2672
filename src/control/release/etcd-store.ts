// etcd as the store of a release: the lock is a key on a lease, the record a key beside it, the intents the `down` of entries
// in nginx-upsync-module's layout. The change's way, an edge. Every write is a transaction that compares the lock's creation
// first, so that one who has lost it changes nothing any more; the revision of that creation, which only grows, is the
// fencing number.

import { bad, good, type Result } from "../../core/failure.ts";
import type { Random } from "../../core/random.ts";
import type { ReleaseStore } from "../../model/release.ts";
import { type EndpointTurn, firstTurn, turnAnswered, turnFailed } from "../../sources/endpoints.ts";
import { parseTree } from "../../sources/etcd-message.ts";
import { EtcdSession } from "../../sources/etcd-session.ts";
import { StoreClient } from "../../sources/store-client.ts";
import { held } from "./api-store.ts";
import { type IntentBoard, type Kept, type Lock, type LockAsked, lockTtl, type ReleaseKeep } from "./store.ts";
import { downOf, withDown } from "./upsync-down.ts";

export type EtcdStore = Extract<ReleaseStore, { readonly type: "etcd" }>;

const requestTimeout = 3_000;
const casTriesMax = 5;

type Tree = Readonly<Record<string, unknown>>;
type Pair = { readonly value: string; readonly created: string; readonly modified: string; readonly lease: string };
type Compare = Tree;

export class EtcdReleases {
  readonly name: string;
  readonly #store: EtcdStore;
  readonly #pool: string;
  readonly #random: Random;
  readonly #client: StoreClient;
  readonly #access: EtcdSession;
  readonly #lockKey: string;
  readonly #recordKey: string;
  #turn: EndpointTurn = firstTurn;
  #lease = "0";
  /** The revision in which our lock was made; "0" is one that never was. */
  #created = "0";

  constructor(pool: string, store: EtcdStore, random: Random) {
    const { user, passwordFile } = store;
    this.#store = store;
    this.#pool = pool;
    this.#random = random;
    this.#client = new StoreClient(store.tls);
    this.#access = new EtcdSession(this.#client, { user, passwordFile, requestTimeout });
    this.#lockKey = `evenkeel/releases/${pool}/lock`;
    this.#recordKey = `evenkeel/releases/${pool}/record`;
    this.name = `etcd ${this.#recordKey}`;
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
      name: `etcd ${prefix}`,
      read: async (address) => {
        const pair = await this.#read(`${prefix}${address}`);
        if (!pair.ok) return pair;
        if (pair.value === undefined) return this.#missing(address);
        const before = downOf(pair.value.value);
        return before.ok ? good({ intent: before.value === "1" ? "down" : "up", before: before.value }) : before;
      },
      set: (address) => this.#setDown(address, "1"),
      restore: (address, before) => this.#setDown(address, before),
    };
  }

  async #acquire({ holder, isGone }: LockAsked): Promise<Result<Lock>> {
    const known = await this.#read(this.#lockKey);
    if (!known.ok) return known;
    if (known.value !== undefined) {
      if (!isGone(known.value.value)) return held(this.#pool, known.value.value);
      const revoked = await this.#ask("/lease/revoke", { ID: known.value.lease });
      // It may have run out this moment, which is as good.
      if (!revoked.ok && !/not found/i.test(revoked.failure.detail)) return revoked;
    }
    const granted = await this.#ask("/lease/grant", { TTL: String(lockTtl / 1000), ID: "0" });
    if (!granted.ok) return granted;
    this.#lease = String(granted.value["ID"] ?? "0");
    const free = { key: base64(this.#lockKey), target: "CREATE", result: "EQUAL", create_revision: "0" };
    const put = { key: base64(this.#lockKey), value: base64(holder), lease: this.#lease };
    const taken = await this.#txn(free, put);
    if (!taken.ok) return taken;
    const now = await this.#read(this.#lockKey);
    if (!now.ok) return now;
    // By our own lease: the answer of a transaction that was done may have been lost.
    if (now.value === undefined || now.value.lease !== this.#lease) {
      await this.#leave();
      return held(this.#pool, now.value?.value ?? "somebody");
    }
    this.#created = now.value.created;
    const record = await this.#read(this.#recordKey);
    if (!record.ok) return record;
    return good({
      fence: Number(this.#created),
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
    return record.ok ? good({ text: record.value?.value, holder: lock.value?.value }) : record;
  }

  async #keepRecord(text: string): Promise<Result<true>> {
    const done = await this.#txn(this.#ours(), { key: base64(this.#recordKey), value: base64(text) });
    if (!done.ok) return done;
    return done.value ? good(true) : this.#lost();
  }

  async #renew(): Promise<Result<true>> {
    const said = await this.#ask("/lease/keepalive", { ID: this.#lease });
    if (!said.ok) return said;
    // A lease that is gone is answered with no time left.
    return Number(Object(said.value["result"]).TTL ?? 0) > 0 ? good(true) : this.#lost();
  }

  async #leave(): Promise<void> {
    const lease = this.#lease;
    this.#created = "0";
    if (lease !== "0") await this.#ask("/lease/revoke", { ID: lease });
    this.#lease = "0";
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
      const same = { key: base64(key), target: "MOD", result: "EQUAL", mod_revision: seen.value.modified };
      const put = { key: base64(key), value: base64(withDown(seen.value.value, down)), lease: seen.value.lease };
      const done = await this.#txn([this.#ours(), same], put);
      if (!done.ok) return done;
      if (done.value) return good(true);
      const renewed = await this.#renew();
      if (!renewed.ok) return renewed;
    }
    const detail = `${key} is written by somebody else again and again`;
    return bad({ code: "release.store", origin: "target", retrySafe: true, detail });
  }

  #ours(): Compare {
    return { key: base64(this.#lockKey), target: "CREATE", result: "EQUAL", create_revision: this.#created };
  }

  /** False: what was compared is not so. */
  async #txn(compare: Compare | readonly Compare[], put: Tree): Promise<Result<boolean>> {
    const said = await this.#ask("/kv/txn", { compare: [compare].flat(), success: [{ request_put: put }] });
    return said.ok ? good(said.value["succeeded"] === true) : said;
  }

  async #read(key: string): Promise<Result<Pair | undefined>> {
    const said = await this.#ask("/kv/range", { key: base64(key) });
    if (!said.ok) return said;
    const kvs: unknown = said.value["kvs"];
    if (!Array.isArray(kvs) || kvs.length === 0) return good(undefined);
    const { value = "", create_revision: created = "0", mod_revision: modified = "0", lease = "0" } = Object(kvs[0]);
    const text = Buffer.from(String(value), "base64").toString("utf8");
    return good({ value: text, created: String(created), modified: String(modified), lease: String(lease) });
  }

  /** Asks each server at most once. */
  async #ask(path: string, body: Tree): Promise<Result<Tree>> {
    const { endpoints } = this.#store;
    let last: Result<string> = bad({ code: "release.store", origin: "self", retrySafe: true, detail: "no server" });
    for (let asked = 0; asked < endpoints.length; asked++) {
      const endpoint = endpoints[this.#turn.at] ?? "";
      const question = { endpoint, path, body: JSON.stringify(body) };
      last = await new Promise<Result<string>>((resolve) => this.#access.ask(question, resolve));
      // A refusal is an answer of the cluster, whichever server gives it.
      if (last.ok || !last.failure.code.startsWith("source.")) {
        this.#turn = turnAnswered(this.#turn);
        break;
      }
      this.#turn = turnFailed(this.#turn, { count: endpoints.length, first: 0, most: 0 }, this.#random).turn;
    }
    if (!last.ok) return last;
    const tree = parseTree(last.value);
    if (tree !== undefined) return good(tree);
    return bad({ code: "release.store", origin: "target", retrySafe: true, detail: "etcd's answer is no JSON" });
  }

  #lost() {
    const detail = `the lock of the release of pool ${this.#pool} is lost: its lease in etcd has ended`;
    return bad({ code: "release.lost", origin: "client", retrySafe: false, detail });
  }

  #missing(address: string) {
    const detail = `etcd has no key ${this.#store.prefix}${address}`;
    return bad({ code: "release.target", origin: "client", retrySafe: false, detail });
  }
}

function base64(text: string): string {
  return Buffer.from(text).toString("base64");
}
