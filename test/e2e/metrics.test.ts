// The whole program's /metrics: what a client saw is what is told, through reloads and through workers that are killed in the
// middle of their work. The balancer serves and is counted by real processes; only what clients send is made here.

import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { Agent, get } from "node:http";
import { test } from "node:test";
import { Exposition } from "../../src/admin/test-exposition.ts";
import { type Balancer, type Echo, listener, pool, startBalancer, startEchoes } from "./http-kit.ts";
import { ask, atEnd, freePort, type Scope, until } from "./kit.ts";
import { startStreamEchoes, tcpListener, visit } from "./tcp-kit.ts";
import { DatagramClient, startDatagramEcho, udpListener } from "./udp-kit.ts";

async function scrape(balancer: Balancer): Promise<Exposition> {
  const answer = await ask({ socketPath: balancer.socket, path: "/metrics" });
  assert.equal(answer.status, 200);
  assert.match(String(answer.headers["content-type"]), /^text\/plain; version=0\.0\.4/);
  return new Exposition(answer.body);
}

/** Every total of before is there and no smaller, but of what is no longer configured. */
function assertNothingWentBack(before: Exposition, after: Exposition): void {
  for (const { name, type, samples } of before.families.values()) {
    if (type === "gauge") continue;
    for (const sample of samples) {
      const labels = Object.fromEntries(sample.labels);
      const [now] = after.find(sample.name, labels);
      const text = `${sample.name} ${JSON.stringify(labels)}`;
      assert(now !== undefined, `${text} of ${name} is still there`);
      assert(now.value >= sample.value, `${text} went back from ${sample.value} to ${now.value}`);
    }
  }
}

type Load = { readonly statuses: Map<number, number>; broken: number; stop(): Promise<void> };

/** Clients that ask one after the other, each on a kept connection, until they are stopped. */
function startLoad(scope: Scope, port: number, clients: number): Load {
  const agent = new Agent({ keepAlive: true, maxSockets: clients });
  const load = { statuses: new Map<number, number>(), broken: 0 };
  let stopping = false;
  const request = () =>
    new Promise<void>((resolve) => {
      const sent = get({ port, host: "127.0.0.1", agent, path: "/hello" }, (response) => {
        const status = response.statusCode ?? 0;
        response.resume();
        response.once("end", () => {
          load.statuses.set(status, (load.statuses.get(status) ?? 0) + 1);
          resolve();
        });
        response.once("error", () => {
          load.broken += 1;
          resolve();
        });
      });
      sent.once("error", () => {
        load.broken += 1;
        resolve();
      });
    });
  const loops = Array.from({ length: clients }, async () => {
    while (!stopping) await request();
  });
  const stop = async () => {
    stopping = true;
    await Promise.all(loops);
    agent.destroy();
  };
  atEnd(scope, stop);
  return Object.assign(load, { stop });
}

function webConfig(port: number, echoes: readonly Echo[], more: Readonly<Record<string, unknown>> = {}) {
  const ports = echoes.map((echo) => echo.port);
  return {
    listeners: { web: listener(port, [{ path: "/", pool: "app" }], more) },
    pools: { app: pool(ports) },
    drainTimeout: "2s",
    workers: 2,
  };
}

const good = { listener: "web", pool: "app", status: "2xx" };

test("what a client counted is what is told: by target, by class, in the histograms", async (t) => {
  const port = await freePort();
  const echoes = await startEchoes(t, ["one", "two"]);
  const balancer = await startBalancer(t, webConfig(port, echoes));
  const load = startLoad(t, port, 4);
  await until("some exchanges", () => (load.statuses.get(200) ?? 0) > 400);
  await load.stop();
  const answered = load.statuses.get(200) ?? 0;
  assert.deepEqual([...load.statuses.keys()], [200]);
  // The client has its last response before the worker has written it off.
  const told = await until("all of them", async () => {
    const now = await scrape(balancer);
    return now.sum("evenkeel_exchanges_active") === 0 ? now : undefined;
  });
  assert.equal(told.sum("evenkeel_exchanges_total", good), answered);
  assert.equal(told.sum("evenkeel_exchanges_total"), answered, "and in no other class");
  const shares = echoes.map(({ port: at }) =>
    told.sum("evenkeel_exchanges_total", { ...good, target: `127.0.0.1:${at}` }),
  );
  for (const share of shares)
    assert(share !== undefined && share > answered / 4, `both took part: ${shares.join(", ")}`);
  assert.equal(told.sum("evenkeel_exchange_duration_seconds_count", { listener: "web", route: "web[0]" }), answered);
  assert.equal(told.sum("evenkeel_target_response_seconds_count", { pool: "app" }), answered);
  assert.equal(told.sum("evenkeel_target_responses_total", { pool: "app", status: "2xx" }), answered);
  assert.equal(told.sum("evenkeel_target_tries_total", { pool: "app" }), answered);
  assert.equal(told.sum("evenkeel_exchange_duration_seconds_bucket", { le: "60" }), answered, "none took a minute");
  const seconds = told.sum("evenkeel_exchange_duration_seconds_sum") ?? 0;
  assert(seconds > 0 && seconds < 4 * 60, `${seconds} s for all of them`);
  assert.equal(told.sum("evenkeel_connections_total", { listener: "web" }), 4);
  assert((told.sum("evenkeel_client_sent_bytes_total", { listener: "web" }) ?? 0) > answered * 50);
  assert.equal(told.sum("evenkeel_workers_serving"), 2);
  assert.equal(told.sum("evenkeel_metrics_shared"), 1);
  assert.equal(told.sum("evenkeel_metrics_damaged_total"), 0);
});

