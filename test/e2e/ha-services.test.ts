// Services that run on the active node alone, through the whole program on two nodes: after the addresses are up, ended before
// they are given up, with a token that grows with every takeover, and never on two nodes at once.

import assert from "node:assert/strict";
import { existsSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { type TestContext, test } from "node:test";
import { temporaryDirectory, until } from "./kit.ts";
import {
  familyOf,
  hasAddress,
  needsKeepalived,
  type SharedNode,
  site,
  startEvenkeel,
  type VrrpNodeProgram,
  vip4,
} from "./vrrp-kit.ts";

const limit = { timeout: 120_000, skip: needsKeepalived };

type Line = {
  readonly at: number;
  readonly node: string;
  readonly event: string;
  readonly token: number;
  readonly hadAddress: boolean;
};

/**
 * What the service of any node says, in one file: when, where, what, with which token, and whether its machine had the
 * address at that moment.
 */
function serviceScript(folder: string): string {
  const path = join(folder, "pump");
  const say = `has=no; ip -o addr show dev eth0 | grep -q ' ${vip4}/' && has=yes
  echo "$(date +%s%N) $NODE $1 $EVENKEEL_FENCING_TOKEN $has" >> ${folder}/said`;
  const text = `#!/bin/sh
say() {
  ${say}
}
say start
trap 'say term; [ -e ${folder}/stubborn ] || { say end; exit 0; }' TERM
[ -e ${folder}/sickly ] && { say end; exit 3; }
# One short sleep after the other, so that a signal is taken at once; the lines show two that run side by side.
while :; do sleep 0.02; say alive; done
`;
  writeFileSync(path, text, { mode: 0o755 });
  return path;
}

function said(folder: string): readonly Line[] {
  const path = join(folder, "said");
  if (!existsSync(path)) return [];
  return readFileSync(path, "utf8")
    .split("\n")
    .slice(0, -1)
    .map((line) => {
      const [at = "", node = "", event = "", token = "", has = ""] = line.split(" ");
      return { at: Number(at) / 1e6, node, event, token: Number(token), hadAddress: has === "yes" };
    });
}

const starts = (folder: string) => said(folder).filter(({ event }) => event === "start");

function haText(script: string, name: string, priority: number, state: string, more = ""): string {
  const folder = dirname(script);
  const tracks = `{ broken: { file: ${folder}/broken-${name}, upWhen: absent, interval: 50ms } }`;
  const router = `{ interface: eth0, vrid: 51, priority: ${priority}, advertisementInterval: 100ms, addresses: [${vip4}/32], track: [broken] }`;
  const service = `{ command: [${script}], follow: VI_1, environment: { NODE: ${name} }, stopTimeout: 1s, ${more} }`;
  return `stateDirectory: ${state}\nha: { tracks: ${tracks}, virtualRouters: { VI_1: ${router} }, services: { pump: ${service} } }`;
}

type Started = {
  readonly node: SharedNode;
  readonly program: VrrpNodeProgram;
  readonly start: () => Promise<VrrpNodeProgram>;
};

async function two(
  t: TestContext,
  more = "",
): Promise<{ readonly folder: string; readonly nodes: readonly [Started, Started] }> {
  const folder = temporaryDirectory(t);
  const script = serviceScript(folder);
  const lan = await site(t);
  const begin = async (node: SharedNode | undefined, priority: number): Promise<Started> => {
    assert.ok(node !== undefined);
    const state = temporaryDirectory(t);
    const start = () => startEvenkeel(t, node, haText(script, node.name, priority, state, more));
    return { node, program: await start(), start };
  };
  const first = await begin(lan.nodes[0], 100);
  await first.program.mode("active");
  await until("the service", () => starts(folder).length === 1);
  const second = await begin(lan.nodes[1], 90);
  await second.program.mode("backup");
  return { folder, nodes: [first, second] };
}

/** The lines of one run never lie between those of another one. */
function assertOneAtATime(folder: string): void {
  const runs = new Map<string, { first: number; last: number }>();
  for (const { at, node, token } of said(folder)) {
    const run = runs.get(`${node} ${token}`) ?? { first: at, last: at };
    runs.set(`${node} ${token}`, { first: Math.min(run.first, at), last: Math.max(run.last, at) });
  }
  const ordered = [...runs].sort(([, one], [, other]) => one.first - other.first);
  for (const [index, [name, { first }]] of ordered.entries()) {
    const before = ordered[index - 1];
    if (before === undefined) continue;
    assert.ok(before[1].last < first, `${before[0]} still ran ${before[1].last - first} ms after the start of ${name}`);
  }
}

function assertTokensGrow(folder: string): readonly number[] {
  const tokens = starts(folder).map(({ token }) => token);
  for (const [index, token] of tokens.entries())
    assert.ok(index === 0 || token > (tokens[index - 1] ?? 0), `${tokens}`);
  return tokens;
}

async function startedAt(folder: string, name: string, count: number): Promise<void> {
  await until(`the service on ${name}`, () => starts(folder).length === count && starts(folder).at(-1)?.node === name, {
    onTimeout: () =>
      said(folder)
        .filter(({ event }) => event !== "alive")
        .map((line) => JSON.stringify(line))
        .join("\n"),
  });
}

test(
  "a service follows the address: after it up, before it down, through release, takeover, SIGTERM and restarts",
  limit,
  async (t) => {
    const { folder, nodes } = await two(t);
    const [first, second] = nodes;
    assert.equal((await first.program.run("vip", "release", "VI_1")).code, 0);
    await startedAt(folder, "node2", 2);
    // Who is overtaken by a peer has no time to ask: its service is killed.
    assert.equal((await first.program.run("vip", "takeover", "VI_1")).code, 0);
    await startedAt(folder, "node1", 3);
    await second.program.mode("backup");
    first.program.program.signal("SIGTERM");
    assert.equal((await first.program.program.exited()).code, 0);
    await startedAt(folder, "node2", 4);
    // A restarted node knows the tokens that it gave, and takes its role back with a greater one.
    const again = await first.start();
    await again.mode("active");
    await startedAt(folder, "node1", 5);
    const { services } = (await again.status()).ha ?? {};
    assert.deepEqual(
      services?.map(({ name, phase, restarts }) => [name, phase, restarts]),
      [["pump", "running", 0]],
    );
    await until("a sign of life", () => said(folder).at(-1)?.event === "alive");
    const lines = said(folder);
    for (const line of lines.filter(({ event }) => event === "start" || event === "term" || event === "end")) {
      assert.ok(line.hadAddress, `the address is there: ${JSON.stringify(line)}`);
    }
    const terms = lines.filter(({ event }) => event === "term").map(({ node }) => node);
    assert.deepEqual(terms, ["node1", "node1"], "asked on release and on SIGTERM, killed where it was overtaken");
    assertOneAtATime(folder);
    const tokens = assertTokensGrow(folder);
    t.diagnostic(`tokens ${tokens.join(", ")}`);
  },
);

test(
  "a service that does not end is killed before the address goes, and on kill -9 of its supervisor with it",
  limit,
  async (t) => {
    const { folder, nodes } = await two(t);
    const [first, second] = nodes;
    writeFileSync(join(folder, "stubborn"), "");
    assert.equal((await first.program.run("vip", "release", "VI_1")).code, 0);
    await startedAt(folder, "node2", 2);
    const lines = said(folder);
    const term = lines.find(({ event }) => event === "term");
    const lastOfFirst = lines.findLast(({ node }) => node === "node1");
    assert.ok(term !== undefined && lastOfFirst !== undefined);
    const outlived = lastOfFirst.at - term.at;
    assert.ok(outlived > 700 && outlived < 1_500, `killed after its stopTimeout of 1 s: ${outlived.toFixed(0)} ms`);
    assert.ok(lastOfFirst.hadAddress, "the address was there to its end");
    await first.program.run("vip", "resume", "VI_1");
    await startedAt(folder, "node1", 3);
    await second.program.mode("backup");
    const family = familyOf(first.program.program.pid);
    first.program.program.signal("SIGKILL");
    await startedAt(folder, "node2", 4);
    await until("no address", async () => !(await hasAddress(t, first.node)));
    assert.ok(family.length > 4, "supervisor, worker, VRRP, guardian, keeper, service");
    assertOneAtATime(folder);
    assertTokensGrow(folder);
  },
);

test(
  "a service that ends by itself is started again, each time later, with the token of its takeover",
  limit,
  async (t) => {
    const folder = temporaryDirectory(t);
    const script = serviceScript(folder);
    writeFileSync(join(folder, "sickly"), "");
    const lan = await site(t, 1);
    const [one] = lan.nodes;
    assert.ok(one !== undefined);
    const text = haText(script, "node1", 100, temporaryDirectory(t), "restartDelay: 50ms, restartDelayMax: 400ms");
    const program = await startEvenkeel(t, one, text);
    await until("six starts", () => starts(folder).length >= 6);
    const times = starts(folder).map(({ at }) => at);
    const waits = times.slice(1).map((at, index) => at - (times[index] ?? 0));
    t.diagnostic(`from start to start, ms: ${waits.map((wait) => wait.toFixed(0)).join(", ")}`);
    for (const [index, least] of [50, 100, 200, 400, 400].entries())
      assert.ok((waits[index] ?? 0) >= least, `${waits}`);
    assert.equal(new Set(starts(folder).map(({ token }) => token)).size, 1);
    const status = (await program.status()).ha?.services[0];
    assert.equal(status?.lastEnd, "exit 3");
    assert.ok((status?.restarts ?? 0) >= 5);
  },
);

test(
  "a track that costs the role does so when the service has ended, while the address is still here",
  limit,
  async (t) => {
    const { folder, nodes } = await two(t);
    writeFileSync(join(folder, "stubborn"), "");
    writeFileSync(join(folder, "broken-node1"), "");
    await startedAt(folder, "node2", 2);
    assert.equal((await nodes[0].program.mode("fault")).cause, "tracks");
    const lines = said(folder);
    const term = lines.find(({ event }) => event === "term");
    const last = lines.findLast(({ node }) => node === "node1");
    assert.ok(term !== undefined && last !== undefined);
    assert.ok(
      last.hadAddress && last.at - term.at > 700,
      `it had its stopTimeout: ${(last.at - term.at).toFixed(0)} ms`,
    );
    rmSync(join(folder, "broken-node1"));
    await startedAt(folder, "node1", 3);
    assertOneAtATime(folder);
    assertTokensGrow(folder);
  },
);
