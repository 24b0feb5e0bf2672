// For tests of DNS: writes answers byte by byte, right ones and wrong ones, without any code of what reads them. It stands
// on neither way, and nothing that runs may import it.

export const word = (value: number): number[] => [(value >> 8) & 0xff, value & 0xff];
export const long = (value: number): number[] => [...word(Math.floor(value / 0x10000)), ...word(value % 0x10000)];

/** `www.example.com` without compression. */
export function nameBytes(name: string): number[] {
  const labels = name === "" ? [] : name.split(".");
  return [...labels.flatMap((label) => [label.length, ...Buffer.from(label, "latin1")]), 0];
}

export const pointer = (to: number): number[] => word(0xc000 | to);

export type RecordBytes = {
  readonly name: readonly number[];
  readonly type: number;
  readonly class?: number;
  readonly ttl?: number;
  readonly data: readonly number[];
};

export function recordBytes(record: RecordBytes): number[] {
  const { name, type, data } = record;
  return [...name, ...word(type), ...word(record.class ?? 1), ...long(record.ttl ?? 60), ...word(data.length), ...data];
}

export const srvData = (priority: number, weight: number, port: number, target: readonly number[]): number[] => [
  ...word(priority),
  ...word(weight),
  ...word(port),
  ...target,
];

/** The last of its numbers is what a negative answer lives by. */
export const soaData = (minimum: number): number[] => [
  ...nameBytes("ns.example.com"),
  ...nameBytes("root.example.com"),
  ...[1, 3600, 600, 86_400, minimum].flatMap(long),
];

export type MessageParts = {
  readonly id?: number;
  /** 0x8580: an answer, authoritative, recursion wanted and available. */
  readonly flags?: number;
  readonly question?: { readonly name: string; readonly type: number };
  readonly answers?: readonly RecordBytes[];
  readonly authority?: readonly RecordBytes[];
  readonly additional?: readonly RecordBytes[];
};

export function messageBytes(parts: MessageParts): Uint8Array {
  const { id = 0x1234, flags = 0x8580, question, answers = [], authority = [], additional = [] } = parts;
  const counts = [question === undefined ? 0 : 1, answers.length, authority.length, additional.length];
  const asked = question === undefined ? [] : [...nameBytes(question.name), ...word(question.type), ...word(1)];
  const records = [...answers, ...authority, ...additional].flatMap(recordBytes);
  return Uint8Array.from([...word(id), ...word(flags), ...counts.flatMap(word), ...asked, ...records]);
}
