// An expected bad outcome, as a value. Both ways use it: parsers and the data plane return failures, the control plane
// carries them to the operator. A broken invariant is no failure: it is an assertion and ends the process.

/** Who caused it: the client that connected to us, the target we connected to, or this program and its machine. */
export type Origin = "client" | "target" | "self";

export type Failure = {
  /** Stable, dotted, lower camel case inside a part: `target.connect.refused`. Operators alert on it. */
  readonly code: string;
  readonly origin: Origin;
  /** True when trying the same work on another target cannot do it twice. */
  readonly retrySafe: boolean;
  readonly detail: string;
};

export type Result<T> = { readonly ok: true; readonly value: T } | { readonly ok: false; readonly failure: Failure };

export function good<T>(value: T): Result<T> {
  return { ok: true, value };
}

export function bad(failure: Failure): { readonly ok: false; readonly failure: Failure } {
  return { ok: false, failure };
}
