// From which address a UDP client is answered, on a machine that has several: two machines joined by a cable. A connected
// client hears the address that it asked and no other, so an answer that comes proves where it came from.

import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { decodeLines } from "./http-kit.ts";
import { evenkeel, type Program, root, type Scope, temporaryDirectory, until } from "./kit.ts";
import { cable, type Machine, machine, noMachines } from "./netns-kit.ts";
import { udpCounters } from "./udp-kit.ts";

const options = { skip: noMachines };
const port = 5300;

type Site = {
  readonly client: Machine;
  readonly balancer: Machine;
  readonly program: Program;
  readonly socketPath: string;
};

async function site(t: TestContext): Promise<Site> {
  const client = machine(t, "client");
  const balancer = machine(t, "balancer");
  cable({ machine: client, device: "eth0" }, { machine: balancer, device: "eth0" });
  client.ip("addr add 10.46.0.9/24 dev eth0", "addr add fd46::9/64 dev eth0 nodad");
  for (const host of [1, 2])
    balancer.ip(`addr add 10.46.0.${host}/24 dev eth0`, `addr add fd46::${host}/64 dev eth0 nodad`);
  const echo = balancer.start(t, evenkeel, ["echo", "--udp", "127.0.0.1:9001", "--name", "a"]);
  await until("the demo server", () => echo.stdout() !== "", { onTimeout: echo.stderr });
  const directory = temporaryDirectory(t);
  const file = join(directory, "evenkeel.json");
  const listeners = {
    four: { bind: `0.0.0.0:${port}`, protocol: "udp", pool: "echo" },
    six: { bind: `[::]:${port}`, protocol: "udp", pool: "echo" },
  };
  const pools = { echo: { targets: { "127.0.0.1:9001": {} } } };
  const admin = { socket: join(directory, "admin.sock") };
  const stateDirectory = join(directory, "state");
  writeFileSync(file, JSON.stringify({ admin, stateDirectory, workers: 2, listeners, pools }));
  const program = balancer.start(t, evenkeel, ["run", "-c", file]);
  await until("the balancer", () => program.stderr().includes('"message":"ready"'), { onTimeout: program.stderr });
  return { client, balancer, program, socketPath: admin.socket };
}

/** What so many clients hear that are connected to this address and ask; empty when nothing comes. */
async function askFrom(scope: Scope, from: Machine, host: string, count = 1): Promise<string> {
  const script = join(root, "test/e2e/fixtures/udp-ask.ts");
  const ran = await from.run(scope, process.execPath, [script, host, `${port}`, `${count}`]);
  return ran.stdout.trim();
}

test("a listener on every address answers from the one that was asked", options, async (t) => {
  const { client } = await site(t);
  for (const host of ["10.46.0.1", "10.46.0.2", "fd46::1", "fd46::2"]) {
    assert.equal(await askFrom(t, client, host), "a question", host);
  }
});

test(
  "it answers from an address that has come since, and again when that has gone and come back",
  options,
  async (t) => {
    const { client, balancer, program } = await site(t);
    const taken = () => decodeLines(program.stderr()).filter(({ message }) => message === "address taken up");
    balancer.ip("addr add 10.46.0.99/32 dev eth0");
    await until("the address to be taken up", () => taken().length === 1, { onTimeout: program.stderr });
    assert.deepEqual([taken()[0]?.["listener"], taken()[0]?.["address"]], ["four", `10.46.0.99:${port}`]);
    assert.equal(await askFrom(t, client, "10.46.0.99"), "a question");
    balancer.ip("addr del 10.46.0.99/32 dev eth0");
    balancer.ip("addr add 10.46.0.99/32 dev eth0");
    assert.equal(await askFrom(t, client, "10.46.0.99"), "a question");
    assert.equal(taken().length, 1);
  },
);

test("when local ports run out the flows that were silent longest make room", options, async (t) => {
  const { client, balancer, socketPath } = await site(t);
  balancer.sysctl({ "net.ipv4.ip_local_port_range": "40000 40031" });
  const answers = await askFrom(t, client, "10.46.0.1", 40);
  assert.equal(answers, Array.from({ length: 40 }, () => "a question").join("\n"));
  const { flowsOpen, limits, drops } = await udpCounters(socketPath);
  assert.ok(flowsOpen <= 32, `${flowsOpen} flows`);
  assert.ok((limits["flow.socket"] ?? 0) >= 8, JSON.stringify(limits));
  assert.equal(drops["flow.socket"], limits["flow.socket"]);
});
