// One recorded case through our own balancers and our passive judge, in the notation of nginx-case.ts: what src/balance
// and src/health would have picked where nginx was asked. Time is virtual: a step takes none, a wait its own.

import type { Member, Pick } from "../../src/balance/balancer.ts";
import { createPicker } from "../../src/balance/picker.ts";
import { assert } from "../../src/core/assert.ts";
import {
  admits,
  begun,
  type PassiveConfig,
  passiveState,
  reportFailure,
  reportSuccess,
} from "../../src/health/passive.ts";
import { type Case, parseServers, parseSteps, type Server } from "./nginx-case.ts";

/** Our picks, one word a request, as the recorder writes nginx's. */
export function replay(of: Case): string {
  const servers = parseServers(of.servers);
  const members = servers.map(memberOf);
  const listening = servers.map((server) => !server.stopped);
  const states = servers.map(() => passiveState());
  const configs = servers.map(
    (server): PassiveConfig => ({
      maxFails: server.maxFails,
      failTimeout: server.failTimeoutMs,
      onlyTarget: servers.length === 1,
    }),
  );
  const picker = createPicker({ policy: of.policy }, members, () => {
    throw new Error("these policies leave nothing to chance");
  });
  const pick: Pick = { nowMs: 0, tried: [], keyHash: 0, clientAddress: "" };
  const held: number[] = [];
  const words: string[] = [];

  const judgeAll = (): void => {
    for (const [index, member] of members.entries()) {
      member.eligible = !servers[index]!.down && admits(states[index]!, configs[index]!, pick.nowMs);
    }
  };

  /** Tries until somebody answers or nobody is left; who answered comes last. */
  const request = (client: string): number[] => {
    const triedMembers: Member[] = [];
    pick.tried = triedMembers;
    pick.clientAddress = client;
    const tried: number[] = [];
    for (;;) {
      judgeAll();
      const index = picker.pick(pick);
      if (index < 0) return tried;
      tried.push(index);
      triedMembers.push(members[index]!);
      const trial = begun(states[index]!, configs[index]!, pick.nowMs);
      const ok = listening[index]!;
      picker.report(index, ok);
      if (ok) {
        reportSuccess(states[index]!, configs[index]!, trial);
        return tried;
      }
      reportFailure(states[index]!, configs[index]!, pick.nowMs);
    }
  };

  for (const step of parseSteps(of.steps)) {
    switch (step.kind) {
      case "get":
        words.push(request(step.client).join() || "x");
        break;
      case "open": {
        const index = request("").at(-1) ?? -1;
        if (index >= 0) members[index]!.active++;
        held.push(index);
        words.push(index >= 0 ? String(index) : "x");
        break;
      }
      case "close": {
        const index = held[step.request];
        assert(index !== undefined, "a case closes what it has opened");
        if (index >= 0) members[index]!.active--;
        break;
      }
      case "start":
      case "stop":
        listening[step.server] = step.kind === "start";
        break;
      case "wait":
        pick.nowMs += step.ms;
        break;
      default:
        step satisfies never;
    }
  }
  return words.join(" ");
}

function memberOf(server: Server, index: number): Member {
  return {
    address: `127.77.0.${index + 1}:80`,
    weight: server.weight,
    share: server.weight,
    backup: server.backup,
    maxFails: server.maxFails,
    eligible: true,
    active: 0,
    activeMax: server.connectionsMax === 0 ? Number.POSITIVE_INFINITY : server.connectionsMax,
    latencyMs: 0,
    latencyAtMs: 0,
  };
}
