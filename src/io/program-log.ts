// The program's log on paper: one JSON line an event on stderr, written by pino. Synchronous, so that the line that
// explains an exit is out before the exit. The change's way; an edge, imported by whoever starts the program.

import { destination, pino, stdTimeFunctions } from "pino";
import type { Log, LogLevel } from "../core/log.ts";

/** A log that writes events of this level and above to stderr, each with `time` (ISO 8601, UTC), `level` and `message`. */
export function openProgramLog(level: LogLevel): Log {
  const logger = pino(
    {
      level,
      // No field of its own, so that `pid` is free for the process that a line is about.
      base: null,
      messageKey: "message",
      timestamp: stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
    },
    destination({ fd: 2, sync: true }),
  );
  return {
    debug: (message, fields) => logger.debug(fields ?? {}, message),
    info: (message, fields) => logger.info(fields ?? {}, message),
    warn: (message, fields) => logger.warn(fields ?? {}, message),
    error: (message, fields) => logger.error(fields ?? {}, message),
  };
}
