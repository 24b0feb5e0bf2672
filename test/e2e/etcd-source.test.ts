// The etcd source against real servers: one alone, and a cluster of three that loses its leader, its majority, everything.

import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { createServer, type IncomingMessage, request, type ServerResponse } from "node:http";
import { join } from "node:path";
import { performance } from "node:perf_hooks";
import { type TestContext, test } from "node:test";
import type { EtcdSource } from "../../src/model/source.ts";
import { byLeader, type EtcdMember, hasLeader, needsEtcd, put, remove, startEtcd, tell } from "./etcd-kit.ts";
import { atEnd, freePort, pause, temporaryDirectory, until } from "./kit.ts";
import { median, quickRules, watchSource } from "./watch-kit.ts";

const limit = { timeout: 60_000, skip: needsEtcd };
const prefix = "upstreams/app/";
const one = "10.0.4.20:8080";
const two = "10.0.4.21:8080";

function sourceOf(endpoints: readonly string[], more: Partial<EtcdSource> = {}): EtcdSource {
  const access = { user: undefined, passwordFile: undefined, tls: undefined };
  return { ...quickRules, type: "etcd", endpoints, prefix, ...access, ...more };
}

async function alone(t: TestContext): Promise<EtcdMember> {
  const [member] = await startEtcd(t, 1);
  assert.ok(member !== undefined);
  return member;
}

test("every change is told at once: added, changed, damaged, removed, the last one as well", limit, async (t) => {
  const member = await alone(t);
  await put(member, `${prefix}${one}`, '{"weight": 3, "max_fails": 4, "fail_timeout": "20", "backup": 1}');
  await put(member, "upstreams/app2/10.9.9.9:1");
  const watched = watchSource(t, sourceOf([member.endpoint]));
  await watched.has([one]);
  assert.deepEqual(watched.readings.at(-1)?.targets, [
    {
      address: one,
      host: "10.0.4.20",
      port: 8080,
      weight: 3,
      maxFails: 4,
      failTimeout: 20_000,
      connectionsMax: 0,
      backup: true,
      intent: "up",
      slowStart: 0,
    },
  ]);
  await until("the watch", () => watched.watch.status().connected);
  const tookMs: number[] = [];
  for (let turn = 0; turn < 40; turn++) {
    const next = watched.next();
    const startedMs = performance.now();
    if (turn % 2 === 0) await put(member, `${prefix}${two}`, `{"weight": ${turn + 1}}`);
    else await remove(member, `${prefix}${two}`);
    const { reading, atMs } = await next;
    tookMs.push(atMs - startedMs);
    assert.equal(reading.targets.length, turn % 2 === 0 ? 2 : 1);
    // A steady hand, not a burst: bursts have a test of their own.
    await pause(20);
  }
  t.diagnostic(
    `from the start of a put to the reading: median ${median(tookMs).toFixed(1)} ms, most ${Math.max(...tookMs).toFixed(1)} ms`,
  );
  await put(member, `${prefix}${one}`, '{"weight": ');
  await until("the damage", () => watched.readings.at(-1)?.damaged.length === 1);
  const damaged = watched.readings.at(-1);
  assert.deepEqual(
    damaged?.targets.map(({ weight }) => weight),
    [3],
  );
  assert.equal(damaged?.damaged[0]?.kept, true);
  await put(member, `${prefix}no-address`, "");
  await until("more damage", () => watched.readings.at(-1)?.damaged.length === 2);
  await remove(member, `${prefix}${one}`);
  await watched.has([]);
  assert.deepEqual(watched.failures, []);
});

test("a thousand changes in a row end with the last one", limit, async (t) => {
  const members = await startEtcd(t, 3);
  const watched = watchSource(t, sourceOf(members.map(({ endpoint }) => endpoint)));
  await until("the watch", () => watched.watch.status().connected);
  const [first] = members;
  assert.ok(first !== undefined);
  const startedMs = performance.now();
  for (let turn = 0; turn < 1_000; turn++) {
    const key = `${prefix}10.0.${turn % 10}.1:80`;
    if (turn % 7 === 3) await remove(first, key);
    else await put(first, key, `{"weight": ${turn + 1}}`);
  }
  const lastMs = performance.now();
  await put(first, `${prefix}${one}`, '{"weight": 65535}');
  await until("the last change", () => watched.readings.at(-1)?.targets.some(({ weight }) => weight === 65_535), {
    everyMs: 1,
  });
  const tookMs = performance.now() - lastMs;
  const expected = new Map<string, number>();
  for (let turn = 0; turn < 1_000; turn++) {
    if (turn % 7 === 3) expected.delete(`10.0.${turn % 10}.1:80`);
    else expected.set(`10.0.${turn % 10}.1:80`, turn + 1);
  }
  expected.set(one, 65_535);
  const seen = new Map(watched.readings.at(-1)?.targets.map(({ address, weight }) => [address, weight]));
  assert.deepEqual([...seen].sort(), [...expected].sort());
  assert.deepEqual(watched.failures, []);
  t.diagnostic(
    `1,000 changes in ${Math.round(lastMs - startedMs)} ms made ${watched.readings.length} readings, the last ${tookMs.toFixed(1)} ms after it`,
  );
});

