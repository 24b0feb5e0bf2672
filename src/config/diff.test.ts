import assert from "node:assert/strict";
import { test } from "node:test";
import type { Config } from "../model/config.ts";
import { decodeConfig } from "./decode.ts";
import { describeDiff, diffConfig } from "./diff.ts";

function config(text: string): Config {
  const decoded = decodeConfig(text, { file: "lb.yaml", environment: {}, machine: { hostname: "h", cores: 2 } });
  assert(decoded.ok);
  return decoded.config;
}

const before = config(`
drainTimeout: 30s
listeners:
  web:
    bind: 0.0.0.0:80
    routes:
      - { name: api, path: /api, pool: api }
      - { name: old, path: /old, pool: site }
      - { name: all, pool: site }
  admin: { bind: 127.0.0.1:81, routes: [{ pool: api }] }
pools:
  api: { targets: { 10.0.0.1:80: {}, 10.0.0.2:80: {} } }
  site: { targets: { 10.0.0.3:80: {} } }
`);

const after = config(`
drainTimeout: 1m
accessLog: { path: stdout }
listeners:
  web:
    bind: 0.0.0.0:8080
    timeouts: { idle: 5s }
    routes:
      - { name: new, path: /new, pool: site }
      - { name: api, path: /api, pool: api, bodyLimit: 2MiB, timeouts: { idle: 60s } }
      - { name: all, pool: site, timeouts: { idle: 60s } }
  extra: { bind: 127.0.0.1:82, routes: [{ pool: api }] }
pools:
  api: { balance: leastConnections, targets: { 10.0.0.1:80: { weight: 3, intent: drain }, 10.0.0.9:80: {} } }
  site: { targets: { 10.0.0.3:80: {} } }
  spare: { targets: { 10.0.0.4:80: {} } }
`);

test("a configuration does not differ from itself", () => {
  const diff = diffConfig(before, before);
  assert.equal(diff.empty, true);
  assert.deepEqual(describeDiff(diff), []);
});

test("a diff names what was added, removed and changed, down to a target's field", () => {
  const diff = diffConfig(before, after);
  assert.equal(diff.empty, false);
  assert.deepEqual(describeDiff(diff), [
    "~ drainTimeout 30000 -> 60000",
    '~ accessLog (none) -> {"path":"stdout","format":"json","bufferBytesMax":65536,"flushInterval":1000}',
    "+ listener extra",
    "- listener admin",
    "~ listener web: bind 0.0.0.0:80 -> 0.0.0.0:8080",
    "~ listener web: timeouts.idle 60000 -> 5000",
    "+ listener web: route new",
    "- listener web: route old",
    "~ listener web: route api: bodyBytesMax 1048576 -> 2097152",
    "+ pool spare",
    '~ pool api: balance.policy "roundRobin" -> "leastConnections"',
    "+ pool api: target 10.0.0.9:80",
    "- pool api: target 10.0.0.2:80",
    "~ pool api: target 10.0.0.1:80: weight 1 -> 3",
    '~ pool api: target 10.0.0.1:80: intent "up" -> "drain"',
  ]);
});

test("a diff is plain data, and the way back swaps what was added and removed", () => {
  const forth = diffConfig(before, after);
  const back = diffConfig(after, before);
  assert.deepEqual(JSON.parse(JSON.stringify(forth.listeners.added)), back.listeners.removed);
  assert.deepEqual(forth.pools.added, back.pools.removed);
  assert.deepEqual(forth.listeners.changed[0]?.bind, { before: "0.0.0.0:80", after: "0.0.0.0:8080" });
  assert.deepEqual(back.listeners.changed[0]?.bind, { before: "0.0.0.0:8080", after: "0.0.0.0:80" });
});

test("routes that only change places are told, for the first match is taken", () => {
  const listener = (routes: string) => config(`listeners: { web: { bind: 0.0.0.0:80, routes: [${routes}] } }`);
  const [a, b] = ["{ name: a, path: { regex: a }, respond: {} }", "{ name: b, path: { regex: b }, respond: {} }"];
  const diff = diffConfig(listener(`${a}, ${b}`), listener(`${b}, ${a}`));
  assert.deepEqual(describeDiff(diff), ["~ listener web: routes in another order"]);
});

const layer4 = (listeners: string, rest = "") =>
  config(
    `listeners: { ${listeners} }\npools: { a: { targets: { 10.0.0.1:80: } }, b: { targets: { 10.0.0.2:80: } } }\n${rest}`,
  );

