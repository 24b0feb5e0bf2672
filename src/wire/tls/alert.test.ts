// The alert record, byte for byte.

import assert from "node:assert/strict";
import { test } from "node:test";
import { ALERT_BYTES, Alert, encodeAlert } from "./alert.ts";

test("an alert is one fatal record, and nothing around it is touched", () => {
  const bytes = Buffer.alloc(ALERT_BYTES + 2, 0xee);
  assert.equal(encodeAlert(bytes, 1, Alert.unrecognizedName), 1 + ALERT_BYTES);
  assert.equal(bytes.toString("hex"), "ee15030100020270ee");
  encodeAlert(bytes, 1, Alert.missingExtension);
  assert.equal(bytes[ALERT_BYTES], 109);
});