test("no total goes back while workers are killed and the configuration is reloaded under load", async (t) => {
  const port = await freePort();
  const echoes = await startEchoes(t, ["one", "two", "three"]);
  const balancer = await startBalancer(t, webConfig(port, echoes));
  const load = startLoad(t, port, 4);
  const done = () => load.statuses.get(200) ?? 0;
  const more = (count: number) => {
    const from = done();
    return until(`${count} more exchanges`, () => done() > from + count);
  };
  await more(200);
  let before = await scrape(balancer);
  for (let round = 1; round <= 3; round++) {
    const { workers } = await balancer.status();
    process.kill(workers[round % 2]?.pid ?? 0, "SIGKILL");
    await balancer.logged("worker ended unasked", round);
    const dead = await scrape(balancer);
    assertNothingWentBack(before, dead);
    assert.equal(dead.sum("evenkeel_worker_restarts_total"), round);
    await more(100);
    balancer.write(webConfig(port, echoes, { limits: { exchangesPerConnection: 1_000 * round } }));
    const { code, stderr } = await balancer.reload();
    assert.equal(code, 0, stderr);
    await more(100);
    const reloaded = await scrape(balancer);
    assertNothingWentBack(dead, reloaded);
    assert.equal(reloaded.sum("evenkeel_config_reloads_total", { result: "accepted" }), round);
    before = reloaded;
  }
  await load.stop();
  const told = await until("a quiet node", async () => {
    const now = await scrape(balancer);
    return now.sum("evenkeel_exchanges_active") === 0 ? now : undefined;
  });
  assertNothingWentBack(before, told);
  // Each of ours that was answered was counted by somebody, dead or alive. A kill may come between the response and the books,
  // once, or between the books and the client.
  const counted = told.sum("evenkeel_exchanges_total", good) ?? 0;
  t.diagnostic(`${counted} counted, ${done()} answered, ${load.broken} broken`);
  assert(counted >= done() - 3 && counted <= done() + load.broken, `${counted} counted, ${done()} answered`);
  assert.equal(told.sum("evenkeel_exchange_duration_seconds_count"), told.sum("evenkeel_exchanges_total"));
  const status = await balancer.status();
  assert.equal(
    status.listeners[0]?.counters["exchanges"],
    told.sum("evenkeel_exchanges_total"),
    "the status says the same",
  );
  assert(load.broken <= 3 * 8, `only what a killed worker had under way broke: ${load.broken}`);
});

test("a target that was removed is told until nothing is under way there, and then no more", async (t) => {
  const port = await freePort();
  const echoes = await startEchoes(t, ["one", "two"]);
  const balancer = await startBalancer(t, webConfig(port, echoes));
  const load = startLoad(t, port, 2);
  await until("both targets at work", async () => {
    const now = await scrape(balancer);
    return echoes.every(
      (echo) => (now.sum("evenkeel_target_tries_total", { target: `127.0.0.1:${echo.port}` }) ?? 0) > 5,
    );
  });
  const gone = `127.0.0.1:${echoes[1]?.port}`;
  balancer.write(webConfig(port, echoes.slice(0, 1)));
  assert.equal((await balancer.reload()).code, 0);
  const told = await until("the series to end", async () => {
    const now = await scrape(balancer);
    return now.find("evenkeel_target_tries_total", { target: gone }).length === 0 ? now : undefined;
  });
  await load.stop();
  assert.equal(told.find("evenkeel_exchanges_total", { target: gone }).length, 0);
  assert.equal(told.sum("evenkeel_pool_targets", { pool: "app" }), 1);
  assert((told.sum("evenkeel_exchange_duration_seconds_count") ?? 0) > 10, "what the route counted stays");
});

