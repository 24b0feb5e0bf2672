import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { closeSync, fstatSync, ftruncateSync, openSync, writeSync } from "node:fs";
import { test } from "node:test";
import { createSharedMemory, openSharedMemory } from "./shared-memory.ts";

const bytes = 1024 * 1024;

test("what a child wrote into shared memory is there after it was killed", async () => {
  const made = createSharedMemory("evenkeel-test", bytes);
  assert(made.ok);
  const slots = new Float64Array(made.value.memory);
  assert.equal(made.value.memory.byteLength, bytes);
  slots[7] = 40;
  const script = `
    const { openSharedMemory } = await import(${JSON.stringify(import.meta.resolve("./shared-memory.ts"))});
    const opened = openSharedMemory(3);
    const slots = new Float64Array(opened.value);
    slots[7] += 2;
    slots[slots.length - 1] = 0.5;
    process.kill(process.pid, "SIGKILL");
  `;
  const child = spawn(process.execPath, ["--input-type=module", "-e", script], {
    stdio: ["ignore", "inherit", "inherit", made.value.fd],
  });
  const [, signal] = await once(child, "exit");
  assert.equal(signal, "SIGKILL");
  assert.deepEqual([slots[7], slots[slots.length - 1]], [42, 0.5]);
  closeSync(made.value.fd);
});

test("shared memory keeps its size, whoever has its descriptor", () => {
  const made = createSharedMemory("evenkeel-test", bytes);
  assert(made.ok);
  const { fd } = made.value;
  assert.throws(() => ftruncateSync(fd, 4096), { code: "EPERM" });
  assert.throws(() => ftruncateSync(fd, 2 * bytes), { code: "EPERM" });
  assert.throws(() => writeSync(fd, "x", bytes), { code: "EPERM" });
  closeSync(fd);
});

test("pages that nobody wrote to do not exist", () => {
  const made = createSharedMemory("evenkeel-test", 64 * bytes);
  assert(made.ok);
  const { fd, memory } = made.value;
  new Uint8Array(memory)[5_000_000] = 1;
  assert(fstatSync(fd).blocks * 512 < bytes, "of 64 MiB next to nothing is held");
  closeSync(fd);
});

test("a descriptor that is no memory is a failure, not a crash", () => {
  const closed = openSharedMemory(12_345);
  assert.equal(!closed.ok && closed.failure.code, "memory.shared.map");
  const device = openSync("/dev/null", "r+");
  const opened = openSharedMemory(device);
  assert.equal(!opened.ok && opened.failure.code, "memory.shared.map");
  closeSync(device);
});

test("more memory than a process can have is a failure that says which call", () => {
  const made = createSharedMemory("evenkeel-test", 2 ** 47);
  assert(!made.ok);
  assert.match(made.failure.detail, /^(ftruncate|mmap): E/);
});
