import assert from "node:assert/strict";
import { test } from "node:test";
import { decodeFromWorker } from "./worker-process.ts";

test("messages of the protocol pass as they are", () => {
  for (const message of [
    { type: "ready" },
    { type: "beat" },
    { type: "applied", generation: 3 },
    { type: "listening", listener: "web" },
    { type: "status", id: 1, status: {} },
    { type: "report", pool: "p", target: "t", code: "c" },
    { type: "log", level: "warn", message: "m", fields: {} },
  ]) {
    assert.equal(decodeFromWorker(message), message);
  }
});

test("anything else is refused", () => {
  for (const message of [
    undefined,
    null,
    "ready",
    [],
    {},
    { type: "constructor" },
    { type: "applied", generation: "3" },
    { type: "listening" },
    { type: "status", id: 1, status: null },
    { type: "log", level: "fatal", message: "m" },
    { type: "report", pool: 1, target: "t" },
  ]) {
    assert.equal(decodeFromWorker(message), undefined, JSON.stringify(message));
  }
});
