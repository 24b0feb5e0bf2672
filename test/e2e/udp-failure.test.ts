// Targets of UDP that die, with reports that are numbered by the client: which of them are lost, which come twice. The
// targets write down each report before they answer, and are killed with SIGKILL.

import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { type Balancer, type ConfigFile, pool, startBalancer } from "./http-kit.ts";
import { freePort, pause, until } from "./kit.ts";
import {
  compareReports,
  DatagramClient,
  nameIn,
  type ReportTarget,
  startDatagramEcho,
  startReportTarget,
  tally,
  udpCounters,
  udpListener,
} from "./udp-kit.ts";

type Started = { readonly port: number; readonly balancer: Balancer; readonly targets: readonly ReportTarget[] };

async function start(t: TestContext, more: ConfigFile, silent: boolean, settings: ConfigFile = {}): Promise<Started> {
  const targets = await Promise.all(["a", "b", "c"].map((name) => startReportTarget(t, name, silent)));
  const port = await freePort();
  const ports = targets.map((target) => target.port);
  const config = { listeners: { u: udpListener(port, more) }, pools: { echo: pool(ports, settings) } };
  return { port, balancer: await startBalancer(t, config), targets };
}

const reportsOf = (targets: readonly ReportTarget[]): string[] => targets.flatMap((target) => target.reports());

async function kill(target: ReportTarget | undefined): Promise<void> {
  target?.program.signal("SIGKILL");
  await target?.program.exited();
}

async function failuresOf(balancer: Balancer, target: ReportTarget | undefined): Promise<number> {
  const targets = (await balancer.status()).pools[0]?.targets ?? [];
  return targets.find(({ address }) => address === `127.0.0.1:${target?.port}`)?.counters["failures"] ?? -1;
}

test("reports to a target that has died go to another, none lost and none doubled", async (t) => {
  const { port, balancer, targets } = await start(t, { responses: 0 }, true);
  const clients = Array.from({ length: 30 }, () => DatagramClient.open(t, port));
  const sent: string[] = [];
  const round = async (from: number, to: number) => {
    for (let number = from; number < to; number++) {
      for (const [index, client] of clients.entries()) {
        sent.push(`${index}:${number}`);
        client.send(`${index}:${number}`);
      }
      // As fast as they are taken: a burst beyond a target's own buffer would be lost before it is anybody's.
      await until("the reports", () => compareReports(sent, reportsOf(targets)).lost.length < 200, { everyMs: 1 });
    }
    await until("all of them", () => reportsOf(targets).length >= sent.length, {
      onTimeout: () => JSON.stringify(compareReports(sent, reportsOf(targets))),
    });
  };
  await round(0, 20);
  assert.deepEqual(
    targets.map((target) => target.reports().length),
    [200, 200, 200],
  );
  await kill(targets[1]);
  // What was sent just before might have met the death; all of it is known to have arrived.
  await pause(200);
  await round(20, 40);
  assert.deepEqual(compareReports(sent, reportsOf(targets)), { lost: [], doubled: [] });
  assert.ok((await failuresOf(balancer, targets[1])) >= 1);
  assert.equal(targets[1]?.reports().length, 200);
});

test("a target killed under load loses what it had and no more, and no report comes more than twice", async (t) => {
  const { port, targets } = await start(t, {}, false);
  const clients = Array.from({ length: 30 }, () => DatagramClient.open(t, port));
  const sent: string[] = [];
  const answered: string[] = [];
  const unanswered: string[] = [];
  let killed: Promise<void> | undefined;
  const ask = async (client: DatagramClient, index: number) => {
    for (let number = 0; number < 60; number++) {
      const text = `${index}:${number}`;
      sent.push(text);
      const seen = () => client.heard.some((answer) => answer.endsWith(` ${text}`));
      client.send(text);
      const deadline = performance.now() + (number > 25 && unanswered.length < 30 ? 700 : 15_000);
      while (!seen() && performance.now() < deadline) await pause(1);
      if (seen()) answered.push(text);
      else unanswered.push(text);
      if (index === 7 && number === 30) killed = kill(targets[1]);
    }
  };
  await Promise.all(clients.map(ask));
  await killed;
  const { lost, doubled } = compareReports(sent, reportsOf(targets));
  t.diagnostic(`lost ${lost.length}, unanswered ${unanswered.length}, doubled ${doubled.length}`);
  // What is lost, or written down without an answer, had reached the one that was killed: one report of each of its flows.
  assert.ok(unanswered.length <= 10, `unanswered: ${unanswered.join(" ")}`);
  for (const text of lost) assert.ok(unanswered.includes(text), `${text} was answered by nobody who has it`);
  assert.ok(doubled.length <= 10 && doubled.every(([, count]) => count === 2), `doubled: ${doubled.join(" ")}`);
  const after = new Set(clients.map(({ heard }) => nameIn(heard.at(-1))));
  assert.ok(!after.has("b"));
});

