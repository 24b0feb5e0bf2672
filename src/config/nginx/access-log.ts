// The access_log directives of http as the one access log that a native configuration has. On the change's way. Lines that
// would lie elsewhere, or look otherwise, are told: a log that is read by programs is no detail.

import type { ForeignPlace } from "../foreign/adapted.ts";
import type { Adaptation } from "./adaptation.ts";
import { type Directive, own, type Scope } from "./directive.ts";
import { durationText, parseBytes, parseTime, sizeText } from "./values.ts";

export function putAccessLog(adaptation: Adaptation, http: Scope): void {
  const all = within(http.block);
  const outermost = own(http, "access_log");
  const isOff = ({ args }: Directive) => args[0] === "off";
  const [first] = [...outermost, ...all].filter((directive) => !isOff(directive));
  if (first === undefined) return;
  const path = pathOf(adaptation, first);
  if (path === undefined) return;
  adaptation.put(["accessLog", "path"], path, first.place);
  putFormat(adaptation, http, first);
  putBuffer(adaptation, first);
  for (const other of all) {
    if (other === first) continue;
    if (isOff(other)) adaptation.note(other, `lines of all requests go to ${path}`);
    else if (other.args[0] !== first.args[0]) {
      adaptation.warn(other.place, {
        code: "nginx.accessLog",
        message: `there is one access log: these lines go to ${path} as well`,
        expected: "one access_log for all; each line of a JSON log names its listener and route",
      });
    }
  }
}

function within(block: readonly Directive[]): Directive[] {
  return block.flatMap((directive) => [
    ...(directive.name === "access_log" ? [directive] : []),
    ...within(directive.block ?? []),
  ]);
}

function pathOf(adaptation: Adaptation, directive: Directive): string | undefined {
  const [path = ""] = directive.args;
  if (path === "/dev/stdout") return "stdout";
  if (path.startsWith("syslog:")) {
    adaptation.unserved(
      directive,
      "the access log is not sent to syslog",
      "a file, or `/dev/stdout` and what reads the program's output",
    );
    return undefined;
  }
  if (path.includes("$")) {
    adaptation.unserved(directive, "the name of the access log does not vary", "one file");
    return undefined;
  }
  if (!path.startsWith("/")) {
    adaptation.unserved(directive, `where "${path}" lies depends on how nginx was built`, "the whole path");
    return undefined;
  }
  return path;
}

function putFormat(adaptation: Adaptation, http: Scope, directive: Directive): void {
  const format = directive.args.slice(1).find((word) => !word.includes("=") && word !== "gzip") ?? "combined";
  const defined = own(http, "log_format").find(({ args }) => args[0] === format);
  if (format !== "combined" && defined === undefined) adaptation.wrong(directive, `unknown log format "${format}"`);
  const json = defined?.args.includes("escape=json") === true;
  adaptation.put(["accessLog", "format"], json ? "json" : "combined", directive.place);
  if (defined === undefined) return;
  adaptation.warn(directive.place, {
    code: "nginx.accessLog",
    message: `lines have the ${json ? "JSON" : "combined"} format here, not that of log_format "${format}"`,
    expected: "programs that read them to read that",
  });
}

function putBuffer(adaptation: Adaptation, directive: Directive): void {
  const put = (key: string, value: unknown, place: ForeignPlace) => adaptation.put(["accessLog", key], value, place);
  for (const word of directive.args.slice(1)) {
    const [name, value = ""] = word.split("=", 2);
    const bytes = parseBytes(value);
    const time = parseTime(value);
    if (name === "buffer" && bytes !== undefined) put("buffer", sizeText(bytes), directive.place);
    else if (name === "flush" && time !== undefined && time > 0) put("flush", durationText(time), directive.place);
    else if (name === "gzip")
      adaptation.unserved(directive, "the access log is not compressed", "logrotate's `compress`");
    else if (name === "if") adaptation.note(directive, "lines of all requests are written, whatever `if=` says");
  }
}
