// nginx.conf's text into directives' words, each with its place, exactly as ngx_conf_read_token (src/core/ngx_conf_file.c)
// cuts it: quotes, escapes, `${name}`, comments, its limit of 4096 bytes a word, and its words for what is wrong. On the
// change's way, first stage of the adapter. Must not know any directive.

/** Bytes of nginx's buffer: a word and what ends it must fit. */
const wordBytesMax = 4096;

export type Word = { readonly text: string; readonly line: number; readonly column: number };

export type Sentence =
  /** Words ended by `;` (simple) or `{` (open). */
  | { readonly kind: "simple" | "open"; readonly words: readonly Word[] }
  | { readonly kind: "close"; readonly line: number; readonly column: number }
  | { readonly kind: "end"; readonly line: number; readonly column: number }
  /** nginx's own words, without the `in FILE:LINE` that it adds. Nothing can be read behind it. */
  | { readonly kind: "fault"; readonly message: string; readonly line: number; readonly column: number };

type Quote = '"' | "'" | "";

export class Lexer {
  private readonly text: string;
  private at = 0;
  private line = 1;
  private lineStart = 0;

  constructor(text: string) {
    this.text = text;
  }

  /** The next directive's words up to what ends them. After `end` or `fault` there is nothing more. */
  next(): Sentence {
    const words: Word[] = [];
    for (;;) {
      const ended = this.skipBlanks(words);
      if (ended !== undefined) return ended;
      const last = this.readWord(words);
      if (last === ";") return { kind: "simple", words };
      if (last === "{") return { kind: "open", words };
      if (typeof last === "object") return last;
    }
  }

  private fault(message: string, place: { readonly line: number; readonly column: number } = this.here()): Sentence {
    return { kind: "fault", message, line: place.line, column: place.column };
  }

  private here(): { line: number; column: number } {
    return { line: this.line, column: Math.max(1, this.at - this.lineStart + 1) };
  }

  private step(): string {
    const char = this.text[this.at] ?? "";
    this.at += 1;
    if (char === "\n") {
      this.line += 1;
      this.lineStart = this.at;
    }
    return char;
  }

  /** To the first character of a word; or what stands there instead of one. */
  private skipBlanks(words: readonly Word[]): Sentence | undefined {
    while (this.at < this.text.length) {
      const char = this.text[this.at]!;
      if (isBlank(char)) this.step();
      else if (char === "#") {
        const tooLong = this.skipComment();
        if (tooLong !== undefined) return tooLong;
      } else if (char === ";" || char === "{") {
        if (words.length === 0) return this.fault(`unexpected "${char}"`);
        this.step();
        return { kind: char === ";" ? "simple" : "open", words };
      } else if (char === "}") {
        if (words.length > 0) return this.fault('unexpected "}"');
        const place = this.here();
        this.step();
        return { kind: "close", ...place };
      } else return undefined;
    }
    if (words.length > 0) return this.fault('unexpected end of file, expecting ";" or "}"');
    return { kind: "end", ...this.here() };
  }

  /** To the end of the line. nginx keeps a comment in its buffer as it does a word, so one too long for it is refused. */
  private skipComment(): Sentence | undefined {
    const start = this.at;
    const place = this.here();
    let bytes = 0;
    while (this.at < this.text.length && this.text[this.at] !== "\n") {
      if (bytes >= wordBytesMax)
        return this.fault(`too long parameter "${this.text.slice(start, start + 10)}..." started`, place);
      bytes += bytesOf(this.text.charCodeAt(this.at));
      this.step();
    }
    return undefined;
  }

  /** One word; what ended it, `" "` when more may follow. */
  private readWord(words: Word[]): ";" | "{" | " " | Sentence {
    const place = this.here();
    const quote = this.openingQuote();
    const start = this.at;
    let bytes = 0;
    let variable = false;
    while (this.at < this.text.length) {
      if (bytes >= wordBytesMax) return this.tooLong(quote, start, place);
      const char = this.step();
      bytes += bytesOf(char.charCodeAt(0));
      if (char === "{" && variable) continue;
      variable = false;
      if (char === "\\") {
        // Whatever is escaped is no quote, blank or end.
        if (this.at < this.text.length) bytes += bytesOf(this.step().charCodeAt(0));
      } else if (char === "$") variable = true;
      else if (quote === char || (quote === "" && endsWord(char))) {
        words.push({ text: withoutEscapes(this.text.slice(start, this.at - 1)), ...place });
        if (quote !== "") return this.behindQuote();
        return char === ";" || char === "{" ? char : " ";
      }
    }
    return this.fault('unexpected end of file, expecting ";" or "}"');
  }

  private openingQuote(): Quote {
    const char = this.text[this.at];
    if (char !== '"' && char !== "'") return "";
    this.step();
    return char;
  }

  /** A quoted word is followed by a blank, an end, or a parenthesis that begins a word of its own. */
  private behindQuote(): ";" | "{" | " " | Sentence {
    const char = this.text[this.at];
    if (char === undefined || isBlank(char) || char === ")") return " ";
    if (char !== ";" && char !== "{") return this.fault(`unexpected "${char}"`);
    this.step();
    return char;
  }

  private tooLong(quote: Quote, start: number, place: { readonly line: number; readonly column: number }): Sentence {
    if (quote === "") return this.fault(`too long parameter "${this.text.slice(start, start + 10)}..." started`, place);
    return this.fault(`too long parameter, probably missing terminating "${quote}" character`, place);
  }
}

function isBlank(char: string): boolean {
  return char === " " || char === "\t" || char === "\r" || char === "\n";
}

function endsWord(char: string): boolean {
  return isBlank(char) || char === ";" || char === "{";
}

/** Bytes of a UTF-16 unit in UTF-8; both halves of a pair together have four. */
function bytesOf(unit: number): number {
  if (unit < 0x80) return 1;
  return unit < 0x800 || (unit >= 0xd800 && unit < 0xe000) ? 2 : 3;
}

/** Escaped quotes and backslashes bare, `\t`, `\r`, `\n` as control characters; any other backslash stays. */
function withoutEscapes(raw: string): string {
  return raw.replaceAll(/\\(["'\\trn])/g, (_, char: string) => {
    if (char === "t") return "\t";
    if (char === "r") return "\r";
    return char === "n" ? "\n" : char;
  });
}
