// biome-ignore-all lint/suspicious/noTemplateCurlyInString: references to the environment look like templates.
import assert from "node:assert/strict";
import { test } from "node:test";
import type { Adapted } from "./adapted.ts";
import { mergeAdapted } from "./merge.ts";
import { adaptNative } from "./native.ts";
import { nativeYaml } from "./native-text.ts";

function native(path: string, text: string): Adapted {
  return adaptNative({ path, text }, { PORT: "81" });
}

test("sections of several files are joined, in the usual order", () => {
  const web = native("a.yaml", "pools: { a: {} }\nlisteners: { web: { bind: 0.0.0.0:80, routes: [] } }\nworkers: 2");
  const more = native(
    "b.yaml",
    "node: lb\nworkers: 2\nlisteners: { more: { bind: '0.0.0.0:${PORT}', routes: [] } }\nha: { virtualRouters: {} }",
  );
  const { value, problems, places } = mergeAdapted([web, more]);
  assert.deepEqual(problems, []);
  assert.equal(
    nativeYaml(value),
    [
      "node: lb",
      "workers: 2",
      "listeners:",
      "  web:",
      "    bind: 0.0.0.0:80",
      "    routes: []",
      "  more:",
      "    bind: 0.0.0.0:81",
      "    routes: []",
      "pools:",
      "  a: {}",
      "ha:",
      "  virtualRouters: {}",
      "",
    ].join("\n"),
  );
  assert.deepEqual(places.get("listeners\0more\0bind"), { file: "b.yaml", line: 3, column: 22 });
});

test("a name that two files give is told with both places, also where they say the same", () => {
  const one = native("a.yaml", "pools:\n  app: { targets: {} }");
  const { problems } = mergeAdapted([one, native("b.yaml", "pools:\n  app: { targets: {} }")]);
  assert.deepEqual(
    problems.map(({ file, line, message }) => `${file}:${line} ${message}`),
    ["b.yaml:2 `pools.app` is said here and in a.yaml:2"],
  );
});

test("one value for the whole program may be said twice, but not differently", () => {
  const one = native("a.yaml", "workers: 2\ndefaults: { timeouts: { connect: 1s } }");
  assert.deepEqual(mergeAdapted([one, native("b.yaml", "workers: 2")]).problems, []);
  const { problems } = mergeAdapted([
    one,
    native("b.yaml", "workers: 3\ndefaults: { timeouts: { connect: 2s, send: 1s } }"),
  ]);
  assert.deepEqual(
    problems.map(({ message }) => message),
    ["`workers` is said here and in a.yaml:1", "`defaults.timeouts.connect` is said here and in a.yaml:2"],
  );
});

test("one file alone is given back as it is", () => {
  const one = native("a.yaml", "b: 1");
  assert.equal(mergeAdapted([one]), one);
});

test("what is no mapping has its problems and nothing else", () => {
  const { value, problems } = native("a.yaml", "a: [");
  assert.deepEqual(Object.keys(Object(value)), []);
  assert.ok(problems.length > 0);
});
