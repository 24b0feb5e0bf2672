// The `listen` directives of a server, http's or stream's: where it binds, and what else they ask of the socket. On the
// change's way. Must not know what the server does with its clients.

import type { ForeignPlace } from "../foreign/adapted.ts";
import type { Adaptation } from "./adaptation.ts";
import { type Bind, parseListen } from "./address.ts";
import type { Directive } from "./directive.ts";

export type Listen = {
  readonly bind: Bind;
  readonly isDefault: boolean;
  readonly udp: boolean;
  readonly proxyProtocol: boolean;
  readonly backlog: number | undefined;
  readonly place: ForeignPlace;
};

/** Words that tune the socket. */
const idleWords = [
  "reuseport",
  "deferred",
  "bind",
  "ipv6only=on",
  "so_keepalive",
  "fastopen",
  "rcvbuf",
  "sndbuf",
  "setfib",
  "accept_filter",
  "multipath",
];

/** Every address of a `listen`; none when it is refused, which is told. */
export function readListen(adaptation: Adaptation, directive: Directive, portDefault: number | undefined): Listen[] {
  const [text = "", ...words] = directive.args;
  const address = parseListen(text, portDefault);
  if (address.kind === "wrong") {
    adaptation.wrong(directive, address.why);
    return [];
  }
  if (address.kind === "unix") {
    adaptation.unserved(directive, "a unix socket is not listened on", "an address and a port");
    return [];
  }
  if (address.kind === "name") {
    adaptation.unserved(directive, `"${address.name}" is a name, and names are not looked up`, "the address itself");
    return [];
  }
  const options = readWords(adaptation, directive, words);
  if (options === undefined) return [];
  const binds = address.binds.flatMap((bind) =>
    options.dualStack && bind.host === "::" ? [{ ...bind, host: "0.0.0.0" }, bind] : [bind],
  );
  return binds.map((bind) => ({ bind, ...options, place: directive.place }));
}

type Options = Omit<Listen, "bind" | "place"> & { readonly dualStack: boolean };

function readWords(adaptation: Adaptation, directive: Directive, words: readonly string[]): Options | undefined {
  const options = { isDefault: false, udp: false, proxyProtocol: false, dualStack: false };
  let backlog: number | undefined;
  let refused = false;
  const idle: string[] = [];
  for (const word of words) {
    const [name = "", value = ""] = word.split("=", 2);
    if (word === "default_server" || word === "default") options.isDefault = true;
    else if (word === "udp") options.udp = true;
    else if (word === "proxy_protocol") options.proxyProtocol = true;
    else if (word === "ipv6only=off") options.dualStack = true;
    else if (name === "backlog" && /^\d{1,9}$/.test(value)) backlog = Math.max(1, Number(value));
    else if (idleWords.includes(word) || idleWords.includes(name)) idle.push(word);
    else {
      refused = true;
      refuseWord(adaptation, directive, word);
    }
  }
  if (idle.length > 0) adaptation.idle(directive, `${idle.join(", ")}: the program chooses this itself`);
  return refused ? undefined : { ...options, backlog };
}

function refuseWord(adaptation: Adaptation, directive: Directive, word: string): void {
  if (word === "ssl") {
    const instead = "TLS that passes through: stream, with ssl_preread; or another program that ends it in front";
    adaptation.unserved(directive, "TLS is not terminated yet", instead);
  } else if (word === "http2" || word === "spdy" || word === "quic" || word === "http3") {
    adaptation.unserved(directive, `"${word}" is not spoken with clients yet`, "`listen` without it");
  } else adaptation.wrong(directive, `invalid parameter "${word}"`);
}
