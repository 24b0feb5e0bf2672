// One target as nginx-upsync-module keeps it in Consul or etcd: JSON below the key `<prefix><ip:port>`, and as it writes it
// into its dump: a `server ...;` line. Text to fields and back. The change's way, pure. It reads what that module reads and
// as the module reads it; a value that the module would take for something else than it says (it goes on with a default
// and a line in the error log) is a failure here, never a guess.

import type { Milliseconds } from "../core/clock.ts";
import { bad, good, type Result } from "../core/failure.ts";
import { type Intent, type Target, targetDefaults } from "../model/pool.ts";
import { durationMax, weightMax } from "./limits.ts";

/** What an entry says of its target. */
export type EntryFields = {
  readonly weight: number;
  readonly maxFails: number;
  readonly failTimeout: Milliseconds;
  readonly backup: boolean;
  readonly intent: Intent;
};

/** Of an entry that says nothing else: those of nginx-upsync-module (ngx_http_upsync_module.c, consul_parse_json). */
export const upsyncDefaults: EntryFields = {
  weight: targetDefaults.weight,
  maxFails: 2,
  failTimeout: 10_000,
  backup: targetDefaults.backup,
  intent: targetDefaults.intent,
};

const maxFailsMax = 1_000_000;

type Place = "weight" | "max_fails" | "fail_timeout" | "down" | "backup";
type Bounds = { readonly least: number; readonly most: number; readonly flag: boolean; readonly expected: string };

const places: Readonly<Record<Place, Bounds>> = {
  weight: {
    least: 1,
    most: weightMax,
    flag: false,
    // The module makes 1 of 0: neither that nor a target without work may be what was meant.
    expected: `a whole number from 1 to ${weightMax} (\`"down": 1\` gives it no work)`,
  },
  max_fails: { least: 0, most: maxFailsMax, flag: false, expected: `a whole number from 0 to ${maxFailsMax}` },
  fail_timeout: {
    least: 0,
    most: durationMax / 1000,
    flag: false,
    expected: `a whole number of seconds, at most ${durationMax / 1000}`,
  },
  down: { least: 0, most: 1, flag: true, expected: "0 or 1" },
  backup: { least: 0, most: 1, flag: true, expected: "0 or 1" },
};

function isPlace(name: string): name is Place {
  return Object.hasOwn(places, name);
}

/**
 * Reads the value of one entry. Nothing, or nothing but white space, is all defaults. Numbers may be written as digits in
 * a string, `down` and `backup` also as true and false; names are told apart without regard to case, as the module's JSON
 * parser does it; names that the module does not know are passed over. Fails with `source.entry.json` (no JSON object) and
 * `source.entry.field`, whose detail begins with the field's name.
 */
export function decodeUpsyncValue(text: string): Result<EntryFields> {
  if (text.trim() === "") return good(upsyncDefaults);
  let tree: unknown;
  try {
    tree = JSON.parse(text);
  } catch (error) {
    return refused("json", `no JSON: ${error instanceof Error ? error.message : String(error)}`);
  }
  if (typeof tree !== "object" || tree === null || Array.isArray(tree)) {
    return refused("json", `a JSON object is expected, such as {"weight":1}; found ${shown(tree)}`);
  }
  const said = new Map<Place, number>();
  for (const [name, value] of Object.entries(tree)) {
    const place = name.toLowerCase();
    if (!isPlace(place)) continue;
    const number = readNumber(value, places[place].flag);
    const { least, most, expected } = places[place];
    if (number === undefined || number < least || number > most) {
      return refused("field", `${name}: ${expected} is expected; found ${shown(value)}`);
    }
    said.set(place, number);
  }
  const twice = namedTwice(text);
  if (twice !== undefined) return refused("field", `${twice}: it is said twice, and only one of them would be read`);
  return good({
    weight: said.get("weight") ?? upsyncDefaults.weight,
    maxFails: said.get("max_fails") ?? upsyncDefaults.maxFails,
    failTimeout: (said.get("fail_timeout") ?? upsyncDefaults.failTimeout / 1000) * 1000,
    backup: said.get("backup") === 1,
    intent: said.get("down") === 1 ? "down" : "up",
  });
}

function refused(part: string, detail: string) {
  return bad({ code: `source.entry.${part}`, origin: "target", retrySafe: true, detail });
}

/** Whole numbers, and digits in a string as ngx_atoi reads them; undefined: the module would make something else of it. */
function readNumber(value: unknown, flag: boolean): number | undefined {
  if (typeof value === "number") return Number.isSafeInteger(value) ? value : undefined;
  if (typeof value === "string") return /^\d{1,15}$/.test(value) ? Number(value) : undefined;
  if (flag && typeof value === "boolean") return value ? 1 : 0;
  return undefined;
}

/** A name of ours that stands in the object twice. JSON.parse takes the last, the module the first. */
function namedTwice(text: string): string | undefined {
  const seen = new Set<string>();
  let depth = 0;
  // The text is JSON: outside of strings these characters mean what they look like.
  for (const [token, quoted] of text.matchAll(/("(?:[^"\\]|\\.)*")\s*:|"(?:[^"\\]|\\.)*"|[{}[\]]/g)) {
    if (token === "{" || token === "[") depth++;
    else if (token === "}" || token === "]") depth--;
    else if (quoted !== undefined && depth === 1) {
      const name: unknown = JSON.parse(quoted);
      if (typeof name !== "string") continue;
      const place = name.toLowerCase();
      if (isPlace(place) && seen.has(place)) return name;
      seen.add(place);
    }
  }
  return undefined;
}

const shownMax = 60;

function shown(value: unknown): string {
  const text = JSON.stringify(value) ?? String(value);
  return text.length > shownMax ? `${text.slice(0, shownMax)}...` : text;
}

/** The value of an entry with every field said. What upsync cannot say (`drain`, weight 0) is down; seconds are rounded up. */
export function encodeUpsyncValue(fields: EntryFields): string {
  const { weight, isDown, seconds } = asUpsync(fields);
  return JSON.stringify({
    weight,
    max_fails: fields.maxFails,
    fail_timeout: seconds,
    down: isDown ? 1 : 0,
    backup: fields.backup ? 1 : 0,
  });
}

/** The target's line in a dump, `server 10.0.0.1:80 weight=1 max_fails=2 fail_timeout=10s;`, which nginx includes. */
export function encodeUpsyncServer(target: Target): string {
  const { weight, isDown, seconds } = asUpsync(target);
  const backup = target.backup ? " backup" : "";
  const down = isDown ? " down" : "";
  const { address, maxFails } = target;
  return `server ${address} weight=${weight} max_fails=${maxFails} fail_timeout=${seconds}s${backup}${down};`;
}

function asUpsync(fields: EntryFields) {
  return {
    weight: Math.max(1, fields.weight),
    isDown: fields.intent !== "up" || fields.weight === 0,
    // nginx's fail_timeout has no unit below the second.
    seconds: Math.ceil(fields.failTimeout / 1000),
  };
}
