// Whether an answer holds what is expected of it. An edge, on the change's way: the answer is a stranger's, and a regular
// expression can take years over the wrong text, so one runs under a time limit, after which the text counts as wrong
// rather than standing the whole supervisor still.

import { createContext, Script } from "node:vm";
import type { Expectation } from "../model/health-check.ts";

/** How long one regular expression may look at one answer. */
export const matchTimeMaxMs = 50;

export type Match = "found" | "missing" | "tooSlow";

/** A matcher of answers of one byte a character (latin1). */
export type Matcher = (answer: string) => Match;

export function createMatcher(expectation: Expectation): Matcher {
  if (expectation.kind === "text") {
    const { text } = expectation;
    return (answer) => (answer.includes(text) ? "found" : "missing");
  }
  const expression = new RegExp(expectation.source);
  const looking: { expression: RegExp; answer: string } = { expression, answer: "" };
  const context = createContext(looking);
  const script = new Script("expression.test(answer)");
  return (answer) => {
    looking.answer = answer;
    try {
      return script.runInContext(context, { timeout: matchTimeMaxMs }) === true ? "found" : "missing";
    } catch (error) {
      // The one thing that a test of a compiled expression can throw; anything else is a mistake of ours.
      if ((error as NodeJS.ErrnoException).code !== "ERR_SCRIPT_EXECUTION_TIMEOUT") throw error;
      return "tooSlow";
    } finally {
      looking.answer = "";
    }
  };
}

/** The code and words for an answer that does not match; `what` is `the body`, `the datagram`. */
export function describeMismatch(
  match: "missing" | "tooSlow",
  what: string,
  answer: string,
): readonly [string, string] {
  if (match === "tooSlow") {
    return ["probe.expect.tooSlow", `the expression looked at ${what} for more than ${matchTimeMaxMs} ms`];
  }
  return ["probe.expect.missing", `${what} does not hold what is expected: ${JSON.stringify(answer.slice(0, 120))}`];
}
