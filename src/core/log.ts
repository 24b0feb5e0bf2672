// The program's own log as the control plane sees it: a level, a sentence, fields. Who writes it, and as what, is an
// edge's business (src/io/program-log.ts). The change's way; the request's way never logs through this.

export type LogFields = Readonly<Record<string, unknown>>;

export type LogLevel = "debug" | "info" | "warn" | "error";

/** The message says what happened; the fields say to what, with names that stay (`listener`, `worker`, `code`). */
export type Log = {
  debug(message: string, fields?: LogFields): void;
  info(message: string, fields?: LogFields): void;
  warn(message: string, fields?: LogFields): void;
  error(message: string, fields?: LogFields): void;
};

export const logLevels: readonly LogLevel[] = ["debug", "info", "warn", "error"];
