// The process probe of a track: do at least so many processes of a name run? Read from /proc, on the change's way. The ones
// that were found last time are looked at first, so that the usual answer takes a few reads; only when they are too few is
// all of /proc read, a part at a time, so that a machine with thousands of processes keeps nobody waiting.

import { readdirSync, readFileSync } from "node:fs";
import type { ProbeOutcome } from "../model/health-check.ts";
import { failed, type Prober, passed } from "./probe.ts";

/** Processes looked at before others have their turn: about 2 ms. */
const looksPerTurn = 128;
/** The kernel keeps 15 bytes of a name. */
const nameBytesMax = 15;

export type ProcessQuestion = {
  /** As in /proc/PID/comm. */
  readonly process: string;
  /** A text within the command line, its words joined by spaces; undefined: any. */
  readonly match: string | undefined;
  readonly quorum: number;
};

/** Codes: probe.process.missing. `procPath` is /proc; a test brings its own. */
export function createProcessProber(question: ProcessQuestion, procPath = "/proc"): Prober {
  const { quorum, process: name } = question;
  let known: readonly string[] = [];
  let turn: NodeJS.Immediate | undefined;
  return {
    start(_timeoutMs, end) {
      const judge = (found: readonly string[]) => {
        known = found;
        end(judgeCount(question, found.length));
      };
      turn = setImmediate(() => {
        const still = known.filter((pid) => isWanted(procPath, pid, question));
        if (still.length >= quorum && quorum > 0) {
          judge(still);
          return;
        }
        const pids = readdirSync(procPath).filter((entry) => /^\d+$/.test(entry));
        const found: string[] = [];
        const look = (from: number) => {
          for (const pid of pids.slice(from, from + looksPerTurn))
            if (isWanted(procPath, pid, question)) found.push(pid);
          if (found.length >= quorum || from + looksPerTurn >= pids.length) judge(found);
          else turn = setImmediate(() => look(from + looksPerTurn));
        };
        look(0);
      });
    },
    close() {
      clearImmediate(turn);
    },
  };

  function judgeCount(asked: ProcessQuestion, count: number): ProbeOutcome {
    const what = asked.match === undefined ? name : `${name} with \`${asked.match}\``;
    if (count >= quorum) return passed(`${what} runs`);
    return failed("probe.process.missing", `${count} of ${quorum} processes of the name ${what} run`);
  }
}

function isWanted(procPath: string, pid: string, question: ProcessQuestion): boolean {
  // One that ended a moment ago has no files any more.
  const stat = parseStat(readText(`${procPath}/${pid}/stat`));
  if (stat === undefined || stat.dead) return false;
  if (stat.name !== Buffer.from(question.process).subarray(0, nameBytesMax).toString("latin1")) return false;
  if (question.match === undefined) return true;
  const commandLine = readText(`${procPath}/${pid}/cmdline`) ?? "";
  return commandLine.replaceAll("\0", " ").includes(Buffer.from(question.match).toString("latin1"));
}

/**
 * Name and state from the text of /proc/PID/stat: `PID (name) S ...`; the name may hold spaces and brackets. Dead are
 * zombies, which nobody has waited for yet, and those on their way out. proc(5).
 */
export function parseStat(text: string | undefined): { readonly name: string; readonly dead: boolean } | undefined {
  const open = text?.indexOf("(") ?? -1;
  const close = text?.lastIndexOf(")") ?? -1;
  if (text === undefined || open < 0 || close < open) return undefined;
  return { name: text.slice(open + 1, close), dead: "ZXx".includes(text.charAt(close + 2)) };
}

/** One byte a character; undefined where the process is gone or not ours to see. */
function readText(path: string): string | undefined {
  try {
    return readFileSync(path, "latin1");
  } catch {
    return undefined;
  }
}
