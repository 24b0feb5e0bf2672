// `${NAME}` and `${NAME:-default}` inside the texts of a configuration. On the change's way. The environment is handed
// in as data; this file never reads the process. A reference is replaced in values and keys after YAML was parsed, so
// that what a variable holds is a text and can never add a key, a comment or a line.

import type { Complaint } from "./problem.ts";

export type Environment = Readonly<Record<string, string | undefined>>;

export type Expansion = {
  readonly text: string;
  /** True when a reference was replaced. */
  readonly replaced: boolean;
  readonly complaints: readonly (Complaint & { readonly reference: string })[];
};

const expectedReference = `\${NAME} or \${NAME:-default} (a literal \`\${\` is written \`$\${\`)`;

/**
 * Replaces every reference of `text`. A variable that is not set, or empty, gives its default; not set and without
 * default is a complaint (`config.environment.unset`); what begins like a reference and is none is
 * `config.environment.syntax`. `$${` stands for `${`. The default goes to the next `}` and holds no reference itself.
 */
export function expandEnvironment(text: string, environment: Environment): Expansion {
  if (!text.includes("${")) return { text, replaced: false, complaints: [] };
  const complaints: (Complaint & { reference: string })[] = [];
  let replaced = false;
  const expanded = text.replaceAll(
    /\$\$\{|\$\{([^}]*)(\}?)/g,
    (reference: string, inside: string | undefined, close) => {
      if (inside === undefined) return "${";
      const match = /^([A-Za-z_][A-Za-z0-9_]*)(?::-([\s\S]*))?$/.exec(inside);
      if (match === null || close === "") {
        const message = `\`${reference}\` is no reference to the environment`;
        complaints.push({ code: "config.environment.syntax", message, expected: expectedReference, reference });
        return "";
      }
      replaced = true;
      const [, name = "", fallback] = match;
      const value = Object.hasOwn(environment, name) ? environment[name] : undefined;
      if (fallback !== undefined) return value === undefined || value === "" ? fallback : value;
      if (value !== undefined) return value;
      complaints.push({
        code: "config.environment.unset",
        message: `the environment has no variable \`${name}\``,
        expected: `it to be set, or a default: \${${name}:-default}`,
        reference,
      });
      return "";
    },
  );
  return { text: expanded, replaced, complaints };
}
