// biome-ignore-all lint/suspicious/noTemplateCurlyInString: references to the environment look like templates.
import assert from "node:assert/strict";
import { test } from "node:test";
import { expandEnvironment } from "./environment.ts";

const environment = { HOST: "10.0.0.1", EMPTY: "", CYCLE: "${HOST}", _x1: "y" };

function expanded(text: string): string {
  const expansion = expandEnvironment(text, environment);
  assert.deepEqual(expansion.complaints, [], text);
  return expansion.text;
}

test("references are replaced wherever they stand in a text", () => {
  assert.equal(expanded("${HOST}:80"), "10.0.0.1:80");
  assert.equal(expanded("a${_x1}b${_x1}c"), "aybyc");
  assert.equal(expanded("${EMPTY}"), "");
  assert.equal(expanded("no reference, $HOST, $, {HOST}"), "no reference, $HOST, $, {HOST}");
});

test("a default stands in for a variable that is not set or empty", () => {
  assert.equal(expanded("${ABSENT:-10.0.0.9}"), "10.0.0.9");
  assert.equal(expanded("${EMPTY:-x}"), "x");
  assert.equal(expanded("${HOST:-x}"), "10.0.0.1");
  assert.equal(expanded("${ABSENT:-}"), "");
  assert.equal(expanded("${ABSENT:-a:-b\nc}"), "a:-b\nc");
});

test("what a variable holds is not looked at again", () => {
  assert.equal(expanded("${CYCLE}"), "${HOST}");
});

test("two dollars before a brace keep a reference as it is", () => {
  assert.equal(expanded("$${HOST}"), "${HOST}");
  assert.equal(expanded("$$${HOST}"), "$${HOST}");
  assert.equal(expanded("$$ $$HOST"), "$$ $$HOST");
});

test("a variable that is not set, and what only begins like a reference, is complained about", () => {
  const complaints: [string, string][] = [
    ["${ABSENT}", "config.environment.unset"],
    ["${toString}", "config.environment.unset"],
    ["${}", "config.environment.syntax"],
    ["${1X}", "config.environment.syntax"],
    ["${A B}", "config.environment.syntax"],
    ["${HOST-x}", "config.environment.syntax"],
    ["${HOST:?x}", "config.environment.syntax"],
    ["${HOST", "config.environment.syntax"],
    ["x${", "config.environment.syntax"],
  ];
  for (const [text, code] of complaints) {
    assert.deepEqual(
      expandEnvironment(text, environment).complaints.map((complaint) => complaint.code),
      [code],
      text,
    );
  }
});
