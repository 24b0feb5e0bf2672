// Which target a client of a listener meets, where its address alone decides it: the very look-up that the engines make,
// over what the node knows now. Pure; the change's way. The shape is the body of
// GET /v1/listeners/{listener}/clients/{address} and what `evenkeel explain client` tells, so it only grows.

import type { Member, Pick } from "../balance/balancer.ts";
import { hashText } from "../balance/hash.ts";
import { createLayer4Picker, createPicker } from "../balance/picker.ts";
import { formatIp, parseIp } from "../core/address.ts";
import { bad, good, type Result } from "../core/failure.ts";
import { seededRandom } from "../core/random.ts";
import type { Listener } from "../model/listener.ts";
import type { Balance, Pool } from "../model/pool.ts";

export type PoolChoice = {
  readonly pool: string;
  readonly balance: Balance["policy"];
  /** The client's address, and nothing else, decides. */
  readonly byAddress: boolean;
  /** Whom it meets now; undefined when something else decides, or no target takes work. */
  readonly target: string | undefined;
  /** Whom it meets while every target of the pool takes work; undefined when something else decides. */
  readonly home: string | undefined;
  readonly sentence: string;
};

export type ClientExplanation = {
  readonly listener: string;
  /** Canonical. */
  readonly client: string;
  /** One for each pool that the listener's routes lead to, in their order. */
  readonly pools: readonly PoolChoice[];
};

/**
 * Limits of connections are not looked at: a full target gives way to another for the time being, and who is full differs
 * between workers. Fails with `client.address` for text that is no IP address.
 */
export function explainClient(
  listener: Listener,
  pools: readonly Pool[],
  address: string,
  takesWork: (pool: string, target: string) => boolean,
): Result<ClientExplanation> {
  const parsed = parseIp(address);
  if (parsed === undefined) {
    const detail = `${address}: expected an IP address, such as 10.0.4.7 or 2001:db8::7`;
    return bad({ code: "client.address", origin: "self", retrySafe: false, detail });
  }
  const client = formatIp(parsed);
  const names = poolNames(listener);
  const choices = pools
    .filter(({ name }) => names.includes(name))
    .map((pool) => choose(listener, pool, client, takesWork));
  return good({ listener: listener.name, client, pools: choices });
}

function poolNames(listener: Listener): readonly string[] {
  switch (listener.protocol) {
    case "http":
      return listener.routes.flatMap(({ action }) => (action.kind === "pool" ? [action.pool] : []));
    case "tcp":
      return listener.routes.map(({ pool }) => pool);
    case "udp":
      return [listener.pool];
    default:
      return listener satisfies never;
  }
}

function choose(
  listener: Listener,
  pool: Pool,
  client: string,
  takesWork: (pool: string, target: string) => boolean,
): PoolChoice {
  const { balance, name } = pool;
  if (!goesByAddress(balance)) {
    const sentence = `pool ${name}: ${balance.policy} does not go by the client's address`;
    return { pool: name, balance: balance.policy, byAddress: false, target: undefined, home: undefined, sentence };
  }
  const eligible = (target: Pool["targets"][number]) => target.intent === "up" && takesWork(name, target.address);
  const target = pick(listener, pool, client, eligible);
  const home = pick(listener, pool, client, () => true);
  const place = `pool ${name} (${balance.policy})`;
  const sentence =
    target === undefined
      ? `${place}: no target takes work`
      : target === home
        ? `${place}: ${target}`
        : `${place}: ${target}, in place of ${home}, which takes no work now`;
  return { pool: name, balance: balance.policy, byAddress: true, target, home, sentence };
}

function goesByAddress(balance: Balance): boolean {
  return balance.policy === "ipHash" || (balance.policy === "consistentHash" && balance.key.kind === "clientAddress");
}

function pick(
  listener: Listener,
  { balance, targets }: Pool,
  client: string,
  eligible: (target: Pool["targets"][number]) => boolean,
): string | undefined {
  const members = targets.map(
    (target): Member => ({
      address: target.address,
      weight: target.weight,
      share: target.weight,
      backup: target.backup,
      eligible: eligible(target),
      active: 0,
      activeMax: Number.POSITIVE_INFINITY,
      latencyMs: 0,
      latencyAtMs: 0,
    }),
  );
  const create = listener.protocol === "http" ? createPicker : createLayer4Picker;
  const asked: Pick = { nowMs: 0, tried: [], keyHash: hashText(client), clientAddress: client };
  // Nothing is left to chance where the address decides.
  const index = create(balance, members, seededRandom(1)).pick(asked);
  return members[index]?.address;
}
