// A PCRE expression of nginx.conf as a JavaScript one that matches the same, or why there is none. On the change's way. What
// the two languages write differently and what only PCRE has is refused rather than guessed at: an expression that matches
// something else routes requests to the wrong place.

import { bad, good, type Result } from "../../core/failure.ts";

/** Escapes that mean the same in both. */
const sameEscapes = /^[dDwWsSbBtnrf0-9.\\/+*?()[\]{}|^$\-_ "'!#%&,:;<=>@`~]$/;

/** With `ignoreCase` as `~*`. The detail says what is in the way. */
export function toJavaScript(pcre: string, options: { readonly ignoreCase: boolean }): Result<string> {
  let ignoreCase = options.ignoreCase;
  let body = pcre;
  if (body.startsWith("(?i)")) {
    ignoreCase = true;
    body = body.slice("(?i)".length);
  }
  const obstacle = findObstacle(body);
  if (obstacle !== undefined) return refused(obstacle);
  const renamed = body.replaceAll("(?P<", "(?<");
  const source = ignoreCase ? `(?i:${renamed})` : renamed;
  try {
    new RegExp(source);
    return good(source);
  } catch (error) {
    return refused(error instanceof Error ? error.message : String(error));
  }
}

function refused(detail: string) {
  return bad({ code: "nginx.regex", origin: "self", retrySafe: false, detail });
}

function findObstacle(pcre: string): string | undefined {
  let inClass = false;
  for (let at = 0; at < pcre.length; at++) {
    const char = pcre[at]!;
    if (char === "\\") {
      at += 1;
      const escaped = pcre[at] ?? "";
      if (escaped === "x" && /^[0-9a-fA-F]{2}/.test(pcre.slice(at + 1))) continue;
      if (!sameEscapes.test(escaped)) return `\`\\${escaped}\` is PCRE's alone`;
    } else if (inClass) {
      if (char === "[" && /^\[[:.=]/.test(pcre.slice(at))) return "a POSIX class such as `[:alpha:]` is PCRE's alone";
      if (char === "]") inClass = false;
    } else if (char === "[") {
      inClass = true;
      // PCRE takes a bracket that comes first for itself; JavaScript ends the class.
      if (/^\[\^?\]/.test(pcre.slice(at))) return "a class that begins with `]` is PCRE's alone";
    } else if (char === "(" && pcre[at + 1] === "?" && !/^\(\?(?:[:=!]|P?<[A-Za-z_]|<[=!])/.test(pcre.slice(at))) {
      return `\`${pcre.slice(at, at + 4)}\` is PCRE's alone`;
    } else if (char === "(" && pcre[at + 1] === "*") return "a verb such as `(*UTF8)` is PCRE's alone";
    else if (/[*+?}]/.test(char) && pcre[at + 1] === "+") return "a possessive quantifier is PCRE's alone";
  }
  return undefined;
}

/** An expression that also wants the path to begin with `prefix`. */
export function within(prefix: string, source: string): string {
  const literal = escapeRegex(prefix);
  if (source.startsWith(`^${literal}`) && !source.includes("|")) return source;
  return `^(?=${literal})[^]*?(?:${source})`;
}

export function escapeRegex(text: string): string {
  return text.replaceAll(/[\\^$.*+?()[\]{}|/]/g, "\\$&").replaceAll("\\/", "/");
}