test("errors have their class, their target and their fault", async (t) => {
  const port = await freePort();
  const [dead, echo] = [await freePort(), (await startEchoes(t, ["one"]))[0]];
  const routes = [
    { name: "gone", path: "/gone", pool: "dead" },
    { name: "fixed", path: "/fixed", respond: { status: 418, body: "tea" } },
    { name: "rest", path: "/app", pool: "app" },
  ];
  const config = {
    listeners: { web: listener(port, routes) },
    pools: { dead: pool([dead], { maxFails: 0 }), app: pool([echo?.port ?? 0]) },
  };
  const balancer = await startBalancer(t, config);
  for (const path of ["/gone", "/gone", "/fixed", "/nowhere", "/app"]) await ask({ port, path });
  const told = await until("five exchanges", async () => {
    const now = await scrape(balancer);
    return now.sum("evenkeel_exchange_duration_seconds_count") === 5 ? now : undefined;
  });
  const target = `127.0.0.1:${dead}`;
  assert.equal(told.sum("evenkeel_exchanges_total", { route: "gone", pool: "dead", target, status: "5xx" }), 2);
  assert.equal(told.sum("evenkeel_exchanges_total", { route: "fixed", pool: "", target: "", status: "4xx" }), 1);
  assert.equal(told.sum("evenkeel_exchanges_total", { route: "", status: "4xx" }), 1, "no route takes it");
  assert.equal(told.sum("evenkeel_exchanges_total", { route: "rest", status: "2xx" }), 1);
  assert.equal(told.sum("evenkeel_target_failures_total", { pool: "dead", target }), 2);
  assert.equal(told.sum("evenkeel_faults_total", { listener: "web", code: "target.connect.refused" }), 2);
  assert.equal(told.sum("evenkeel_target_reports_total", { pool: "dead", target }), 2);
});

test("tunnels and flows are told beside exchanges", async (t) => {
  const [tcp, udp] = [await freePort(), await freePort()];
  const [stream] = await startStreamEchoes(t, ["one"]);
  const datagram = await startDatagramEcho(t, "two");
  const balancer = await startBalancer(t, {
    listeners: { echo: tcpListener(tcp), report: udpListener(udp, { pool: "logs", timeouts: { flow: "1s" } }) },
    pools: { echo: pool([stream?.port ?? 0]), logs: pool([datagram.port]) },
  });
  await visit(tcp);
  const client = DatagramClient.open(t, udp);
  await client.ask("hello");
  const told = await until("both to end", async () => {
    const now = await scrape(balancer);
    return now.sum("evenkeel_flows_total", { listener: "report", status: "2xx" }) === 1 ? now : undefined;
  });
  assert.equal(told.sum("evenkeel_tunnels_total", { listener: "echo", pool: "echo", status: "2xx" }), 1);
  assert.equal(told.sum("evenkeel_tunnels_opened_total", { listener: "echo" }), 1);
  assert.equal(told.sum("evenkeel_tunnels_open", { listener: "echo" }), 0);
  assert.equal(told.sum("evenkeel_client_received_datagrams_total", { listener: "report" }), 1);
  assert.equal(told.sum("evenkeel_flows_open", { listener: "report" }), 0);
  assert.equal(told.sum("evenkeel_target_response_seconds_count", { pool: "logs" }), 1);
});

test("a worker hands its memory to nobody, and its successor gets it empty", async (t) => {
  const port = await freePort();
  const echoes = await startEchoes(t, ["one"]);
  const balancer = await startBalancer(t, { ...webConfig(port, echoes), workers: 1 });
  const mapped = (pid: number) =>
    readFileSync(`/proc/${pid}/maps`, "latin1").match(/memfd:evenkeel-counters/g)?.length ?? 0;
  const held = (pid: number) => readdirSync(`/proc/${pid}/fd`).length;
  const first = (await balancer.status()).workers[0]?.pid ?? 0;
  const supervisor = balancer.program.pid;
  assert.deepEqual([mapped(first), mapped(supervisor)], [1, 1]);
  const descriptors = held(supervisor);
  await ask({ port, path: "/" });
  for (let life = 1; life <= 3; life++) {
    process.kill((await balancer.status()).workers[0]?.pid ?? 0, "SIGKILL");
    await balancer.logged("worker serving", life + 1);
  }
  const told = await scrape(balancer);
  assert.equal(mapped(supervisor), 1, "the same memory for every life");
  assert(held(supervisor) <= descriptors + 2, "and the same descriptor");
  assert.equal(told.sum("evenkeel_exchanges_total"), 1);
  assert.equal(
    told.sum("evenkeel_connections_open", { listener: "web" }),
    0,
    "what a dead worker had open is not open",
  );
});
