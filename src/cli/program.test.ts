import assert from "node:assert/strict";
import { test } from "node:test";
import { adminSocketPath } from "./admin-client.ts";
import type { CliIo } from "./cli-io.ts";
import { decodeEchoAddress } from "./echo.ts";
import { runCommandLine } from "./program.ts";
import { formatSpan, formatTable } from "./table.ts";

async function run(args: readonly string[], environment: Record<string, string> = {}) {
  let [out, err, code] = ["", "", 0];
  const io: CliIo = {
    out: (text) => {
      out += text;
    },
    err: (text) => {
      err += text;
    },
    environment,
    setExitCode: (next) => {
      code = next;
    },
  };
  await runCommandLine(args, io);
  return { out, err, code };
}

test("wrong use exits with 1 and says what is wrong", async () => {
  const cases: [string[], RegExp][] = [
    [["rum"], /unknown command 'rum'[\s\S]*run/],
    [["run"], /required option '-c, --config <file>' not specified/],
    [["run", "-c", "x", "--log-level", "loud"], /'loud' is invalid.*debug, info, warn, error/],
    [["validate", "-c", "x", "y"], /too many arguments/],
    [["status", "-o", "xml"], /'xml' is invalid.*table, json/],
    [["reload", "--sokcet", "x"], /unknown option '--sokcet'[\s\S]*--socket/],
    [["echo"], /give at least one of --http, --tcp and --udp/],
    [["echo", "--http", "localhost:80"], /--http localhost:80: .*expected an IP address and a port/],
  ];
  for (const [args, expected] of cases) {
    const { err, out, code } = await run(args);
    assert.match(err, expected, args.join(" "));
    assert.deepEqual([code, out], [1, ""], args.join(" "));
  }
});

test("help is no error", async () => {
  const { out, err, code } = await run(["--help"]);
  assert.deepEqual([code, err], [0, ""]);
  for (const command of [
    "run",
    "validate",
    "reload",
    "status",
    "target",
    "events",
    "token",
    "schema",
    "echo",
    "version",
  ]) {
    assert.match(out, new RegExp(`^  ${command}`, "m"));
  }
});

test("version and schema print what they are", async () => {
  assert.match((await run(["version"])).out, /^evenkeel \d+\.\d+\.\d+ \(node 24\./);
  const schema = JSON.parse((await run(["schema"])).out);
  assert.equal(schema.type, "object");
  assert.ok("listeners" in schema.properties);
});

test("nobody there is told with the way out", async () => {
  for (const command of ["status", "reload"]) {
    const { err, code } = await run([command], { EVENKEEL_SOCKET: "/nonexistent/admin.sock" });
    assert.match(err, /^evenkeel: no evenkeel answers on \/nonexistent\/admin\.sock: is it running\? /);
    assert.equal(code, 1);
  }
});

test("the admin socket is the one given, the environment's, or the default, in this order", () => {
  const environment = { EVENKEEL_SOCKET: "/e" };
  assert.equal(adminSocketPath("/g", { environment }), "/g");
  assert.equal(adminSocketPath(undefined, { environment }), "/e");
  assert.equal(adminSocketPath(undefined, { environment: { EVENKEEL_SOCKET: "" } }), "/run/evenkeel/admin.sock");
});

test("a port alone is one of 127.0.0.1", () => {
  const decode = (text: string) => {
    const result = decodeEchoAddress(text);
    return result.ok ? `${result.value.host} ${result.value.port}` : result.failure.code;
  };
  assert.equal(decode("9001"), "127.0.0.1 9001");
  assert.equal(decode(":9001"), "127.0.0.1 9001");
  assert.equal(decode("[::1]:9001"), "::1 9001");
  assert.equal(decode("70000"), "address.port");
  assert.equal(decode(""), "address.syntax");
});

test("columns are as wide as their widest cell and lines end with their last word", () => {
  const table = formatTable(
    [{ title: "NAME" }, { title: "N", align: "right" }, { title: "NOTE" }],
    [
      ["a", "10", ""],
      ["longer", "5", "x"],
    ],
  );
  assert.equal(table, "NAME     N  NOTE\na       10\nlonger   5  x\n");
});

test("spans are told in their two largest units", () => {
  const spans = [0, 59.9, 60, 3_599, 3_600, 86_400, 90_000].map(formatSpan);
  assert.deepEqual(spans, ["0s", "59s", "1m 0s", "59m 59s", "1h 0m", "1d 0h", "1d 1h"]);
});
