// What most commands do with the admin API: ask where the options say, and tell what went wrong with the exit code that it
// has. The answer that was wanted is theirs to print.

import {
  type AdminOptions,
  type AdminPlace,
  type AdminQuestion,
  type AdminReply,
  adminPlace,
  askAdmin,
  describeReply,
} from "./admin-client.ts";
import { type CliIo, exitCodes } from "./cli-io.ts";

/** Codes that say that the state of things forbids what was asked. */
const refusedStatuses = [409, 412];

/** undefined when there is no such place, which has been told, and the exit code is 1. */
export function placeOf(options: AdminOptions, io: CliIo): AdminPlace | undefined {
  const place = adminPlace(options, io);
  if (place.ok) return place.value;
  io.err(`evenkeel: ${place.failure.detail}\n`);
  io.setExitCode(exitCodes.error);
  return undefined;
}

/** A reply with a status of 200 to 299; undefined for any other, which has been told: exit code 3 for 409 and 412, else 1. */
export async function askOrTell(
  place: AdminPlace,
  question: AdminQuestion,
  io: CliIo,
): Promise<AdminReply | undefined> {
  const reply = await askAdmin(place, question);
  if (reply.ok && reply.value.status >= 200 && reply.value.status < 300) return reply.value;
  io.err(`evenkeel: ${reply.ok ? describeReply(reply.value) : reply.failure.detail}\n`);
  const refused = reply.ok && refusedStatuses.includes(reply.value.status);
  io.setExitCode(refused ? exitCodes.refused : exitCodes.error);
  return undefined;
}
