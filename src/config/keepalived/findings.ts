// What the adapter has to say about a keepalived.conf: problems, warnings, notes, words without effect, each with its place; and
// the native configuration that grows beside, each part with the place it came from. On the change's way. Must not know
// any word of either language.

import type { ForeignNote, ForeignPlace } from "../foreign/adapted.ts";
import { addProblem, type Complaint, type Problem } from "../problem.ts";

export type Said<T> = { readonly value: T; readonly place: ForeignPlace };

type Told = Omit<Complaint, "code" | "atKey">;

export class Findings {
  readonly problems: Problem[] = [];
  readonly warnings: Problem[] = [];
  readonly noEffect: ForeignNote[] = [];
  readonly notes: ForeignNote[] = [];

  /** `code` without its `keepalived.`. */
  complain(place: ForeignPlace, code: string, told: Told): void {
    addProblem(this.problems, { ...told, code: `keepalived.${code}` }, { ...place, path: [] });
  }

  warn(place: ForeignPlace, code: string, told: Told): void {
    addProblem(this.warnings, { ...told, code: `keepalived.${code}` }, { ...place, path: [] });
  }

  idle(place: ForeignPlace, directive: string, text: string): void {
    this.noEffect.push({ place, directive, text });
  }

  note(place: ForeignPlace, directive: string, text: string): void {
    this.notes.push({ place, directive, text });
  }
}

export type NativePath = readonly (string | number)[];

/** The native configuration as it is put together; keys stand in the order in which they are put. */
export class Native {
  readonly value: Record<string, unknown> = {};
  readonly places = new Map<string, ForeignPlace>();

  /** Puts a value where it belongs; maps on the way are made, and a place said for the first time holds. */
  put(path: NativePath, said: Said<unknown>): void {
    let map = this.value;
    path.slice(0, -1).forEach((key, index) => {
      const next = map[key];
      if (isMap(next)) map = next;
      else {
        const made: Record<string, unknown> = {};
        map[key] = made;
        map = made;
      }
      this.#place(path.slice(0, index + 1), said.place);
    });
    map[path.at(-1) ?? ""] = said.value;
    this.#place(path, said.place);
  }

  /** A list whose entries each have their place. */
  putList(path: NativePath, entries: readonly Said<unknown>[]): void {
    const [first] = entries;
    if (first === undefined) return;
    this.put(path, { value: entries.map(({ value }) => value), place: first.place });
    for (const [index, { place }] of entries.entries()) this.#place([...path, index], place);
  }

  #place(path: NativePath, place: ForeignPlace): void {
    const key = path.join("\0");
    if (!this.places.has(key)) this.places.set(key, place);
  }
}

function isMap(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
