import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { HeaderRules } from "../model/listener.ts";
import { variableNames } from "../model/variables.ts";
import { headerNameHash } from "../wire/http1/header-names.ts";
import { compileHeaderRules, compileTemplate, emptyVariables, expand, isEmptyRules, VariableBit } from "./template.ts";

const variables = {
  ...emptyVariables(),
  clientAddress: "192.0.2.1",
  clientPort: 4711,
  host: "example.com:8080",
  path: "/a%20b?c=d",
  query: "c=d",
};

describe("expand", () => {
  const cases: Readonly<Record<string, string>> = {
    "": "",
    plain: "plain",
    $$: "$",
    a$$b$$$$: "a$b$$",
    $host: "example.com:8080",
    $host$path: "example.com:8080/a%20b?c=d",
    "https://$host$path#x": "https://example.com:8080/a%20b?c=d#x",
    "$clientAddress:$clientPort, $$1": "192.0.2.1:4711, $1",
    "[$targetAddress]": "[]",
    é: "\xc3\xa9",
  };
  for (const [text, expected] of Object.entries(cases)) {
    test(`${JSON.stringify(text)} is ${JSON.stringify(expected)}`, () => {
      assert.equal(expand(compileTemplate(text), variables), expected);
    });
  }

  test("gives every variable the field of its name", () => {
    const each = Object.fromEntries(
      variableNames.map((name) => [name, name === "clientPort" ? 1 : name === "listenerPort" ? 2 : name]),
    );
    const filled = { ...emptyVariables(), ...each };
    for (const name of variableNames) {
      const template = compileTemplate(`$${name}`);
      assert.equal(expand(template, filled), String(filled[name]));
      assert.equal(template.needs, VariableBit[name]);
    }
    assert.equal(new Set(Object.values(VariableBit)).size, variableNames.length);
  });

  test("a constant needs nothing and is ready", () => {
    const template = compileTemplate("cost: $$5");
    assert.equal(template.constant, "cost: $5");
    assert.equal(template.needs, 0);
  });
});

describe("compileTemplate", () => {
  for (const text of ["$nope", "a$", "$1", "a\r\nb", "$host\n"]) {
    test(`${JSON.stringify(text)}, which the configuration refuses, ends the process`, () => {
      assert.throws(() => compileTemplate(text), /invariant broken/);
    });
  }
});

describe("compileHeaderRules", () => {
  const rules: HeaderRules = {
    set: [
      { name: "X-Client", value: "$clientAddress" },
      { name: "Host", value: "$host" },
    ],
    add: [{ name: "Via", value: "1.1 evenkeel" }],
    remove: ["cookie", "x-client"],
  };

  test("keeps names as written and gives what the parser compares", () => {
    const { set, add, remove } = compileHeaderRules(rules, headerNameHash);
    assert.deepEqual(
      [...set, ...add, ...remove].map(({ name, nameLower, hash }) => [name, Buffer.from(nameLower).toString(), hash]),
      [
        ["X-Client", "x-client", headerNameHash("x-client")],
        ["Host", "host", headerNameHash("host")],
        ["Via", "via", headerNameHash("via")],
        ["cookie", "cookie", headerNameHash("cookie")],
        ["x-client", "x-client", headerNameHash("x-client")],
      ],
    );
  });

  test("drops each name that is removed or set once, and its mask has all their bits", () => {
    const { drops, dropMask, needs } = compileHeaderRules(rules, headerNameHash);
    assert.deepEqual(
      drops.map(({ name }) => name),
      ["cookie", "x-client", "host"],
    );
    for (const { hash } of drops) assert.notEqual((dropMask >>> (hash & 31)) & 1, 0);
    assert.equal(needs, VariableBit.clientAddress | VariableBit.host);
  });

  test("rules without any rule are empty, before and after", () => {
    const none = { set: [], add: [], remove: [] };
    assert.ok(isEmptyRules(none));
    assert.ok(isEmptyRules(compileHeaderRules(none, headerNameHash)));
    assert.ok(!isEmptyRules({ ...none, remove: ["a"] }));
  });
});
