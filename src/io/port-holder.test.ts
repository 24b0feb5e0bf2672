import assert from "node:assert/strict";
import { createSocket } from "node:dgram";
import { createServer } from "node:net";
import { test } from "node:test";
import { conflictingRows, findPortHolders, parseSocketTable } from "./port-holder.ts";

const head =
  "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode                     \n";
const v4 = `${head}   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 21034 1 0000000000000000 100 0 0 10 0
   1: 00000000:0050 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 21035 1 0000000000000000 100 0 0 10 0
   2: 0100007F:1F90 0100007F:9C40 01 00000000:00000000 00:00000000 00000000     0        0 21036 1 0000000000000000 20 4 30 10 -1
`;
const v6 = `${head}   0: 00000000000000000000000000000000:1F90 00000000000000000000000000000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 31 1 0 100 0 0 10 0
   1: B80D0120000000000000000001000000:0050 00000000000000000000000000000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 32 1 0 100 0 0 10 0
`;

test("rows of the kernel's table read as addresses, ports, states and inodes", () => {
  assert.deepEqual(parseSocketTable(v4, "LE"), [
    { host: "127.0.0.1", port: 8080, listening: true, inode: 21034 },
    { host: "0.0.0.0", port: 80, listening: true, inode: 21035 },
    { host: "127.0.0.1", port: 8080, listening: false, inode: 21036 },
  ]);
  const hosts = parseSocketTable(v6, "LE").map((row) => row.host);
  assert.deepEqual(hosts, ["::", "2001:db8::1"]);
});

test("a big-endian kernel prints the words the other way round", () => {
  const row = v4.split("\n")[1]?.replace("0100007F", "7F000001") ?? "";
  assert.equal(parseSocketTable(`${head}${row}\n`, "BE")[0]?.host, "127.0.0.1");
});

test("odd rows are left out", () => {
  assert.deepEqual(parseSocketTable(`${head}  0: XYZ:1 0 0A\n\n  1: 0100007F\n`, "LE"), []);
});

test("a wildcard stands in the way of every address and the other way round", () => {
  const tables = { v4: parseSocketTable(v4, "LE"), v6: parseSocketTable(v6, "LE") };
  const inodes = (host: string, port: number) => conflictingRows({ host, port }, tables).map((row) => row.inode);
  assert.deepEqual(inodes("127.0.0.1", 8080), [21034]);
  assert.deepEqual(inodes("0.0.0.0", 8080), [21034]);
  assert.deepEqual(inodes("10.0.0.1", 80), [21035]);
  assert.deepEqual(inodes("10.0.0.1", 8081), []);
  assert.deepEqual(inodes("2001:db8::1", 80), [32]);
  // Nobody of its own family on 127.0.0.2:8080, but a v6 wildcard that may take v4 as well.
  assert.deepEqual(inodes("127.0.0.2", 8080), [31]);
});

test("of UDP every socket holds its port, in whatever state", async (t) => {
  const row = "  12: 0100007F:0035 00000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 99 2 0 0\n";
  assert.deepEqual(parseSocketTable(`${head}${row}`, "LE", "udp"), [
    { host: "127.0.0.1", port: 53, listening: true, inode: 99 },
  ]);
  assert.equal(parseSocketTable(`${head}${row}`, "LE")[0]?.listening, false);
  const socket = createSocket("udp4");
  t.after(() => socket.close());
  await new Promise<void>((resolve) => socket.bind(0, "127.0.0.1", resolve));
  const bind = { host: "127.0.0.1", port: socket.address().port };
  assert.equal(findPortHolders({ ...bind, transport: "udp" })[0]?.process?.pid, process.pid);
  assert.deepEqual(findPortHolders(bind), []);
});

test("the holder of a listening port is found in the live table", async (t) => {
  const server = createServer();
  t.after(() => server.close());
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  assert.ok(typeof address === "object" && address !== null);
  const holders = findPortHolders({ host: "127.0.0.1", port: address.port });
  assert.equal(holders.length, 1);
  assert.equal(holders[0]?.process?.pid, process.pid);
  assert.match(holders[0]?.process?.command ?? "", /node/);
});
