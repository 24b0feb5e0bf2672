// Drives the kernel engine: keeps the table `inet evenkeel` as the configuration and the targets' health say, and reads back
// what it counts. The change's way, in the supervisor; no packet passes through here. A change of structure goes through the
// nft command in three transactions (change.ts), a change of health through netlink in one, a lost target's connections
// are deleted behind it (burials.ts). When the table is not what it should be, because another program flushed it or
// a step failed, it takes stock and writes it anew, again and again until that succeeds.

import { assert } from "../../core/assert.ts";
import type { Milliseconds } from "../../core/clock.ts";
import { type Failure, good, type Result } from "../../core/failure.ts";
import type { Log } from "../../core/log.ts";
import type { Netfilter } from "../../io/netfilter.ts";
import type { Config } from "../../model/config.ts";
import { Burials, filterOf } from "./burials.ts";
import {
  changeStructure,
  contentsOf,
  type StructureChange,
  slotChange,
  type TableContents,
  targetsGone,
} from "./change.ts";
import {
  asksForKernel,
  chooseEngines,
  type EngineChosen,
  layer4Of,
  type Machine,
  proxied,
  routesLocalnet,
} from "./choose-engine.ts";
import { type KernelPorts, machinePorts } from "./kernel-ports.ts";
import { type CarriedStatus, type ListenerTarget, pairsOf, readCarried } from "./kernel-status.ts";
import { type Carried, type CarriedTarget, type KernelPlan, nothingPlanned, planKernel } from "./plan.ts";
import { type IsHealthy, isDead, openBook, ownersNow, type SlotBook } from "./slots.ts";
import { takeStock } from "./table-stock.ts";
import { baseText, bindKey, removalText, type SlotOwner, tableName } from "./table-text.ts";

/** How often the table is looked at, and a failed step is tried again. */
export const watchInterval: Milliseconds = 2_000;
/** How often a draining engine looks whether its connections have ended: each look is one through all tracked ones. */
const drainLookInterval: Milliseconds = 500;

export type KernelEngineOptions = {
  readonly log: Log;
  readonly isHealthy: IsHealthy;
  readonly ports?: KernelPorts;
};

/** Who carries which listener of a configuration; nothing is changed by knowing it. */
export type JudgedEngines = { readonly chosen: readonly EngineChosen[]; readonly plan: KernelPlan };

export type JudgedResult =
  | { readonly ok: true; readonly value: JudgedEngines }
  | { readonly ok: false; readonly failures: readonly Failure[] };

/** What a plan needs is in the table; no client reaches it yet. */
export type PreparedPlan = JudgedEngines & { readonly change: StructureChange; readonly written: WrittenMaps };

/** What maps were filled with, by their names. */
type WrittenMaps = ReadonlyMap<string, readonly SlotOwner[]>;

export type KernelStatus = {
  readonly chosen: readonly EngineChosen[];
  readonly carried: CarriedStatus;
  /** What keeps the table from being as it should. */
  readonly failure: string | undefined;
};

/** A listener's tables, and what its map in the kernel holds now. */
type LiveMap = { book: SlotBook; owners: readonly SlotOwner[] };

export class KernelEngine {
  readonly #log: Log;
  readonly #isHealthy: IsHealthy;
  readonly #ports: KernelPorts;
  readonly #burials: Burials;
  /** By the name of the map. */
  #live = new Map<string, LiveMap>();
  #judged: JudgedEngines = { chosen: [], plan: nothingPlanned };
  /** Undefined: not known, stock must be taken. */
  #contents: TableContents | undefined;
  /** Listener and target of those whose connections were deleted, until they live again. */
  #dead = new Set<string>();
  readonly #dirtyPools = new Set<string>();
  #netfilter: Netfilter | undefined;
  #failure: Failure | undefined;
  /** A reload is between prepare and commit, or a restoration under way. */
  #changing = false;
  /** The restoration or commit that runs, or the last one. */
  #working: Promise<void> = Promise.resolve();
  #watch: NodeJS.Timeout | undefined;
  #draining: AbortController | undefined;
  #drained: Promise<void> = Promise.resolve();

