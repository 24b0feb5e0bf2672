import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import { test } from "node:test";
import type { Controlled } from "../admin/controlled.ts";
import { nodeStatus, pool, summary, target, testNode } from "../admin/test-node.ts";
import { createToken } from "../admin/token-file.ts";
import { runCli, serveNode, temporaryDirectory } from "./test-cli.ts";

function node(more: Partial<Controlled> = {}) {
  return testNode([pool("app", [target("10.0.0.1:80", { weight: 3 })]), pool("db", [target("[::1]:5432")])], more);
}

test("targets are listed with their owners, of all pools or one", async (t) => {
  const { environment } = await serveNode(t, node());
  await runCli(["target", "set", "app/10.0.0.1:80", "maxConnections=5"], environment);
  await runCli(["target", "add", "app/10.0.0.2:80", "--backup"], environment);
  const all = await runCli(["target", "ls"], environment);
  assert.equal(all.code, 0);
  assert.match(all.out, /^POOL +TARGET +OWNER +INTENT +HEALTH +SINCE +WEIGHT +CHANGED BY THE API +LEASE\n/);
  assert.match(all.out, /^app +10\.0\.0\.1:80 +file +up +healthy +2026-01-02T03:04:05Z +3 +maxConnections +-$/m);
  assert.match(all.out, /^app +10\.0\.0\.2:80 +api +up, backup +/m);
  assert.match(all.out, /^db +\[::1\]:5432 +file/m);
  const one = await runCli(["target", "ls", "db", "-o", "json"], environment);
  assert.deepEqual(
    JSON.parse(one.out).map(({ name }: { name: string }) => name),
    ["db"],
  );
  const none = await runCli(["target", "ls", "none"], environment);
  assert.deepEqual([none.code, none.err], [1, "evenkeel: there is no pool none\n"]);
});

test("add says every field and fails when the target exists", async (t) => {
  const of = node();
  const { environment } = await serveNode(t, of);
  const flags = [
    "--weight",
    "2",
    "--max-fails",
    "0",
    "--fail-timeout",
    "5s",
    "--slow-start",
    "30s",
    "--intent",
    "drain",
  ];
  const added = await runCli(["target", "add", "app/10.0.0.2:80", ...flags], environment);
  assert.deepEqual([added.code, added.err], [0, ""]);
  assert.equal(
    added.out,
    "app/10.0.0.2:80 (api): weight 2, maxFails 0, failTimeout 5s, maxConnections 0, backup false, intent drain, slowStart 30s\n",
  );
  const again = await runCli(["target", "add", "app/10.0.0.1:80"], environment);
  assert.deepEqual([again.code, again.out], [3, ""]);
  assert.match(again.err, /app\/10\.0\.0\.1:80 exists already/);
  const wrong = await runCli(["target", "add", "app/10.0.0.3:80", "--weight", "70000"], environment);
  assert.deepEqual([wrong.code, wrong.out], [1, ""]);
  assert.match(wrong.err, /^evenkeel: weight: 70000 is out of range; expected a whole number from 0 to 65535\n$/);
});

test("set, up, drain, down and reset change fields, and what is wrong is told with what was meant", async (t) => {
  const of = node();
  const { environment } = await serveNode(t, of);
  const run = (...args: string[]) => runCli(["target", ...args], environment);
  const now = () => of.registry.desiredTarget("app", "10.0.0.1:80", 0)?.target;
  assert.equal((await run("set", "app/10.0.0.1:80", "weight=9", "failTimeout=1m")).code, 0);
  assert.deepEqual([now()?.weight, now()?.failTimeout], [9, 60_000]);
  for (const intent of ["drain", "down", "up"] as const) {
    assert.equal((await run(intent, "app/10.0.0.1:80")).code, 0);
    assert.equal(now()?.intent, intent);
  }
  assert.equal((await run("reset", "app/10.0.0.1:80", "weight")).code, 0);
  assert.deepEqual([now()?.weight, now()?.failTimeout], [3, 60_000]);
  assert.equal((await run("reset", "app/10.0.0.1:80")).code, 0);
  assert.deepEqual(now(), target("10.0.0.1:80", { weight: 3 }));
  const cases: [string[], RegExp][] = [
    [
      ["set", "app/10.0.0.1:80", "wieght=1", "backup=yes"],
      /backup: .*wieght: unknown key `wieght`; did you mean `weight`/,
    ],
    [["set", "app/10.0.0.1:80", "weight"], /weight: expected FIELD=VALUE/],
    [["set", "app/10.0.0.1:80", "weight=1", "weight=2"], /weight is there twice/],
    [["reset", "app/10.0.0.1:80", "intend"], /did you mean `intent`/],
    [["up", "app"], /app: expected POOL\/ADDRESS/],
    [["up", "app/10.0.0.9:80"], /there is no target 10\.0\.0\.9:80 of pool app/],
    [["drain", "app/10.0.0.1:80", "--timeout", "60"], /--timeout: `60` has no unit/],
  ];
  for (const [args, pattern] of cases) {
    const said = await run(...args);
    assert.match(said.err, pattern);
    assert.equal(said.code, 1, args.join(" "));
  }
});

