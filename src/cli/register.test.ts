import assert from "node:assert/strict";
import { test } from "node:test";
import { decodeRegisterArguments, type RegisterOptions } from "./register-arguments.ts";
import { runCli } from "./test-cli.ts";

const usual = {
  interval: "1s",
  timeout: "1s",
  rise: "1",
  fall: "3",
  ttl: "10s",
  drainTimeout: "30s",
  drainFor: "5s",
  stopTimeout: "10s",
} satisfies RegisterOptions;

function decode(options: Partial<RegisterOptions>, name = "app/10.0.0.1:80") {
  return decodeRegisterArguments(name, ["./server"], { ...usual, check: "tcp", ...options }, { environment: {} });
}

function planOf(options: Partial<RegisterOptions>) {
  const decoded = decode(options);
  if ("problems" in decoded) assert.fail(decoded.problems.join("; "));
  return decoded.plan;
}

test("wrong arguments are told all at once, each with its option", async () => {
  const args = ["app", "--check", "htp:/x", "--interval", "0", "--fall", "x", "--weight", "70000", "--ttl", "100ms"];
  const consul = ["--consul", "http://c:8500/v1", "--prefix", "a", "--slow-start", "1s", "--drain-for", "3"];
  const { code, out, err } = await runCli(["register", ...args, ...consul]);
  assert.deepEqual([code, out], [1, ""]);
  for (const expected of [
    /app: expected POOL\/ADDRESS/,
    /the command is missing/,
    /--check: `htp` is no check; did you mean `http`\?/,
    /--interval: `0` is out of range/,
    /--fall: /,
    /--weight: 70000 is out of range/,
    /--ttl: 100ms is out of range; expected 1s to 1d/,
    /--consul: .*has a path/,
    /--prefix: .*did you mean `a\/`/,
    /--drain-for: `3` has no unit/,
  ]) {
    assert.match(err, expected);
  }
});

test("a check is what the configuration makes of the same words, and begins unhealthy", () => {
  const probe = (check: string, more: Partial<RegisterOptions> = {}) => planOf({ check, ...more }).check.probe;
  assert.deepEqual(probe("tcp"), { kind: "tcp" });
  const http = probe("http:/healthz?x", { checkHost: "app.example.com" });
  assert.ok(http.kind === "http" && http.path === "/healthz?x" && http.host === "app.example.com");
  assert.ok(http.tls === undefined);
  const https = probe("https:/", { checkHost: "app.example.com:8443" });
  assert.ok(https.kind === "http" && https.tls?.serverName === "app.example.com");
  assert.deepEqual(probe("tls", { checkHost: "a.example.com" }), {
    kind: "tls",
    tls: { serverName: "a.example.com", verify: false },
  });
  const grpc = probe("grpc:my.Service");
  assert.ok(grpc.kind === "grpc" && grpc.service === "my.Service");
  assert.deepEqual(probe("command:/bin/check  --fast"), { kind: "command", command: ["/bin/check", "--fast"] });
  const { initial, rise, fall } = planOf({ fall: "5" }).check;
  assert.deepEqual([initial, rise, fall], ["unhealthy", 1, 5]);
});

test("what a check cannot be is said with what it can", () => {
  for (const [options, expected] of [
    [{ check: "http://10.0.0.1/x" }, /--check-address/],
    [{ check: "tcp:80" }, /nothing stands behind `tcp`/],
    [{ check: "command:" }, /names no program/],
    [{ check: "command:sh -c 'exit 0'" }, /quotes mean nothing/],
    [{ check: "udp" }, /`udp` is no check/],
    [{ check: "tcp", checkHost: "x" }, /sends no name/],
    [{ checkAddress: "10.0.0.1" }, /--check-address: .*expected an IP address and a port/],
    [{ tokenFile: ["a", "b"], admin: ["http://127.0.0.1:1"] }, /--token-file: there are 2 for 1/],
    [{ socket: ["/a", "/a"] }, /\/a is given twice/],
    [{ prefix: "a/" }, /--prefix says something of --consul, which is missing/],
    [{ consul: ["c:8500"], maxConnections: "5" }, /--max-connections: an entry in Consul cannot say it/],
  ] as const) {
    const decoded = decode(options);
    assert.ok("problems" in decoded, JSON.stringify(options));
    assert.match(decoded.problems.join("\n"), expected);
  }
});

test("without a place it is where other commands ask; with Consul it is there alone, by the pool's usual prefix", () => {
  assert.deepEqual(
    planOf({}).places.map(({ name }) => name),
    ["/run/evenkeel/admin.sock"],
  );
  assert.deepEqual(planOf({ socket: ["/a", "/b"] }).places.length, 2);
  const { places, consul } = planOf({ consul: ["c1:8500", "https://c2"], ttl: "3s", weight: "4", backup: true });
  assert.deepEqual(places, []);
  assert.deepEqual(consul, {
    endpoints: ["http://c1:8500", "https://c2:443"],
    prefix: "upstreams/app/",
    tokenFile: undefined,
    caFile: undefined,
    value: '{"weight":4,"max_fails":2,"fail_timeout":10,"down":0,"backup":1}',
    ttl: 10_000,
  });
});
