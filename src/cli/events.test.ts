import assert from "node:assert/strict";
import { test } from "node:test";
import { testNode } from "../admin/test-node.ts";
import type { EventLog } from "../control/event-log.ts";
import { EventCutter, formatEvent, type StreamEvent } from "./event-text.ts";
import { runCli, serveNode } from "./test-cli.ts";

function tell(events: EventLog, weight: number) {
  const subject = { pool: "app", target: "10.0.0.1:80" };
  const before = { weight: weight - 1, backup: false };
  events.tell({ type: "target.changed", who: "api unix:root", subject, before, after: { weight, backup: false } });
}

test("what is kept is listed, a line an event, or JSON", async (t) => {
  const of = testNode();
  const { environment } = await serveNode(t, of);
  tell(of.events, 2);
  tell(of.events, 3);
  const all = await runCli(["events"], environment);
  const at = "2023-11-14T22:13:20.000Z  target.changed  app/10.0.0.1:80  by api unix:root: ";
  assert.deepEqual([all.code, all.out], [0, `${at}weight 1 -> 2\n${at}weight 2 -> 3\n`]);
  const one = await runCli(["events", "--since", "1", "-o", "json"], environment);
  assert.deepEqual(JSON.parse(one.out).after, { weight: 3, backup: false });
  const missed = await runCli(["events", "--since", "old-9"], environment);
  assert.match(missed.err, /some events before these are gone/);
  const wrong = await runCli(["events", "--since", "x"], environment);
  assert.deepEqual([wrong.code, wrong.out], [1, ""]);
  assert.match(wrong.err, /`x` is no id of an event/);
});

test("followed, they are told as they happen, and the end of the program is told and exits with 1", async (t) => {
  const of = testNode();
  const { environment, close } = await serveNode(t, of);
  tell(of.events, 2);
  let closing: Promise<void> | undefined;
  const said = await runCli(["events", "--follow", "--since", "0"], environment, (text) => {
    const lines = text.split("\n").length - 1;
    if (lines === 1) tell(of.events, 3);
    else closing = close();
  });
  await closing;
  assert.deepEqual([said.code, said.out.match(/weight \d -> \d/g)], [1, ["weight 1 -> 2", "weight 2 -> 3"]]);
  assert.match(said.err, /the program has ended/);
});

test("a stream is cut into the same events wherever its pieces end", () => {
  const stream =
    ": hello\n\nretry: 5\n\nid: a-1\nevent: x\ndata: 1\ndata: 2\n\nid: a-2\r\ndata:3\r\n\r\nevent: lost\n\ndata: é\n\n";
  const whole = [
    { id: "a-1", type: "x", data: "1\n2" },
    { id: "a-2", type: "message", data: "3" },
    { id: "a-2", type: "message", data: "é" },
  ];
  for (let at = 0; at <= stream.length; at++) {
    const events: StreamEvent[] = [];
    const cutter = new EventCutter((event) => events.push(event));
    cutter.take(stream.slice(0, at));
    cutter.take(stream.slice(at));
    assert.deepEqual(events, whole, String(at));
  }
});

test("a line tells what came, what went, and of two states only what differs", () => {
  const line = (more: object) => formatEvent({ at: "T", type: "x", who: "file", subject: { pool: "app" }, ...more });
  assert.equal(line({ after: { weight: 1 } }), "T  x  app  by file: weight 1");
  assert.equal(line({ before: { weight: 1 } }), "T  x  app  by file: was weight 1");
  assert.equal(line({ before: "backup", after: "active" }), "T  x  app  by file: backup -> active");
  assert.equal(line({ before: { a: [1], b: 2 }, after: { a: [1], b: null } }), "T  x  app  by file: b 2 -> null");
  assert.equal(line({}), "T  x  app  by file");
});