test(
  "a killed leader, a lost majority and a whole outage change nothing, and what changes afterwards arrives",
  limit,
  async (t) => {
    const members = await startEtcd(t, 3);
    const [leader, second, third] = await byLeader(members);
    assert.ok(leader !== undefined && second !== undefined && third !== undefined);
    await put(leader, `${prefix}${one}`);
    const watched = watchSource(t, sourceOf([leader.endpoint, second.endpoint, third.endpoint]));
    await watched.has([one]);
    await until("the watch", () => watched.watch.status().connected);

    const killedMs = performance.now();
    await leader.kill();
    await until(
      "another endpoint",
      () => watched.watch.status().connected && watched.watch.status().endpoint !== leader.endpoint,
    );
    t.diagnostic(`leader killed: watching again after ${Math.round(performance.now() - killedMs)} ms`);
    await hasLeader(second);
    await put(second, `${prefix}${two}`);
    await watched.has([one, two]);

    await second.kill();
    // The third is there and answers, but without a majority it may not say what is: for three elections it holds its watches.
    await until("no watch", () => !watched.watch.status().connected, { timeoutMs: 10_000 });
    const { failures } = watched.watch.status();
    await until("more attempts", () => watched.watch.status().failures > failures + 6);
    assert.deepEqual(watched.addresses(), [one, two]);
    second.start();
    await hasLeader(third);
    await put(third, `${prefix}10.0.4.22:8080`);
    await watched.has([one, "10.0.4.22:8080", two].sort());

    await Promise.all([second.kill(), third.kill()]);
    await until("no watch", () => !watched.watch.status().connected);
    const before = watched.watch.status().failures;
    await until("a whole round of attempts", () => watched.watch.status().failures >= before + 6);
    assert.equal(watched.addresses()?.length, 3);
    for (const member of members) member.start();
    await hasLeader(leader);
    await remove(leader, `${prefix}${one}`);
    await watched.has(["10.0.4.22:8080", two].sort());
    assert.ok(watched.readings.every(({ targets }) => targets.length > 0));
  },
);

test("a server that hangs is left within one and a half requestTimeouts", limit, async (t) => {
  const members = await startEtcd(t, 3);
  const [leader, second, third] = await byLeader(members);
  assert.ok(leader !== undefined && second !== undefined && third !== undefined);
  await put(leader, `${prefix}${one}`);
  const watched = watchSource(t, sourceOf([third.endpoint, second.endpoint]));
  await watched.has([one]);
  await until("the watch", () => watched.watch.status().connected);
  const stoppedMs = performance.now();
  third.signal("SIGSTOP");
  await put(leader, `${prefix}${two}`);
  await watched.has([one, two]);
  t.diagnostic(
    `server stopped: its change through another after ${Math.round(performance.now() - stoppedMs)} ms, requestTimeout 1000 ms`,
  );
  assert.equal(watched.watch.status().endpoint, second.endpoint);
  third.signal("SIGCONT");
});

test("what was compacted between the read and the watch is read anew", limit, async (t) => {
  const member = await alone(t);
  await put(member, `${prefix}${one}`);
  const gate = await startGate(t, member);
  const watched = watchSource(t, sourceOf([`http://127.0.0.1:${gate.port}`]));
  await watched.has([one]);
  await until("a watch at the gate", () => gate.waiting() === 1);
  await put(member, `${prefix}${two}`);
  await remove(member, `${prefix}${one}`);
  await tell(member, "/kv/compaction", { revision: "4" });
  gate.open();
  await watched.has([two]);
  assert.deepEqual(watched.failures, []);
});

test("a stream that has lost a change is found out by the sign of life", limit, async (t) => {
  const member = await alone(t);
  const gate = await startGate(t, member);
  gate.open();
  const watched = watchSource(t, sourceOf([`http://127.0.0.1:${gate.port}`]));
  await until("the watch", () => watched.watch.status().connected);
  gate.mute();
  await put(member, `${prefix}${one}`);
  await watched.has([one]);
  await until("the next watch", () => watched.watch.status().connected);
  gate.mute();
  await remove(member, `${prefix}${one}`);
  await watched.has([]);
  assert.deepEqual(watched.failures, []);
});

test("a cluster made anew, whose revisions begin again, is believed", limit, async (t) => {
  const member = await alone(t);
  for (let turn = 0; turn < 5; turn++) await put(member, `${prefix}${one}`, `{"weight": ${turn + 1}}`);
  const watched = watchSource(t, sourceOf([member.endpoint]));
  await watched.has([one]);
  await member.kill();
  member.wipe();
  member.start();
  await hasLeader(member);
  await watched.has([]);
  await put(member, `${prefix}${two}`);
  await watched.has([two]);
});

