import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { durationPattern, formatDuration, formatSize, parseDuration, parseSize, sizePattern } from "./units.ts";

test("a duration is a whole number and a unit, and 0 alone", () => {
  const durations: [string, number][] = [
    ["0", 0],
    ["500ms", 500],
    ["2s", 2000],
    ["6m", 360_000],
    ["1h", 3_600_000],
    ["1d", 86_400_000],
    ["0s", 0],
    ["007s", 7000],
  ];
  for (const [text, milliseconds] of durations)
    assert.deepEqual(parseDuration(text), { ok: true, value: milliseconds });
});

test("a duration that could be read in two ways is refused with its reason", () => {
  const refused: [string, string][] = [
    ["5", "duration.unit"],
    ["5S", "duration.unit"],
    ["5M", "duration.unit"],
    ["5min", "duration.unit"],
    ["5constructor", "duration.unit"],
    ["", "duration.syntax"],
    ["s", "duration.syntax"],
    ["1m30s", "duration.syntax"],
    ["1.5s", "duration.syntax"],
    ["-1s", "duration.syntax"],
    ["1 s", "duration.syntax"],
    ["1e3s", "duration.syntax"],
    ["0x10s", "duration.syntax"],
    ["１s", "duration.syntax"],
    ["1s\n", "duration.syntax"],
    ["99999999999999d", "duration.range"],
  ];
  for (const [text, code] of refused) {
    const parsed = parseDuration(text);
    assert(!parsed.ok, text);
    assert.equal(parsed.failure.code, code, text);
    assert.equal(parsed.failure.origin, "self");
  }
});

test("a size is binary with an i, decimal without, and plain bytes", () => {
  const sizes: [string, number][] = [
    ["0", 0],
    ["512", 512],
    ["512B", 512],
    ["64KiB", 65_536],
    ["1MiB", 1_048_576],
    ["2GiB", 2_147_483_648],
    ["1kB", 1000],
    ["10MB", 10_000_000],
    ["1GB", 1_000_000_000],
  ];
  for (const [text, bytes] of sizes) assert.deepEqual(parseSize(text), { ok: true, value: bytes });
});

test("a size in another program's spelling is refused, for nobody knows which it means", () => {
  const refused: [string, string][] = [
    ["64k", "size.unit"],
    ["64K", "size.unit"],
    ["1m", "size.unit"],
    ["1KB", "size.unit"],
    ["1mb", "size.unit"],
    ["1.5MiB", "size.syntax"],
    ["-1", "size.syntax"],
    ["", "size.syntax"],
    ["9999999999GiB", "size.range"],
  ];
  for (const [text, code] of refused) {
    const parsed = parseSize(text);
    assert(!parsed.ok, text);
    assert.equal(parsed.failure.code, code, text);
  }
});

test("a formatted duration or size is the shortest text that reads back the same", () => {
  assert.deepEqual([0, 1, 1500, 90_000, 60_000, 86_400_000].map(formatDuration), [
    "0",
    "1ms",
    "1500ms",
    "90s",
    "1m",
    "1d",
  ]);
  assert.deepEqual([0, 1000, 1024, 1_048_576, 1_048_577].map(formatSize), ["0B", "1000B", "1KiB", "1MiB", "1048577B"]);
  fc.assert(
    fc.property(fc.nat(), (value) => {
      assert.deepEqual(parseDuration(formatDuration(value)), { ok: true, value });
      assert.deepEqual(parseSize(formatSize(value)), { ok: true, value });
    }),
  );
});

test("the published patterns accept what is parsed and nothing that is not, but for its range", () => {
  const digits = fc.stringMatching(/^\d{0,6}$/);
  const unit = fc.constantFrom(
    "",
    "ms",
    "s",
    "m",
    "h",
    "d",
    "KiB",
    "MiB",
    "GiB",
    "kB",
    "MB",
    "GB",
    "B",
    "k",
    "sec",
    " s",
  );
  fc.assert(
    fc.property(digits, unit, (number, name) => {
      const text = number + name;
      assert.equal(new RegExp(durationPattern).test(text), parseDuration(text).ok, text);
      assert.equal(new RegExp(sizePattern).test(text), parseSize(text).ok, text);
    }),
  );
});
