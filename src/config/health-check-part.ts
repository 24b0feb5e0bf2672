// A health check of the tree. On the change's way, part of shape.ts and ha-shape.ts.

import { type HealthCheckFile, healthCheckShapes, unknownHealthCheck } from "./health-check-schema.ts";
import type { Part, Reader } from "./part.ts";
import type { Path } from "./problem.ts";
import { readTyped, type Typed } from "./typed-part.ts";

const healthCheck: Typed<HealthCheckFile> = {
  what: "a health check",
  shapes: healthCheckShapes,
  unknown: unknownHealthCheck,
};

/** The health check at a path; undefined: there is none, or none whose type is known, which is then reported. */
export function readHealthCheck(reader: Reader, path: Path): Part<HealthCheckFile> | undefined {
  return readTyped(reader, path, healthCheck);
}
