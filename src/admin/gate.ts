// Who may ask over TCP, judged before anything of a body is read: only who spoke to us by a loopback name, only programs (a
// browser names the page that made it ask), only with a token. Pure but for the token file; the change's way. On the unix
// socket the file's mode has decided already.

import { parseIp } from "../core/address.ts";
import { type AdminAnswer, failed } from "./answer.ts";
import type { TokenEntry } from "./token-file.ts";

export type Knock = {
  readonly method: string;
  readonly host: string | undefined;
  readonly origin: string | undefined;
  readonly authorization: string | undefined;
  /** What is asked for is answered without a token. */
  readonly open: boolean;
};

export type Admitted =
  | { readonly ok: true; readonly who: string }
  | { readonly ok: false; readonly answer: AdminAnswer };

/** 421 for a Host that is not ours, 403 for a browser's page or a token that may only read, 401 without a good token. */
export function judgeKnock(knock: Knock, find: (token: string) => TokenEntry | undefined): Admitted {
  if (!isLoopbackHost(knock.host)) {
    // A page whose name was bound anew to 127.0.0.1 would speak for the browser's user, and says its own name here.
    const detail = `${knock.host?.slice(0, 100) ?? "no Host"} is not served here; expected localhost, 127.0.0.1 or [::1]`;
    return refuse(421, "admin.host", detail);
  }
  if (knock.origin !== undefined) {
    return refuse(403, "admin.origin", "pages in a browser are not answered: programs send no Origin");
  }
  if (knock.open) return { ok: true, who: "anybody" };
  const token = /^bearer +([A-Za-z0-9._~+/-]+=*)$/i.exec(knock.authorization?.trim() ?? "")?.[1];
  if (token === undefined) {
    return refuse(
      401,
      "admin.token.missing",
      "a token is needed: Authorization: Bearer TOKEN",
      'Bearer realm="evenkeel"',
    );
  }
  const entry = find(token);
  if (entry === undefined) {
    const challenge = 'Bearer realm="evenkeel", error="invalid_token"';
    return refuse(401, "admin.token.invalid", "the token is not valid here, or not any more", challenge);
  }
  if (entry.rights === "read" && knock.method !== "GET" && knock.method !== "HEAD") {
    const challenge = 'Bearer realm="evenkeel", error="insufficient_scope"';
    return refuse(403, "admin.token.rights", `the token ${entry.name} may only read`, challenge);
  }
  return { ok: true, who: `token:${entry.name}` };
}

function refuse(status: number, code: string, detail: string, challenge?: string): Admitted {
  // RFC 6750 section 3: a challenge with every 401, and with the 403 that another token would not get.
  const headers: Record<string, string> = challenge === undefined ? {} : { "www-authenticate": challenge };
  return { ok: false, answer: failed(status, { code, detail }, headers) };
}

/** `localhost`, any of 127.0.0.0/8, `[::1]`, each with or without a port. */
export function isLoopbackHost(header: string | undefined): boolean {
  const match = /^(?:\[([0-9a-fA-F:.]+)\]|([A-Za-z0-9.-]+))(?::\d{1,5})?$/.exec(header ?? "");
  if (match === null) return false;
  const [, bracketed, name = ""] = match;
  if (bracketed !== undefined) {
    const bytes = parseIp(bracketed)?.bytes;
    return bytes?.length === 16 && bytes.every((byte, index) => byte === (index === 15 ? 1 : 0));
  }
  const address = parseIp(name);
  return address === undefined ? name.toLowerCase() === "localhost" : address.family === 4 && address.bytes[0] === 127;
}
