// Writes a release's events: as JSON a line each, as plain lines where nobody watches, and on a terminal with the steps under
// way at the bottom, drawn anew a few times a second. The change's way, an edge.

import type { ReleaseEvent, ReleaseRecord } from "../model/release.ts";
import type { CliIo } from "./cli-io.ts";
import { describeEvent, describeUnderWay, encodeEvent, harmless } from "./release-text.ts";

const drawInterval = 250;

export class ReleaseScreen {
  readonly #io: CliIo;
  readonly #json: boolean;
  readonly #live: boolean;
  #record: ReleaseRecord | undefined;
  /** Lines at the bottom that the next drawing replaces. */
  #drawn = 0;
  #timer: NodeJS.Timeout | undefined;

  constructor(io: CliIo, { json }: { readonly json: boolean }) {
    this.#io = io;
    this.#json = json;
    // Moving the cursor is for terminals that can.
    this.#live = !json && process.stdout.isTTY === true && io.environment["TERM"] !== "dumb";
    if (this.#live) this.#timer = setInterval(() => this.#draw(""), drawInterval).unref();
  }

  tell(event: ReleaseEvent, record: ReleaseRecord): void {
    this.#record = record;
    const now = Date.now();
    if (this.#json) this.#io.out(encodeEvent(event, record, now));
    else this.#draw(describeEvent(event, record, now));
  }

  /** What is no event of the release goes to stderr. */
  warn(text: string): void {
    this.#draw("");
    this.#clear();
    this.#io.err(`evenkeel: ${harmless(text)}\n`);
  }

  close(): void {
    clearInterval(this.#timer);
    this.#clear();
  }

  #clear(): void {
    if (this.#drawn > 0) this.#io.out(`\u001b[${this.#drawn}A\u001b[J`);
    this.#drawn = 0;
  }

  #draw(lines: string): void {
    if (!this.#live) {
      if (lines !== "") this.#io.out(lines);
      return;
    }
    // A terminal that does not know its size says 0.
    const [columns, rows] = [process.stdout.columns || 80, process.stdout.rows || 24];
    const record = this.#record;
    const under = record === undefined ? [] : describeUnderWay(record, Date.now(), columns).slice(0, rows - 2);
    const bottom = under.map((one) => `${one}\n`).join("");
    // In one write, so that nothing flickers.
    const up = this.#drawn > 0 ? `\u001b[${this.#drawn}A\u001b[J` : "";
    this.#drawn = under.length;
    this.#io.out(`${up}${lines}${bottom}`);
  }
}
