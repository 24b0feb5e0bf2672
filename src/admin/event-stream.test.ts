import assert from "node:assert/strict";
import { test } from "node:test";
import { EventLog, eventsKeptMax } from "../control/event-log.ts";
import { EventFollowers, followerStallMax, followersMax, heartbeatInterval } from "./event-stream.ts";
import { answer } from "./routes.ts";
import { ask, bodyOf, contextOf, testNode } from "./test-node.ts";

function setUp() {
  let now = 0;
  const events = new EventLog(() => 1_700_000_000_000);
  const dropped: string[] = [];
  const followers = new EventFollowers({
    events,
    clock: () => now,
    run: "run1",
    dropped: (reason) => dropped.push(reason),
  });
  const pass = (time: number) => {
    now += time;
    followers.tick();
  };
  return { events, followers, dropped, pass };
}

/** A connection that takes what it is sent while `open`. */
function reader() {
  const sink = {
    text: "",
    open: true,
    over: "",
    write(text: string) {
      sink.text += text;
      return sink.open;
    },
    end() {
      sink.over = "ended";
    },
    cut() {
      sink.over = "cut";
    },
  };
  return sink;
}

function tell(events: EventLog, count: number) {
  for (let index = 0; index < count; index++) {
    events.tell({ type: "target.changed", who: "consul", subject: { pool: "app" }, before: 1, after: 2 });
  }
}

function idsOf(text: string): string[] {
  return [...text.matchAll(/^id: (.*)$/gm)].map(([, id = ""]) => id);
}

test("an event is told as it happens, on lines that a program of the web reads", () => {
  const { events, followers } = setUp();
  tell(events, 1);
  const sink = reader();
  followers.follow(sink, "now");
  tell(events, 1);
  assert.equal(
    sink.text,
    `retry: 2000\n\nid: run1-2\nevent: target.changed\ndata: ${JSON.stringify({
      id: 2,
      at: "2023-11-14T22:13:20.000Z",
      type: "target.changed",
      who: "consul",
      subject: { pool: "app" },
      before: 1,
      after: 2,
    })}\n\n`,
  );
});

test("whoever comes again reads on behind what he has seen; of another run he is told that something was missed", () => {
  const { events, followers } = setUp();
  tell(events, 3);
  const from = (text: string) => followers.parsePosition(text) ?? assert.fail(text);
  const [again, elsewhere, beyond] = [reader(), reader(), reader()];
  followers.follow(again, from("run1-1"));
  followers.follow(elsewhere, from("run0-900"));
  followers.follow(beyond, from("900"));
  tell(events, 1);
  assert.deepEqual(idsOf(again.text), ["run1-2", "run1-3", "run1-4"]);
  assert.doesNotMatch(again.text, /missed/);
  for (const sink of [elsewhere, beyond]) {
    assert.deepEqual(idsOf(sink.text), ["run1-1", "run1-2", "run1-3", "run1-4"]);
    assert.equal(sink.text.match(/^event: missed$/gm)?.length, 1);
  }
  for (const text of ["", "run1-", "-1", "a b-1", "1.5", "run1-1\n"])
    assert.equal(followers.parsePosition(text), undefined, text);
});

test("a slow reader holds no queue: it reads on when it can, and hears what it missed when that was too late", () => {
  const { events, followers } = setUp();
  const sink = reader();
  const source = followers.follow(sink, "now");
  sink.open = false;
  tell(events, 5);
  assert.deepEqual(idsOf(sink.text), ["run1-1"]);
  sink.open = true;
  source.drained();
  assert.deepEqual(idsOf(sink.text), ["run1-1", "run1-2", "run1-3", "run1-4", "run1-5"]);
  sink.open = false;
  tell(events, eventsKeptMax * 2);
  sink.open = true;
  sink.text = "";
  source.drained();
  assert.match(sink.text, /^event: missed\ndata: \{"after":6\}\n\n/);
  const ids = idsOf(sink.text);
  assert.equal(ids.at(-1), `run1-${5 + eventsKeptMax * 2}`);
  assert.ok(ids.length >= eventsKeptMax && ids.length < eventsKeptMax * 2, String(ids.length));
});

test("silence is broken by heartbeats, and whoever takes nothing for too long is cut off", () => {
  const { events, followers, dropped, pass } = setUp();
  const [idle, stuck] = [reader(), reader()];
  followers.follow(idle, "now");
  const source = followers.follow(stuck, "now");
  pass(heartbeatInterval - 1);
  assert.doesNotMatch(idle.text, /^:/m);
  stuck.open = false;
  tell(events, 1);
  pass(heartbeatInterval);
  assert.match(idle.text, /^: still here\n\n/m);
  pass(followerStallMax - heartbeatInterval - 1);
  assert.equal(stuck.over, "");
  pass(1);
  assert.deepEqual([stuck.over, idle.over, dropped.length], ["cut", "", 1]);
  source.closed();
  tell(events, 1);
  assert.equal(idsOf(stuck.text).length, 1);
});

test("the end of the program ends every stream, and only so many may follow", () => {
  const { events, followers } = setUp();
  const sinks = Array.from({ length: followersMax }, reader);
  const sources = sinks.map((sink) => followers.follow(sink, "now"));
  assert.equal(followers.full, true);
  sources[0]?.closed();
  assert.equal(followers.full, false);
  followers.end();
  tell(events, 1);
  assert.deepEqual(
    sinks.map(({ over, text }) => [over, idsOf(text).length]),
    [["", 0], ...Array.from({ length: followersMax - 1 }, () => ["ended", 0])],
  );
});

test("the kept events come as a list to whoever asks for JSON, and a wrong place to begin at is 400", async () => {
  const of = testNode();
  tell(of.events, 3);
  const headers = { accept: "application/json" };
  const list = bodyOf(await ask(of, "GET", "/v1/events?since=2", { headers }));
  assert.deepEqual([Object(list["events"]).length, list["missed"], list["last"]], [1, false, "run1-3"]);
  assert.deepEqual(bodyOf(await ask(of, "GET", "/v1/events?since=3", { headers })), {
    events: [],
    missed: false,
    last: undefined,
  });
  assert.equal(Object(bodyOf(await ask(of, "GET", "/v1/events", { headers }))["events"]).length, 3);
  assert.equal(bodyOf(await ask(of, "GET", "/v1/events?since=99", { headers }))["missed"], true);
  const seen = bodyOf(await ask(of, "GET", "/v1/events?since=1", { headers: { ...headers, lastEventId: "run1-2" } }));
  assert.equal(Object(seen["events"]).length, 1);
  assert.equal((await ask(of, "GET", "/v1/events?since=x")).status, 400);
});

test("one follower too many is 503, with when to come again", async () => {
  const context = contextOf(testNode());
  const request = {
    method: "GET",
    path: "/v1/events",
    query: "",
    headers: {
      accept: undefined,
      contentEncoding: undefined,
      contentType: undefined,
      ifMatch: undefined,
      ifNoneMatch: undefined,
      lastEventId: undefined,
    },
    body: new Uint8Array(),
    who: "unix",
  };
  for (let count = 0; count < followersMax; count++) {
    const told = await answer(context, request);
    assert.equal(told.headers["content-type"], "text/event-stream");
    if (told.body?.kind === "stream") told.body.open(reader());
  }
  const told = await answer(context, request);
  assert.deepEqual([told.status, bodyOf(told)["code"], told.headers["retry-after"]], [503, "admin.events.full", "10"]);
});
