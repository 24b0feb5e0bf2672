// The `upsync` of nginx-upsync-module as a source (its README and ngx_http_upsync_module.c). On the change's way, below
// upstream.ts. The list of the store replaces the servers of the block, as it does in the module: they are placeholders.

import type { Adaptation } from "./adaptation.ts";
import { type Directive, own, type Scope } from "./directive.ts";
import { durationText, parseTime } from "./values.ts";

/** Of an `upsync` that says nothing else. */
const intervalDefaultMs = 5000;

type Words = {
  readonly type: string;
  readonly required: boolean;
  readonly intervalMs: number;
  readonly timeout: string;
};

export function putUpsync(adaptation: Adaptation, scope: Scope, upsync: Directive, path: readonly string[]): void {
  const words = readWords(adaptation, upsync);
  if (words === undefined) return;
  const source = [...path, "source"];
  const put = (keys: readonly string[], value: unknown, from = upsync) =>
    adaptation.put([...source, ...keys], value, from.place);
  if (!putStore(adaptation, upsync, words, put)) return;
  put(["required"], words.required);
  const first = words.intervalMs === 0 ? intervalDefaultMs : words.intervalMs;
  put(["retry", "first"], durationText(first));
  if (first > intervalDefaultMs) put(["retry", "most"], durationText(first));
  const [dump] = own(scope, "upsync_dump_path");
  if (dump !== undefined) {
    put(["dump", "path"], dump.args[0], dump);
    put(["dump", "format"], "upsync", dump);
  }
  if (words.timeout !== "") {
    adaptation.note(upsync, "upsync_timeout: a request is held open for `wait`, 10s, and given up 5s later");
  }
  adaptation.note(upsync, `changes come at once; upsync_interval is the pause behind a failed request`);
  tellServers(adaptation, scope, dump);
  tellBalance(adaptation, scope);
}

type Put = (keys: readonly string[], value: unknown, from?: Directive) => void;

/** The store and where in it; false when it is none of ours, which is told. */
function putStore(adaptation: Adaptation, upsync: Directive, { type }: Words, put: Put): boolean {
  const [text = ""] = upsync.args;
  const match = /^(?:https?:\/\/)?([^/]+)\/(.*)$/.exec(text);
  const [, endpoint = "", rest = ""] = match ?? [];
  const kept = /^v1\/kv\/(.+?)\/?$/.exec(rest)?.[1];
  const service = /^v1\/(?:catalog|health)\/service\/([^/?]+)\/?$/.exec(rest)?.[1];
  if (type === "consul" && kept !== undefined) {
    put(["type"], "consul");
    put(["endpoints"], [endpoint]);
    put(["prefix"], `${kept}/`);
    return true;
  }
  if ((type === "consul_services" || type === "consul_health") && service !== undefined) {
    put(["type"], "consul");
    put(["endpoints"], [endpoint]);
    put(["service"], service);
    put(["health"], type === "consul_health" ? "passing" : "any");
    return true;
  }
  if (type === "etcd") {
    const instead = "`source: { type: etcd }` natively, which speaks version 3";
    adaptation.unserved(upsync, "the keys of etcd's version 2 are not read", instead);
  } else if (!["consul", "consul_services", "consul_health"].includes(type)) {
    adaptation.wrong(upsync, `upsync_type invalid para "${type}"`);
  } else adaptation.wrong(upsync, `"${text}" names no keys of ${type}`, "such as 127.0.0.1:8500/v1/kv/upstreams/app/");
  return false;
}

function readWords(adaptation: Adaptation, upsync: Directive): Words | undefined {
  let words: Words = { type: "consul", required: false, intervalMs: 0, timeout: "" };
  for (const word of upsync.args.slice(1)) {
    const at = word.indexOf("=");
    const [name, value] = [word.slice(0, at), word.slice(at + 1)];
    const time = parseTime(value);
    if (name === "upsync_type") words = { ...words, type: value };
    else if (name === "strong_dependency" && (value === "on" || value === "off")) {
      words = { ...words, required: value === "on" };
    } else if (name === "upsync_interval" && time !== undefined) words = { ...words, intervalMs: time };
    else if (name === "upsync_timeout" && time !== undefined) words = { ...words, timeout: value };
    else {
      adaptation.wrong(upsync, `invalid parameter "${word}"`);
      return undefined;
    }
  }
  return words;
}

function tellServers(adaptation: Adaptation, scope: Scope, dump: Directive | undefined): void {
  for (const include of own(scope, "include")) {
    if (include.args[0] === dump?.args[0]) {
      adaptation.note(
        include,
        "the dump is not there yet, and need not be: the last good list is kept below `stateDirectory`",
      );
    } else adaptation.refuse(include.place, { code: "nginx.include", message: include.args[1] ?? "" });
  }
  const [server] = own(scope, "server");
  if (server === undefined) return;
  const text = "the servers of the block stand for the store's until it has answered; here the last good list does";
  adaptation.note(server, text);
}

/** Which policy, the policy's own directive says; this one only tells the module to obey it. */
function tellBalance(adaptation: Adaptation, scope: Scope): void {
  const [directive] = own(scope, "upsync_lb");
  if (directive === undefined) return;
  const [word = ""] = directive.args;
  const policy = { least_conn: "least_conn", hash_ketama: "hash", ip_hash: "ip_hash", roundrobin: "" }[word];
  if (policy === undefined) {
    adaptation.wrong(directive, `invalid value "${word}"`, "least_conn, hash_ketama, ip_hash or roundrobin");
  } else if (policy !== "" && own(scope, policy).length === 0) {
    adaptation.wrong(directive, `upsync_lb says "${word}", but there is no "${policy}" in the upstream`);
  } else adaptation.idle(directive, "the balancer follows the store by itself");
}
