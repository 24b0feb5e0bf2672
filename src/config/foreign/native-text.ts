// A native configuration that is held as data, as text: JSON for the decoder, YAML for people. On the change's way, behind the
// adapters. Their texts are meant as they are, so what would be a reference to the environment is escaped here.

import { Document, isCollection, isPair, isScalar, visit } from "yaml";

/** Text that the decoder reads back as the same data. */
export function nativeJson(value: unknown): string {
  return JSON.stringify(withoutReferences(value));
}

/** Characters of a mapping or list that is written on one line. */
const lineLengthMax = 80;

/** YAML as an operator would write it: keys in the order of the data, small mappings and lists on one line. */
export function nativeYaml(value: unknown): string {
  const document = new Document(withoutReferences(value), {
    version: "1.2",
    schema: "core",
    aliasDuplicateObjects: false,
  });
  visit(document, {
    Collection(key, node, path) {
      // Sections of the file stand for themselves.
      if (key === null || path.length < 3) return;
      if (
        node.items.every((item) => isScalar(isPair(item) ? item.value : item)) &&
        lengthOf(node.toJSON()) <= lineLengthMax
      ) {
        node.flow = true;
      }
    },
    Pair(_, { key, value: inner }) {
      // A target with nothing set.
      if (isScalar(key) && isCollection(inner) && inner.items.length === 0) inner.flow = true;
    },
  });
  return document.toString({ lineWidth: 0, flowCollectionPadding: true });
}

/** About as long as it will be; what has line breaks is long. */
function lengthOf(value: unknown): number {
  const text = JSON.stringify(value);
  return text.includes("\\n") ? Number.POSITIVE_INFINITY : text.length;
}

/** `${` as `$${`, in keys and values. */
function withoutReferences(value: unknown): unknown {
  if (typeof value === "string") return escaped(value);
  if (Array.isArray(value)) return value.map(withoutReferences);
  if (typeof value !== "object" || value === null) return value;
  const made: Record<string, unknown> = Object.create(null);
  for (const [key, one] of Object.entries(value)) made[escaped(key)] = withoutReferences(one);
  return made;
}

function escaped(text: string): string {
  return text.replaceAll("${", "$$${");
}
