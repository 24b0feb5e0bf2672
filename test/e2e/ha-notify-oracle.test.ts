// What real keepalived says to its commands, its FIFO and its mail server, and which priorities it makes of a tracked file:
// the words and sums that ours must be equal to. keepalived runs alone in a namespace; nothing of ours runs there.

import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { argumentsOf, fifoLine, mailOf, type Notice, priorityLine } from "../../src/control/ha/notify-words.ts";
import { routerOf } from "../../src/ha/test-network.ts";
import { effectivePriority, tracksInFault } from "../../src/ha/tracks.ts";
import { parseFileNumber } from "../../src/io/probe-file.ts";
import { root, runProgram, startProgram, temporaryDirectory, until } from "./kit.ts";
import { cable, machine, noMachines, noProgram } from "./netns-kit.ts";

const skip = noMachines || noProgram("keepalived", "keepalived");
const mailPort = 2525;

const configuration = (folder: string) => `
global_defs {
  router_id lb-1
  vrrp_version 3
  vrrp_notify_fifo ${folder}/fifo
  vrrp_notify_fifo_script "${folder}/reader own"
  vrrp_notify_priority_changes true
  notification_email { ops@example.com }
  notification_email_from keepalived@example.com
  smtp_server 127.0.0.1 ${mailPort}
  smtp_alert true
  script_user root
}
track_file steer { file ${folder}/steer
  weight 1
}
vrrp_instance VI_1 {
  interface eth0
  virtual_router_id 51
  priority 100
  advert_int 0.1
  virtual_ipaddress { 10.48.0.100/24 }
  track_file { steer weight 1 }
  notify_priority_changes true
  notify_master "${folder}/say own"
  notify_backup "${folder}/say own"
  notify_fault "${folder}/say own"
  notify_stop "${folder}/say own"
  notify "${folder}/say"
}
`;

test("words and sums are keepalived's own", { timeout: 60_000, skip }, async (t) => {
  const folder = temporaryDirectory(t);
  const at = machine(t, "oracle");
  const neighbour = machine(t, "neighbour");
  cable({ machine: at, device: "eth0" }, { machine: neighbour, device: "eth0" });
  at.ip("addr add 10.48.0.1/24 dev eth0");
  const path = (name: string) => join(folder, name);
  const steer = (text: string) => writeFileSync(path("steer"), text);
  steer("5\n");
  // One write a line: keepalived runs both commands at once.
  const script = `line=; for word in "$@"; do line="$line[$word]"; done; echo "$line" >> ${folder}/said`;
  writeFileSync(path("say"), `#!/bin/sh\n${script}\n`, { mode: 0o755 });
  // Its FIFO's path comes last, and it is not started again when it ends: ours is.
  const readerScript = `line=; for word in "$@"; do line="$line[$word]"; done; echo "$line" >> ${folder}/readers`;
  writeFileSync(path("reader"), `#!/bin/sh\n${readerScript}\n`, { mode: 0o755 });
  writeFileSync(path("readers"), "");
  writeFileSync(path("said"), "");
  writeFileSync(path("keepalived.conf"), configuration(folder));
  await runProgram(t, "mkfifo", [path("fifo")]);
  const reader = startProgram(t, "cat", [path("fifo")]);
  const sink = at.start(t, process.execPath, [join(root, "test/e2e/fixtures/smtp-sink.ts"), String(mailPort)]);
  await until("the mail server", () => sink.stdout().startsWith("ready"));
  const files = ["-f", path("keepalived.conf"), "-p", path("pid"), "-r", path("pid-vrrp")];
  const keepalived = at.start(t, "keepalived", ["-n", "-l", "-P", ...files]);
  const says = (line: string) =>
    until(`the line ${line}`, () => reader.stdout().includes(`${line}\n`), {
      onTimeout: () => `${reader.stdout()}\n${keepalived.stderr()}`,
    });

  const router = routerOf({ priority: 100, tracks: [{ name: "steer", weight: 1, reverse: false }] });
  const priorityOf = (text: string) => effectivePriority(router, { steer: parseFileNumber(text) });
  const notice = (event: Notice["event"], priority: number): Notice => {
    return { of: "virtualRouter", name: "VI_1", event, priority, cause: "" };
  };
  const told = [notice("backup", priorityOf("5\n")), notice("active", priorityOf("5\n"))];
  await says(fifoLine(told[1] ?? notice("active", 0)));
  for (const text of ["-20\n", "abc\n", " 7 x\n", "", "400\n"]) {
    steer(text);
    await says(priorityLine({ name: "VI_1", active: true, priority: priorityOf(text) }));
  }
  assert.deepEqual(tracksInFault(router, { steer: parseFileNumber("-400") }), ["steer"]);
  steer("-400\n");
  told.push(notice("fault", priorityOf("400\n")));
  await says(fifoLine(told[2] ?? notice("fault", 0)));
  assert.equal(readFileSync(path("readers"), "utf8"), `[own][${path("fifo")}]\n`);
  const mails = () => sink.stdout().split("\n.\n").length - 1;
  await until("three mails", () => mails() >= 3, { onTimeout: sink.stdout });
  keepalived.signal("SIGTERM");
  await until("STOP", () => reader.stdout().includes("STOP"), { onTimeout: reader.stdout });
  const last = /"VI_1" STOP (\d+)\n/.exec(reader.stdout())?.[1];
  told.push(notice("stop", Number(last)));

  const lines = reader
    .stdout()
    .split("\n")
    .filter((line) => line !== "" && !line.includes("_PRIORITY"));
  assert.deepEqual(lines, told.map(fifoLine));
  const said = () => readFileSync(path("said"), "utf8").trim().split("\n");
  await until("all commands", () => said().length >= 2 * told.length, { onTimeout: () => said().join("\n") });
  const bracketed = (words: readonly string[]) => words.map((word) => `[${word}]`).join("");
  // keepalived starts both commands at once, so only what they were given can be compared.
  const expected = told.flatMap((each) => ["[own]", bracketed(argumentsOf(each))]);
  assert.deepEqual(said().sort(), expected.sort());
  const subjects = [...sink.stdout().matchAll(/^Subject: (.*)$/gm)].map((match) => match[1]);
  const bodies = [...sink.stdout().matchAll(/^(=> .*)$/gm)].map((match) => match[1]);
  const ours = told.slice(0, 3).map((each) => mailOf(each, "lb-1"));
  assert.deepEqual(
    subjects.slice(0, 3),
    ours.map(({ subject }) => subject),
  );
  assert.deepEqual(
    bodies.slice(0, 3),
    ours.map(({ body }) => body.trim()),
  );
});
