// The record of a release as commands read it: src/release is the control plane's own. The change's way.

import type { Result } from "../../core/failure.ts";
import type { ReleaseRecord } from "../../model/release.ts";
import { decodeRecord } from "../../release/record.ts";

/** Code: release.record. */
export function decodeKeptRecord(text: string): Result<ReleaseRecord> {
  return decodeRecord(text);
}