test(
  "a user's token is asked for, renewed when it is no longer taken, and refused with the remedy",
  limit,
  async (t) => {
    const member = await alone(t);
    const passwordFile = join(temporaryDirectory(t), "password");
    writeFileSync(passwordFile, "first\n");
    const user = { user: "evenkeel", passwordFile };
    // Before there are users the name is of no use, and does no harm.
    const early = watchSource(t, sourceOf([member.endpoint], user));
    await early.has([]);
    const token = await enableUsers(member);
    await put(member, `${prefix}${one}`, "", token);

    const watched = watchSource(t, sourceOf([member.endpoint], user));
    await watched.has([one]);
    const nobody = watchSource(t, sourceOf([member.endpoint]));
    const elsewhere = watchSource(t, sourceOf([member.endpoint], { ...user, prefix: "secret/" }));
    for (const denied of [nobody, elsewhere]) {
      await until("a refusal", () => denied.failures[0]);
      assert.equal(denied.failures[0]?.code, "etcd.denied");
      assert.deepEqual(denied.readings, []);
    }
    assert.match(nobody.failures[0]?.detail ?? "", /set user and passwordFile/);

    // A change of the password makes the token void, and no message of etcd says so: the next sign of life does.
    await tell(member, "/auth/user/changepw", { name: "evenkeel", password: "second" }, token);
    await until("a refusal", () => watched.failures.some(({ code }) => code === "etcd.denied"));
    assert.deepEqual(watched.addresses(), [one]);
    writeFileSync(passwordFile, "second\n");
    await put(member, `${prefix}${two}`, "", token);
    await watched.has([one, two]);
    await early.has([one, two]);
    await until("the watch", () => watched.watch.status().connected);
  },
);

test("a server that speaks TLS is asked, and left alone when its certificate is not accepted", limit, async (t) => {
  const [member] = await startEtcd(t, 1, { secure: true });
  assert.ok(member !== undefined);
  const rest = { certificateFile: undefined, keyFile: undefined, serverName: undefined, verify: true };
  const watched = watchSource(t, sourceOf([member.endpoint], { tls: { ...rest, caFile: member.certificateFile } }));
  const unsure = watchSource(t, sourceOf([member.endpoint]));
  await watched.has([]);
  await put(member, `${prefix}${one}`);
  await watched.has([one]);
  await until("a refusal", () => unsure.failures[0]);
  assert.equal(unsure.failures[0]?.code, "source.connect.certificate");
  assert.deepEqual(unsure.readings, []);
});

/** Users on, with one that may read the prefix; resolves with the token of root. */
async function enableUsers(member: EtcdMember): Promise<string> {
  const base64 = (text: string) => Buffer.from(text).toString("base64");
  for (const name of ["root", "evenkeel"]) {
    await tell(member, "/auth/user/add", { name, password: name === "root" ? "root" : "first" });
    await tell(member, "/auth/role/add", { name });
    await tell(member, "/auth/user/grant", { user: name, role: name });
  }
  const perm = { permType: "READ", key: base64(prefix), range_end: base64("upstreams/app0") };
  await tell(member, "/auth/role/grant", { name: "evenkeel", perm });
  await tell(member, "/auth/enable", {});
  const { token } = await tell(member, "/auth/authenticate", { name: "root", password: "root" });
  assert.ok(typeof token === "string");
  return token;
}

type Gate = {
  readonly port: number;
  waiting(): number;
  /** Lets watches through: those that wait, and those to come. */
  open(): void;
  /** Lets nothing more of the present watches through, without a word. */
  mute(): void;
};

/** Between a watch and its server: what a proxy, a firewall or bad luck may do to a stream. */
async function startGate(t: TestContext, member: EtcdMember): Promise<Gate> {
  const port = await freePort();
  let isOpen = false;
  let loud = 0;
  const waiting: (() => void)[] = [];
  const pass = (incoming: IncomingMessage, outgoing: ServerResponse, body: string) => {
    const { url: path, method, headers } = incoming;
    const born = loud;
    const further = request({ host: "127.0.0.1", port: member.port, path, method, headers, agent: false }, (answer) => {
      outgoing.writeHead(answer.statusCode ?? 502);
      answer.on("data", (bytes: Buffer) => {
        if (path !== "/v3/watch" || born === loud) outgoing.write(bytes);
      });
      answer.on("end", () => outgoing.end());
    });
    further.on("error", () => outgoing.destroy());
    outgoing.on("close", () => further.destroy());
    further.end(body);
  };
  const server = createServer((incoming, outgoing) => {
    let body = "";
    incoming.setEncoding("utf8");
    incoming.on("data", (part: string) => {
      body += part;
    });
    incoming.on("end", () => {
      if (incoming.url === "/v3/watch" && !isOpen && waiting.length === 0)
        waiting.push(() => pass(incoming, outgoing, body));
      else pass(incoming, outgoing, body);
    });
  });
  atEnd(t, () => {
    server.close();
    server.closeAllConnections();
  });
  await new Promise<void>((resolve) => server.listen(port, "127.0.0.1", resolve));
  return {
    port,
    waiting: () => waiting.length,
    open() {
      isOpen = true;
      for (const through of waiting.splice(0)) through();
    },
    mute() {
      loud++;
    },
  };
}
