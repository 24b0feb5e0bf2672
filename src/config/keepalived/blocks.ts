// Lines into statements: words, and for some the block of statements that belongs to them. On the change's way, second stage
// of the adapter. Braces part lines wherever they stand outside double quotes, as in keepalived; where keepalived passes over a
// brace, closes a block too early or never, that is a problem here. Must not know what a word means.

import type { ForeignPlace } from "../foreign/adapted.ts";
import type { Findings } from "./findings.ts";
import { placeAt, type Text, trim } from "./text.ts";
import { plainWords, splitAtBraces, type Word } from "./words.ts";

export type Statement = {
  /** The line without braces; commands are read from it in their own way. */
  readonly text: Text;
  /** At least one. */
  readonly words: readonly Word[];
  readonly keyword: string;
  readonly place: ForeignPlace;
  /** Undefined: no brace follows. */
  readonly block: readonly Statement[] | undefined;
};

/** Blocks within blocks: the deepest that keepalived knows is virtual_server, real_server, HTTP_GET, url. */
const depthMax = 16;

type Growing = { text: Text; words: readonly Word[]; keyword: string; place: ForeignPlace; block?: Growing[] };

/** The statements of the file; what its braces have wrong is told to the findings. */
export function readBlocks(lines: readonly Text[], findings: Findings): readonly Statement[] {
  const root: Growing[] = [];
  const open: { readonly by: Growing; readonly statements: Growing[] }[] = [];
  const current = () => open.at(-1)?.statements ?? root;
  let last: Growing | undefined;
  for (const line of lines) {
    for (const { brace, text } of splitAtBraces(line)) {
      const place = placeAt(text, 0);
      if (brace === undefined) {
        last = statementOf(text, findings);
        if (last !== undefined) current().push(last);
      } else if (brace === "{") {
        if (last === undefined || open.length >= depthMax) {
          const message =
            last === undefined ? "a block begins without a word before it" : "blocks are nested too deeply";
          findings.complain(place, "brace", { message, expected: "a keyword before each `{`" });
          return finish(root);
        }
        last.block = [];
        open.push({ by: last, statements: last.block });
        last = undefined;
      } else {
        last = undefined;
        if (open.pop() !== undefined) continue;
        const message = "a block ends here that never began, and keepalived reads on as if nothing were wrong";
        findings.complain(place, "brace", { message, expected: "no `}`" });
        return finish(root);
      }
    }
  }
  for (const { by } of open) {
    const message = `the block of \`${by.keyword}\` does not end, and keepalived would take all that follows for a part of it`;
    findings.complain(by.place, "brace", { message, expected: "`}`" });
  }
  return finish(root);
}

function statementOf(text: Text, findings: Findings): Growing | undefined {
  const line = trim(text);
  const { words, unmatched } = plainWords(line);
  const [first] = words;
  if (unmatched !== undefined) {
    findings.complain(unmatched, "quote", { message: "nothing ends this quote", expected: '`"`' });
    return undefined;
  }
  return first === undefined ? undefined : { text: line, words, keyword: first.text, place: first.place };
}

function finish(statements: readonly Growing[]): readonly Statement[] {
  return statements.map((one) => ({ ...one, block: one.block === undefined ? undefined : finish(one.block) }));
}
