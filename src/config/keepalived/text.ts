// A line of keepalived.conf on its way through conditions and parameters: characters that know where they were written, so
// that a word put together from a definition still points into the file. On the change's way, below everything else here.
// Must not know what a line means.

import type { ForeignPlace } from "../foreign/adapted.ts";

/** From `at` on the characters stand at `place` and, where they `move`, behind it; others are one replacement as a whole. */
type Piece = { readonly at: number; readonly place: ForeignPlace; readonly moves: boolean };

export type Text = { readonly characters: string; readonly pieces: readonly Piece[] };

/** Characters as they stand in a file. */
export function written(characters: string, place: ForeignPlace): Text {
  return { characters, pieces: [{ at: 0, place, moves: true }] };
}

/** Characters that stand nowhere: all of them point at one place. */
export function made(characters: string, place: ForeignPlace): Text {
  return { characters, pieces: [{ at: 0, place, moves: false }] };
}

/** Where a character was written; one behind the end stands behind the last. */
export function placeAt(text: Text, index: number): ForeignPlace {
  const piece = text.pieces.findLast(({ at }) => at <= index);
  if (piece === undefined) return text.pieces[0]?.place ?? { file: "", line: 1, column: 1 };
  const { place, at, moves } = piece;
  return moves ? { ...place, column: place.column + index - at } : place;
}

export function slice(text: Text, start: number, end = text.characters.length): Text {
  const characters = text.characters.slice(start, end);
  const inside = text.pieces
    .filter(({ at }) => at > start && at < end)
    .map((piece) => ({ ...piece, at: piece.at - start }));
  const first = text.pieces.findLast(({ at }) => at <= start);
  const moves = first?.moves ?? true;
  return { characters, pieces: [{ at: 0, place: placeAt(text, start), moves }, ...inside] };
}

export function join(parts: readonly Text[]): Text {
  let characters = "";
  const pieces: Piece[] = [];
  for (const part of parts) {
    for (const piece of part.pieces) pieces.push({ ...piece, at: piece.at + characters.length });
    characters += part.characters;
  }
  // Of pieces that begin at one character the last is its own: those before it are empty.
  return { characters, pieces: pieces.filter(({ at }, index) => pieces[index + 1]?.at !== at) };
}

/** Without blanks and tabs at both ends. */
export function trim(text: Text): Text {
  const start = /^[ \t]*/.exec(text.characters)?.[0].length ?? 0;
  const end = text.characters.replace(/[ \t]+$/, "").length;
  return slice(text, Math.min(start, end), end);
}
