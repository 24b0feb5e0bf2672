// For tests: a sink that keeps every line as text.

import type { LineSink } from "../core/line-sink.ts";

export function sinkTo(lines: string[]): LineSink {
  return {
    append: (line) => {
      lines.push(line);
    },
    appendBytes: (line, length) => {
      lines.push(Buffer.from(line.subarray(0, length)).toString("latin1"));
    },
    flush: () => {},
  };
}
