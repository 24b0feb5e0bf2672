// The PROXY protocol between HAProxy and the program, both ways and in both versions: what a target is told of a client that
// came through two proxies.

import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { before, test } from "node:test";
import { fileScope, isInstalled, lacks, pool, startBalancer } from "./http-kit.ts";
import { freePort, rawClient, startProgram, temporaryDirectory, until } from "./kit.ts";
import { linesOf, tcpListener } from "./tcp-kit.ts";

const suite = fileScope();
const ways = ["v1", "v2"] as const;
const fronts = { v1: 0, v2: 0 };
let direct = 0;
let log = "";

/** HAProxy in front (TCP, with a header to us), we, and HAProxy behind (which answers in HTTP whom its header names). */
before(async () => {
  if (!isInstalled("haproxy")) return;
  const directory = temporaryDirectory(suite);
  log = join(directory, "access.log");
  const back = await freePort();
  const ports = { v1: await freePort(), v2: await freePort() };
  for (const way of ways) fronts[way] = await freePort();
  direct = await freePort();
  const config = [
    "global",
    "  maxconn 100",
    "defaults",
    "  timeout connect 5s",
    "  timeout client 20s",
    "  timeout server 20s",
    ...ways.flatMap((way) => [
      `listen front_${way}`,
      "  mode tcp",
      `  bind 127.0.0.1:${fronts[way]}`,
      `  server ours 127.0.0.1:${ports[way]} ${way === "v1" ? "send-proxy" : "send-proxy-v2"}`,
    ]),
    "frontend back",
    "  mode http",
    `  bind 127.0.0.1:${back} accept-proxy`,
    '  http-request return status 200 content-type "text/plain" lf-string "%[src] %[src_port] %[dst_port]\\n"',
    "",
  ].join("\n");
  writeFileSync(join(directory, "haproxy.cfg"), config);
  await startBalancer(
    suite,
    {
      accessLog: { path: log, flush: "20ms" },
      listeners: {
        ...Object.fromEntries(
          ways.map((way) => [way, tcpListener(ports[way], { proxyProtocol: { receive: true, send: other(way) } })]),
        ),
        direct: tcpListener(direct, {
          proxyProtocol: { receive: true, trustedProxies: ["192.0.2.0/24"], send: "v2" },
        }),
      },
      pools: { echo: pool([back]) },
    },
    directory,
  );
  const env = { PATH: `${process.env["PATH"]}:/usr/sbin` };
  const haproxy = startProgram(suite, "haproxy", ["-db", "-f", join(directory, "haproxy.cfg")], { env });
  await until("haproxy", async () => (await rawClient(suite, back)).state() !== "reset", { onTimeout: haproxy.stderr });
});

function other(way: "v1" | "v2"): "v1" | "v2" {
  return way === "v1" ? "v2" : "v1";
}

for (const way of ways) {
  test(`HAProxy's header of ${way} is read, and HAProxy reads ours of ${other(way)}: the client is the client`, async (t) => {
    if (lacks(t, "haproxy")) return;
    const client = await rawClient(t, fronts[way]);
    const { localPort } = client.socket;
    client.write("GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
    await client.receives(`\r\n\r\n127.0.0.1 ${localPort} ${fronts[way]}`);
    await client.closed();
    client.end();
    const line = await until("its line", () => linesOf(log).find((one) => one["evenkeel.listener"] === way));
    assert.equal(line["client.port"], localPort);
    assert.equal(line["network.peer.address"], "127.0.0.1");
    assert.notEqual(line["network.peer.port"], localPort);
  });
}

test("a client that is no trusted proxy is who it is", async (t) => {
  if (lacks(t, "haproxy")) return;
  const client = await rawClient(t, direct);
  client.write("GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
  await client.receives(`127.0.0.1 ${client.socket.localPort} ${direct}`);
});