test("a diff of layer-4 listeners names engine, routes by server name and what else differs", () => {
  const tcp = (rest: string) => `tls: { bind: 0.0.0.0:443, protocol: tcp, ${rest} }`;
  const old = layer4(
    `${tcp("routes: [{ host: a.example, pool: a }, { name: all, pool: b }]")}, dns: { bind: 0.0.0.0:53, protocol: udp, pool: a }`,
  );
  const next = layer4(
    [
      tcp("engine: auto, proxyProtocol: { send: v2 }, routes: [{ host: b.example, pool: b }, { name: rest, pool: b }]"),
      "dns: { bind: 0.0.0.0:54, protocol: udp, pool: b, responses: 1, timeouts: { flow: 5s } }",
    ].join(", "),
    "kernel: { keepOnStop: true }",
  );
  assert.deepEqual(describeDiff(diffConfig(old, next)), [
    "~ kernel.keepOnStop false -> true",
    '~ listener tls: engine "proxy" -> "auto"',
    '~ listener tls: proxyProtocol.send "off" -> "v2"',
    "+ listener tls: route rest",
    "- listener tls: route all",
    '~ listener tls: route tls[0]: host.name "a.example" -> "b.example"',
    '~ listener tls: route tls[0]: pool "a" -> "b"',
    "~ listener dns: bind 0.0.0.0:53 -> 0.0.0.0:54",
    '~ listener dns: pool "a" -> "b"',
    "~ listener dns: responsesMax (none) -> 1",
    "~ listener dns: timeouts.flow 60000 -> 5000",
  ]);
});

test("`pool` and the one route that it stands for do not differ", () => {
  const listener = (rest: string) => layer4(`tls: { bind: 0.0.0.0:443, protocol: tcp, ${rest} }`);
  assert.equal(diffConfig(listener("pool: a"), listener("routes: [{ pool: a }]")).empty, true);
});

test("a listener that changes its protocol differs in whatever one of the two has alone", () => {
  const udp = layer4("one: { bind: 0.0.0.0:53, protocol: udp, pool: a }");
  const tcp = layer4("one: { bind: 0.0.0.0:53, protocol: tcp, pool: a }");
  assert.deepEqual(describeDiff(diffConfig(udp, tcp)), [
    '~ listener one: protocol "udp" -> "tcp"',
    '~ listener one: pool "a" -> (none)',
    "~ listener one: timeouts.flow 60000 -> (none)",
    "~ listener one: timeouts.clientHeader (none) -> 60000",
    "~ listener one: timeouts.connect (none) -> 5000",
    "~ listener one: timeouts.send (none) -> 60000",
    "~ listener one: timeouts.tunnel (none) -> 3600000",
    "~ listener one: limits.flowsMax 65536 -> (none)",
    "~ listener one: limits.connectionsMax (none) -> 10000",
    '~ listener one: proxyProtocol (none) -> {"receive":false,"trustedProxies":[],"send":"off"}',
    '~ listener one: retry (none) -> {"triesMax":3,"timeMax":10000}',
    "~ listener one: backlog (none) -> 4096",
    "+ listener one: route one[0]",
  ]);
  assert.equal(diffConfig(tcp, udp).listeners.changed[0]?.routes.removed[0], "one[0]");
});

test("the order of targets is part of a pool, for it is the order of round robin", () => {
  const pool = (targets: string) => config(`pools: { app: { targets: { ${targets} } } }`);
  const diff = diffConfig(pool("10.0.0.1:80: , 10.0.0.2:80: "), pool("10.0.0.2:80: , 10.0.0.1:80: "));
  assert.deepEqual(describeDiff(diff), ["~ pool app: targets in another order"]);
});

