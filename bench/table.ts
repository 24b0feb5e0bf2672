// A table of texts, drawn for a terminal or as Markdown. Pure. The first column is words, the others are figures.

export type Table = { readonly head: readonly string[]; readonly rows: readonly (readonly string[])[] };

/** Columns in line, the first to the left and the others to the right, two blanks between them. */
export function drawText(table: Table): string {
  const widths = table.head.map((name, at) =>
    Math.max(name.length, ...table.rows.map((row) => (row[at] ?? "").length)),
  );
  const line = (cells: readonly string[]): string =>
    widths
      .map((width, at) => (at === 0 ? (cells[at] ?? "").padEnd(width) : (cells[at] ?? "").padStart(width)))
      .join("  ")
      .trimEnd();
  return [table.head, ...table.rows].map(line).join("\n");
}

/** GitHub's tables: figures to the right. A `|` in a cell is escaped. */
export function drawMarkdown(table: Table): string {
  const line = (cells: readonly string[]): string =>
    `| ${cells.map((cell) => cell.replaceAll("|", "\\|")).join(" | ")} |`;
  const rule = `|${table.head.map((_, at) => (at === 0 ? "---" : "---:")).join("|")}|`;
  return [line(table.head), rule, ...table.rows.map(line)].join("\n");
}
