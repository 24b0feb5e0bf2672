// Opens a source by its type: the one place that knows all of them. The change's way. A new kind of store is a type in
// src/model/source.ts, a file here that opens it, and a case below.

import type { Source } from "../model/source.ts";
import { openConsulKv } from "./consul-kv.ts";
import { openConsulServices } from "./consul-services.ts";
import { openDns } from "./dns-source.ts";
import { openEtcd } from "./etcd-source.ts";
import type { SourceDeps, SourceListener, SourcePool, SourceWatch } from "./source.ts";

/** An `OpenSource`: begins to ask at once, tells the listener from the next event on, and goes on until it is closed. */
export function openSource(source: Source, pool: SourcePool, listener: SourceListener, deps: SourceDeps): SourceWatch {
  switch (source.type) {
    case "consul":
      return openConsulKv(source, pool, listener, deps);
    case "consulService":
      return openConsulServices(source, pool, listener, deps);
    case "etcd":
      return openEtcd(source, pool, listener, deps);
    case "dns":
      return openDns(source, pool, listener, deps);
    default:
      return source satisfies never;
  }
}
