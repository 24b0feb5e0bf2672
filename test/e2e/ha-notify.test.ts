// Who is told of what, through the whole program on two nodes: commands in their order with keepalived's arguments, the FIFO and
// the program that reads it, a webhook to an HTTP server, mail to a mail server; and that none of it holds the election up.

import assert from "node:assert/strict";
import { existsSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { root, temporaryDirectory, until } from "./kit.ts";
import { needsKeepalived, routerText, type SharedNode, site, startEvenkeel } from "./vrrp-kit.ts";

const limit = { timeout: 120_000, skip: needsKeepalived };
const mailPort = 2525;
const hookPort = 8088;
const fast = { version: 3, interval: "100ms" } as const;

async function sink(t: TestContext, at: SharedNode, file: string, port: number) {
  const program = at.machine.start(t, process.execPath, [join(root, "test/e2e/fixtures", file), String(port)]);
  await until(file, () => program.stdout().startsWith("ready"), { onTimeout: program.stderr });
  return program;
}

function linesOf(path: string): readonly string[] {
  return existsSync(path) ? readFileSync(path, "utf8").split("\n").slice(0, -1) : [];
}

/** A command that writes its words into a file, one line each time, and says so late if the file `slow` is there. */
function sayer(folder: string): string {
  const path = join(folder, "say");
  const text = `#!/bin/sh
[ -e ${folder}/slow ] && sleep 1
line=; for word in "$@"; do line="$line[$word]"; done
echo "$line" >> ${folder}/said
`;
  writeFileSync(path, text, { mode: 0o755 });
  return path;
}

/** Copies what it reads from the FIFO that it is given last. */
function reader(folder: string): string {
  const path = join(folder, "reader");
  writeFileSync(path, `#!/bin/sh\necho "reader $*" >> ${folder}/read\nexec cat "$2" >> ${folder}/read\n`, {
    mode: 0o755,
  });
  return path;
}

test("commands, FIFO, webhook and mail are told of each change, in order, in keepalived's words", limit, async (t) => {
  const folder = temporaryDirectory(t);
  const lan = await site(t);
  const [one, other] = lan.nodes;
  assert.ok(one !== undefined && other !== undefined);
  const [say, read, fifo] = [sayer(folder), reader(folder), join(folder, "fifo")];
  const mails = await sink(t, one, "smtp-sink.ts", mailPort);
  const hooks = await sink(t, one, "webhook-sink.ts", hookPort);
  const notify = [
    `active: [${say}, own], backup: [${say}, own], fault: [${say}, own], stop: [${say}, own], any: [${say}]`,
    `fifo: ${fifo}, fifoReader: [${read}, tail], priorityChanges: true`,
    `email: { to: [ops@example.com], from: lb@example.com, server: "127.0.0.1:${mailPort}" }`,
    `webhook: { url: "http://127.0.0.1:${hookPort}/", headers: { authorization: Bearer x } }`,
  ].join(", ");
  const more = `track: [load, broken], notify: { ${notify} }`;
  const tracks = `load: { file: ${folder}/load, upWhen: absent, weight: -20, interval: 50ms }, broken: { file: ${folder}/broken, upWhen: absent, interval: 50ms }`;
  const text = routerText({ priority: 100, ...fast, more }).replace("ha: {", `ha: { tracks: { ${tracks} },`);
  const node = await startEvenkeel(t, one, text);
  const told = (count: number) =>
    until(`${count} lines`, () => linesOf(join(folder, "said")).length >= count, {
      onTimeout: () => `${linesOf(join(folder, "said")).join("\n")}\n${node.program.stderr()}`,
    });
  await node.mode("active");
  await told(4);
  const rival = await startEvenkeel(t, other, routerText({ priority: 90, ...fast }));
  // Overtaken by its weight, and back without it.
  writeFileSync(join(folder, "load"), "");
  await node.mode("backup");
  await told(6);
  rmSync(join(folder, "load"));
  await node.mode("active");
  await told(8);
  writeFileSync(join(folder, "broken"), "");
  await node.mode("fault");
  await told(10);
  rmSync(join(folder, "broken"));
  await node.mode("active");
  await told(14);
  // What waits for a slow command does not keep the address: the other node is active before the command has said so.
  writeFileSync(join(folder, "slow"), "");
  writeFileSync(join(folder, "load"), "");
  await rival.mode("active");
  assert.equal(linesOf(join(folder, "said")).length, 14);
  await told(16);
  rmSync(join(folder, "slow"));
  node.program.signal("SIGTERM");
  assert.equal((await node.program.exited()).code, 0);

  const events: readonly (readonly [string, number])[] = [
    ["BACKUP", 100],
    ["MASTER", 100],
    ["BACKUP", 80],
    ["MASTER", 100],
    ["FAULT", 100],
    ["BACKUP", 100],
    ["MASTER", 100],
    ["BACKUP", 80],
    ["STOP", 80],
  ];
  const words = events.map(([state, priority]) => `[INSTANCE][VI_1][${state}][${priority}]`);
  assert.deepEqual(
    linesOf(join(folder, "said")),
    words.flatMap((each) => [`[own]${each}`, each]),
    "first its own command, then the one for any",
  );
  const [first, ...lines] = linesOf(join(folder, "read"));
  assert.equal(first, `reader tail ${fifo}`);
  assert.deepEqual(
    lines.filter((line) => !line.includes("_P")),
    events.map(([state, priority]) => `INSTANCE "VI_1" ${state} ${priority}`),
  );
  assert.deepEqual(
    lines.filter((line) => line.includes("_P") && !line.includes("RX_LOWER")),
    [80, 100, 80].map((priority, index) => `INSTANCE "VI_1" ${index === 1 ? "BACKUP" : "MASTER"}_PRIORITY ${priority}`),
  );
  assert.ok(!existsSync(fifo), "the FIFO is gone with the program that made it");
  const posted = hooks.stdout().trim().split("\n").slice(1);
  assert.deepEqual(
    posted.map((line) => {
      const [method, scheme, token, ...body] = line.split(" ");
      const { node: from, kind, name, state, priority } = JSON.parse(body.join(" "));
      return [method, scheme, token, from, kind, name, state, priority].join(" ");
    }),
    events.map(([state, priority]) => `POST Bearer x node1 virtualRouter VI_1 ${state} ${priority}`),
    "the first try was refused with 503 and made again",
  );
  const subjects = [...mails.stdout().matchAll(/^Subject: (.*)$/gm)].map((match) => match[1]);
  assert.deepEqual(
    subjects,
    events.map(
      ([state]) => `[node1] VRRP Instance VI_1 - ${state === "STOP" ? "Stopping" : `Entering ${state} state`}`,
    ),
  );
});

test(
  "a reader of the FIFO that ends is started again, and a program killed with -9 leaves none behind",
  limit,
  async (t) => {
    const folder = temporaryDirectory(t);
    const lan = await site(t, 1);
    const [one] = lan.nodes;
    assert.ok(one !== undefined);
    const path = join(folder, "reader");
    writeFileSync(path, `#!/bin/sh\necho $$ >> ${folder}/pids\nexec cat "$1" > /dev/null\n`, { mode: 0o755 });
    const text = routerText({
      priority: 100,
      ...fast,
      more: `notify: { fifo: ${folder}/fifo, fifoReader: [${path}] }`,
    });
    const node = await startEvenkeel(t, one, text);
    const pids = () => linesOf(join(folder, "pids")).map(Number);
    await until("the reader", () => pids().length === 1);
    process.kill(pids()[0] ?? -1, "SIGKILL");
    await until("another reader", () => pids().length === 2);
    node.program.signal("SIGKILL");
    const last = pids()[1] ?? -1;
    await until("its end", () => !existsSync(`/proc/${last}`));
  },
);
