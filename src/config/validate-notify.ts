// What must hold within one `notify`: somebody is told, and what is said about the telling has something to be about. On the
// change's way, part of validate-ha.ts.

import { notifyEvents } from "../model/ha.ts";
import type { NotifyFile } from "./notify-schema.ts";
import type { Path } from "./problem.ts";
import type { Draft } from "./shape.ts";

export function validateNotify(draft: Draft, path: Path, file: NotifyFile | undefined): void {
  if (file === undefined) return;
  const complain = (keys: Path, message: string, expected: string) =>
    draft.complain([...path, ...keys], { code: "config.notify", message, expected, atKey: true });
  const runs = [...notifyEvents, "any" as const].some((event) => file[event] !== undefined);
  for (const key of ["user", "timeout"] as const) {
    if (key === "user" && file.fifoReader !== undefined) continue;
    if (!runs && file[key] !== undefined)
      complain([key], `\`${key}\` means nothing where no command is run`, "a command");
  }
  if (!file.appendState && !notifyEvents.some((event) => file[event] !== undefined))
    complain(["appendState"], "`appendState: false` means nothing without a command for one event", "such a command");
  if (file.fifoReader !== undefined && file.fifo === undefined)
    complain(["fifoReader"], "`fifoReader` stands without `fifo`", "the path of the pipe that it reads");
  if (file.priorityChanges && file.fifo === undefined)
    complain(["priorityChanges"], "`priorityChanges` means nothing where no pipe is written", "a `fifo`");
  for (const key of ["email", "webhook"] as const) {
    if (file[key]?.events.length === 0) complain([key, "events"], "events: none, so nobody is told", "at least one");
  }
  const { email } = file;
  if (email === undefined) return;
  if (email.to.length === 0) complain(["email", "to"], "to: nobody", "at least one mail address");
  const [given, other] = email.username === undefined ? ["passwordFile", "username"] : ["username", "passwordFile"];
  if ((email.username === undefined) !== (email.passwordFile === undefined)) {
    complain(["email", given], `\`${given}\` stands without \`${other}\``, "both or none");
  }
  if (email.username !== undefined && email.security === "none" && !isLocal(email.server.host)) {
    draft.warn([...path, "email", "username"], {
      code: "config.notify.plain",
      message: "the password goes to the mail server unencrypted",
      expected: "`security: starttls` or `security: tls`",
      atKey: true,
    });
  }
}

function isLocal(host: string): boolean {
  return host === "localhost" || host === "::1" || host.startsWith("127.");
}
