// biome-ignore-all lint/suspicious/noTemplateCurlyInString: references to the environment look like templates.
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { parseTemplate, variableNames, variables } from "./variables.ts";

test("a template is cut into text and variables", () => {
  assert.deepEqual(parseTemplate("https://$host$path?from=$clientAddress:$clientPort"), {
    ok: true,
    value: [
      { kind: "text", text: "https://" },
      { kind: "variable", name: "host" },
      { kind: "variable", name: "path" },
      { kind: "text", text: "?from=" },
      { kind: "variable", name: "clientAddress" },
      { kind: "text", text: ":" },
      { kind: "variable", name: "clientPort" },
    ],
  });
  assert.deepEqual(parseTemplate(""), { ok: true, value: [] });
});

test("two dollars are one, and neighbouring text is one part", () => {
  assert.deepEqual(parseTemplate("a$$b$$$$c"), { ok: true, value: [{ kind: "text", text: "a$b$$c" }] });
  const part = { kind: "variable", name: "host" };
  assert.deepEqual(parseTemplate("$$$host"), { ok: true, value: [{ kind: "text", text: "$" }, part] });
});

test("a dollar that begins neither a variable nor two dollars is refused", () => {
  const refused: [string, string, string][] = [
    ["$", "template.dollar", "a `$` without a name"],
    ["5$", "template.dollar", "a `$` without a name"],
    ["$5", "template.dollar", "a `$` without a name"],
    ["${host}", "template.dollar", "a `$` without a name"],
    ["$$$", "template.dollar", "a `$` without a name"],
    ["x $hosts", "template.variable", "hosts"],
    ["$constructor", "template.variable", "constructor"],
    ["$__proto__", "template.dollar", "a `$` without a name"],
  ];
  for (const [template, code, detail] of refused) {
    const parsed = parseTemplate(template);
    assert(!parsed.ok, template);
    assert.deepEqual([parsed.failure.code, parsed.failure.detail], [code, detail]);
  }
});

test("the parts of any template written out again are the template", () => {
  const piece = fc.oneof(
    fc.constantFrom("$$", "x", " ", "é", "-"),
    fc.constantFrom(...variableNames).map((name) => `$${name}-`),
  );
  fc.assert(
    fc.property(fc.array(piece), (pieces) => {
      const template = pieces.join("");
      const parsed = parseTemplate(template);
      assert(parsed.ok);
      const again = parsed.value.map((part) =>
        part.kind === "text" ? part.text.replaceAll("$", "$$$$") : `$${part.name}`,
      );
      assert.equal(again.join(""), template);
    }),
  );
});

test("every variable is described", () => {
  assert.equal(variableNames.length, 14);
  for (const name of variableNames) assert(variables[name].length > 10, name);
});
