// The access log of a worker over its configurations: opened, kept while nothing about it changes, reopened, closed.

import type { Log } from "../core/log.ts";
import { type LogFile, openLogFile } from "../io/log-file.ts";
import type { AccessLogConfig } from "../model/config.ts";
import { type AccessLog, createAccessLog } from "../proxy/access-log.ts";

export type WorkerAccessLog = {
  /** The log for this configuration. One that cannot be opened is reported, and the exchanges go on without. */
  configure(config: AccessLogConfig | undefined, node: string): AccessLog | undefined;
  reopen(): void;
  close(): Promise<void>;
};

export function createWorkerAccessLog(log: Log): WorkerAccessLog {
  let file: LogFile | undefined;
  let current: AccessLog | undefined;
  let key = "";
  const letGo = (old: LogFile | undefined): void => {
    old?.close().catch((error: unknown) => log.error("the access log could not be closed", { error: String(error) }));
  };
  return {
    configure(config, node) {
      const wanted = JSON.stringify([config, node]);
      if (wanted === key) return current;
      key = wanted;
      letGo(file);
      file = undefined;
      current = undefined;
      if (config === undefined) return undefined;
      const opened = openLogFile({
        path: config.path,
        bufferBytesMax: config.bufferBytesMax,
        flushInterval: config.flushInterval,
        onProblem: (failure, linesDropped) =>
          log.error("the access log has a problem", { code: failure.code, detail: failure.detail, linesDropped }),
      });
      if (!opened.ok) {
        log.error("the access log cannot be opened", { code: opened.failure.code, detail: opened.failure.detail });
        return undefined;
      }
      file = opened.value;
      current = createAccessLog({ format: config.format, sink: file, node });
      return current;
    },
    reopen() {
      file
        ?.reopen()
        .catch((error: unknown) => log.error("the access log could not be reopened", { error: String(error) }));
    },
    async close() {
      await file?.close();
    },
  };
}
