// Questions to etcd in the name of a user: a token is asked for before the first one, and anew when etcd does not take it
// any more, which happens whenever it expires, a member restarts or the users are changed. The driver of one watch's
// requests, on the change's way. Which endpoint is asked, and when again, is its caller's business.

import { readFileSync } from "node:fs";
import type { Milliseconds } from "../core/clock.ts";
import { bad, good, type Result } from "../core/failure.ts";
import type { EtcdSource } from "../model/source.ts";
import { decodeToken, encodeAuthenticate } from "./etcd-message.ts";
import { explainAnswer } from "./etcd-refusal.ts";
import { failed, type StoreClient, type StoreRequest, type StoreStream } from "./store-client.ts";

export type EtcdQuestion = {
  readonly endpoint: string;
  /** Below `/v3`. */
  readonly path: string;
  readonly body: string;
};

export type EtcdAccess = Pick<EtcdSource, "user" | "passwordFile" | "requestTimeout">;

/** What is sent in place of a token. */
type Token =
  | { readonly type: "unknown" }
  | { readonly type: "none" }
  | { readonly type: "token"; readonly text: string };

export class EtcdSession {
  readonly #client: StoreClient;
  readonly #access: EtcdAccess;
  #token: Token;

  constructor(client: StoreClient, access: EtcdAccess) {
    this.#client = client;
    this.#access = access;
    this.#token = access.user === undefined ? { type: "none" } : { type: "unknown" };
  }

  /**
   * Calls `end` once with the body of an answer of 200, whose token may be new by then. Failures: those of the store
   * client, `etcd.*` and `source.password.file`. Returns what gives it up.
   */
  ask(question: EtcdQuestion, end: (result: Result<string>) => void): () => void {
    return this.#askOnce(question, { end, mayRenew: true });
  }

  /** With the token that the last question was answered with. `head`, `bytes`, `end` as in the store client. */
  watch(question: EtcdQuestion, to: StoreStream): () => void {
    return this.#client.stream(this.#request(question, Number.POSITIVE_INFINITY), to);
  }

  /** The token was not taken: the next question asks for another. */
  forget(): void {
    if (this.#access.user !== undefined) this.#token = { type: "unknown" };
  }

  #askOnce(
    question: EtcdQuestion,
    { end, mayRenew }: { readonly end: (result: Result<string>) => void; readonly mayRenew: boolean },
  ): () => void {
    let giveUp = () => {};
    const ask = () => {
      giveUp = this.#client.ask(this.#request(question, 0), (answer) => {
        if (!answer.ok) return end(answer);
        if (answer.value.status === 200) return end(good(answer.value.body));
        const refusal = explainAnswer(question.endpoint, answer.value);
        if (refusal.wantsToken) this.forget();
        if (!refusal.wantsToken || !mayRenew || this.#access.user === undefined) return end(bad(refusal.failure));
        giveUp = this.#askOnce(question, { end, mayRenew: false });
      });
    };
    if (this.#token.type !== "unknown") ask();
    else {
      giveUp = this.#authenticate(question.endpoint, (result) => {
        if (result.ok) ask();
        else end(result);
      });
    }
    return () => giveUp();
  }

  #authenticate(endpoint: string, end: (result: Result<true>) => void): () => void {
    const password = readPassword(this.#access.passwordFile);
    if (!password.ok) {
      const later = setImmediate(end, password);
      return () => clearImmediate(later);
    }
    const body = encodeAuthenticate(this.#access.user ?? "", password.value);
    return this.#client.ask(this.#request({ endpoint, path: "/auth/authenticate", body }, 0), (answer) => {
      if (!answer.ok) return end(answer);
      if (answer.value.status !== 200) {
        const refusal = explainAnswer(endpoint, answer.value);
        // A cluster without users takes anybody, as etcd's own client has it.
        if (refusal.isAuthOff) this.#token = { type: "none" };
        return end(refusal.isAuthOff ? good(true) : bad(refusal.failure));
      }
      const token = decodeToken(answer.value.body, endpoint);
      if (!token.ok) return end(token);
      this.#token = { type: "token", text: token.value };
      end(good(true));
    });
  }

  #request({ endpoint, path, body }: EtcdQuestion, hold: Milliseconds): StoreRequest {
    const headers: Record<string, string> = {
      accept: "application/json",
      "content-type": "application/json",
      "user-agent": "evenkeel",
      // A member that has no leader says so at once, and ends a watch when it has been without one for three elections: it
      // would hold the watch open in silence otherwise (etcd-io/etcd, issue 10819).
      "grpc-metadata-hasleader": "true",
    };
    if (this.#token.type === "token") headers["authorization"] = this.#token.text;
    return { endpoint, method: "POST", path: `/v3${path}`, headers, body, timeout: this.#access.requestTimeout, hold };
  }
}

/** Anew for each token, so that it may be changed while the watch goes on. One newline at its end is the editor's. */
function readPassword(path: string | undefined): Result<string> {
  if (path === undefined) return good("");
  try {
    return good(readFileSync(path, "utf8").replace(/\r?\n$/, ""));
  } catch (error) {
    return failed("source.password.file", `the password file ${path} cannot be read: ${String(error)}`);
  }
}
