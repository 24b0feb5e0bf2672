// What gathers while a foreign file is adapted: the native configuration, where each part of it was said, problems, warnings
// and notes. On the change's way; every part of the nginx adapter writes into one. Must not know what any directive means.

import type { Adapted, ForeignNote, ForeignPlace } from "../foreign/adapted.ts";
import { addProblem, type Complaint, type Path, type Problem } from "../problem.ts";
import type { Directive } from "./directive.ts";

type Container = Record<string, unknown> | unknown[];

/** Sections in the order in which they are printed. */
const rootOrder = ["workers", "drainTimeout", "accessLog", "listeners", "pools"];

export class Adaptation {
  readonly problems: Problem[] = [];
  private readonly value: Record<string, unknown> = Object.create(null);
  private readonly places = new Map<string, ForeignPlace>();
  private readonly warnings: Problem[] = [];
  private readonly noEffect: ForeignNote[] = [];
  private readonly notes: ForeignNote[] = [];
  private readonly told = new Set<string>();

  /** Puts a value at a native path, with the containers that it needs. A number in the path is an index of a list. */
  put(path: Path, value: unknown, place: ForeignPlace): void {
    let at: Container = this.value;
    for (const [index, part] of path.slice(0, -1).entries()) {
      this.mark(path.slice(0, index + 1), place);
      at = this.within(at, part, typeof path[index + 1] === "number");
    }
    this.mark(path, place);
    Reflect.set(at, path.at(-1) ?? "", value);
  }

  /** Says where a part of the native configuration came from, unless that is known. */
  mark(path: Path, place: ForeignPlace): void {
    const key = path.join("\0");
    if (!this.places.has(key)) this.places.set(key, place);
  }

  private within(container: Container, key: string | number, list: boolean): Container {
    const there: unknown = Reflect.get(container, key);
    if (typeof there === "object" && there !== null) return there as Container;
    const made: Container = list ? [] : Object.create(null);
    Reflect.set(container, key, made);
    return made;
  }

  refuse(place: ForeignPlace, complaint: Complaint): void {
    if (this.isNew("problem", place, complaint.message)) addProblem(this.problems, complaint, { ...place, path: [] });
  }

  warn(place: ForeignPlace, complaint: Complaint): void {
    if (this.isNew("warning", place, complaint.message)) addProblem(this.warnings, complaint, { ...place, path: [] });
  }

  idle({ name, place }: Directive, text: string): void {
    if (this.isNew("idle", place, text)) this.noEffect.push({ place, directive: name, text });
  }

  note({ name, place }: Directive, text: string): void {
    if (this.isNew("note", place, text)) this.notes.push({ place, directive: name, text });
  }

  /** A server that listens on two addresses is read for each, and what is wrong with it is told once. */
  private isNew(kind: string, { file, line, column }: ForeignPlace, text: string): boolean {
    const key = [kind, file, line, column, text].join("\0");
    const isNew = !this.told.has(key);
    this.told.add(key);
    return isNew;
  }

  /** A directive whose meaning nothing here has. */
  unserved(directive: Directive, what: string, instead: string): void {
    this.refuse(directive.place, { code: "nginx.unserved", message: what, expected: instead });
  }

  /** A value that nginx would refuse as well. */
  wrong(directive: Directive, message: string, expected = ""): void {
    this.refuse(directive.place, { code: "nginx.value", message, expected });
  }

  finish(): Adapted {
    const { places, problems, warnings, noEffect, notes } = this;
    const value: Record<string, unknown> = Object.create(null);
    for (const key of rootOrder) if (key in this.value) value[key] = this.value[key];
    return { value, places, problems, warnings, noEffect, notes };
  }
}
