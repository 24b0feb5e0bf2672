// What is said between whoever runs a command and its keeper (kept-command-main.ts), over Node's own channel between parent and
// child. Plain JSON. The change's way.

export type CommandOrder =
  | {
      readonly kind: "start";
      readonly command: readonly string[];
      readonly environment: Readonly<Record<string, string>>;
      readonly directory: string;
    }
  /** For its whole group. */
  | { readonly kind: "signal"; readonly signal: "SIGTERM" | "SIGKILL" };

export type CommandReport = {
  readonly kind: "ended";
  readonly code: number | undefined;
  readonly signal: string | undefined;
  /** It was never started: an errno such as ENOENT. */
  readonly error: string | undefined;
};
