import assert from "node:assert/strict";
import { test } from "node:test";
import { luaScript, parseWrk, wrkProblems } from "./wrk.ts";

const output = `Running 3s test @ http://127.0.0.1:17002/
  1 threads and 64 connections
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency     2.11ms  312.40us  11.02ms   92.10%
Requests/sec:  30012.11
Transfer/sec:      6.40MB
evenkeel-bench requests=90037 durationUs=3000012 bytes=20123456 connectErrors=0 readErrors=0 writeErrors=0 statusErrors=0 timeouts=0 p50Us=2102 p99Us=3377
`;

test("the totals are read from our own line among wrk's words", () => {
  assert.deepEqual(parseWrk(output), {
    requests: 90037,
    durationUs: 3000012,
    bytes: 20123456,
    connectErrors: 0,
    readErrors: 0,
    writeErrors: 0,
    statusErrors: 0,
    timeouts: 0,
    p50Us: 2102,
    p99Us: 3377,
  });
});

test("output without totals, with half of them, or with a wrong number is refused", () => {
  assert.throws(() => parseWrk("unable to connect to 127.0.0.1:1\n"), /no totals/);
  assert.throws(() => parseWrk("evenkeel-bench requests=1\n"), /no durationUs/);
  assert.throws(() => parseWrk(output.replace("bytes=20123456", "bytes=nan")), /bytes=nan/);
});

test("a run with right responses only has no problem", () => {
  assert.deepEqual(wrkProblems(parseWrk(output), 64), []);
});

test("every kind of error is told, and bytes that are too few for the responses", () => {
  const totals = { ...parseWrk(output), connectErrors: 1, readErrors: 2, writeErrors: 3, statusErrors: 4, timeouts: 5 };
  assert.deepEqual(wrkProblems(totals, 64), [
    "1 connect errors",
    "2 read errors",
    "3 write errors",
    "4 responses with a status from 400 up",
    "5 timeouts",
  ]);
  assert.equal(wrkProblems(parseWrk(output), 1000).length, 1);
  assert.deepEqual(wrkProblems({ ...parseWrk(output), requests: 0 }, 64), ["no response"]);
});

test("the script sends the method, the headers and a body of the asked size", () => {
  const script = luaScript({
    method: "POST",
    path: "/upload",
    headers: { "X-Odd": 'a "quoted" \\ value' },
    bodyBytes: 10,
  });
  assert.ok(script.includes('wrk.method = "POST"'));
  assert.ok(script.includes('wrk.headers["X-Odd"] = "a \\"quoted\\" \\\\ value"'));
  assert.ok(script.includes('wrk.body = string.rep("b", 10)'));
  assert.ok(!luaScript({ method: "GET", path: "/", headers: {}, bodyBytes: 0 }).includes("wrk.body"));
});
