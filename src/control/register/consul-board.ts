// Consul as a board: a key in nginx-upsync-module's layout, locked by a session with a time to live, so that it is deleted when
// nobody renews the session. The change's way, an edge. The session is bound to no node's check: with several servers given, the
// death of the one that made it must not take the target out. What an operator changes in the value stays; only `down` is ours.
//
// Consul's own rules (agent/session_endpoint.go, agent/consul/session_ttl.go; seen with 1.8.7): a session's TTL is 10 s to 24 h,
// and one that is not renewed is ended after up to twice that; a new leader gives every session its whole time again. A
// lock that was lost without being released may not be taken for LockDelay (15 s, 0 here). A renewal of a session that is
// gone is answered 404, a write in its name 500 `invalid session`.

import type { Milliseconds } from "../../core/clock.ts";
import { bad, good, type Result } from "../../core/failure.ts";
import type { Random } from "../../core/random.ts";
import { formatDuration } from "../../core/units.ts";
import { readToken } from "../../sources/consul-query.ts";
import { type EndpointTurn, firstTurn, turnAnswered, turnFailed } from "../../sources/endpoints.ts";
import { type StoreAnswer, StoreClient } from "../../sources/store-client.ts";
import type { Board, BoardAnswer, BoardOrder } from "./board.ts";

export type ConsulBoardOptions = {
  /** `http://127.0.0.1:8500`, at least one. */
  readonly endpoints: readonly string[];
  /** Ends with `/`. */
  readonly prefix: string;
  /** Canonical. */
  readonly address: string;
  /** The value of the entry, `down` and all. */
  readonly value: string;
  readonly tokenFile: string | undefined;
  /** For people who look at the sessions. */
  readonly holder: string;
  readonly ttl: Milliseconds;
  /** PEM of who vouches for the servers' certificates; undefined: the system's roots. */
  readonly caFile: string | undefined;
  readonly random: Random;
};

/** Consul takes no shorter one. */
export const consulTtlMin: Milliseconds = 10_000;
export const consulTtlMax: Milliseconds = 86_400_000;
/** Of one request to one server. */
const requestTimeout: Milliseconds = 3_000;

type Call = { readonly method: "GET" | "PUT"; readonly path: string; readonly body?: string };

/** The key as Consul has it. */
type Entry = { readonly value: string; readonly session: string | undefined; readonly index: number };

export function createConsulBoard(options: ConsulBoardOptions): Board {
  const board = new ConsulBoard(options);
  return {
    name: `consul ${options.prefix}${options.address}`,
    looks: false,
    ttl: options.ttl,
    ask: (order) => board.ask(order),
    close: () => board.close(),
  };
}

class ConsulBoard {
  readonly #options: ConsulBoardOptions;
  readonly #client: StoreClient;
  readonly #keyPath: string;
  #turn: EndpointTurn = firstTurn;
  #session: string | undefined;
  /** `down` as our own last change left it, when it was ours. */
  #downIsOurs = false;

  constructor(options: ConsulBoardOptions) {
    this.#options = options;
    const { caFile } = options;
    const tls = { caFile, certificateFile: undefined, keyFile: undefined, serverName: undefined, verify: true };
    this.#client = new StoreClient(caFile === undefined ? undefined : tls);
    const key = `${options.prefix}${options.address}`;
    this.#keyPath = `/v1/kv/${key.split("/").map(encodeURIComponent).join("/")}`;
  }

  close(): void {
    this.#client.close();
  }

  async ask(order: BoardOrder): Promise<BoardAnswer> {
    switch (order.type) {
      case "put":
        return this.#put();
      case "renew":
        return this.#renew();
      case "intent":
        return this.#setDown(order.intent !== "up");
      case "look":
        return { type: "work", left: undefined };
      case "remove":
        return this.#remove();
      default:
        return order satisfies never;
    }
  }

