// The board against a stand-in for the admin API that knows one target: its lease, its intent and its tag.

import assert from "node:assert/strict";
import { test } from "node:test";
import { bad, good } from "../../core/failure.ts";
import { type AdminCall, type AdminSaid, createAdminBoard } from "./admin-board.ts";

type Known = { intent: string; holder: string | undefined; tag: number; work: object | undefined };

function world() {
  const calls: AdminCall[] = [];
  const api: { target: Known | undefined; says: number | "nothing" | undefined; between: () => void } = {
    target: undefined,
    says: undefined,
    between: () => {},
  };
  const view = (target: Known): AdminSaid => ({
    status: 200,
    headers: { etag: `"${target.tag}"` },
    body: {
      desired: { intent: target.intent },
      lease: target.holder === undefined ? undefined : { holder: target.holder },
      work: target.work,
    },
  });
  const refuse = (status: number, detail: string): AdminSaid => ({ status, headers: {}, body: { detail } });
  const answer = (call: AdminCall): AdminSaid => {
    if (typeof api.says === "number") return refuse(api.says, `says ${api.says}`);
    const { target } = api;
    const { lease, holder, intent } = Object(call.body);
    if (call.method === "PUT") {
      if (target?.holder !== undefined && target.holder !== lease.holder)
        return refuse(409, `held by ${target.holder}`);
      api.target = { intent: "up", holder: lease.holder, tag: 1, work: undefined };
      return view(api.target);
    }
    if (target === undefined) return refuse(404, "there is no such target");
    const said = call.method === "DELETE" ? new URL(call.path, "http://x").searchParams.get("holder") : holder;
    if (call.method !== "GET" && call.method !== "PATCH" && said !== target.holder) return refuse(409, "not yours");
    if (call.method === "DELETE") {
      api.target = undefined;
      return { status: 204, headers: {}, body: undefined };
    }
    if (call.method === "PATCH") {
      if (call.headers?.["if-match"] !== `"${target.tag}"`) return refuse(412, "it is another by now");
      target.intent = intent ?? "up";
      target.tag++;
    }
    return view(target);
  };
  const board = createAdminBoard({
    name: "one",
    ask: async (call) => {
      calls.push(call);
      if (api.says === "nothing") {
        return bad({ code: "admin.unreachable", origin: "self", retrySafe: false, detail: "nobody" });
      }
      const said = answer(call);
      api.between();
      return good(said);
    },
    pool: "app",
    address: "[::1]:80",
    fields: { weight: "2" },
    holder: "me",
    ttl: 10_000,
  });
  return { api, board, calls };
}

test("it is put with its fields and a lease, renewed, and removed by its holder", async () => {
  const { api, board, calls } = world();
  assert.deepEqual(await board.ask({ type: "put" }), { type: "done" });
  assert.deepEqual(calls[0]?.body, { weight: "2", lease: { holder: "me", ttl: "10s" } });
  assert.equal(calls[0]?.path, "/v1/pools/app/targets/%5B%3A%3A1%5D%3A80");
  assert.deepEqual(await board.ask({ type: "renew" }), { type: "done" });
  assert.deepEqual(await board.ask({ type: "remove" }), { type: "done" });
  assert.equal(api.target, undefined);
  assert.deepEqual(await board.ask({ type: "remove" }), { type: "done" }, "gone is gone");
});

test("a lease that is gone, or another's, is lost to a renewal; another's is held against a put", async () => {
  const { api, board } = world();
  assert.equal((await board.ask({ type: "renew" })).type, "lost");
  api.target = { intent: "up", holder: "other", tag: 1, work: undefined };
  assert.equal((await board.ask({ type: "renew" })).type, "lost");
  assert.deepEqual(await board.ask({ type: "put" }), { type: "held", detail: "held by other" });
  for (const order of [{ type: "look" }, { type: "intent", intent: "drain" }] as const) {
    assert.deepEqual(await board.ask(order), { type: "lost", detail: "the lease is held by other" });
  }
  assert.deepEqual(await board.ask({ type: "remove" }), { type: "done" }, "what is there is not ours");
  assert.equal(api.target.holder, "other");
});

test("its intent goes down and up again, and drains also from down", async () => {
  const { api, board } = world();
  await board.ask({ type: "put" });
  for (const intent of ["down", "up", "down", "drain"] as const) {
    assert.deepEqual(await board.ask({ type: "intent", intent }), { type: "done" });
    assert.equal(api.target?.intent, intent);
  }
});

test("what an operator says of its intent stays, whatever the check says", async () => {
  const { api, board, calls } = world();
  await board.ask({ type: "put" });
  if (api.target !== undefined) api.target.intent = "drain";
  for (const intent of ["down", "up"] as const) {
    const answer = await board.ask({ type: "intent", intent });
    assert.deepEqual(answer, { type: "done", note: "leaves it at drain, as somebody has set it" });
  }
  assert.ok(calls.every(({ method }) => method !== "PATCH"));
});

test("a change that somebody else made between our look and our word is looked at again", async () => {
  const { api, board } = world();
  await board.ask({ type: "put" });
  api.between = () => {
    if (api.target !== undefined) api.target.tag++;
  };
  assert.equal((await board.ask({ type: "intent", intent: "down" })).type, "failed");
  assert.equal(api.target?.intent, "up");
});

test("what work is left is told in words, and silence counts as work", async () => {
  const { api, board } = world();
  await board.ask({ type: "put" });
  const left = async (work: object | undefined) => {
    if (api.target !== undefined) api.target.work = work;
    const answer = await board.ask({ type: "look" });
    return answer.type === "work" ? answer.left : answer;
  };
  assert.equal(await left({ exchanges: 0, tunnels: 0, flows: 0, silentWorkers: 0 }), undefined);
  assert.equal(await left({ exchanges: 2, tunnels: 0, flows: 1, silentWorkers: 0 }), "2 exchanges, 1 flows");
  assert.equal(await left({ exchanges: 0, tunnels: 0, flows: 0, silentWorkers: 1 }), "1 silent workers");
  assert.match(String(await left(undefined)), /nobody can say/);
});

test("no answer and a node's own trouble are failures, what it does not take is refused", async () => {
  const { api, board } = world();
  for (const [says, type] of [
    ["nothing", "failed"],
    [503, "failed"],
    [507, "failed"],
    [400, "refused"],
    [401, "refused"],
    [404, "refused"],
  ] as const) {
    api.says = says;
    assert.equal((await board.ask({ type: "put" })).type, type, String(says));
  }
});
