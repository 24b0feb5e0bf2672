// Events as text: the stream of the admin API cut into events, and an event as a line for people. Pure.

/** One server-sent event; `type` is `message` where the stream names none. HTML Living Standard section 9.2.6. */
export type StreamEvent = { readonly id: string; readonly type: string; readonly data: string };

/** Cuts a stream that comes in pieces. Comments and retry lines are passed over. */
export class EventCutter {
  readonly #tell: (event: StreamEvent) => void;
  #rest = "";
  #id = "";
  #type = "";
  #data: string[] = [];

  constructor(tell: (event: StreamEvent) => void) {
    this.#tell = tell;
  }

  take(text: string): void {
    const lines = (this.#rest + text).split("\n");
    this.#rest = lines.pop() ?? "";
    for (const line of lines) this.#takeLine(line.endsWith("\r") ? line.slice(0, -1) : line);
  }

  #takeLine(line: string): void {
    if (line === "") this.#end();
    const [, name, value = ""] = /^([^:]*)(?:: ?(.*))?$/s.exec(line) ?? [];
    if (name === "data") this.#data.push(value);
    else if (name === "event") this.#type = value;
    else if (name === "id") this.#id = value;
  }

  #end(): void {
    if (this.#data.length > 0) {
      this.#tell({ id: this.#id, type: this.#type === "" ? "message" : this.#type, data: this.#data.join("\n") });
    }
    this.#type = "";
    this.#data = [];
  }
}

/** What of an event its line needs; all of it may be missing when an older program speaks. */
export type ToldEvent = {
  readonly at?: unknown;
  readonly type?: unknown;
  readonly who?: unknown;
  readonly subject?: unknown;
  readonly before?: unknown;
  readonly after?: unknown;
};

/** `2026-11-21T10:00:00.000Z  target.changed  app/10.0.0.1:80  by api unix:root: weight 1 -> 2`. */
export function formatEvent({ at, type, who, subject, before, after }: ToldEvent): string {
  const about = Object.values(Object(subject)).map(String).join("/");
  const change = describeChange(before, after);
  const what = [String(at), String(type), about, `by ${String(who)}`].filter((word) => word !== "").join("  ");
  return change === "" ? what : `${what}: ${change}`;
}

/** Only what differs, where both are objects. */
function describeChange(before: unknown, after: unknown): string {
  if (before === undefined && after === undefined) return "";
  if (before === undefined) return describeValue(after);
  if (after === undefined) return `was ${describeValue(before)}`;
  if (!isRecord(before) || !isRecord(after)) return `${describeValue(before)} -> ${describeValue(after)}`;
  const names = [...new Set([...Object.keys(before), ...Object.keys(after)])];
  return names
    .filter((name) => JSON.stringify(before[name]) !== JSON.stringify(after[name]))
    .map((name) => `${name} ${describeValue(before[name])} -> ${describeValue(after[name])}`)
    .join(", ");
}

function describeValue(value: unknown): string {
  if (isRecord(value)) {
    return Object.entries(value)
      .map(([name, one]) => `${name} ${describeValue(one)}`)
      .join(", ");
  }
  return typeof value === "string" ? value : (JSON.stringify(value) ?? "nothing");
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
