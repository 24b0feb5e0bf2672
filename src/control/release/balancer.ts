// One balancer as a release sees it: questions and orders to its admin API, answered with what the release needs to know. The
// change's way, an edge but for the request itself, which is handed in. Every question has a deadline; what fails because
// nobody answered is asked again by whoever asked, within the time that he has.

import type { Milliseconds } from "../../core/clock.ts";
import { bad, good, type Result } from "../../core/failure.ts";
import type { AdminCall, AdminSaid } from "../register/admin-board.ts";

export type BalancerOptions = {
  /** For people: a path, a URL, a name. */
  readonly name: string;
  readonly ask: (call: AdminCall) => Promise<Result<AdminSaid>>;
};

export type TargetWorkSeen = {
  readonly exchanges: number;
  readonly tunnels: number;
  readonly flows: number;
  readonly silentWorkers: number;
};

export type TargetSeen = {
  readonly address: string;
  readonly owner: string;
  readonly intent: string;
  /** The API has said the intent, or the slow start, over the owner's word. */
  readonly patched: readonly string[];
  readonly slowStart: string;
  readonly weight: number;
  readonly eligible: boolean;
  /** What there is to say about its health. */
  readonly sentence: string;
  /** In every worker and the kernel; undefined when that was not asked. */
  readonly settled: boolean | undefined;
  readonly work: TargetWorkSeen | undefined;
};

export type PoolSeen = {
  readonly source: { readonly type: string } | undefined;
  readonly targets: readonly TargetSeen[];
};

export type TargetPatchSaid = Readonly<Record<string, string | number | null>>;

/** A change is answered when it is in force in every worker, which the supervisor waits 30 s for. */
const changeTimeout: Milliseconds = 35_000;
const lookTimeout: Milliseconds = 10_000;

export class Balancer {
  readonly name: string;
  readonly #ask: BalancerOptions["ask"];

  constructor({ name, ask }: BalancerOptions) {
    this.name = name;
    this.#ask = ask;
  }

  /** Codes: those of the transport, and those that the balancer answers with. */
  async pool(pool: string): Promise<Result<PoolSeen>> {
    const said = await this.#get(`/v1/pools/${encodeURIComponent(pool)}`, lookTimeout);
    if (!said.ok) return said;
    const { source, targets } = Object(said.value);
    if (!Array.isArray(targets)) return this.#foreign();
    const seen = targets.map(readTarget);
    const all = seen.filter((one) => one !== undefined);
    if (all.length < seen.length) return this.#foreign();
    const type: unknown = Object(source).type;
    return good({ source: typeof type === "string" ? { type } : undefined, targets: all });
  }

  /** With `work` what it has under way; with `settled` it answers when what is desired is in force, 30 s at most. */
  async target(pool: string, address: string, how: { readonly work?: true; readonly settled?: true } = {}) {
    const query = Object.keys(how).join("&");
    const timeout = how.settled === true ? changeTimeout : lookTimeout;
    const said = await this.#get(`${pathOf(pool, address)}${query === "" ? "" : `?${query}`}`, timeout);
    if (!said.ok) return said;
    const seen = readTarget(said.value);
    return seen === undefined ? this.#foreign() : good(seen);
  }

  /** Its share of work: its weight, or during a slow start less. undefined: it has no such target. */
  async share(pool: string, address: string): Promise<Result<number | undefined>> {
    const said = await this.#get("/v1/status", lookTimeout);
    if (!said.ok) return said;
    const pools: unknown = Object(said.value).pools;
    const found = Array.isArray(pools) ? pools.find((one) => Object(one).name === pool) : undefined;
    const targets: unknown = Object(found).targets;
    const target = Array.isArray(targets) ? targets.find((one) => Object(one).address === address) : undefined;
    const share: unknown = Object(target).effectiveWeight;
    return good(typeof share === "number" ? share : undefined);
  }

  /** Good when it is on disk, and `settled` when it is in force in every worker. */
  async patch(pool: string, address: string, fields: TargetPatchSaid): Promise<Result<{ readonly settled: boolean }>> {
    const said = await this.call({
      method: "PATCH",
      path: pathOf(pool, address),
      headers: { "content-type": "application/merge-patch+json" },
      body: fields,
      timeoutMs: changeTimeout,
    });
    return said.ok ? good({ settled: Object(said.value).settled === true }) : said;
  }

  /** The body of an answer of 200 to 299; any other is a failure with the code that it tells. */
  async call(call: AdminCall): Promise<Result<unknown>> {
    const said = await this.#ask(call);
    if (!said.ok) return bad({ ...said.failure, detail: `${this.name}: ${said.failure.detail}` });
    const { status, body } = said.value;
    if (status >= 200 && status < 300) return good(body);
    const { code, detail, errors } = Object(body);
    const all = Array.isArray(errors) ? errors.map((one) => `${Object(one).field}: ${Object(one).detail}`) : [];
    const told = all.length > 1 ? all.join("; ") : typeof detail === "string" ? detail : `status ${status}`;
    return bad({
      code: typeof code === "string" ? code : `admin.status.${status}`,
      origin: "target",
      retrySafe: status >= 500,
      detail: `${this.name}: ${told}`,
    });
  }

  #get(path: string, timeoutMs: Milliseconds): Promise<Result<unknown>> {
    return this.call({ method: "GET", path, timeoutMs });
  }

  #foreign() {
    const detail = `${this.name}: the answer is not one of this program's`;
    return bad({ code: "release.foreign", origin: "target", retrySafe: false, detail });
  }
}

function pathOf(pool: string, address: string): string {
  return `/v1/pools/${encodeURIComponent(pool)}/targets/${encodeURIComponent(address)}`;
}

function readTarget(value: unknown): TargetSeen | undefined {
  const { address, owner, patched, desired, eligible, sentence = "", settled, work } = Object(value);
  const { intent, slowStart, weight } = Object(desired);
  if (typeof address !== "string" || typeof owner !== "string" || typeof intent !== "string") return undefined;
  if (!Array.isArray(patched) || typeof weight !== "number" || typeof slowStart !== "string") return undefined;
  return {
    address,
    owner,
    intent,
    patched: patched.filter((one) => typeof one === "string"),
    slowStart,
    weight,
    eligible: eligible === true && weight > 0,
    sentence: String(sentence),
    settled: typeof settled === "boolean" ? settled : undefined,
    work: isWork(work) ? work : undefined,
  };
}

function isWork(work: unknown): work is TargetWorkSeen {
  const fields: Readonly<Record<string, unknown>> = Object(work);
  return ["exchanges", "tunnels", "flows", "silentWorkers"].every((name) => typeof fields[name] === "number");
}