  constructor(options: KernelEngineOptions) {
    this.#log = options.log;
    this.#isHealthy = options.isHealthy;
    this.#ports = options.ports ?? machinePorts;
    this.#burials = new Burials({
      log: options.log,
      netfilter: () => this.#netfilter,
      localAddresses: this.#ports.localAddresses,
    });
  }

  /**
   * Who shall carry the listeners of a configuration. Asks the machine only when a listener may want the kernel. `own`
   * are the inodes of this program's sockets: what the kernel takes over from them is not taken. Codes: kernel.impossible,
   * listener.bind.inUse.
   */
  judge(config: Pick<Config, "listeners" | "pools" | "kernel">, own: ReadonlySet<number>): JudgedResult {
    const machine: Machine | undefined = asksForKernel(config) ? this.#ports.readMachine() : undefined;
    const choices = chooseEngines(config, machine);
    if (!choices.ok) return choices;
    const { chosen } = choices;
    const workers = new Set(proxied(config, chosen));
    const carried = layer4Of(config).filter((listener) => !workers.has(listener));
    const routeLocalnet = machine !== undefined && routesLocalnet(machine);
    const plan = planKernel(carried, config.pools, { routeLocalnet, countTraffic: config.kernel.countTraffic });
    const failures = this.#findHolders(plan, own);
    return failures.length > 0 ? { ok: false, failures } : { ok: true, value: { chosen, plan } };
  }

  /**
   * Adds to the table what a plan needs; takes over or removes what another process left there. Nothing that a client
   * could notice has changed, also when it fails. Codes: those of nft-command.ts and netfilter.ts.
   */
  async prepare(judged: JudgedEngines): Promise<Result<PreparedPlan>> {
    const { plan } = judged;
    await this.#working;
    this.#changing = true;
    if (plan.carried.length === 0 && this.#contents === undefined && !this.#findsLeftovers()) {
      return good({ ...judged, change: { prepare: "", switch: "", clean: "" }, written: new Map() });
    }
    const opened = this.#open();
    const prepared = opened.ok ? await this.#add(plan) : opened;
    if (!prepared.ok) {
      this.#changing = false;
      return prepared;
    }
    return good({ ...judged, ...prepared.value });
  }

  /** Takes back what prepare added, when the change is refused for another reason. */
  async abandon(): Promise<void> {
    this.#changing = false;
    if (this.#contents === undefined) return;
    this.#contents = undefined;
    await this.#look();
  }

  /** Leads clients by the new plan. It never fails: what does is told, and tried again until it succeeds. */
  commit(prepared: PreparedPlan): Promise<void> {
    this.#working = this.#commit(prepared);
    return this.#working;
  }

  async #commit(prepared: PreparedPlan): Promise<void> {
    const before = this.#judged;
    this.#tellChosen(before.chosen, prepared.chosen);
    this.#judged = { chosen: prepared.chosen, plan: prepared.plan };
    this.#adopt(prepared);
    await this.#switch(prepared.change);
    for (const gone of targetsGone(before.plan, prepared.plan)) this.#burials.buryTarget(gone, () => true);
    const carriedBefore = new Set(before.plan.carried.map(bindKey));
    for (const carried of prepared.plan.carried) {
      if (!carriedBefore.has(bindKey(carried))) this.#burials.buryUnserved(carried);
    }
    this.#changing = false;
    if (prepared.plan.carried.length > 0) this.#startWatch();
  }

  /** Health of a target has changed: `isHealthy` says what it is by now. Changes within one event are made together. */
  targetChanged(pool: string): void {
    if (this.#dirtyPools.size === 0) setImmediate(() => this.#flip());
    this.#dirtyPools.add(pool);
  }

  status(): KernelStatus {
    const { chosen, plan } = this.#judged;
    const counters = plan.carried.length === 0 ? undefined : this.#netfilter?.readCounters(tableName);
    const known = counters?.ok === true ? counters.value : new Map();
    const carried = readCarried(plan, known, (pairs) => this.#countOpen(pairs));
    const failure = this.#failure ?? (counters?.ok === false ? counters.failure : undefined);
    return { chosen, carried, failure: failure?.detail };
  }

  /**
   * New clients are refused from now on; TCP connections under way may finish within the deadline. With `keep` everything
   * stays as it is. Once more with 0 to hurry.
   */
  drain(deadlineMs: Milliseconds, options: { readonly keep: boolean }): void {
    clearInterval(this.#watch);
    this.#burials.stop();
    if (this.#draining !== undefined) {
      if (deadlineMs === 0) this.#draining.abort();
      return;
    }
    this.#draining = new AbortController();
    const signal = AbortSignal.any([this.#draining.signal, AbortSignal.timeout(Math.max(0, Math.ceil(deadlineMs)))]);
    this.#drained = this.#end(signal, options.keep);
  }

  /** Resolves when the table is gone, or stays for good. */
  ended(): Promise<void> {
    return this.#drained;
  }

  // Packets would be led past a program that listens there, and nobody would know why it hears nothing any more. That the
  // address is not here (a virtual one, just now with the peer) is no obstacle: nothing is bound to it.
  #findHolders(plan: KernelPlan, own: ReadonlySet<number>): Failure[] {
    const known = new Set(this.#judged.plan.carried.map(bindKey));
    return plan.carried.flatMap((carried) => {
      const { listener, bind, protocol } = carried;
      const probed = known.has(bindKey(carried))
        ? good(true as const)
        : this.#ports.probeAddress({ ...bind, transport: protocol }, own);
      if (probed.ok || probed.failure.code !== "listener.bind.inUse") return [];
      return [{ ...probed.failure, detail: `listener ${listener}: ${probed.failure.detail}` }];
    });
  }

  async #end(signal: AbortSignal, keep: boolean): Promise<void> {
    await this.#working;
    const { plan } = this.#judged;
    if (this.#netfilter !== undefined && keep && plan.carried.length > 0) {
      this.#log.info("rules kept", { listeners: plan.carried.map(({ listener }) => listener) });
    } else if (this.#netfilter !== undefined) {
      await this.#refuseClients(plan);
      while (!signal.aborted && this.#underWay(plan)) await pause(drainLookInterval, signal);
      const removed = await this.#ports.applyRuleset(removalText());
      if (!removed.ok) this.#log.error("rules not removed", { detail: removed.failure.detail });
    }
    this.#netfilter?.close();
    this.#netfilter = undefined;
  }

  async #refuseClients(plan: KernelPlan): Promise<void> {
    if (this.#contents === undefined || plan.carried.length === 0) return;
    const { switch: text } = changeStructure(this.#contents, nothingPlanned, () => []);
    const refused = await this.#ports.applyRuleset(text);
    if (!refused.ok) this.#log.error("rules still lead clients while draining", { detail: refused.failure.detail });
    this.#judged = { ...this.#judged, plan: nothingPlanned };
    this.#live.clear();
  }

  #underWay(plan: KernelPlan): boolean {
    return this.#countOpen(pairsOf(plan).filter(({ carried }) => carried.protocol === "tcp")).some(
      (count) => count > 0,
    );
  }

  #countOpen(pairs: readonly ListenerTarget[]): readonly number[] {
    if (pairs.length === 0) return [];
    const counted = this.#netfilter?.countEach(pairs.map(({ carried, target }) => filterOf(carried, target)));
    return counted?.ok === true ? counted.value : [];
  }

  #open(): Result<true> {
    if (this.#netfilter !== undefined) return good(true);
    const opened = this.#ports.openNetfilter();
    if (!opened.ok) return opened;
    this.#netfilter = opened.value;
    return good(true);
  }

  // Only for a node that carries nothing in the kernel: one that may not ask may not have left anything either.
  #findsLeftovers(): boolean {
    if (!this.#open().ok) return false;
    const counters = this.#netfilter?.readCounters(tableName);
    const found = counters?.ok === true && counters.value.size > 0;
    if (!found) {
      this.#netfilter?.close();
      this.#netfilter = undefined;
    }
    return found;
  }

  async #add(plan: KernelPlan): Promise<Result<Pick<PreparedPlan, "change" | "written">>> {
    const before = this.#contents;
    let base = "";
    if (this.#contents === undefined) {
      const listed = await this.#ports.listTable(tableName);
      if (!listed.ok) return listed;
      const stock = takeStock(listed.value);
      if (stock.kind !== "known") {
        base = stock.kind === "foreign" ? `${removalText()}${baseText()}` : baseText();
        if (stock.kind === "foreign") this.#log.warn("rules of another version replaced");
      } else if (this.#judged.plan === nothingPlanned) this.#log.info("rules of a predecessor taken over");
      this.#contents = stock.kind === "known" ? stock.contents : contentsOf(nothingPlanned);
    }
    const written = new Map<string, readonly SlotOwner[]>();
    const change = changeStructure(this.#contents, plan, (carried) => {
      const owners = ownersOf(openBook(carried), this.#isHealthy);
      written.set(carried.names.slots, owners);
      return owners;
    });
    const text = base + change.prepare;
    const added = text === "" ? good(true as const) : await this.#ports.applyRuleset(text);
    if (!added.ok) {
      // All of it or nothing; but whether a command that was killed had been heard, nobody knows.
      this.#contents = added.failure.code === "nft.timeout" ? undefined : before;
      return added;
    }
    return good({ change, written });
  }

  // Which maps there are from now on, and what they hold: those that were there already, what they held.
  #adopt({ plan, written }: Pick<PreparedPlan, "plan" | "written">): void {
    const live = new Map<string, LiveMap>();
    for (const carried of plan.carried) {
      const { slots } = carried.names;
      const owners = written.get(slots) ?? this.#live.get(slots)?.owners;
      assert(owners !== undefined, `map ${slots} was written or is known`);
      live.set(slots, { book: openBook(carried), owners });
    }
    this.#live = live;
  }

  async #switch(change: StructureChange): Promise<void> {
    const { plan } = this.#judged;
    this.#flipAll();
    for (const text of [change.switch, change.clean]) {
      if (text === "") continue;
      const applied = await this.#ports.applyRuleset(text);
      if (!applied.ok) {
        this.#lose(applied.failure);
        return;
      }
    }
    if (this.#netfilter !== undefined) this.#contents = contentsOf(plan);
    this.#failure = undefined;
    this.#flipAll();
  }

  #flipAll(): void {
    for (const { pool } of this.#judged.plan.carried) this.#dirtyPools.add(pool);
    this.#flip();
  }

  #flip(): void {
    // Nobody knows what is there: it will be written as a whole.
    if (this.#contents === undefined) this.#dirtyPools.clear();
    const live = [...this.#live.values()].filter(({ book }) => this.#dirtyPools.has(book.carried.pool));
    this.#dirtyPools.clear();
    const flips = live.map((one) => {
      const after = ownersOf(one.book, this.#isHealthy);
      return { one, after, change: slotChange(one.book.carried.names.slots, one.owners, after) };
    });
    const changes = flips.flatMap(({ change }) => (change === undefined ? [] : [change]));
    if (changes.length > 0) {
      const changed = this.#netfilter?.changeElements(tableName, changes);
      if (changed === undefined) return;
      if (!changed.ok) {
        this.#lose(changed.failure);
        return;
      }
    }
    for (const { one, after } of flips) {
      const served = one.owners[0] === undefined && after[0] !== undefined;
      one.owners = after;
      if (served) this.#burials.buryUnserved(one.book.carried);
    }
    for (const { book } of live) this.#buryDead(book.carried);
  }

  #buryDead(carried: Carried): void {
    for (const target of carried.targets) {
      const key = `${bindKey(carried)} ${target.address}`;
      if (!isDead(carried, target, this.#isHealthy)) this.#dead.delete(key);
      else if (!this.#dead.has(key)) {
        this.#dead.add(key);
        this.#burials.buryTarget({ carried, target }, () => this.#dead.has(key));
      }
    }
  }

  #lose(failure: Failure): void {
    this.#log.error("kernel rules are not as they should be", { code: failure.code, detail: failure.detail });
    this.#failure = failure;
    this.#contents = undefined;
  }

  #startWatch(): void {
    if (this.#watch !== undefined) return;
    this.#watch = setInterval(() => void this.#look(), watchInterval);
    this.#watch.unref();
  }

  async #look(): Promise<void> {
    if (this.#changing || this.#judged.plan.carried.length === 0) return;
    const counters = this.#netfilter?.readCounters(tableName);
    if (counters?.ok === true && this.#judged.plan.carried.some(({ names }) => !counters.value.has(names.full))) {
      this.#lose({
        code: "kernel.tableLost",
        origin: "self",
        retrySafe: false,
        detail: `another program removed the table \`inet ${tableName}\` or a part of it (\`nft flush ruleset\`?)`,
      });
    }
    if (this.#contents !== undefined) return;
    this.#working = this.#restore();
    await this.#working;
  }

  async #restore(): Promise<void> {
    this.#changing = true;
    // Nothing to flip until it is known again what the maps hold.
    this.#live.clear();
    const { plan } = this.#judged;
    const added = await this.#add(plan);
    if (added.ok) {
      this.#adopt({ plan, written: added.value.written });
      await this.#switch(added.value.change);
    } else this.#lose(added.failure);
    this.#changing = false;
    if (this.#failure === undefined) this.#log.warn("kernel rules restored");
  }

  #tellChosen(before: readonly EngineChosen[], now: readonly EngineChosen[]): void {
    const known = new Map(before.map((chosen) => [chosen.listener, chosen]));
    for (const chosen of now) {
      const was = known.get(chosen.listener);
      if (was?.engine === chosen.engine && was.reason === chosen.reason) continue;
      const { listener, engine, reason } = chosen;
      // Got less than the configuration allows: said loudly, since nobody would look for it.
      if (chosen.fellBack) this.#log.warn("engine chosen", { listener, engine, reason });
      else this.#log.info("engine chosen", { listener, engine, reason });
    }
  }
}

function ownersOf(book: SlotBook, isHealthy: IsHealthy): SlotOwner[] {
  const { targets } = book.carried;
  return Array.from(ownersNow(book, isHealthy), (index): CarriedTarget | undefined => targets[index]);
}

/** Resolves after the time, or as soon as the signal says so. */
function pause(ms: Milliseconds, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(end, ms);
    function end(): void {
      clearTimeout(timer);
      signal.removeEventListener("abort", end);
      resolve();
    }
    signal.addEventListener("abort", end);
  });
}
