// biome-ignore-all lint/suspicious/noTemplateCurlyInString: variables of nginx.conf look like templates.
import assert from "node:assert/strict";
import { test } from "node:test";
import { parseHostPort, parseListen } from "./address.ts";
import { toJavaScript } from "./regex.ts";
import { parseBytes, parseTime } from "./values.ts";
import { toTemplate } from "./variables.ts";

test("times are read as ngx_parse_time reads them", () => {
  const cases: Readonly<Record<string, number | undefined>> = {
    "10": 10_000,
    "10s": 10_000,
    "500ms": 500,
    "1m30s": 90_000,
    "1h 30m": 5_400_000,
    "1d": 86_400_000,
    "1M": 30 * 86_400_000,
    "1m 30": 90_000,
    "0": 0,
    "": undefined,
    "5x": undefined,
    "1s1m": undefined,
    "1s1s": undefined,
    "-1": undefined,
    "1.5s": undefined,
  };
  for (const [text, expected] of Object.entries(cases)) assert.equal(parseTime(text), expected, text);
});

test("sizes are powers of 1024", () => {
  const cases: Readonly<Record<string, number | undefined>> = {
    "8": 8,
    "8k": 8192,
    "1m": 2 ** 20,
    "1G": 2 ** 30,
    "": undefined,
    "5q": undefined,
    "1kb": undefined,
  };
  for (const [text, expected] of Object.entries(cases)) assert.equal(parseBytes(text), expected, text);
});

test("addresses that are connected to", () => {
  assert.deepEqual(parseHostPort("10.0.0.1", 80), { kind: "address", host: "10.0.0.1", port: 80 });
  assert.deepEqual(parseHostPort("[::1]:81", 80), { kind: "address", host: "::1", port: 81 });
  assert.deepEqual(parseHostPort("localhost:81", 80), { kind: "address", host: "127.0.0.1", port: 81 });
  assert.deepEqual(parseHostPort("app.internal", 80), { kind: "name", host: "app.internal", port: 80 });
  assert.deepEqual(parseHostPort("unix:/x", 80), { kind: "unix" });
  for (const text of ["", ":80", "a:0", "a:99999", "[10.0.0.1]:80", "a b", "a:b:c"]) {
    assert.equal(parseHostPort(text, 80).kind, "wrong", text);
  }
});

test("addresses that are listened on", () => {
  const binds = (text: string) => {
    const read = parseListen(text, 80);
    return read.kind === "binds" ? read.binds.map(({ host, port }) => `${host} ${port}`).join() : read.kind;
  };
  assert.equal(binds("8080"), "0.0.0.0 8080");
  assert.equal(binds("*:8080"), "0.0.0.0 8080");
  assert.equal(binds("10.0.0.1"), "10.0.0.1 80");
  assert.equal(binds("[::]:80"), ":: 80");
  assert.equal(binds("[::1]"), "::1 80");
  assert.equal(binds("8000-8002"), "0.0.0.0 8000,0.0.0.0 8001,0.0.0.0 8002");
  assert.equal(binds("example.com:80"), "name");
  assert.equal(binds("99999"), "wrong");
  assert.equal(binds("8002-8000"), "wrong");
  assert.equal(parseListen("10.0.0.1", undefined).kind, "wrong");
});

test("expressions that mean the same in JavaScript are taken over, others refused", () => {
  const source = (text: string, ignoreCase = false) => {
    const read = toJavaScript(text, { ignoreCase });
    return read.ok ? read.value : undefined;
  };
  assert.equal(source("^/a(b|c)\\.x$"), "^/a(b|c)\\.x$");
  assert.equal(source("\\.PNG$", true), "(?i:\\.PNG$)");
  assert.equal(source("(?i)\\.png$"), "(?i:\\.png$)");
  assert.equal(source("(?P<n>a)"), "(?<n>a)");
  assert.equal(source("[a-z\\d_-]+"), "[a-z\\d_-]+");
  for (const text of [
    "\\Aa",
    "a\\z",
    "\\Qa",
    "(?>a)",
    "a++",
    "[[:digit:]]",
    "[]a]",
    "(*UTF8)a",
    "a(",
    "\\h",
    "(?x) a",
    "(?|a)",
  ]) {
    assert.equal(source(text), undefined, text);
  }
});

test("texts with variables become templates, or name the variable that has no equal", () => {
  const context = { constants: new Map([["server_name", "a$b"]]), trusting: false };
  const template = (text: string) => {
    const read = toTemplate(text, context);
    return read.ok ? read.value : `!${read.failure.detail}`;
  };
  assert.equal(template("https://$host$request_uri"), "https://$hostName$path");
  assert.equal(template("${remote_addr}, $server_name"), "$clientAddress, a$$b");
  assert.equal(template("/x$is_args$args"), "/x$search");
  assert.equal(template("/x?$args"), "/x?$query");
  assert.equal(template("$is_args"), "!is_args");
  assert.equal(template("${host}name"), "!host");
  assert.equal(template("$uri"), "!uri");
  assert.equal(template("$1"), "!1");
  assert.equal(template("a $scheme"), "a $scheme");
});
