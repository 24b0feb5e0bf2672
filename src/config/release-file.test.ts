import assert from "node:assert/strict";
import { test } from "node:test";
import type { ReleasePlan } from "../model/release.ts";
import { describeProblems } from "./problem.ts";
import { decodeReleaseFile } from "./release-file.ts";
import { fillWord } from "./release-leaf.ts";

const options = { file: "release.yaml", environment: { TOKEN: "/etc/token" }, socketDefault: "/run/lb.sock" };
const minimal = "pool: app\nminEligible: 1\nstop: [systemctl, stop, app]\n";

function plan(text: string): ReleasePlan {
  const read = decodeReleaseFile(text, options);
  assert.ok(read.ok, read.ok ? "" : describeProblems(read.problems));
  return read.plan;
}

/** What is wrong, without the file's name. */
function problems(text: string): readonly string[] {
  const read = decodeReleaseFile(text, options);
  assert.ok(!read.ok, "it is valid");
  const lines = describeProblems(read.problems).split("\n").slice(0, -1);
  return lines.map((line) => line.replace("release.yaml:", ""));
}

test("a short file means the usual: one target at a time, 60 s to drain, commands here", () => {
  const { balancers, store, batch, drain, commands, pause, healthCheck } = plan(minimal);
  assert.deepEqual(balancers, [{ name: "/run/lb.sock", place: { kind: "socket", path: "/run/lb.sock" } }]);
  assert.deepEqual([store, batch, pause], [{ type: "api" }, { kind: "count", count: 1 }, { kind: "none" }]);
  assert.deepEqual(drain, { intent: "drain", timeout: 60_000, onTimeout: "goOn" });
  const stop = { words: ["systemctl", "stop", "app"], timeout: 300_000, on: "here", onInterrupted: "rerun" };
  assert.deepEqual(commands, { stop });
  assert.equal(healthCheck, undefined);
});

test("the health check has the article's time by default: 120 s, every 10 s", () => {
  const { healthCheck } = plan(`${minimal}healthCheck: { type: http, path: /ping, expect: [200] }`);
  assert.equal(healthCheck?.within, 120_000);
  assert.equal(healthCheck?.every, 10_000);
  assert.equal(healthCheck?.rise, 1);
  assert.equal(healthCheck?.probe.kind === "http" && healthCheck.probe.path, "/ping");
});

test("with ssh the commands run on the targets' machines, unless they say otherwise", () => {
  const { commands, ssh } = plan(
    `${minimal}ssh: { user: deploy }\ndeploy: { command: [rsync, a, "{host}:b"], on: here }`,
  );
  assert.equal(commands.stop?.on, "target");
  assert.equal(commands.deploy?.on, "here");
  assert.equal(ssh?.host, "{host}");
});

test("stores, batches, pauses and notices as they are written", () => {
  const whole = plan(
    `${minimal}
balancers:
  - { name: lb-1, socket: /run/a.sock }
  - { admin: "http://127.0.0.1:9911", tokenFile: "\${TOKEN}" }
store: { type: consul, endpoints: ["127.0.0.1:8500"], prefix: upstreams/app/ }
order: ["10.0.4.20:8080", "[2001:DB8::1]:80"]
batch: 25%
pause: untilResume
notify: [ { command: [logger, "{target}"], events: [release.failed] } ]
`.replace("{target}", "{address}"),
  );
  assert.deepEqual(whole.balancers[1], {
    name: "http://127.0.0.1:9911",
    place: { kind: "http", url: "http://127.0.0.1:9911", tokenFile: "/etc/token" },
  });
  assert.equal(whole.store.type === "consul" && whole.store.endpoints[0], "http://127.0.0.1:8500");
  assert.deepEqual(whole.order, ["10.0.4.20:8080", "[2001:db8::1]:80"]);
  assert.deepEqual([whole.batch, whole.pause], [{ kind: "share", percent: 25 }, { kind: "resume" }]);
  assert.deepEqual(whole.notify[0]?.events, ["release.failed"]);
});

test("every problem is told at once, with its place and what was meant", () => {
  const text = `pool: app
minElegible: 1
stop: [stop, "{adress}"]
batch: 0
store: { type: consul, prefix: app }
healthCheck: { type: http, interval: 1s, fro: 2s }
`;
  const told = problems(text);
  const expected = [
    /^1:1: minEligible: is missing/,
    /^2:1: unknown key `minElegible`; did you mean `minEligible`\?/,
    /^3:14: .*`\{adress\}` stands for nothing; .*did you mean `\{address\}`\?/,
    /^4:8: batch: 0 is out of range/,
    /^5:1: endpoints: is missing/,
    /^5:32: prefix: `app` is no prefix.*did you mean `app\/`\?/,
    /^6:28: unknown key `interval`/,
    /^6:42: unknown key `fro`; did you mean `for`\?/,
  ];
  for (const one of expected)
    assert.ok(
      told.some((line) => one.test(line)),
      `${one}\n${told.join("\n")}`,
    );
});

const contradictions: readonly (readonly [string, string, RegExp])[] = [
  ["no command", "pool: app\nminEligible: 1\n", /no command, so nothing would be released/],
  ["a command without words", "pool: app\nminEligible: 1\nstop: []\n", /stop: names no program/],
  ["a machine that nothing leads to", `${minimal}deploy: { command: [a], on: target }`, /on: `target` needs a way/],
  ["a balancer twice", `${minimal}balancers: [ { socket: /a }, { socket: /a } ]`, /stands there already/],
  ["a balancer nowhere", `${minimal}balancers: [ { name: lb } ]`, /exactly one of `socket` and `admin`/],
  [
    "a token for another machine",
    `${minimal}balancers: [ { admin: "http://10.0.0.1:9911" } ]`,
    /another machine.*ssh -L/,
  ],
  [
    "a target twice",
    `${minimal}order: ["10.0.0.1:80", "10.0.0.1:80"]`,
    /order\[1\]: `10\.0\.0\.1:80` stands there already/,
  ],
  ["a version for a shell", `${minimal}version: "v1; rm -rf"`, /is no version/],
  [
    "an unknown event",
    `${minimal}notify: [ { command: [a], events: [release.fialed] } ]`,
    /did you mean `release\.failed`/,
  ],
];

for (const [name, text, wrong] of contradictions) {
  test(`refused: ${name}`, () => assert.match(problems(text).join("\n"), wrong));
}

test("words have their placeholders filled in, and double braces for braces", () => {
  const values = { host: "10.0.0.1", port: "80", address: "10.0.0.1:80", version: "v2", pool: "app", release: "r" };
  assert.equal(fillWord("{host}:{port} {version} {{print}} {other}", values), "10.0.0.1:80 v2 {print} {other}");
});
