// Header rules and redirect locations as the request's way needs them: templates cut into constant text and variables,
// names ready to be compared with the parser's. Compiled once per snapshot; expanding joins strings and nothing more.
// Must not fetch values: the exchange fills `Variables`, and only those that a template needs.

import { assert } from "../core/assert.ts";
import type { HeaderRules } from "../model/listener.ts";
import { parseTemplate, type Variable } from "../model/variables.ts";
import { byteText } from "./path.ts";

/**
 * The values of one exchange: one record per worker, filled again for each exchange that expands a template. Strings
 * hold one byte a character, without CR, LF and NUL: what the parser let through, as received. Never a decoded path,
 * or `%0d%0a` in a URL becomes a header line.
 */
export type Variables = {
  clientAddress: string;
  clientPort: number;
  host: string;
  hostName: string;
  scheme: string;
  method: string;
  path: string;
  query: string;
  search: string;
  forwardedFor: string;
  listenerAddress: string;
  listenerPort: number;
  targetAddress: string;
  requestId: string;
};

/** One bit a variable, for `Template.needs`. */
export const VariableBit = {
  clientAddress: 1,
  clientPort: 2,
  host: 4,
  scheme: 8,
  method: 16,
  path: 32,
  query: 64,
  listenerAddress: 128,
  listenerPort: 256,
  targetAddress: 512,
  requestId: 1024,
  hostName: 2048,
  search: 4096,
  forwardedFor: 8192,
} as const satisfies Record<Variable, number>;
export type VariableBit = (typeof VariableBit)[Variable];

export type Template = {
  /** The whole value when there is no variable in it. */
  readonly constant: string | undefined;
  /** Union of the VariableBits: which fields of Variables must be filled. 0 for a constant. */
  readonly needs: number;
  /** Text before the first variable, between two, and after the last: one more than `bits`. */
  readonly texts: readonly string[];
  readonly bits: readonly VariableBit[];
};

export type CompiledName = {
  /** As the operator wrote it. */
  readonly name: string;
  readonly nameLower: Uint8Array;
  /** As in `Head.lines`: headerNameHash. */
  readonly hash: number;
};

export type CompiledRule = CompiledName & { readonly template: Template };

export type CompiledHeaderRules = {
  readonly set: readonly CompiledRule[];
  readonly add: readonly CompiledRule[];
  readonly remove: readonly CompiledName[];
  /** Every name whose existing lines go: those of `remove` and `set`, each once. */
  readonly drops: readonly CompiledName[];
  /** Bit (hash & 31) of every name in `drops`: a line whose bit is not here stays, without a look at the list. */
  readonly dropMask: number;
  /** Union of `needs` over all templates. */
  readonly needs: number;
};

export function emptyVariables(): Variables {
  return {
    clientAddress: "",
    clientPort: 0,
    host: "",
    hostName: "",
    scheme: "",
    method: "",
    path: "",
    query: "",
    search: "",
    forwardedFor: "",
    listenerAddress: "",
    listenerPort: 0,
    targetAddress: "",
    requestId: "",
  };
}

/** Compiles a template that the configuration has accepted; anything else is our own mistake and ends the process. */
export function compileTemplate(text: string): Template {
  const parsed = parseTemplate(text);
  assert(parsed.ok, `the template ${text} was validated`);
  assert(!/[\0\r\n]/.test(text), `the template ${text} has no line break or NUL`);
  const texts: string[] = [""];
  const bits: VariableBit[] = [];
  for (const part of parsed.value) {
    if (part.kind === "text") {
      texts[texts.length - 1] = byteText(part.text);
    } else {
      bits.push(VariableBit[part.name]);
      texts.push("");
    }
  }
  const needs = bits.reduce<number>((all, bit) => all | bit, 0);
  return { constant: bits.length === 0 ? texts[0] : undefined, needs, texts, bits };
}

/** The value for one exchange, one byte a character. */
export function expand(template: Template, variables: Variables): string {
  if (template.constant !== undefined) return template.constant;
  const { texts, bits } = template;
  let out = texts[0]!;
  for (let i = 0; i < bits.length; i++) out += valueFor(bits[i]!, variables) + texts[i + 1]!;
  return out;
}

function valueFor(bit: VariableBit, variables: Variables): string {
  switch (bit) {
    case VariableBit.clientAddress:
      return variables.clientAddress;
    case VariableBit.clientPort:
      return String(variables.clientPort);
    case VariableBit.host:
      return variables.host;
    case VariableBit.hostName:
      return variables.hostName;
    case VariableBit.scheme:
      return variables.scheme;
    case VariableBit.method:
      return variables.method;
    case VariableBit.path:
      return variables.path;
    case VariableBit.query:
      return variables.query;
    case VariableBit.search:
      return variables.search;
    case VariableBit.forwardedFor:
      return variables.forwardedFor;
    case VariableBit.listenerAddress:
      return variables.listenerAddress;
    case VariableBit.listenerPort:
      return String(variables.listenerPort);
    case VariableBit.targetAddress:
      return variables.targetAddress;
    case VariableBit.requestId:
      return variables.requestId;
    default:
      return bit satisfies never;
  }
}

/** Compiles the rules of one direction of a route. `hash` is headerNameHash of src/wire/http1/header-names.ts. */
export function compileHeaderRules(rules: HeaderRules, hash: (name: string) => number): CompiledHeaderRules {
  const compileName = (name: string): CompiledName => {
    const lower = name.toLowerCase();
    return { name, nameLower: Buffer.from(lower, "latin1"), hash: hash(lower) };
  };
  const compileRule = (rule: { readonly name: string; readonly value: string }): CompiledRule => ({
    ...compileName(rule.name),
    template: compileTemplate(rule.value),
  });
  const set = rules.set.map(compileRule);
  const add = rules.add.map(compileRule);
  const dropped = new Set([...rules.remove, ...rules.set.map((rule) => rule.name)].map((name) => name.toLowerCase()));
  const drops = Array.from(dropped, compileName);
  return {
    set,
    add,
    remove: rules.remove.map(compileName),
    drops,
    dropMask: drops.reduce((mask, name) => mask | (1 << (name.hash & 31)), 0),
    needs: [...set, ...add].reduce((all, rule) => all | rule.template.needs, 0),
  };
}

/** True when there is nothing to do, for rules before and after compiling. */
export function isEmptyRules(rules: HeaderRules | CompiledHeaderRules): boolean {
  return rules.set.length === 0 && rules.add.length === 0 && rules.remove.length === 0;
}
