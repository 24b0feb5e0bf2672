import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { eventsKeptMax } from "../control/event-log.ts";
import { followerStallMax, followersMax, heartbeatInterval } from "./event-stream.ts";
import { routes } from "./routes.ts";
import { bodyBytesMax } from "./server.ts";

const page = readFileSync(new URL("../../docs/api.md", import.meta.url), "utf8");

test("docs/api.md lists every request that is answered, and no other", () => {
  const listed = [...page.matchAll(/^\| `([A-Z]+ \/[^`]*)` /gm)].map(([, request = ""]) => request);
  const answered = routes.flatMap(({ path, operations }) =>
    Object.keys(operations).map((method) => `${method} ${path}`),
  );
  assert.deepEqual(listed.toSorted(), answered.toSorted());
});

test("docs/api.md tells the limits as they are", () => {
  for (const words of [
    `Bodies have at most ${bodyBytesMax / 1024} KiB`,
    `The newest ${eventsKeptMax} are kept`,
    `every ${heartbeatInterval / 1000} s`,
    `At most ${followersMax} may follow`,
    `takes nothing for ${followerStallMax / 1000} s`,
  ]) {
    assert.ok(page.includes(words), words);
  }
});
