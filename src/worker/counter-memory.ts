// Where this worker counts: in the memory that the supervisor handed over, or, without it, in memory of its own whose
// figures go with each status answer. The change's way, once at the start, and then a look at the process once a second.

import type { Log } from "../core/log.ts";
import { openSharedMemory } from "../io/shared-memory.ts";
import { privateRegionBytesMax } from "../state/slot-layout.ts";
import { isRegion, privateRows, SlotRows } from "../state/slot-rows.ts";
import type { WorkerCounters } from "../state/slot-worker.ts";
import { counterMemoryArgument } from "../state/worker-protocol.ts";

/** `words` are the process's: one of them names the descriptor. */
export function openCounterRows(words: readonly string[], log: Log): SlotRows {
  const given = words.find((word) => word.startsWith(counterMemoryArgument));
  if (given === undefined) return privateRows(privateRegionBytesMax);
  const opened = openSharedMemory(Number(given.slice(counterMemoryArgument.length)));
  if (opened.ok && isRegion(opened.value)) return new SlotRows(opened.value, { shared: true });
  const detail = opened.ok ? "it was laid out by another version of the program" : opened.failure.detail;
  log.warn("counters are not shared with the supervisor: those of a worker that dies are lost", { detail });
  return privateRows(privateRegionBytesMax);
}

/** What a status answer brings along when the supervisor cannot look at the rows by itself: their memory, as base64. */
export function rowsToSend(rows: SlotRows): string | undefined {
  if (rows.shared) return undefined;
  const used = rows.used();
  const text = Buffer.from(used.buffer, used.byteOffset, used.byteLength).toString("base64");
  rows.taken();
  return text;
}

export function measureProcess(counters: WorkerCounters): void {
  const { active, idle } = performance.eventLoopUtilization();
  const { user, system } = process.cpuUsage();
  counters.measure({
    busySeconds: active / 1000,
    idleSeconds: idle / 1000,
    cpuSeconds: (user + system) / 1_000_000,
    memoryBytes: process.memoryUsage.rss(),
  });
}
