// nginx.conf as a native configuration: the entrance of the adapter. On the change's way, before decoding; pure, files that are
// included come from the caller. What is not understood whole is refused, never left out.

import type { Adapted, ForeignFile, ReadForeign } from "../foreign/adapted.ts";
import { Adaptation } from "./adaptation.ts";
import { checkValues } from "./check-values.ts";
import { type Directive, own, type Scope } from "./directive.ts";
import { putHttp } from "./http.ts";
import { checkDuplicates, parseNginx } from "./parse.ts";
import { PoolBook } from "./pools.ts";
import { putStream } from "./stream.ts";
import { durationText, parseTime } from "./values.ts";

/** Adapts a main file. Problems are in nginx's words where nginx would refuse it too, code `nginx.*`. */
export function adaptNginx(file: ForeignFile, read: ReadForeign): Adapted {
  const adaptation = new Adaptation();
  const directives = parseNginx(file, read, adaptation);
  if (directives === undefined) return adaptation.finish();
  checkDuplicates(adaptation, directives, "main");
  checkValues(adaptation, directives);
  const place = { file: file.path, line: 1, column: 1 };
  const root: Directive = { name: "", args: [], place, argPlaces: [], block: directives };
  const main: Scope = { directive: root, block: directives, outer: undefined };
  if (own(main, "events").length === 0) {
    adaptation.refuse(place, {
      code: "nginx.events",
      message: 'no "events" section in configuration',
      expected: "`events {}`",
    });
  }
  putProcesses(adaptation, main);
  tellErrorLogs(adaptation, directives);
  const pools = new PoolBook(adaptation);
  for (const http of own(main, "http"))
    putHttp(adaptation, pools, { directive: http, block: http.block ?? [], outer: main });
  for (const stream of own(main, "stream")) {
    putStream(adaptation, pools, { directive: stream, block: stream.block ?? [], outer: main });
  }
  return adaptation.finish();
}

function putProcesses(adaptation: Adaptation, main: Scope): void {
  const [workers] = own(main, "worker_processes");
  const [count = ""] = workers?.args ?? [];
  if (workers !== undefined && (count === "auto" || /^[1-9]\d{0,3}$/.test(count))) {
    adaptation.put(["workers"], count === "auto" ? count : Number(count), workers.place);
  } else if (workers !== undefined) adaptation.wrong(workers, `invalid number "${count}"`);
  const [shutdown] = own(main, "worker_shutdown_timeout");
  if (shutdown === undefined) return;
  const time = parseTime(shutdown.args[0] ?? "");
  if (time === undefined) adaptation.wrong(shutdown, `"worker_shutdown_timeout" directive invalid value`);
  else adaptation.put(["drainTimeout"], durationText(time), shutdown.place);
}

function tellErrorLogs(adaptation: Adaptation, directives: readonly Directive[]): void {
  for (const directive of directives) {
    if (directive.name === "error_log") adaptation.idle(directive, "the program's log goes to its standard error");
    if (directive.block !== undefined) tellErrorLogs(adaptation, directive.block);
  }
}
