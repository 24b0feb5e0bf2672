// Every file under examples/ starts as it stands, in a network namespace and a file system view of its own: the addresses
// and paths that it names are then there for it alone.

import assert from "node:assert/strict";
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { describe, test } from "node:test";
import { root, runProgram, startProgram, temporaryDirectory, until } from "./kit.ts";

const examples = readdirSync(join(root, "examples")).filter((name) => name.endsWith(".yaml"));

/** Its own loopback, and empty directories where programs keep sockets and logs. */
const alone = [
  "set -e",
  "mount --make-rprivate /",
  "mount -t tmpfs tmpfs /run",
  "mount -t tmpfs tmpfs /var/log",
  "ip link set lo up",
  'exec "$@"',
].join("\n");

test("there are examples", () => assert.ok(examples.length >= 4));

describe("an example boots as it stands", { skip: process.getuid?.() === 0 ? false : "needs root" }, () => {
  for (const name of examples) {
    test(name, async (t) => {
      const socket = join(temporaryDirectory(t), "admin.sock");
      const file = join(root, "examples", name);
      const command = ["--net", "--mount", "sh", "-c", alone, "sh", join(root, "evenkeel"), "run", "-c", file];
      const program = startProgram(t, "unshare", command, { env: { ...process.env, EVENKEEL_SOCKET: socket } });
      await until(
        `${name} is ready`,
        () => program.stderr().includes('"message":"ready"') || program.exit() !== undefined,
        {
          timeoutMs: 20_000,
          onTimeout: () => program.stderr(),
        },
      );
      assert.equal(program.exit(), undefined, program.stderr());
      program.signal("SIGTERM");
      assert.equal((await program.exited()).code, 0, program.stderr());
    });

    test(`${name} is valid without a warning`, async (t) => {
      const validated = await runProgram(t, join(root, "evenkeel"), ["validate", "-c", join(root, "examples", name)]);
      assert.equal(validated.stdout.trim(), "configuration is valid", validated.stderr);
    });
  }
});
