// What etcd's refusals mean: who must do something about them, and whether a new token would do. The change's way, pure.

import type { Failure } from "../core/failure.ts";
import { type EtcdError, errorOf, parseTree, quoted, rpcCode } from "./etcd-message.ts";
import { failed, type StoreAnswer } from "./store-client.ts";

export type EtcdRefusal = {
  readonly failure: Failure;
  /** The token, or that there was none, is what it is about: asking for a new one may help. */
  readonly wantsToken: boolean;
  /** A token was asked for where none is needed. */
  readonly isAuthOff: boolean;
};

/** An answer whose status is not 200. */
export function explainAnswer(endpoint: string, answer: StoreAnswer): EtcdRefusal {
  const tree = parseTree(answer.body);
  const said = errorOf(tree);
  if (tree === undefined || said.message === "") {
    const hint = answer.status === 404 ? " (etcd serves /v3 from version 3.4 on)" : "";
    const text = `${endpoint} answered ${answer.status} "${quoted(answer.body)}", which etcd does not say${hint}`;
    return { failure: failed("etcd.foreign", text).failure, wantsToken: false, isAuthOff: false };
  }
  return explainError(`${endpoint} answered ${answer.status}`, said);
}

/**
 * By code, and where etcd uses one for several things by its words (etcd-io/etcd, rpctypes/error.go), which are what its
 * own client goes by. Codes: `etcd.denied`, `etcd.leader`, `etcd.failed`.
 */
export function explainError(who: string, error: EtcdError): EtcdRefusal {
  const { code, message } = error;
  const said = `${who}: "${quoted(message)}"`;
  const wantsToken =
    code === rpcCode.unauthenticated ||
    /invalid auth token|user name is empty|revision of auth store is old|code = Unauthenticated/i.test(message);
  const isAuthOff = /authentication is not enabled/i.test(message);
  const isDenied =
    wantsToken || code === rpcCode.permissionDenied || /permission denied|authentication failed/i.test(message);
  const failure = isDenied
    ? failed("etcd.denied", `${said}: set user and passwordFile of a user whose role may read the prefix`)
    : failed(/no leader|leader changed|lost leader/i.test(message) ? "etcd.leader" : "etcd.failed", said);
  return { failure: failure.failure, wantsToken, isAuthOff };
}