  async #put(): Promise<BoardAnswer> {
    this.#downIsOurs = false;
    for (let round = 0; round < 2; round++) {
      if (this.#session === undefined) {
        const opened = await this.#openSession();
        if (!opened.ok) return told(opened);
        this.#session = opened.value;
      }
      const path = `${this.#keyPath}?acquire=${this.#session}`;
      const said = await this.#call({ method: "PUT", path, body: this.#options.value });
      if (!said.ok) return { type: "failed", detail: said.failure.detail };
      const { status, body } = said.value;
      if (status === 200 && body.trim() === "true") return { type: "done" };
      if (status === 200 && body.trim() === "false") return { type: "held", detail: await this.#describeHolder() };
      if (!/invalid session/i.test(body)) return refusal(said.value, `key_prefix "${this.#options.prefix}" write`);
      // It has run out since; one that was made just now is not known to the server that we were sent on to.
      this.#session = undefined;
    }
    return { type: "failed", detail: "the new session is not known yet" };
  }

  async #renew(): Promise<BoardAnswer> {
    const session = this.#session;
    if (session === undefined) return { type: "lost", detail: "there is no session" };
    const renewed = await this.#call({ method: "PUT", path: `/v1/session/renew/${session}`, body: "" });
    if (!renewed.ok) return { type: "failed", detail: renewed.failure.detail };
    if (renewed.value.status === 404) {
      this.#session = undefined;
      return { type: "lost", detail: "the session has run out" };
    }
    if (renewed.value.status !== 200) return refusal(renewed.value, "session write");
    // The session may outlive the key, which anybody can delete.
    const seen = await this.#read();
    return "type" in seen ? seen : { type: "done" };
  }

  async #setDown(down: boolean): Promise<BoardAnswer> {
    const seen = await this.#read();
    if ("type" in seen) return seen;
    const tree = parseObject(seen.value);
    const before = isDown(tree);
    if (before === down) return { type: "done" };
    if (!down && !this.#downIsOurs) return { type: "done", note: "leaves it down, as somebody has set it" };
    const value =
      tree === undefined ? withDown(this.#options.value, down) : JSON.stringify({ ...tree, down: down ? 1 : 0 });
    // A write without `acquire` leaves the lock as it is; `cas` keeps what somebody wrote a moment ago.
    const said = await this.#call({ method: "PUT", path: `${this.#keyPath}?cas=${seen.index}`, body: value });
    if (!said.ok) return { type: "failed", detail: said.failure.detail };
    if (said.value.status !== 200) return refusal(said.value, `key_prefix "${this.#options.prefix}" write`);
    if (said.value.body.trim() !== "true")
      return { type: "failed", detail: "the entry was changed by somebody meanwhile" };
    this.#downIsOurs = down;
    return { type: "done" };
  }

  /** The session takes with it the keys that it locks, and no other: what somebody else has put there stays. */
  async #remove(): Promise<BoardAnswer> {
    const session = this.#session;
    if (session === undefined) return { type: "done" };
    const said = await this.#call({ method: "PUT", path: `/v1/session/destroy/${session}`, body: "" });
    if (!said.ok) return { type: "failed", detail: said.failure.detail };
    if (said.value.status !== 200) return refusal(said.value, "session write");
    this.#session = undefined;
    return { type: "done" };
  }

  async #openSession(): Promise<Result<string>> {
    const { holder, ttl } = this.#options;
    const body = JSON.stringify({
      Name: `evenkeel register ${holder}`,
      TTL: formatDuration(Math.round(ttl / 1000) * 1000),
      Behavior: "delete",
      LockDelay: "0s",
      // Without it the session would end with the agent that we happened to ask.
      Checks: [],
      NodeChecks: [],
    });
    const said = await this.#call({ method: "PUT", path: "/v1/session/create", body });
    if (!said.ok) return said;
    const id: unknown = parseObject(said.value.body)?.["ID"];
    if (said.value.status === 200 && typeof id === "string" && /^[0-9a-f-]{36}$/.test(id)) return good(id);
    return failedBy(refusal(said.value, "session write"));
  }

  /** The entry while it is ours; otherwise what to answer. */
  async #read(): Promise<Entry | BoardAnswer> {
    // By the leader: an older answer could take the key for lost.
    const said = await this.#call({ method: "GET", path: `${this.#keyPath}?consistent` });
    if (!said.ok) return { type: "failed", detail: said.failure.detail };
    const { status, body } = said.value;
    if (status === 404) return { type: "lost", detail: "somebody has deleted the key" };
    if (status !== 200) return refusal(said.value, `key_prefix "${this.#options.prefix}" read`);
    const entry = decodeEntry(body);
    if (entry === undefined) return { type: "failed", detail: "the answer is no key of Consul's" };
    if (entry.session === this.#session) return entry;
    return { type: "lost", detail: "the key is no longer locked by our session" };
  }

  async #describeHolder(): Promise<string> {
    const said = await this.#call({ method: "GET", path: this.#keyPath });
    const entry = said.ok && said.value.status === 200 ? decodeEntry(said.value.body) : undefined;
    return entry?.session === undefined ? "the key cannot be locked yet" : `another session holds it: ${entry.session}`;
  }

  /** Asks each server at most once. Only what Consul itself says to the question is an answer. */
  async #call({ method, path, body }: Call): Promise<Result<StoreAnswer>> {
    const { endpoints, tokenFile, random } = this.#options;
    const token = readToken(tokenFile);
    if (!token.ok) return token;
    const headers: Record<string, string> = { accept: "application/json", "user-agent": "evenkeel" };
    if (token.value !== undefined) headers["x-consul-token"] = token.value;
    let last: Result<StoreAnswer> = failedBy({ type: "failed", detail: "no server was asked" });
    for (let asked = 0; asked < endpoints.length; asked++) {
      const endpoint = endpoints[this.#turn.at] ?? "";
      const request = { endpoint, method, path, headers, body, timeout: requestTimeout, hold: 0 } as const;
      last = await new Promise<Result<StoreAnswer>>((resolve) => this.#client.ask(request, resolve));
      const isAnswer = last.ok && (last.value.status < 500 || /invalid session/i.test(last.value.body));
      if (isAnswer) {
        this.#turn = turnAnswered(this.#turn);
        return last;
      }
      this.#turn = turnFailed(this.#turn, { count: endpoints.length, first: 0, most: 0 }, random).turn;
    }
    return last;
  }
}

