// The OpenAPI document of the admin API, made of the table that finds its endpoints: a route cannot be in one and not in the
// other. Pure; the change's way. OpenAPI 3.1, whose schemas are JSON Schema 2020-12.

import { STATUS_CODES } from "node:http";
import type { JsonSchema } from "../config/leaf.ts";
import { jsonDepthMax } from "./json-text.ts";
import type { Operation, Route } from "./route-table.ts";

const problemSchema: JsonSchema = {
  type: "object",
  description: "RFC 9457",
  required: ["type", "title", "status", "detail", "code"],
  properties: {
    type: { const: "about:blank" },
    title: { type: "string" },
    status: { type: "integer" },
    detail: { type: "string" },
    code: { type: "string", description: "Stable, dotted." },
    problems: { type: "array", items: { type: "string" } },
    errors: {
      type: "array",
      items: {
        type: "object",
        required: ["field", "code", "detail"],
        properties: { field: { type: "string" }, code: { type: "string" }, detail: { type: "string" } },
      },
    },
  },
};

export type OpenApi = {
  readonly openapi: string;
  readonly info: JsonSchema;
  readonly paths: Readonly<Record<string, Readonly<Record<string, JsonSchema>>>>;
  readonly components: JsonSchema;
  readonly security: readonly JsonSchema[];
};

export function describeApi(routes: readonly Route[]): OpenApi {
  const paths: Record<string, Record<string, JsonSchema>> = {};
  for (const route of routes) {
    const operations: Record<string, JsonSchema> = {};
    for (const [method, operation] of Object.entries(route.operations)) {
      operations[method.toLowerCase()] = describeOperation(route, method, operation);
    }
    paths[route.path.replace("*}", "}")] = operations;
  }
  return {
    openapi: "3.1.0",
    info: {
      title: "evenkeel admin API",
      version: "1",
      description: [
        "On the unix socket whoever may open it may ask; on a loopback address whoever has a token.",
        `Bodies are JSON, at most ${jsonDepthMax} deep, with no key twice and no key that is not listed.`,
      ].join(" "),
    },
    paths,
    components: {
      schemas: { Problem: problemSchema },
      securitySchemes: { token: { type: "http", scheme: "bearer" } },
    },
    security: [{ token: [] }],
  };
}

function describeOperation(route: Route, method: string, operation: Operation): JsonSchema {
  const { summary, body, answers, open } = operation;
  const parameters = [...pathParameters(route.path), ...queryParameters(operation), ...headerParameters(operation)];
  return {
    operationId: operationId(method, route.path),
    summary,
    ...(parameters.length === 0 ? {} : { parameters }),
    ...(body === undefined
      ? {}
      : { requestBody: { required: true, content: describeContent(body.types, body.schema()) } }),
    responses: Object.fromEntries(
      Object.entries(answers).map(([status, told]) => [status, describeAnswer(status, told)]),
    ),
    ...(open === true ? { security: [] } : {}),
  };
}

function pathParameters(path: string): JsonSchema[] {
  return [...path.matchAll(/\{([a-z]+)(\*?)\}/g)].map(([, name, rest]) => ({
    name,
    in: "path",
    required: true,
    ...(rest === "" ? {} : { description: "May hold slashes as they are." }),
    schema: { type: "string" },
  }));
}

function queryParameters({ query }: Operation): JsonSchema[] {
  if (query === undefined || query === "any") return [];
  return Object.entries(query).map(([name, description]) => ({
    name,
    in: "query",
    description,
    allowEmptyValue: true,
    schema: { type: "string" },
  }));
}

function headerParameters({ headers = {} }: Operation): JsonSchema[] {
  return Object.entries(headers).map(([name, description]) => ({
    name,
    in: "header",
    description,
    schema: { type: "string" },
  }));
}

function describeContent(types: readonly string[], schema: JsonSchema): JsonSchema {
  return Object.fromEntries(types.map((type) => [type, { schema }]));
}

function describeAnswer(status: string, [meaning, type]: readonly [string, string?]): JsonSchema {
  const description = `${STATUS_CODES[Number(status)] ?? status}: ${meaning}`;
  if (type === undefined) return { description };
  const schema = type === "application/problem+json" ? { $ref: "#/components/schemas/Problem" } : {};
  return { description, content: { [type]: { schema } } };
}

function operationId(method: string, path: string): string {
  const words = path.split(/[^A-Za-z0-9]+/).filter((word) => word !== "");
  return [method.toLowerCase(), ...words].join("_");
}
