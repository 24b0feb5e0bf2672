// Reads the import table out of ARCHITECTURE.md: the page that people read is the rule that the build enforces, so the
// two cannot drift apart. A table that cannot be read whole is an error, never an empty rule.

/** What a cell allows: everything, or the named things; a name may be bound to some files of the folder. */
export type Allowed =
  | { readonly kind: "any" }
  | { readonly kind: "some"; readonly names: ReadonlyMap<string, readonly string[] | undefined> };

export type Room = {
  readonly folder: string;
  /** Folders beside this one; its own files it may always import. */
  readonly folders: ReadonlySet<string>;
  readonly packages: Allowed;
  /** Names without `node:`. */
  readonly builtins: Allowed;
};

export type ImportTable = ReadonlyMap<string, Room>;

const header = ["folder", "may import", "packages", "node:"];

/** Throws when there is no such table, or a row of it makes no sense: nothing can be checked then. */
export function readImportTable(markdown: string): ImportTable {
  const lines = markdown.split("\n").map(cellsOf);
  const first = lines.findIndex((cells) => header.every((name, index) => cells[index] === name));
  if (first < 0) throw new Error(`no table whose columns begin with: ${header.join(", ")}`);
  const rows: (readonly string[])[] = [];
  for (let at = first + 2; lines[at] !== undefined && (lines[at] ?? []).length > 0; at++) rows.push(lines[at] ?? []);
  const folders = rows.map((cells) => (cells[0] ?? "").replace(/\/$/, ""));
  const table = new Map<string, Room>();
  for (const [index, cells] of rows.entries()) {
    const folder = folders[index] ?? "";
    const where = `import table, row ${index + 1} (${folder})`;
    if (!/^[a-z][a-z0-9-]*$/.test(folder) || table.has(folder))
      throw new Error(`${where}: not a folder, or named twice`);
    table.set(folder, {
      folder,
      folders: readFolders(cells[1] ?? "", folders, where),
      packages: readAllowed(cells[2] ?? "", where),
      builtins: readAllowed(cells[3] ?? "", where),
    });
  }
  if (table.size === 0) throw new Error("the import table has no rows");
  return table;
}

/** True when the cell allows this name in this file (its path within the folder). */
export function allows(allowed: Allowed, name: string, file: string): boolean {
  if (allowed.kind === "any") return true;
  if (!allowed.names.has(name)) return false;
  const files = allowed.names.get(name);
  return files === undefined || files.includes(file);
}

/** The cells of a row of a table, or none for any other line. */
function cellsOf(line: string): readonly string[] {
  if (!/^\|.*\|\s*$/.test(line)) return [];
  return line
    .trim()
    .slice(1, -1)
    .split("|")
    .map((cell) => cell.replaceAll("`", "").trim());
}

/** `nothing`, `core model`, or `all but cli admin`. */
function readFolders(cell: string, folders: readonly string[], where: string): ReadonlySet<string> {
  if (cell === "nothing") return new Set();
  const words = cell.split(/\s+/);
  const but = words[0] === "all" && words[1] === "but";
  const named = but ? words.slice(2) : words;
  for (const word of named) {
    if (!folders.includes(word)) throw new Error(`${where}: '${word}' is no folder of the table`);
  }
  return new Set(but ? folders.filter((folder) => !named.includes(folder)) : named);
}

/** `any`, `none`, or names, each perhaps with the files it is bound to: `yaml net(net-engine.ts)`. */
function readAllowed(cell: string, where: string): Allowed {
  if (cell === "any") return { kind: "any" };
  const names = new Map<string, readonly string[] | undefined>();
  if (cell === "none") return { kind: "some", names };
  for (const word of cell.split(/\s+/)) {
    const match = /^(@?[a-z][\w./-]*)(?:\(([\w./,-]+)\))?$/.exec(word);
    const name = match?.[1];
    if (name === undefined) throw new Error(`${where}: cannot read '${cell}'`);
    names.set(name, match?.[2]?.split(","));
  }
  return { kind: "some", names };
}
