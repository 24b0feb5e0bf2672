// `evenkeel register` with a real Consul and a balancer that reads it: the entry lives by a session, comes back when that is
// lost, drains by `down`, and is deleted by Consul when nobody renews the session.

import assert from "node:assert/strict";
import { test } from "node:test";
import { consulMissing, startConsul } from "./consul-kit.ts";
import { freePort, until } from "./kit.ts";
import { intentOf, isGone, isUp, startNode, startRegister } from "./register-kit.ts";

test("Consul: an entry for as long as its session is renewed", { skip: consulMissing }, async (t) => {
  const consul = await startConsul(t, { servers: 1 });
  const [server] = consul.servers;
  assert.ok(server !== undefined);
  const prefix = "upstreams/app/";
  const source = { type: "consul", endpoints: consul.endpoints, prefix };
  const node = await startNode(t, { app: { targets: {}, source } });
  const options = ["--consul", server.endpoint, "--drain-for", "300ms"];
  const key = async (port: number) => {
    const { status, body } = await server.ask("GET", `/v1/kv/${prefix}127.0.0.1:${port}`);
    if (status === 404) return undefined;
    const entry = JSON.parse(body)[0];
    return { session: String(entry.Session), value: JSON.parse(Buffer.from(entry.Value, "base64").toString()) };
  };
  const killedPort = await freePort();
  const killed = startRegister(t, killedPort, options);
  const port = await freePort();
  const register = startRegister(t, port, [...options, "--weight", "2"]);
  await until("both targets", async () => (await isUp([node], port)) && (await isUp([node], killedPort)), {
    onTimeout: () => register.stderr() + killed.stderr(),
  });
  killed.signal("SIGKILL");
  const killedAt = performance.now();
  const before = await key(port);
  assert.deepEqual(before?.value, { weight: 2, max_fails: 2, fail_timeout: 10, down: 0, backup: 0 });
  assert.equal((await server.ask("PUT", `/v1/session/destroy/${before.session}`)).status, 200);
  // The next renewal finds that it is lost.
  const after = await until("a new session with the key", async () => {
    const now = await key(port);
    return now !== undefined && now.session !== before.session ? now : undefined;
  });
  assert.equal(after.value.weight, 2);
  await until("the target being back", () => isUp([node], port));
  register.signal("SIGTERM");
  await until("the balancer seeing that it drains", async () => (await intentOf(node, port)) === "down");
  assert.equal((await register.exited()).code, 0, register.stderr());
  assert.equal(await key(port), undefined);
  await until("the balancer seeing it gone", () => isGone([node], port));
  await until("the end of the killed one's session", () => isGone([node], killedPort), { timeoutMs: 30_000 });
  const lastedMs = performance.now() - killedAt;
  assert.ok(lastedMs < 25_000, `${lastedMs} ms: Consul takes up to twice its least TTL`);
});
