// Every file under examples/ starts as it stands, in a network namespace and a file system view of its own: the addresses
// and paths that it names are then there for it alone.

import assert from "node:assert/strict";
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { describe, test } from "node:test";
import { root, runProgram, startProgram, temporaryDirectory, until } from "./kit.ts";

const examples = readdirSync(join(root, "examples")).filter((name) => name.endsWith(".yaml"));

/**
 * Its own loopback, empty directories where programs keep sockets, logs and state, and what the examples name: an Ethernet
 * interface in the network of their addresses, two programs, a token.
 */
const alone = [
  "set -e",
  "mount --make-rprivate /",
  "mount -t tmpfs tmpfs /run",
  "mount -t tmpfs tmpfs /var/log",
  "mount -t tmpfs tmpfs /var/lib",
  "mount -t tmpfs tmpfs /usr/local/bin",
  "printf '#!/bin/sh\\nexit 0\\n' > /usr/local/bin/check-disk",
  "printf '#!/bin/sh\\nexec sleep 600\\n' > /usr/local/bin/pump",
  "chmod +x /usr/local/bin/check-disk /usr/local/bin/pump",
  "cp -a /etc /run/etc",
  "mkdir -p /run/etc/evenkeel",
  "printf 'deploy sha256:%064d\\n' 1 > /run/etc/evenkeel/token",
  "mount --bind /run/etc /etc",
  "ip link set lo up",
  "ip link add eth0 type veth peer name other",
  "ip address add 10.0.4.2/24 dev eth0",
  "ip link set eth0 up",
  "ip link set other up",
  'exec "$@"',
].join("\n");

const inside = ["--net", "--mount", "sh", "-c", alone, "sh", join(root, "evenkeel")];

test("there are examples", () => assert.ok(examples.length >= 4));

describe("an example boots as it stands", { skip: process.getuid?.() === 0 ? false : "needs root" }, () => {
  for (const name of examples) {
    test(name, async (t) => {
      const socket = join(temporaryDirectory(t), "admin.sock");
      const file = join(root, "examples", name);
      const command = [...inside, "run", "-c", file];
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
      const validated = await runProgram(t, "unshare", [...inside, "validate", "-c", join(root, "examples", name)]);
      assert.equal(validated.stdout.trim(), "configuration is valid", validated.stderr);
    });
  }
});