test("a diff of floating addresses names virtual routers, tracks, groups, services and who is told, and no password", () => {
  const file = (router: string, rest: string) =>
    config(`
ha:
  virtualRouters:
    VI_1: { interface: eth0, vrid: 1, version: 2, priority: 100, addresses: [10.0.4.1], ${router} }
    VI_2: { interface: eth1, vrid: 2, priority: 100, addresses: [10.0.5.1], track: [balancer] }
  ${rest}`);
  const old = file(
    "password: one, track: [chk]",
    "tracks: { chk: { command: [/bin/chk], interval: 1s } }\n  services: { pump: { command: [/bin/pump], follow: VI_1 } }",
  );
  const next = file(
    "password: two, track: [chk, balancer], announce: { repeat: 3 }, waitForInterface: true",
    [
      "tracks: { chk: { command: [/bin/chk], interval: 2s, weight: -10 } }",
      "syncGroups: { G: { members: [VI_1, VI_2] } }",
      "notify: { fifo: /run/fifo }",
    ].join("\n  "),
  );
  assert.deepEqual(describeDiff(diffConfig(old, next)), [
    '~ ha: awaitedInterfaces [] -> ["eth0"]',
    '~ virtual router VI_1: password "(hidden)" -> "(hidden)"',
    "~ virtual router VI_1: announce.repeat 5 -> 3",
    '~ virtual router VI_1: tracks [{"name":"chk","weight":0,"reverse":false}] -> [{"name":"chk","weight":-10,"reverse":false},{"name":"balancer","weight":0,"reverse":false}]',
    '~ virtual router VI_1: syncGroup (none) -> "G"',
    '~ virtual router VI_2: syncGroup (none) -> "G"',
    "+ sync group G",
    "~ track chk: watch.interval 1000 -> 2000",
    "~ track chk: watch.timeout 1000 -> 2000",
    "+ notify of virtual router VI_1",
    "+ notify of virtual router VI_2",
    "+ notify of sync group G",
    "- service pump",
  ]);
  assert.equal(diffConfig(next, next).empty, true);
});

test("a diff tells a source in words where it comes, goes or becomes another, and its keys where it stays", () => {
  const pool = (rest: string) => config(`pools: { app: { targets: {}, ${rest} } }`);
  const lines = (before: string, after: string) => describeDiff(diffConfig(pool(before), pool(after)));
  const kv = (rest: string) => `source: { type: consul, endpoints: ["127.0.0.1:8500"], prefix: app/, ${rest} }`;
  const etcd = 'source: { type: etcd, endpoints: ["h:2379"], prefix: app/, user: x, passwordFile: /etc/password }';
  const service = 'source: { type: consul, endpoints: ["127.0.0.1:8500"], service: app, tags: [a, b] }';
  assert.deepEqual(lines("", kv("")), ['~ pool app: source (none) -> "consul app/ at http://127.0.0.1:8500"']);
  assert.deepEqual(lines(kv(""), etcd), [
    '~ pool app: source "consul app/ at http://127.0.0.1:8500" -> "etcd app/ at http://h:2379"',
  ]);
  assert.deepEqual(lines(etcd, service), [
    '~ pool app: source "etcd app/ at http://h:2379" -> "consul service app #a #b (passing) at http://127.0.0.1:8500"',
  ]);
  const dns = (rest: string) => `source: { type: dns, name: app.example, ${rest} }`;
  assert.deepEqual(lines(dns("port: 80"), ""), ['~ pool app: source "dns app.example:80" -> (none)']);
  assert.deepEqual(lines(dns("record: srv, servers: [10.0.0.2]"), ""), [
    '~ pool app: source "dns srv app.example at 10.0.0.2:53" -> (none)',
  ]);
  assert.deepEqual(
    lines(kv(""), kv("required: true, retry: { most: 9s }, tokenFile: /etc/token, dump: { format: upsync }")),
    [
      "~ pool app: source.required false -> true",
      "~ pool app: source.retry.most 5000 -> 9000",
      '~ pool app: source.dump.format "json" -> "upsync"',
      '~ pool app: source.tokenFile (none) -> "/etc/token"',
    ],
  );
  assert.deepEqual(lines(kv("wait: 10s"), kv("")), []);
});

test("a diff tells a pool's slow start once, and a target's where it has its own", () => {
  const pool = (own: string, target: string) =>
    config(`pools: { app: { ${own} targets: { 10.0.0.1:80: , 10.0.0.2:80: { ${target} } } } }`);
  assert.deepEqual(describeDiff(diffConfig(pool("", "slowStart: 5s"), pool("slowStart: 30s,", "slowStart: 1m"))), [
    "~ pool app: slowStart 0 -> 30000",
    "~ pool app: target 10.0.0.2:80: slowStart 5000 -> 60000",
  ]);
  assert.deepEqual(describeDiff(diffConfig(pool("", ""), pool("", "slowStart: 1m"))), [
    "~ pool app: target 10.0.0.2:80: slowStart 0 -> 60000",
  ]);
});

test("a diff names the state's directory and the API over TCP with the place of its token", () => {
  const next = config("stateDirectory: /srv/x\nadmin: { http: 127.0.0.1:9911, tokenFile: /etc/token }");
  assert.deepEqual(describeDiff(diffConfig(config("node: h"), next)), [
    '~ admin.http (none) -> {"bind":{"host":"127.0.0.1","port":9911},"tokenFile":"/etc/token"}',
    '~ stateDirectory "/var/lib/evenkeel" -> "/srv/x"',
  ]);
});
