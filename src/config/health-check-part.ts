// A health check of the tree: its `type` says which keys it has, so it is read before the rest. On the change's way, part
// of shape.ts and ha-shape.ts.

import {
  type CheckType,
  checkTypes,
  type HealthCheckFile,
  healthCheckShapes,
  unknownHealthCheck,
} from "./health-check-schema.ts";
import type { Choice } from "./issues.ts";
import { type Part, type Reader, readPart, textAt } from "./part.ts";
import type { Path } from "./problem.ts";
import { treeAt } from "./tree.ts";

/** The health check at a path; undefined: there is none, or none whose type is known, which is then reported. */
export function readHealthCheck(reader: Reader, path: Path): Part<HealthCheckFile> | undefined {
  if (treeAt(reader.source.root, path) === undefined) return undefined;
  const given = textAt(reader, [...path, "type"]);
  const known = checkTypes.find((one) => one === given);
  if (known !== undefined) return readPart(reader, healthCheckShapes[known], path, checkChoice(known));
  readPart(reader, unknownHealthCheck, path);
  return undefined;
}

function checkChoice(type: CheckType): Choice {
  const others = checkTypes.filter((other) => other !== type);
  return {
    chosen: `a health check with \`type: ${type}\``,
    others: new Map(others.map((other) => [`\`type: ${other}\``, healthCheckShapes[other]])),
  };
}
