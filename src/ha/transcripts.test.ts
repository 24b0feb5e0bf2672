// Golden transcripts of the virtual router machine: scripts of commands in transcripts/*.txt, each with the output that it
// must give, in virtual time. A command line is a word and `key=value` pairs; below `----` stands what came of it. With
// EVENKEEL_REWRITE=1 the files are written anew with what comes now: read the difference before believing it.

import assert from "node:assert/strict";
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { env } from "node:process";
import { test } from "node:test";
import { parseDuration } from "../core/units.ts";
import type { VirtualRouter } from "../model/virtual-router.ts";
import { vrrpGroup } from "../wire/vrrp/advertisement.ts";
import { nextTimerAt } from "./fire.ts";
import { advertisementOf } from "./roles.ts";
import { routerOf } from "./test-network.ts";
import { initialVirtualRouter, stepVirtualRouter } from "./virtual-router.ts";
import type { VirtualRouterEffect, VirtualRouterInput, VirtualRouterState } from "./virtual-router-state.ts";

type Pairs = ReadonlyMap<string, string>;

const addressesOf = (text: string) =>
  text.split(",").map((address) => ({ address, prefixLength: 32, interface: undefined }));

function ms(text: string): number {
  const parsed = parseDuration(text);
  assert.ok(parsed.ok, `duration ${text}`);
  return parsed.value;
}

/** `chk:-20,link:0` */
function tracksOf(text: string): VirtualRouter["tracks"] {
  return text.split(",").map((one) => {
    const [name = "", weight = "0"] = one.split(":");
    return { name, weight: Number(weight), reverse: false };
  });
}

const settings: Readonly<Record<string, (text: string) => Partial<VirtualRouter>>> = {
  priority: (text) => ({ priority: Number(text) }),
  version: (text) => ({ version: text === "2" ? 2 : 3 }),
  interval: (text) => ({ advertisementInterval: ms(text) }),
  copies: (text) => ({ advertisementCopies: Number(text) }),
  preempt: (text) => ({ preempt: text === "yes" }),
  preemptDelay: (text) => ({ preemptDelay: ms(text) }),
  addresses: (text) => ({ addresses: addressesOf(text) }),
  silent: (text) => ({ silentAddresses: addressesOf(text) }),
  password: (text) => ({ password: text }),
  tracks: (text) => ({ tracks: tracksOf(text) }),
  group: (text) => ({ syncGroup: text }),
  mismatch: (text) => ({ addressMismatch: text === "refuse" ? "refuse" : "warn" }),
  peers: (text) => ({ unicastPeers: text.split(",").map((address) => ({ address, ttlMin: 255 })) }),
};

function wordOf(effect: VirtualRouterEffect): string {
  const list = (addresses: readonly { readonly address: string }[]) =>
    addresses.map(({ address }) => address).join(" ");
  switch (effect.type) {
    case "advertise":
      return `advertise ${effect.advertisement.priority}`;
    case "addAddresses":
      return `add ${list(effect.addresses)}`;
    case "removeAddresses":
      return `remove ${list(effect.addresses)}`;
    case "announce":
      return `announce ${list(effect.addresses)} x${effect.repeat}`;
    case "mode":
      return `${effect.from} -> ${effect.to} (${effect.cause}, priority ${effect.priority})`;
    case "priority":
      return `priority ${effect.from} -> ${effect.to}`;
    case "dropped":
      return `dropped ${effect.code} from ${effect.source}`;
    case "odd":
      return `odd ${effect.code} from ${effect.source}`;
    case "alarm":
    case "denied":
      return `${effect.type} ${effect.code}: ${effect.detail}`;
    case "drainSocket":
    case "wantsActive":
    case "stopped":
      return effect.type;
    default:
      return effect satisfies never;
  }
}

const round = (value: number) => Math.round(value * 100) / 100;

function stateLine(state: VirtualRouterState, now: number): string {
  const timers = Object.entries(state.timers).flatMap(([name, at]) =>
    at === undefined ? [] : [`${name} in ${round(at - now)}`],
  );
  const resigning = state.resigning === undefined ? [] : [`resigning to ${state.resigning.to}`];
  return [`= ${state.mode} at ${round(now)}`, ...resigning, ...timers].join(", ");
}