test("a target that comes back after its time out gets new flows again", async (t) => {
  const { port, balancer, targets } = await start(t, {}, false, { failTimeout: "1s" });
  await kill(targets[0]);
  const names = async (count: number) => {
    const heard: string[] = [];
    for (let at = 0; at < count; at++) heard.push(nameIn(await DatagramClient.open(t, port).ask(`${at}`)));
    return tally(heard);
  };
  assert.deepEqual(Object.keys(await names(10)), ["b", "c"]);
  assert.ok((await failuresOf(balancer, targets[0])) >= 1);
  await startDatagramEcho(t, "a", targets[0]?.port);
  await until("its return", async () => nameIn(await DatagramClient.open(t, port).ask("who?")) === "a");
  assert.deepEqual(await names(9), { a: 3, b: 3, c: 3 });
});

test("one worker's refusal takes the target out for all of them", async (t) => {
  const targets = await Promise.all(["a", "b"].map((name) => startReportTarget(t, name)));
  const port = await freePort();
  const ports = targets.map((target) => target.port);
  const config = { listeners: { u: udpListener(port) }, pools: { echo: pool(ports) }, workers: 2 };
  const balancer = await startBalancer(t, config);
  await kill(targets[0]);
  for (let client = 0; client < 20; client++) await DatagramClient.open(t, port).ask(`${client}`);
  const failures = await failuresOf(balancer, targets[0]);
  assert.ok(failures === 1 || failures === 2, `${failures} failures`);
});

test("no report is lost or doubled while the workers are handed the sockets again and again", async (t) => {
  const targets = await Promise.all(["a", "b"].map((name) => startReportTarget(t, name, true)));
  const port = await freePort();
  const ports = targets.map((target) => target.port);
  // Another name is another socket to the workers, though it is the same one.
  const config = (name: string) => ({
    listeners: { [name]: udpListener(port, { responses: 0 }) },
    pools: { echo: pool(ports) },
    workers: 2,
  });
  const balancer = await startBalancer(t, config("u0"));
  const clients = Array.from({ length: 20 }, () => DatagramClient.open(t, port));
  const sent: string[] = [];
  let over = false;
  const sending = (async () => {
    for (let number = 0; !over; number++) {
      for (const [index, client] of clients.entries()) {
        sent.push(`${index}:${number}`);
        client.send(`${index}:${number}`);
      }
      await until("the reports", () => sent.length - reportsOf(targets).length < 100, { everyMs: 1 });
    }
  })();
  for (let change = 1; change <= 8; change++) {
    balancer.write(config(`u${change}`));
    assert.equal((await balancer.reload()).code, 0);
  }
  over = true;
  await sending;
  await until("all of them", () => reportsOf(targets).length >= sent.length);
  t.diagnostic(`${sent.length} reports over 8 changes`);
  assert.deepEqual(compareReports(sent, reportsOf(targets)), { lost: [], doubled: [] });
  for (const { restarts } of (await balancer.status()).workers) assert.equal(restarts, 0);
});

test("without any target a datagram is dropped, counted, and the program lives on", async (t) => {
  const { port, balancer, targets } = await start(t, { responses: 1 }, false, { failTimeout: "500ms" });
  await Promise.all(targets.map(kill));
  const client = DatagramClient.open(t, port);
  const drops = async () => {
    const counts = Object.values((await udpCounters(balancer.socket)).drops);
    return counts.reduce((sum, count) => sum + count, 0);
  };
  for (let number = 0; number < 5; number++) client.send(`${number}`);
  await until("five drops", async () => (await drops()) === 5);
  await startDatagramEcho(t, "a", targets[0]?.port);
  await until("an answer", () => {
    client.send("again");
    return client.heard.length > 0;
  });
});
