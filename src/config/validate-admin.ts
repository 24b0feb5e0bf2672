// What must hold of the administration's own addresses and files. On the change's way, third stage of decoding. Who may speak
// over the unix socket is a matter of its permissions; over TCP it is a token, so TCP never stands there without one.

import { formatSocketAddress } from "../core/address.ts";
import type { Draft } from "./shape.ts";
import { staysHere } from "./source-leaf.ts";

export function validateAdmin(draft: Draft): void {
  const { root } = draft;
  const { http, tokenFile } = root.value?.admin ?? {};
  // A key that was refused was written all the same.
  if (root.broken.has("admin")) return;
  if (http !== undefined && tokenFile === undefined) {
    draft.complain(["admin", "http"], {
      code: "config.admin.token",
      message: "`http` without `tokenFile` would let every user of this machine change targets",
      expected: "`tokenFile` beside it; `evenkeel token new NAME` makes a token",
      atKey: true,
    });
  }
  if (http === undefined && tokenFile !== undefined) {
    draft.complain(["admin", "tokenFile"], {
      code: "config.admin.token",
      message: "`tokenFile` means nothing without `http`: the socket asks for no token",
      expected: "`http` beside it",
      atKey: true,
    });
  }
  if (http === undefined || staysHere(formatSocketAddress(http))) return;
  const port = http.port;
  draft.complain(["admin", "http"], {
    code: "config.admin.http",
    message: `http: \`${formatSocketAddress(http)}\` can be reached from other machines, and the token would cross the network unencrypted`,
    expected: `a loopback address such as 127.0.0.1:${port}; from elsewhere an ssh tunnel (ssh -L ${port}:127.0.0.1:${port} NODE), or a proxy with TLS in front of it`,
  });
}
