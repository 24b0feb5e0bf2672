// What every question to Consul has in common: the blocking query with its index, the token, and what an answer must have
// to be one of Consul's. A plan for store-watch.ts, on the change's way. It changes nothing on an error: only an answer that
// Consul itself gave with 200, or 404 where that means an empty list, may become a reading.

import { readFileSync } from "node:fs";
import { good, type Result } from "../core/failure.ts";
import type { ConsulAccess } from "../model/source.ts";
import type { EntryBook, StoreEntry } from "./entry-book.ts";
import type { SourceReading } from "./source.ts";
import { failed, type StoreAnswer } from "./store-client.ts";
import type { StorePlan, Verdict } from "./store-watch.ts";

export type ConsulQuestion = {
  readonly access: ConsulAccess;
  /** Without a query, encoded: `/v1/kv/upstreams/app/`. */
  readonly path: string;
  readonly parameters: readonly [name: string, value: string][];
  /** Consul says 404 of a prefix without keys. */
  readonly emptyIs404: boolean;
  /** The entries of an answer, or undefined when it is no answer to this question. */
  readonly entries: (tree: unknown) => readonly StoreEntry[] | undefined;
  readonly book: EntryBook;
  /** The rule that the token lacks when it is refused. */
  readonly rule: string;
};

/** Consul lengthens a wait by up to this part of it, so that not all waits end at once (agent/consul/rpc.go). */
const jitterFraction = 16;

/**
 * Asks for the whole list first, with `consistent`, so that a server that has lost its cluster without knowing it yet cannot
 * answer with what once was; then blocks on the index. The index is forgotten after a failure, when it goes backwards (the
 * cluster was made anew, or another one answers) and when it is below 1 (developer.hashicorp.com/consul, blocking queries).
 */
export function consulPlan(question: ConsulQuestion): StorePlan {
  let index = 0;
  let reading: SourceReading | undefined;
  return {
    ask() {
      const token = readToken(question.access.tokenFile);
      if (!token.ok) return token;
      const hold = index === 0 ? 0 : question.access.wait * (1 + 1 / jitterFraction);
      const headers: Record<string, string> = { accept: "application/json", "user-agent": "evenkeel" };
      if (token.value !== undefined) headers["x-consul-token"] = token.value;
      return good({ method: "GET", path: pathOf(question, index), headers, body: undefined, hold });
    },
    judge(answer, endpoint): Result<Verdict> {
      const checked = checkAnswer(question, answer, endpoint);
      if (!checked.ok) return checked;
      const asked = index;
      index = checked.value.index;
      if (index < asked) {
        index = 0;
        return good({ type: "again" });
      }
      if (reading !== undefined && asked > 0 && index === asked)
        return good({ type: "reading", reading, isNew: false });
      const entries = readEntries(question, answer, endpoint);
      if (!entries.ok) return entries;
      reading = question.book.read(entries.value, String(checked.value.index));
      return good({ type: "reading", reading, isNew: true });
    },
    failed() {
      index = 0;
    },
  };
}

function pathOf({ access, path, parameters }: ConsulQuestion, index: number): string {
  const query = new URLSearchParams(parameters);
  if (access.datacenter !== undefined) query.set("dc", access.datacenter);
  if (index === 0) {
    query.set("consistent", "");
  } else {
    query.set("index", String(index));
    query.set("wait", `${Math.round(access.wait)}ms`);
  }
  return `${path}?${query}`;
}

/** Anew each time, so that it may be renewed while the watch goes on. */
export function readToken(path: string | undefined): Result<string | undefined> {
  if (path === undefined) return good(undefined);
  let text: string;
  try {
    text = readFileSync(path, "utf8").trim();
  } catch (error) {
    return failed("source.token.file", `the token file ${path} cannot be read: ${String(error)}`);
  }
  // Its content must not be told, whatever it is.
  if (/^[\x21-\x7e]{1,512}$/.test(text)) return good(text);
  return failed("source.token.file", `the token file ${path} must hold one token and nothing else`);
}

/** Whether Consul said it, and means it. */
function checkAnswer(
  question: ConsulQuestion,
  answer: StoreAnswer,
  endpoint: string,
): Result<{ readonly index: number }> {
  const { status, headers } = answer;
  const isAnswer = status === 200 || (status === 404 && question.emptyIs404);
  if (!isAnswer) return refuse(question, answer, endpoint);
  const text = headers["x-consul-index"];
  if (typeof text !== "string" || !/^\d{1,16}$/.test(text)) {
    return failed("consul.foreign", `${endpoint} answered ${status} without X-Consul-Index: that is not Consul`);
  }
  // A leader that was deposed while it held our query ends the query with what it knew then.
  if (headers["x-consul-knownleader"] === "false") {
    return failed("consul.leader", `${endpoint} knows no leader of its cluster`);
  }
  return good({ index: Number(text) });
}

function refuse({ rule }: ConsulQuestion, answer: StoreAnswer, endpoint: string) {
  const { status } = answer;
  const said = `${endpoint} answered ${status}${quoted(answer.body)}`;
  if (status === 403) {
    return failed("consul.denied", `${said}: write a token to tokenFile whose policy has ${rule}`);
  }
  if (status === 429) return failed("consul.busy", `${said}: it limits requests, see its limits.* settings`);
  if (status >= 500) return failed(/leader/i.test(answer.body) ? "consul.leader" : "consul.failed", said);
  return failed("consul.foreign", `${said}, which Consul does not say to this question`);
}

const quotedMax = 120;

/** The beginning of what was said, on one line and free of control characters. */
function quoted(body: string): string {
  const text = body
    .slice(0, quotedMax)
    .replaceAll(/[^\x20-\x7e]+/g, " ")
    .trim();
  return text === "" ? "" : ` "${text}"`;
}

function readEntries(question: ConsulQuestion, answer: StoreAnswer, endpoint: string): Result<readonly StoreEntry[]> {
  if (answer.status === 404) return good([]);
  let tree: unknown;
  try {
    tree = JSON.parse(answer.body);
  } catch (error) {
    return failed("consul.foreign", `${endpoint} answered with no JSON${quoted(answer.body)}: ${String(error)}`);
  }
  const entries = question.entries(tree);
  if (entries === undefined) {
    return failed(
      "consul.foreign",
      `${endpoint} answered with something else than was asked for${quoted(answer.body)}`,
    );
  }
  // Newer servers say so when they left out what the token may not see. Nothing at all is then no statement about the list.
  if (entries.length === 0 && answer.headers["x-consul-results-filtered-by-acls"] === "true") {
    return failed("consul.denied", `${endpoint} hides every entry: write a token whose policy has ${question.rule}`);
  }
  return good(entries);
}
