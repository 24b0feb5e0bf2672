// Sends one message to one SMTP server. An edge, on the change's way, through nodemailer, which is loaded with the first
// message: most nodes send none. A connection for each message, no queue and no retry: mail servers queue, and the caller
// decides what a failure is worth. Must not follow what a text says: no files, no URLs.

import { readFile } from "node:fs/promises";
import { bad, good, type Result } from "../core/failure.ts";
import type { Email } from "../model/ha.ts";

export type MailText = {
  readonly subject: string;
  /** Plain text. */
  readonly body: string;
};

/** Characters of a server's answer that are shown to people. */
const answerTextMax = 256;

/**
 * Codes: mail.password (its file cannot be read), mail.timeout, mail.connect, mail.tls, mail.login, mail.refused (the server
 * wants none of it), mail.failed.
 */
export async function sendMail(email: Email, text: MailText): Promise<Result<true>> {
  const password = await readPassword(email);
  if (!password.ok) return password;
  const { host, port, security, timeout, username } = email;
  let close = () => {};
  // Of the whole: each of the times below begins anew with every step.
  const signal = AbortSignal.timeout(timeout);
  try {
    const { createTransport } = await import("nodemailer");
    const transport = createTransport({
      host,
      port,
      secure: security === "tls",
      requireTLS: security === "starttls",
      ignoreTLS: security === "none",
      connectionTimeout: timeout,
      greetingTimeout: timeout,
      socketTimeout: timeout,
      dnsTimeout: timeout,
      disableFileAccess: true,
      disableUrlAccess: true,
      ...(username === undefined ? {} : { auth: { user: username, pass: password.value } }),
    });
    close = () => transport.close();
    const sent = await transport.sendMail({
      from: email.from,
      to: [...email.to],
      subject: text.subject,
      text: text.body,
      // RFC 3834 section 5: nobody's holiday notice is to answer it.
      headers: { "Auto-Submitted": "auto-generated" },
      signal,
    });
    const { rejected } = sent;
    if (rejected.length === 0) return good(true);
    return refused("refused", `${host} does not take it for ${rejected.map(String).join(", ")}`);
  } catch (error) {
    return explain(email, error, signal.aborted);
  } finally {
    close();
  }
}

async function readPassword({ passwordFile }: Email): Promise<Result<string>> {
  if (passwordFile === undefined) return good("");
  try {
    return good((await readFile(passwordFile, "utf8")).replace(/\r?\n$/, ""));
  } catch (error) {
    return refused("password", `${passwordFile} cannot be read: ${String(error)}`);
  }
}

function refused(part: string, detail: string) {
  return bad({ code: `mail.${part}`, origin: "target", retrySafe: true, detail });
}

const parts: Readonly<Record<string, string>> = {
  ETIMEDOUT: "timeout",
  ECONNECTION: "connect",
  ECONNREFUSED: "connect",
  ECONNRESET: "connect",
  EDNS: "connect",
  ESOCKET: "connect",
  ETLS: "tls",
  EAUTH: "login",
  EENVELOPE: "refused",
  EMESSAGE: "refused",
};

function explain({ host, port, timeout }: Email, error: unknown, aborted: boolean) {
  const server = `${host}:${port}`;
  if (aborted) return refused("timeout", `${server} did not take it within ${timeout} ms`);
  const code = error instanceof Error && "code" in error ? String(error.code) : "";
  const said = (error instanceof Error ? error.message : String(error)).replaceAll(/\s+/g, " ").slice(0, answerTextMax);
  return refused(parts[code] ?? "failed", `${server}: ${said}`);
}