/** One machine and its clock, told what to do line by line. */
function player() {
  let router = routerOf();
  let state = initialVirtualRouter(router);
  let now = 0;
  const feed = (input: VirtualRouterInput): readonly string[] => {
    const step = stepVirtualRouter(router, state, input, now);
    state = step.state;
    return step.effects.map(wordOf);
  };
  const configure = (pairs: Pairs): Partial<VirtualRouter> =>
    Object.assign({}, ...[...pairs].map(([key, value]) => settings[key]?.(value) ?? assert.fail(`setting ${key}`)));
  const hear = (pairs: Pairs) => {
    const text = (key: string, otherwise: string) => pairs.get(key) ?? otherwise;
    const mine = advertisementOf(router, Number(text("priority", "100")));
    const password = pairs.has("password") ? pairs.get("password") : router.password;
    const addresses = pairs.has("addresses") ? text("addresses", "").split(",") : mine.addresses;
    const interval = pairs.has("interval") ? ms(text("interval", "")) : mine.interval;
    const advertisement = {
      ...mine,
      ...{ password: password === "none" ? undefined : password, addresses, interval },
      version: text("version", String(mine.version)) === "2" ? 2 : 3,
      vrid: Number(text("vrid", "51")),
    } as const;
    return feed({
      type: "received",
      received: {
        ...{ advertisement, source: text("from", "10.0.4.1"), destination: text("to", vrrpGroup[4]) },
        ...{ ttl: Number(text("ttl", "255")), trafficClass: 0xc0, checksumForm: "pseudoHeader", oddities: [] },
      },
    });
  };
  const run = (word: string, pairs: Pairs, rest: string): readonly string[] => {
    switch (word) {
      case "router":
        router = routerOf(configure(pairs));
        state = initialVirtualRouter(router);
        return [];
      case "configure":
        router = { ...router, ...configure(pairs) };
        return feed({ type: "configured" });
      case "start":
        return feed({ type: "start", ownAddress: "10.0.4.5", present: (pairs.get("present") ?? "").split(",") });
      case "hear":
        return hear(pairs);
      case "wait":
        now += ms(rest);
        return feed({ type: "tick" });
      case "sleep":
        now += ms(rest);
        return [];
      case "next":
        now = Math.max(now, nextTimerAt(state) ?? now);
        return feed({ type: "tick" });
      case "track": {
        const [name = "", standing] = rest.split(" ");
        return feed({
          type: "track",
          name,
          standing: standing === "up" ? "up" : standing === "down" ? "down" : "unknown",
        });
      }
      case "fault":
        return feed({ type: "fault", cause: rest, graceful: false });
      case "clear":
        return feed({ type: "clear", cause: rest });
      case "woke":
        return feed({ type: "woke", gap: ms(rest) });
      case "lost":
        return feed({ type: "addressLost", address: rest });
      case "stop":
      case "takeover":
      case "release":
      case "resume":
      case "groupActive":
      case "groupBackup":
        return feed({ type: word });
      default:
        return assert.fail(`command ${word}`);
    }
  };
  return (line: string): string => {
    const [word = "", ...words] = line.split(" ");
    const pairs = new Map(
      words.flatMap((each) =>
        each.includes("=") ? [[each.slice(0, each.indexOf("=")), each.slice(each.indexOf("=") + 1)]] : [],
      ) as [string, string][],
    );
    return [...run(word, pairs, words.join(" ")), stateLine(state, now)].join("\n");
  };
}

/** Comments and blank lines stay as they are; each command is followed by `----` and its output. */
function play(text: string): string {
  const execute = player();
  const blocks = text.trimEnd().split(/\n\n+/);
  const played = blocks.map((block) => {
    const lines = block.split("\n");
    const comments = lines.filter((line) => line.startsWith("#"));
    const [command] = lines.filter((line) => !line.startsWith("#"));
    return [...comments, ...(command === undefined ? [] : [command, "----", execute(command)])].join("\n");
  });
  return `${played.join("\n\n")}\n`;
}

const folder = new URL("transcripts/", import.meta.url);
const files = readdirSync(folder).filter((name) => name.endsWith(".txt"));

test("there are transcripts", () => {
  assert.ok(files.length >= 8, `${files.length} files`);
});

for (const name of files) {
  test(`transcript ${name}`, () => {
    const file = new URL(name, folder);
    const text = readFileSync(file, "utf8");
    const played = play(text);
    if (env["EVENKEEL_REWRITE"] === "1") writeFileSync(file, played);
    else assert.equal(played, text);
  });
}
