// The notifier: words and order as keepalived has them, with real commands, a FIFO, an SMTP server and a web server of the
// test's own; lanes and retries with edges that the test answers for.

import assert from "node:assert/strict";
import {
  closeSync,
  constants,
  existsSync,
  mkdtempSync,
  openSync,
  readFileSync,
  readSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { createServer as createWebServer } from "node:http";
import { type AddressInfo, createServer, type Server } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { performance } from "node:perf_hooks";
import { type TestContext, test } from "node:test";
import { bad, good, type Result } from "../../core/failure.ts";
import type { LogFields } from "../../core/log.ts";
import type { Email, NotifyCommand, NotifyRule, Webhook } from "../../model/ha.ts";
import type { ProbeOutcome } from "../../model/health-check.ts";
import { alarm } from "./alarm.ts";
import { Notifier, type NotifyEdges, notifyEdges } from "./notify-driver.ts";
import { NOTICES_WAITING_MAX } from "./notify-lane.ts";
import type { Notice } from "./notify-words.ts";
import { testTime } from "./test-time.ts";

const none = { active: [], backup: [], fault: [], stop: [] };

function rule(changes: Partial<NotifyRule> = {}): NotifyRule {
  return {
    of: "virtualRouter",
    name: "VI_1",
    commands: none,
    fifos: [],
    priorityChanges: false,
    emails: [],
    webhooks: [],
    ...changes,
  };
}

function command(words: readonly string[], changes: Partial<NotifyCommand> = {}): NotifyCommand {
  return { command: words, appendState: false, user: undefined, timeout: 10_000, ...changes };
}

function notice(event: Notice["event"], changes: Partial<Notice> = {}): Notice {
  return { of: "virtualRouter", name: "VI_1", event, priority: 100, cause: "silence", ...changes };
}

function recorder() {
  const logged: { readonly message: string; readonly fields: LogFields }[] = [];
  const write = (message: string, fields: LogFields = {}) => logged.push({ message, fields });
  return { logged, log: { debug: write, info: write, warn: write, error: write } };
}

function directory(t: TestContext): string {
  const path = mkdtempSync(join(tmpdir(), "evenkeel-notify-"));
  t.after(() => rmSync(path, { recursive: true, force: true }));
  return path;
}

/** With the real edges. */
function real(t: TestContext, rules: readonly NotifyRule[]) {
  const { log, logged } = recorder();
  const edges = notifyEdges(() => performance.now());
  const notifier = new Notifier({ log, node: "lb-1", wallClock: () => 1_790_000_000_000, alarm, edges });
  notifier.apply({ notify: rules });
  t.after(() => notifier.stop(0));
  return { notifier, logged };
}

async function until(what: string, look: () => boolean): Promise<void> {
  const deadline = performance.now() + 10_000;
  while (!look()) {
    if (performance.now() > deadline) throw new Error(`not within 10 s: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
}

test("commands get keepalived's arguments, in order, and run one after the other", async (t) => {
  const out = join(directory(t), "out");
  const say = (word: string, wait = "") =>
    command(["/bin/sh", "-c", `${wait} echo "$0 $# $*" >> ${out}`, word, "own word"]);
  const told = (word: string) => ({ ...say(word), appendState: true });
  const commands = { ...none, backup: [say("b", "sleep 0.2;"), told("any")], active: [say("m"), told("any")] };
  const run = real(t, [rule({ commands })]);
  run.notifier.tell(notice("backup"));
  run.notifier.tell(notice("active", { priority: 110 }));
  await run.notifier.stop(10_000);
  assert.deepEqual(readFileSync(out, "utf8").trim().split("\n"), [
    "b 1 own word",
    "any 5 own word INSTANCE VI_1 BACKUP 100",
    "m 1 own word",
    "any 5 own word INSTANCE VI_1 MASTER 110",
  ]);
  assert.deepEqual(run.logged, []);
});

test("a group is told of with GROUP and priority 0; the environment says the rest", async (t) => {
  const out = join(directory(t), "out");
  const words = ["/bin/sh", "-c", `echo "$* $EVENKEEL_KIND $EVENKEEL_EVENT $EVENKEEL_CAUSE" > ${out}`, "any"];
  const told = command(words, { appendState: true });
  const run = real(t, [rule({ of: "syncGroup", name: "G1", commands: { ...none, fault: [told] } })]);
  run.notifier.tell(notice("fault", { of: "syncGroup", name: "G1", priority: 0, cause: "tracks" }));
  await run.notifier.stop(10_000);
  assert.equal(readFileSync(out, "utf8"), "GROUP G1 FAULT 0 syncGroup fault tracks\n");
});

test("a command that does not end is killed with its group and the next one runs; failures are logged", async (t) => {
  const folder = directory(t);
  const slow = command(["/bin/sh", "-c", `sleep 600 & echo $! > ${folder}/pid; wait`], { timeout: 300 });
  const fails = command(["/bin/sh", "-c", "exit 3"]);
  const last = command(["/bin/sh", "-c", `echo done > ${folder}/last`]);
  const run = real(t, [rule({ commands: { ...none, active: [slow, fails, command(["/no/such"]), last] } })]);
  run.notifier.tell(notice("active"));
  await run.notifier.stop(20_000);
  assert.ok(existsSync(`${folder}/last`));
  const codes = run.logged.map(({ fields }) => fields["code"]);
  assert.deepEqual(codes, ["probe.timeout", "probe.command.exit", "probe.command.missing"]);
  const pid = Number(readFileSync(`${folder}/pid`, "utf8"));
  await until("the end of what it had started", () => !existsSync(`/proc/${pid}`) || isZombie(pid));
});

function isZombie(pid: number): boolean {
  return / Z /.test(readFileSync(`/proc/${pid}/stat`, "utf8"));
}

test("what a command starts in the background goes on when the command has ended", async (t) => {
  const folder = directory(t);
  const daemon = `(sleep 0.3; echo alive; echo alive > ${folder}/daemon) &`;
  const run = real(t, [rule({ commands: { ...none, active: [command(["/bin/sh", "-c", daemon])] } })]);
  run.notifier.tell(notice("active"));
  await run.notifier.stop(10_000);
  await until("the daemon's word", () => existsSync(`${folder}/daemon`));
});

/** What is in the FIFO; must have been opened before it was written. */
function readNow(fd: number): string {
  const bytes = Buffer.alloc(65_536);
  return bytes.toString("utf8", 0, readSync(fd, bytes));
}

test("a FIFO gets keepalived's lines at once, is made when missing and removed at the end", async (t) => {
  const path = join(directory(t), "fifo");
  const run = real(t, [rule({ fifos: [path] })]);
  run.notifier.tell(notice("backup"));
  run.notifier.tell(notice("active", { priority: 254 }));
  const fd = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
  t.after(() => closeSync(fd));
  assert.equal(readNow(fd), 'INSTANCE "VI_1" BACKUP 100\nINSTANCE "VI_1" MASTER 254\n');
  // Somebody replaces it.
  rmSync(path);
  run.notifier.tell(notice("fault"));
  const other = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
  t.after(() => closeSync(other));
  assert.equal(readNow(other), 'INSTANCE "VI_1" FAULT 100\n');
  await run.notifier.stop(0);
  assert.equal(existsSync(path), false);
});

test("a FIFO that nobody reads refuses in the end, which is counted and logged once; a plain file is left alone", (t) => {
  const folder = directory(t);
  writeFileSync(`${folder}/file`, "kept");
  const run = real(t, [rule({ fifos: [`${folder}/fifo`, `${folder}/file`, `${folder}/none/fifo`] })]);
  for (let count = 0; count < 4_000; count++) run.notifier.tell(notice("backup"));
  const codes = run.logged.map(({ fields }) => fields["code"]);
  assert.deepEqual(codes, ["fifo.notFifo", "fifo.missing", "fifo.full"]);
  assert.ok(run.notifier.counters().fifoRefused > 8_000);
  assert.equal(readFileSync(`${folder}/file`, "utf8"), "kept");
});

async function listen(t: TestContext, server: Server): Promise<number> {
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  t.after(() => server.close());
  const address: AddressInfo | string | null = server.address();
  assert.ok(address !== null && typeof address === "object");
  return address.port;
}

/** Takes mail as RFC 5321 has it, or refuses every recipient, or never answers. */
async function smtpSink(t: TestContext, kind: "takes" | "refuses" | "silent" = "takes") {
  const mails: string[] = [];
  const said: string[] = [];
  const server = createServer((socket) => {
    let held = "";
    let data: string[] | undefined;
    t.after(() => socket.destroy());
    socket.on("error", () => {});
    if (kind !== "silent") socket.write("220 sink\r\n");
    socket.setEncoding("utf8").on("data", (text: string) => {
      const lines = (held + text).split("\r\n");
      held = lines.pop() ?? "";
      for (const line of lines) {
        if (data !== undefined && line !== ".") data.push(line);
        else if (data !== undefined) {
          mails.push(data.join("\n"));
          data = undefined;
          socket.write("250 taken\r\n");
        } else answer(line);
      }
    });
    const answer = (line: string) => {
      said.push(line);
      if (line === "DATA") {
        data = [];
        socket.write("354 go on\r\n");
      } else if (line === "QUIT") socket.end("221 bye\r\n");
      else if (line === "STARTTLS") socket.write("502 not here\r\n");
      else if (line.startsWith("RCPT") && kind === "refuses") socket.write("550 nobody of that name\r\n");
      else if (kind !== "silent") socket.write("250 good\r\n");
    };
  });
  return { port: await listen(t, server), mails, said };
}

function email(port: number, changes: Partial<Email> = {}): Email {
  return {
    to: ["ops@example.com", "night@example.com"],
    from: "evenkeel@example.com",
    host: "127.0.0.1",
    port,
    security: "none",
    username: undefined,
    passwordFile: undefined,
    timeout: 5_000,
    events: ["active", "fault"],
    ...changes,
  };
}

test("mail has keepalived's subject and goes out for the events that were asked for, in their order", async (t) => {
  const sink = await smtpSink(t);
  const run = real(t, [rule({ emails: [email(sink.port)] })]);
  for (const event of ["backup", "active", "fault", "stop"] as const) run.notifier.tell(notice(event));
  await run.notifier.stop(10_000);
  assert.deepEqual(run.logged, []);
  const subjects = sink.mails.map((mail) => /^Subject: (.*)$/m.exec(mail)?.[1]);
  assert.deepEqual(subjects, [
    "[lb-1] VRRP Instance VI_1 - Entering MASTER state",
    "[lb-1] VRRP Instance VI_1 - Entering FAULT state",
  ]);
  assert.match(sink.mails[0] ?? "", /^=> VRRP Instance is now owning VRRP VIPs <=$/m);
  const recipients = sink.said.filter((line) => line.startsWith("RCPT")).slice(0, 2);
  assert.deepEqual(recipients, ["RCPT TO:<ops@example.com>", "RCPT TO:<night@example.com>"]);
});

test("mail that a server refuses, does not answer for, or cannot encrypt, is told with its own code", async (t) => {
  const [refusing, silent, plain] = await Promise.all([smtpSink(t, "refuses"), smtpSink(t, "silent"), smtpSink(t)]);
  const emails = [
    email(refusing.port),
    email(silent.port, { timeout: 200 }),
    email(plain.port, { security: "starttls" }),
    email(plain.port, { username: "u", passwordFile: "/no/such/file" }),
    email(9),
  ];
  const run = real(t, [rule({ emails })]);
  run.notifier.tell(notice("active"));
  await run.notifier.stop(10_000);
  const codes = run.logged.map(({ fields }) => fields["code"]).sort();
  assert.deepEqual(codes, ["mail.connect", "mail.password", "mail.refused", "mail.timeout", "mail.tls"]);
  assert.deepEqual(plain.mails, []);
});

function webhook(url: string, changes: Partial<Webhook> = {}): Webhook {
  return { url, headers: [], timeout: 2_000, tries: 3, events: ["active", "backup", "fault", "stop"], ...changes };
}

test("a webhook gets JSON, with the configured headers", async (t) => {
  const got: { readonly method: string; readonly token: unknown; readonly body: unknown }[] = [];
  const server = createWebServer((request, response) => {
    let body = "";
    request.setEncoding("utf8").on("data", (text: string) => {
      body += text;
    });
    request.on("end", () => {
      got.push({ method: request.method ?? "", token: request.headers["x-token"], body: JSON.parse(body) });
      response.writeHead(204).end();
    });
  });
  const url = `http://127.0.0.1:${await listen(t, server)}/hook`;
  const run = real(t, [rule({ webhooks: [webhook(url, { headers: [{ name: "X-Token", value: "secret" }] })] })]);
  run.notifier.tell(notice("active", { priority: 120 }));
  await run.notifier.stop(10_000);
  const body = {
    node: "lb-1",
    kind: "virtualRouter",
    name: "VI_1",
    event: "active",
    state: "MASTER",
    priority: 120,
    cause: "silence",
    at: "2026-09-21T14:13:20.000Z",
    number: 1,
  };
  assert.deepEqual(got, [{ method: "POST", token: "secret", body }]);
});

test("the codes of a webhook tell what may be tried again", async (t) => {
  const server = createWebServer((request, response) => {
    if (request.url !== "/silent") response.writeHead(Number(request.url?.slice(1))).end("no");
  });
  const port = await listen(t, server);
  t.after(() => server.closeAllConnections());
  const { callWebhook } = notifyEdges(() => performance.now());
  const call = async (path: string) => {
    const url = path.includes(":") ? path : `http://127.0.0.1:${port}/${path}`;
    const called = await callWebhook({ url, headers: [], body: {}, timeout: 300 });
    return called.ok ? "good" : `${called.failure.code} ${called.failure.retrySafe}`;
  };
  assert.equal(await call("200"), "good");
  assert.equal(await call("301"), "webhook.status false");
  assert.equal(await call("404"), "webhook.status false");
  assert.equal(await call("429"), "webhook.status true");
  assert.equal(await call("503"), "webhook.status true");
  assert.equal(await call("silent"), "webhook.timeout true");
  assert.equal(await call("http://127.0.0.1:9/x"), "webhook.connect true");
  assert.equal(await call("file:///etc/passwd"), "webhook.url false");
  const headers = [{ name: "X-Token", value: "a\nb" }];
  const called = await callWebhook({ url: `http://127.0.0.1:${port}/200`, headers, body: {}, timeout: 300 });
  assert.equal(!called.ok && called.failure.code, "webhook.invalid");
});

/** With edges that the test answers for. */
function world(rules: readonly NotifyRule[]) {
  const time = testTime();
  const { log, logged } = recorder();
  const runs: { readonly words: string; readonly end: (outcome: ProbeOutcome) => void }[] = [];
  const posts: unknown[] = [];
  let posted: Result<true> = good(true);
  const edges: NotifyEdges = {
    run: (program) => new Promise((end) => runs.push({ words: program.command.join(" "), end })),
    openFifo: () => ({ open: () => good(true), write: () => good(true), close: () => good(true) }),
    sendMail: async () => good(true),
    callWebhook: async ({ body }) => {
      posts.push(body);
      return posted;
    },
  };
  const notifier = new Notifier({ log, node: "lb-1", wallClock: () => 0, alarm: time.alarm, edges });
  notifier.apply({ notify: rules });
  const answerWith = (result: Result<true>) => {
    posted = result;
  };
  return { notifier, time, runs, posts, logged, answerWith };
}

const settle = () => new Promise((resolve) => setImmediate(resolve));
const ended: ProbeOutcome = { verdict: "passed", code: "probe.passed", text: "" };
const anyState = command(["any"], { appendState: true });
const always = { active: [anyState], backup: [anyState], fault: [anyState], stop: [anyState] };

test("a slow command delays no other virtual router, and only the newest news waits behind it", async () => {
  const run = world([rule({ commands: always }), rule({ name: "VI_2", commands: always })]);
  run.notifier.tell(notice("backup"));
  for (const event of ["active", "backup", "active", "fault"] as const) run.notifier.tell(notice(event));
  run.notifier.tell(notice("active", { name: "VI_2" }));
  await settle();
  assert.deepEqual(
    run.runs.map(({ words }) => words),
    ["any INSTANCE VI_1 BACKUP 100", "any INSTANCE VI_2 MASTER 100"],
  );
  run.runs[0]?.end(ended);
  await settle();
  assert.equal(run.runs.at(-1)?.words, "any INSTANCE VI_1 FAULT 100");
  const lane = run.notifier.counters().lanes.find((each) => each.rule === "virtualRouter:VI_1");
  assert.deepEqual([lane?.delivered, lane?.coalesced], [1, 3]);
});

test("news for an event without commands still takes the place of those that wait", async () => {
  const run = world([rule({ commands: { ...none, active: [anyState], fault: [anyState] } })]);
  run.notifier.tell(notice("fault"));
  run.notifier.tell(notice("active"));
  run.notifier.tell(notice("backup"));
  await settle();
  run.runs[0]?.end(ended);
  await settle();
  assert.deepEqual(
    run.runs.map(({ words }) => words),
    ["any INSTANCE VI_1 FAULT 100"],
  );
});

test("a webhook is tried again after growing waits, so often as was asked for, and not when that is of no use", async () => {
  const run = world([rule({ webhooks: [webhook("http://hook.example", { tries: 3 })] })]);
  const failure = { code: "webhook.status", origin: "target", retrySafe: true, detail: "503" } as const;
  run.answerWith(bad(failure));
  run.notifier.tell(notice("active"));
  await settle();
  assert.equal(run.posts.length, 1);
  run.time.pass(999);
  await settle();
  assert.equal(run.posts.length, 1);
  run.time.pass(1);
  await settle();
  run.time.pass(2_000);
  await settle();
  assert.equal(run.posts.length, 3);
  assert.deepEqual(run.logged[0]?.fields["tries"], 3);
  run.answerWith(bad({ ...failure, retrySafe: false }));
  run.notifier.tell(notice("backup"));
  await settle();
  assert.deepEqual([run.posts.length, run.time.waiting()], [4, 0]);
});

test("what a webhook has not taken waits in order up to the limit, and the oldest is given up beyond it", async () => {
  const run = world([rule({ webhooks: [webhook("http://hook.example", { tries: 2 })] })]);
  run.answerWith(bad({ code: "webhook.connect", origin: "target", retrySafe: true, detail: "refused" }));
  run.notifier.tell(notice("active", { priority: 0 }));
  await settle();
  for (let priority = 1; priority <= NOTICES_WAITING_MAX + 5; priority++) {
    run.notifier.tell(notice("backup", { priority }));
  }
  run.answerWith(good(true));
  run.time.pass(1_000);
  await run.notifier.stop(1_000);
  const [lane] = run.notifier.counters().lanes.filter(({ receiver }) => receiver === "webhook 1");
  assert.deepEqual([lane?.dropped, lane?.delivered], [5, NOTICES_WAITING_MAX + 1]);
  assert.equal(Reflect.get(Object(run.posts.at(-1)), "priority"), NOTICES_WAITING_MAX + 5);
});

test("over a reload a receiver that stays keeps what waits, one that is gone gives it up", async () => {
  const kept = rule({ commands: always });
  const gone = rule({ name: "VI_2", commands: always });
  const run = world([kept, gone]);
  for (const name of ["VI_1", "VI_2"]) {
    run.notifier.tell(notice("backup", { name }));
    run.notifier.tell(notice("active", { name }));
  }
  await settle();
  run.notifier.apply({ notify: [structuredClone(kept)] });
  for (const { end } of run.runs.splice(0)) end(ended);
  await settle();
  assert.deepEqual(
    run.runs.map(({ words }) => words),
    ["any INSTANCE VI_1 MASTER 100"],
  );
});

test("a stop waits for those under way no longer than it is told", async () => {
  const run = world([rule({ commands: always })]);
  run.notifier.tell(notice("stop"));
  const stopped = run.notifier.stop(5_000);
  await settle();
  run.time.pass(5_000);
  await stopped;
  assert.equal(run.runs.length, 1);
});
