// biome-ignore-all lint/suspicious/noTemplateCurlyInString: variables of nginx.conf look like templates.
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { bad, good } from "../../core/failure.ts";
import { decodeConfig } from "../decode.ts";
import type { ReadForeign } from "../foreign/adapted.ts";
import { nativeJson, nativeYaml } from "../foreign/native-text.ts";
import { adaptNginx } from "./adapt.ts";
import { coreRows } from "./table-core.ts";
import { httpRows } from "./table-http.ts";
import { streamRows } from "./table-stream.ts";

const nowhere: ReadForeign = () => bad({ code: "x", origin: "self", retrySafe: false, detail: "open() failed" });

function adapted(text: string, read = nowhere) {
  return adaptNginx({ path: "nginx.conf", text }, read);
}

const rows = [...coreRows, ...httpRows, ...streamRows];
const words = [
  ...[
    "80",
    "on",
    "off",
    "/",
    "/a/",
    "=",
    "~",
    "~*",
    "^~",
    "^/x$",
    "http://app",
    "http://app/x",
    "app",
    "10.0.0.1:80",
    "[::]:80",
  ],
  ...[
    "$host",
    "${host}x",
    "$1",
    "1m",
    "10s",
    "0",
    "-1",
    "example.com",
    "*.example.com",
    "__proto__",
    "constructor",
    "udp",
  ],
  ...[
    "upsync_type=consul",
    "type=http",
    "weight=2",
    "last",
    "break",
    "permanent",
    "($host",
    "default",
    "''",
    "'${x}'",
    "404",
    "all",
  ],
];

/** Directives of any name with any words, in blocks where they may stand and where they may not. */
function soup(depth: number): fc.Arbitrary<string> {
  const directive = fc
    .tuple(fc.constantFrom(...rows), fc.array(fc.constantFrom(...words), { maxLength: 4 }))
    .chain(([[name, , count], args]) => {
      const head = [name, ...args].join(" ");
      if (!count.endsWith("{")) return fc.constant(`${head};`);
      return depth === 0 ? fc.constant(`${head} {}`) : soup(depth - 1).map((inner) => `${head} { ${inner} }`);
    });
  return fc.array(directive, { maxLength: 6 }).map((all) => all.join(" "));
}

test("whatever is in a file, it is adapted to something that the decoder takes or refuses, and nothing is thrown", () => {
  const seed = Number(process.env["SEED"] ?? Date.now() % 2 ** 31);
  const server = soup(2).map((inner) => `events {} http { upstream app { server 10.0.0.1; } server { ${inner} } }`);
  const stream = soup(2).map((inner) => `events {} stream { server { ${inner} } }`);
  const property = fc.property(fc.oneof(server, stream, soup(3)), (text) => {
    const { value, problems } = adapted(text);
    const decoded = decodeConfig(nativeJson(value), {
      file: "x",
      environment: {},
      machine: { hostname: "h", cores: 1 },
    });
    if (problems.length === 0 && decoded.ok)
      assert.equal(
        decodeConfig(nativeYaml(value), { file: "x", environment: {}, machine: { hostname: "h", cores: 1 } }).ok,
        true,
      );
  });
  fc.assert(property, { seed, numRuns: 1500 });
});

test("a file that includes itself ends with a limit", () => {
  const text = "include nginx.conf;";
  const { problems } = adapted(text, () => good([{ path: "nginx.conf", text }]));
  assert.deepEqual(
    problems.map(({ message }) => message),
    ["more than 32 blocks and files within each other"],
  );
});

test("blocks within blocks end with a limit", () => {
  const text = `events {} http { server { ${"location / { ".repeat(200)}${"} ".repeat(200)} } }`;
  assert.equal(adapted(text).problems.at(-1)?.message, "more than 32 blocks and files within each other");
});

test("a place points at the directive, in the file in which it stands", () => {
  const { places } = adapted("events {}\nhttp {\n  include a.conf;\n}", () =>
    good([{ path: "a.conf", text: "server {\n  listen 81;\n  location / {\n    return 204;\n  }\n}" }]),
  );
  const key = ["listeners", "http-81", "routes", 0, "respond", "status"].join("\0");
  assert.deepEqual(places.get(key), { file: "a.conf", line: 4, column: 5 });
  assert.deepEqual(places.get("listeners\0http-81\0bind"), { file: "a.conf", line: 2, column: 3 });
});