const quotedMax = 120;

function refusal({ status, body }: StoreAnswer, rule: string): BoardAnswer {
  const said = body
    .slice(0, quotedMax)
    .replaceAll(/[^\x20-\x7e]+/g, " ")
    .trim();
  const detail = `Consul answered ${status}${said === "" ? "" : ` "${said}"`}`;
  if (status === 403) return { type: "refused", detail: `${detail}: the token needs a policy with ${rule}` };
  return { type: status >= 500 || status === 429 ? "failed" : "refused", detail };
}

/** A refusal on its way through a Result; `told` is the way back. */
function failedBy(answer: BoardAnswer): {
  readonly ok: false;
  readonly failure: Extract<Result<never>, { ok: false }>["failure"];
} {
  const detail = "detail" in answer ? answer.detail : "";
  return bad({ code: `register.${answer.type}`, origin: "target", retrySafe: true, detail });
}

function told(result: Extract<Result<string>, { readonly ok: false }>): BoardAnswer {
  const { code, detail } = result.failure;
  return { type: code === "register.refused" ? "refused" : "failed", detail };
}

function decodeEntry(body: string): Entry | undefined {
  let tree: unknown;
  try {
    tree = JSON.parse(body);
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
  const { Value: value, Session: session, ModifyIndex: index } = Object(Array.isArray(tree) ? tree[0] : undefined);
  if (typeof index !== "number" || !(value === null || typeof value === "string")) return undefined;
  return {
    value: value === null ? "" : Buffer.from(value, "base64").toString("utf8"),
    session: typeof session === "string" && session !== "" ? session : undefined,
    index,
  };
}

function parseObject(text: string): Readonly<Record<string, unknown>> | undefined {
  try {
    const tree: unknown = JSON.parse(text);
    return typeof tree === "object" && tree !== null && !Array.isArray(tree) ? { ...tree } : undefined;
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
}

function isDown(tree: Readonly<Record<string, unknown>> | undefined): boolean {
  const down = tree?.["down"];
  return down === 1 || down === "1" || down === true;
}

function withDown(value: string, down: boolean): string {
  return JSON.stringify({ ...parseObject(value), down: down ? 1 : 0 });
}
