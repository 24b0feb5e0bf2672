// What an error of a connection to a store means to an operator, as a failure with a code that stays. The change's way,
// pure. It must not guess at the remedy where the error does not tell.

import { bad, type Failure } from "../core/failure.ts";

type Explained = readonly [part: string, text: string];

const byCode: Readonly<Record<string, Explained>> = {
  ECONNREFUSED: ["connect.refused", "nobody listens there"],
  ECONNRESET: ["answer.cut", "the connection was reset"],
  EPIPE: ["answer.cut", "the connection was closed"],
  ETIMEDOUT: ["connect.timeout", "no connection within the system's time"],
  EHOSTUNREACH: ["connect.unreachable", "no way to that host"],
  ENETUNREACH: ["connect.unreachable", "no way to that network"],
  ENOTFOUND: ["connect.name", "no such name"],
  EAI_AGAIN: ["connect.name", "its name cannot be resolved now"],
  EMFILE: ["connect.limit", "this process is out of file descriptors: raise the limit (LimitNOFILE=, ulimit -n)"],
  EPROTO: ["connect.tls", "no TLS is spoken there"],
  HPE_INVALID_CONSTANT: ["answer.invalid", "what answers speaks no HTTP"],
};

/** What Node calls a certificate that it refuses, after OpenSSL's X509_V_ERR_ names. */
const refusedByUs = /CERT|^ERR_TLS|^UNABLE_TO|^HOSTNAME_MISMATCH$/;
/** What OpenSSL calls the server's word that it refuses ours. */
const refusedByServer = /^ERR_SSL_.*ALERT.*(CERTIFICATE|UNKNOWN_CA)/;

/** `doing` says in words when it happened. Codes: `source.connect.*` and `source.answer.*`. */
export function explainStoreError(
  endpoint: string,
  error: NodeJS.ErrnoException,
  doing: string,
): { readonly ok: false; readonly failure: Failure } {
  const [part, text] = explain(error);
  return bad({ code: `source.${part}`, origin: "target", retrySafe: true, detail: `${endpoint}: ${text} (${doing})` });
}

function explain(error: NodeJS.ErrnoException): Explained {
  // Of a name with several addresses each has its own error; the first that we know will do.
  const errors = error instanceof AggregateError ? error.errors.filter((one) => one instanceof Error) : [error];
  for (const one of errors) {
    const code: unknown = "code" in one ? one.code : undefined;
    if (typeof code !== "string") continue;
    const known = Object.hasOwn(byCode, code) ? byCode[code] : undefined;
    if (known !== undefined) return known;
    if (code.startsWith("HPE_")) return ["answer.invalid", `what answers speaks no valid HTTP (${code})`];
    if (refusedByServer.test(code)) {
      return ["connect.certificate", `it does not accept our certificate, or wants one (${code})`];
    }
    if (code.startsWith("ERR_SSL")) return ["connect.tls", `the TLS handshake failed (${code})`];
    if (refusedByUs.test(code)) return ["connect.certificate", `its certificate is not accepted: ${one.message}`];
  }
  return ["connect.failed", error.message];
}
