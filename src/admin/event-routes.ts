// The admin API's events: as a stream for whoever follows, or the kept ones as a list for whoever asks once. The change's
// way.

import { type AdminAnswer, failed, json } from "./answer.ts";
import { type EventPosition, followersMax } from "./event-stream.ts";
import type { Call, Route } from "./route-table.ts";

export const eventRoutes: readonly Route[] = [
  {
    path: "/v1/events",
    operations: {
      GET: {
        endpoint: showEvents,
        summary:
          "What happens on this node, as server-sent events; with `accept: application/json` the kept ones as a list",
        query: {
          since:
            "the id of an event or its number: those after it come first; without it only what happens from now on",
        },
        headers: { "last-event-id": "as since, sent by a follower that comes again; it goes before since" },
        answers: {
          200: ["a stream without end, or the list", "text/event-stream"],
          400: ["since is no id", "application/problem+json"],
          503: [`there are ${followersMax} followers already`, "application/problem+json"],
        },
      },
    },
  },
];

function showEvents({ controlled, followers, request, query }: Call): AdminAnswer {
  const seen = request.headers.lastEventId ?? query.get("since") ?? undefined;
  const from = seen === undefined ? undefined : followers.parsePosition(seen);
  if (seen !== undefined && from === undefined) {
    const detail = `\`${seen.slice(0, 60)}\` is no id of an event; expected a number, or an id that a stream gave`;
    return failed(400, {
      code: "admin.events.since",
      detail,
      errors: [{ field: "since", code: "admin.events.since", detail }],
    });
  }
  if (wantsList(request.headers.accept)) {
    const { after, missed } = from === undefined || from === "now" ? { after: 0, missed: false } : from;
    const found = controlled.events.since(after);
    const last = found.events.at(-1);
    return json(200, {
      events: found.events,
      // Without a place to begin at, everything that is kept is all that was asked for.
      missed: missed || (seen !== undefined && found.missed),
      last: last === undefined ? undefined : followers.idOf(last.id),
    });
  }
  if (followers.full) {
    const detail = `${followersMax} follow the events already, which is the most`;
    return failed(503, { code: "admin.events.full", detail }, { "retry-after": "10" });
  }
  return {
    status: 200,
    headers: { "content-type": "text/event-stream" },
    body: { kind: "stream", open: (sink) => followers.follow(sink, from ?? ("now" satisfies EventPosition)) },
  };
}

/** The stream is what this place is for: the list comes only to those who name it and don't name the stream. */
function wantsList(accept: string | undefined): boolean {
  const wanted = accept ?? "";
  return wanted.includes("application/json") && !wanted.includes("text/event-stream");
}
