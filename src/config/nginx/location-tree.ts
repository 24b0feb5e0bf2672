// The location blocks of a server as locations.ts wants them: kind, text, what lies within. On the change's way. What nginx
// refuses about locations within each other is refused in its words (ngx_http_core_location, src/http/ngx_http_core_module.c).

import type { Adaptation } from "./adaptation.ts";
import { type Directive, own, type Scope, scopeOf } from "./directive.ts";
import type { Location } from "./locations.ts";
import { toJavaScript } from "./regex.ts";

export type ServerLocation = Location<Scope>;

/** The locations within a block, in the order of the file; what is refused is left out and told. */
export function readLocations(adaptation: Adaptation, scope: Scope, outer?: ServerLocation): ServerLocation[] {
  const seen = new Set<string>();
  return own(scope, "location").flatMap((directive) => {
    const named = nameOf(adaptation, directive);
    if (named === undefined || !fits(adaptation, directive, named, outer)) return [];
    const { kind, text } = named;
    if (kind !== "regex") {
      if (seen.has(`${kind} ${text}`)) {
        adaptation.wrong(directive, `duplicate location "${text}"`);
        return [];
      }
      seen.add(`${kind} ${text}`);
    }
    const inner = scopeOf(directive, scope);
    const redirects = kind !== "regex" && text.endsWith("/") && own(inner, "proxy_pass").length > 0;
    const location: ServerLocation = { ...named, redirects, nested: [], value: inner };
    return [{ ...location, nested: readLocations(adaptation, inner, location) }];
  });
}

type Named = Pick<ServerLocation, "kind" | "text" | "noRegex">;

function nameOf(adaptation: Adaptation, directive: Directive): Named | undefined {
  const [first = "", second] = directive.args;
  const [modifier, name] = second === undefined ? cutModifier(first) : [first, second];
  switch (modifier) {
    case "=":
      return { kind: "exact", text: name, noRegex: false };
    case "^~":
      return { kind: "prefix", text: name, noRegex: true };
    case "~":
    case "~*":
      return regexName(adaptation, directive, name, modifier === "~*");
    case "":
      if (!name.startsWith("@")) return { kind: "prefix", text: name, noRegex: false };
      adaptation.note(directive, "no path leads to a named location, only error_page and try_files");
      return undefined;
    default:
      adaptation.wrong(directive, `invalid location modifier "${modifier}"`);
      return undefined;
  }
}

/** The modifier may be written without a blank: `=/x`, `^~/x`, `~*\.png$`. */
function cutModifier(text: string): readonly [modifier: string, name: string] {
  const modifier = ["=", "^~", "~*", "~"].find((one) => text.startsWith(one)) ?? "";
  return [modifier, text.slice(modifier.length)];
}

function regexName(adaptation: Adaptation, directive: Directive, text: string, ignoreCase: boolean): Named | undefined {
  const source = toJavaScript(text, { ignoreCase });
  if (source.ok) return { kind: "regex", text: source.value, noRegex: false };
  const instead = "an expression that JavaScript has as well, or plain prefixes";
  adaptation.unserved(directive, `the expression "${text}" cannot be taken over: ${source.failure.detail}`, instead);
  return undefined;
}

function fits(adaptation: Adaptation, directive: Directive, named: Named, outer: ServerLocation | undefined): boolean {
  if (outer === undefined) return true;
  const message =
    outer.kind === "exact"
      ? `location "${named.text}" cannot be inside the exact location "${outer.text}"`
      : named.kind !== "regex" && outer.kind === "prefix" && !named.text.startsWith(outer.text)
        ? `location "${named.text}" is outside location "${outer.text}"`
        : undefined;
  if (message !== undefined) adaptation.wrong(directive, message);
  return message === undefined;
}
