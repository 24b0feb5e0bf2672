// The shape of `notify` as an operator writes it, the same under `ha`, under a virtual router and under a sync group: who is
// told that an address came or went. On the change's way, part of ha-schema.ts.

import * as z from "zod";
import { notifyEvents } from "../model/ha.ts";
import { command, commands, mailbox, mailServer, userName, webUrl } from "./ha-leaf.ts";
import { headerNameKey, plainHeaderValue } from "./http-leaf.ts";
import { absolutePath, duration, flag, integer, oneOf } from "./leaf.ts";
import { headerRulesPerRouteMax, recipientsMax, triesMax } from "./limits.ts";

const positive = duration({ off: false });
const filePath = absolutePath(4095);

const events = z
  .array(oneOf(notifyEvents))
  .max(notifyEvents.length)
  .prefault([...notifyEvents])
  .describe("Of which changes it is told; by default of all.");

const email = z.strictObject({
  to: z.array(mailbox()).max(recipientsMax).describe("Who gets it."),
  from: mailbox().describe("Whom it comes from."),
  server: mailServer().prefault("127.0.0.1:25").describe("The mail server, by default on this machine, port 25."),
  security: oneOf(["none", "starttls", "tls"])
    .prefault("none")
    .describe("`starttls` refuses a server that does not offer it; `tls` speaks it from the first byte."),
  username: mailUser().optional().describe("Name to log in with."),
  passwordFile: filePath.optional().describe("A file that holds the password alone."),
  timeout: positive.prefault("30s").describe("Of one mail, from connect to the server's answer."),
  events,
});

function mailUser() {
  return plainHeaderValue();
}

const webhook = z.strictObject({
  url: webUrl().describe("Where a JSON object is posted to."),
  headers: z
    .record(headerNameKey({ mayBeHost: false }), plainHeaderValue())
    .prefault({})
    .meta({ maxProperties: headerRulesPerRouteMax })
    .describe("Lines of the request, such as Authorization."),
  timeout: positive.prefault("5s").describe("Of one try."),
  tries: integer(1, triesMax).prefault(3).describe("Tries in all, until one is answered with 2xx."),
  events,
});

const perEvent = "with `INSTANCE name STATE priority` appended";

export const notifyFile = z.strictObject({
  active: commands().optional().describe(`Run when the addresses came here, ${perEvent} (STATE is MASTER).`),
  backup: commands().optional().describe(`Run when another node has them, ${perEvent} (BACKUP).`),
  fault: commands().optional().describe(`Run when this node cannot take part, ${perEvent} (FAULT).`),
  stop: commands().optional().describe(`Run when the program stops, ${perEvent} (STOP).`),
  any: commands().optional().describe(`Run on each of these, after their own, always ${perEvent}.`),
  appendState: flag()
    .prefault(true)
    .describe(
      "`false`: commands of `active`, `backup`, `fault` and `stop` get no words appended, as keepalived has it.",
    ),
  user: userName().optional().describe("Who runs the commands; by default the program's own user."),
  timeout: positive.optional().describe("After which a command is killed and the next one runs; by default 30s."),
  fifo: filePath.optional().describe('A named pipe that gets a line for each change: `INSTANCE "VI_1" MASTER 100`.'),
  fifoReader: command()
    .optional()
    .describe(
      "Program and arguments that read it, the pipe's path appended; started with the program, again when it ends, and ended with it.",
    ),
  priorityChanges: flag()
    .prefault(false)
    .describe('Lines in the pipe for changes of the priority as well: `INSTANCE "VI_1" MASTER_PRIORITY 80`.'),
  email: email.optional().describe("A mail for each change."),
  webhook: webhook.optional().describe("A POST for each change."),
});

export type NotifyFile = z.output<typeof notifyFile>;
