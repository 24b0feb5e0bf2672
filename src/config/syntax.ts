// What the YAML parser refuses, in words that help: its code and offset become one of our complaints, with a hint for
// the two mistakes that this configuration invites (an IPv6 address or a `${NAME}` without quotes). On the change's
// way.

import type { LineCounter, YAMLError } from "yaml";
import type { Complaint } from "./problem.ts";

/** One slip often upsets the parser many times; what follows the first few says nothing new. */
const syntaxProblemsMax = 10;

/** At most one complaint a line, in the order of the file. */
export function explainSyntax(
  text: string,
  lines: LineCounter,
  errors: readonly YAMLError[],
): { readonly at: number; readonly complaint: Complaint }[] {
  const explained: { at: number; complaint: Complaint }[] = [];
  const seen = new Set<number>();
  for (const error of errors.toSorted((left, right) => left.pos[0] - right.pos[0])) {
    const at = Math.min(error.pos[0], text.length);
    const { line } = lines.linePos(at);
    if (seen.has(line) || explained.length >= syntaxProblemsMax) continue;
    seen.add(line);
    explained.push({ at, complaint: explain(error, lineOf(text, lines, line)) });
  }
  return explained;
}

function lineOf(text: string, lines: LineCounter, line: number): string {
  return text.slice(lines.lineStarts[line - 1] ?? 0, lines.lineStarts[line] ?? text.length);
}

function explain(error: YAMLError, line: string): Complaint {
  switch (error.code) {
    case "TAB_AS_INDENT":
      return { code: "config.yaml.tab", message: "a tab where a line is indented", expected: "spaces" };
    case "NON_STRING_KEY":
      return { code: "config.yaml.key", message: "a list or mapping as a key", ...hint(line, "text") };
    case "TAG_RESOLVE_FAILED":
      return {
        code: "config.yaml.tag",
        message: "a tag that means nothing here",
        expected: "the value without its tag",
      };
    case "RESOURCE_EXHAUSTION":
      return { code: "config.yaml.nesting", message: "collections are nested too deeply" };
    default: {
      const said = error.message.replace(/\s+/g, " ");
      return { code: "config.yaml.syntax", message: `not YAML: ${said}`, ...hint(line, "") };
    }
  }
}

function hint(line: string, otherwise: string): { readonly expected: string } {
  const ipv6 = /\[[0-9A-Fa-f:.]*::?[0-9A-Fa-f:.]*\]:\d+/.exec(line)?.[0];
  if (ipv6 !== undefined) return { expected: `an IPv6 address in quotes: "${ipv6}"` };
  const reference = /\$\{[^}]*\}/.exec(line)?.[0];
  if (reference !== undefined)
    return { expected: `a reference in quotes where braces stand around it: "${reference}"` };
  return { expected: otherwise };
}
