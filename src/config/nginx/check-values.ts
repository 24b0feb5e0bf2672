// Times, sizes and numbers of directives that are served, looked at wherever they stand, used or not, as nginx does; in its
// words. On the change's way, behind the parser. What they mean is said where they are used.

import type { Adaptation } from "./adaptation.ts";
import type { Directive } from "./directive.ts";
import { parseBytes, parseTime } from "./values.ts";

const times = [
  ...["client_header_timeout", "client_body_timeout", "keepalive_timeout", "send_timeout"],
  ...["proxy_connect_timeout", "proxy_send_timeout", "proxy_read_timeout", "proxy_next_upstream_timeout"],
  ...["proxy_timeout", "preread_timeout", "proxy_protocol_timeout", "worker_shutdown_timeout"],
];
const sizes = ["client_max_body_size"];
const numbers = [
  ...["keepalive_requests", "proxy_next_upstream_tries", "proxy_responses", "max_headers", "check_keepalive_requests"],
];

export function checkValues(adaptation: Adaptation, block: readonly Directive[]): void {
  for (const directive of block) {
    const { name, args } = directive;
    const [value = ""] = args;
    const isWrong =
      (times.includes(name) && parseTime(value) === undefined) ||
      (sizes.includes(name) && parseBytes(value) === undefined);
    if (isWrong) adaptation.wrong(directive, `"${name}" directive invalid value`);
    if (numbers.includes(name) && !/^\d{1,9}$/.test(value))
      adaptation.wrong(directive, `"${name}" directive invalid number`);
    if (directive.block !== undefined) checkValues(adaptation, directive.block);
  }
}
