import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer } from "node:net";
import { test } from "node:test";
import { Stage } from "../stage.ts";
import { parsePaced, requestText, runPaced } from "./paced.ts";

const request = { method: "GET", path: "/", headers: {}, bodyBytes: 0 } as const;

test("the text of a request is a request line, a Host, its headers and a blank line", () => {
  const text = requestText({ ...request, path: "/a", headers: { Accept: "text/plain" } });
  assert.equal(text, "GET /a HTTP/1.1\r\nHost: 127.0.0.1\r\nAccept: text/plain\r\n\r\n");
});

test("a paced run that printed something else is refused", () => {
  assert.throws(() => parsePaced("{}"), /paced client printed/);
  assert.throws(() => parsePaced('{"requests":1,"p50Us":null,"p99Us":1,"lateUs":1,"problems":[]}'), /printed/);
});

test("a paced run sends every request of its schedule and counts a wait from the scheduled time", async () => {
  const stage = new Stage();
  let requests = 0;
  const server = createServer((socket) => {
    socket.on("data", () => {
      requests += 1;
      socket.write("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    });
    socket.on("error", () => socket.destroy());
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  assert.ok(typeof address === "object" && address !== null);
  try {
    const load = { port: address.port, request, connections: 4, rate: 1000, seconds: 0.2, cores: "0" };
    const totals = await runPaced(stage, load);
    assert.deepEqual(totals.problems, []);
    assert.equal(totals.requests, 700);
    assert.equal(requests, 700);
    assert.ok(totals.p50Us > 0 && totals.p99Us >= totals.p50Us);
  } finally {
    server.close();
    await stage.strike();
  }
});

test("a wrong status is told, not counted as a response", async () => {
  const stage = new Stage();
  const server = createServer((socket) => {
    socket.on("data", () => socket.write("HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n"));
    socket.on("error", () => socket.destroy());
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  assert.ok(typeof address === "object" && address !== null);
  try {
    const load = { port: address.port, request, connections: 2, rate: 200, seconds: 0.1, cores: "0" };
    const totals = await runPaced(stage, load);
    assert.ok(totals.problems.includes("status 503"));
  } finally {
    server.close();
    await stage.strike();
  }
});