test("rm removes the API's own target, and of another's only what the API said", async (t) => {
  const { environment } = await serveNode(t, node());
  const run = (...args: string[]) => runCli(["target", ...args], environment);
  await run("add", "app/10.0.0.2:80");
  assert.deepEqual(await run("rm", "app/10.0.0.2:80"), { out: "app/10.0.0.2:80 is removed\n", err: "", code: 0 });
  await run("set", "app/10.0.0.1:80", "weight=9");
  const back = await run("rm", "app/10.0.0.1:80");
  assert.match(back.out, /^app\/10\.0\.0\.1:80 \(file\): weight 3, /);
  const owned = await run("rm", "app/10.0.0.1:80");
  assert.equal(owned.code, 3);
  assert.match(owned.err, /comes from the file/);
});

test("what not every worker has confirmed is done, and exits with 2", async (t) => {
  const of = node();
  const slow = node({
    orderTarget: async (what) => {
      const done = await of.orderTarget(what);
      return done.ok ? { ok: true, value: { ...done.value, settled: false } } : done;
    },
  });
  const { environment } = await serveNode(t, slow);
  const said = await runCli(["target", "drain", "app/10.0.0.1:80", "--wait"], environment);
  assert.equal(said.code, 2);
  assert.match(said.err, /not every worker has confirmed it yet/);
});

test("drain --wait tells what is left until nothing is, and ends with 2 when its time is up first", async (t) => {
  const work = [
    { active: 4, activeTunnels: 1, activeFlows: 2 },
    { active: 1, activeTunnels: 1, activeFlows: 0 },
    { active: 0, activeTunnels: 0, activeFlows: 0 },
  ];
  let looks = 0;
  const of = node({
    status: () => {
      const targets = [summary(target("10.0.0.1:80"), work[Math.min(looks++, work.length - 1)])];
      return Promise.resolve(nodeStatus({ pools: [{ name: "app", balance: "roundRobin", targets }] }));
    },
  });
  const { environment } = await serveNode(t, of);
  const done = await runCli(["target", "drain", "app/10.0.0.1:80", "--wait"], environment);
  assert.equal(done.code, 0, done.err);
  assert.deepEqual(done.out.split("\n").slice(1), [
    "app/10.0.0.1:80: 1 exchange, 1 tunnel, 2 flows left",
    "app/10.0.0.1:80: 0 exchanges, 1 tunnel, 0 flows left",
    "app/10.0.0.1:80: 0 exchanges, 0 tunnels, 0 flows left",
    "",
  ]);
  work.splice(0, 3, { active: 2, activeTunnels: 0, activeFlows: 0 });
  const late = await runCli(
    ["target", "drain", "app/10.0.0.1:80", "--wait", "--timeout", "1ms", "-o", "json"],
    environment,
  );
  assert.equal(late.code, 2);
  assert.match(late.out, /\{"exchanges":2,"tunnels":0,"flows":0,"silentWorkers":0\}\n$/);
  assert.match(late.err, /still has work after 1ms/);
});

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  await new Promise<void>((resolve) => server.close(() => resolve()));
  assert.ok(typeof address === "object" && address !== null);
  return address.port;
}

test("over TCP a command needs a place and a token, by its options or its environment", async (t) => {
  const of = node();
  const port = await freePort();
  const directory = temporaryDirectory(t);
  const [tokenFile, mine] = [join(directory, "tokens"), join(directory, "mine")];
  const { token, line } = createToken("deploy", "write");
  writeFileSync(tokenFile, line, { mode: 0o600 });
  writeFileSync(mine, `${token}\n`, { mode: 0o600 });
  await serveNode(t, of, { bind: { host: "127.0.0.1", port }, tokenFile });
  const url = `http://127.0.0.1:${port}`;
  const byOptions = await runCli(["target", "down", "app/10.0.0.1:80", "--admin", url, "--token-file", mine]);
  assert.deepEqual([byOptions.code, byOptions.err, of.ordered[0]?.by], [0, "", "token:deploy"]);
  const environment = { EVENKEEL_ADMIN: url, EVENKEEL_TOKEN_FILE: mine, EVENKEEL_SOCKET: "/nonexistent" };
  assert.equal((await runCli(["target", "ls"], environment)).code, 0);
  const cases: [string[], RegExp][] = [
    [["--admin", url], /wants a token/],
    [["--admin", url, "--token-file", "/nonexistent"], /token file \/nonexistent/],
    [["--admin", url, "--token-file", tokenFile], /holds hashes of tokens/],
    [["--admin", url, "--socket", "/x", "--token-file", mine], /two places/],
    [["--admin", "https://127.0.0.1:1", "--token-file", mine], /is no place of an admin API/],
    [
      ["--admin", "http://10.0.0.1:1", "--token-file", mine],
      /another machine, and the token would go there in the clear/,
    ],
    [
      ["--admin", "http://127.0.0.1:1", "--token-file", mine],
      /no evenkeel answers on http:\/\/127\.0\.0\.1:1: .*admin\.http/,
    ],
  ];
  for (const [args, pattern] of cases) {
    const said = await runCli(["target", "ls", ...args]);
    assert.match(said.err, pattern);
    assert.deepEqual([said.code, said.out], [1, ""], args.join(" "));
  }
  writeFileSync(tokenFile, "");
  assert.match((await runCli(["target", "ls"], environment)).err, /the token is not valid here, or not any more/);
});
