// Where a pool's targets come from besides the file and the API, as the rest of the program reads it. Plain JSON data. The
// shape that an operator writes is src/config/source-schema.ts; who speaks with these stores is src/sources.

import type { Milliseconds } from "../core/clock.ts";

/** How a store's servers prove who they are, and we to them. Paths of PEM files, read when a connection is set up. */
export type SourceTls = {
  /** Instead of the system's roots. */
  readonly caFile: string | undefined;
  readonly certificateFile: string | undefined;
  readonly keyFile: string | undefined;
  /** SNI and the name that is verified; undefined: the endpoint's own. */
  readonly serverName: string | undefined;
  readonly verify: boolean;
};

/** What every source has. */
export type SourceRules = {
  /** Refuses to start while the store has not answered; else the dump, or nothing, is started with. */
  readonly required: boolean;
  /** How long a start waits for the first answer: then it goes on (with the dump) or, when required, it is refused. */
  readonly startTimeout: Milliseconds;
  /** Longest time of one request, the time that it may be held open not counted. */
  readonly requestTimeout: Milliseconds;
  /** Between a failed request and the next one at the same endpoint: the first, doubled up to the second. */
  readonly retry: { readonly first: Milliseconds; readonly most: Milliseconds };
  /** The last good list. `upsync` is `server ...;` lines beside ours. */
  readonly dump: { readonly path: string | undefined; readonly format: "json" | "upsync" };
};

export type ConsulAccess = {
  /** `http://127.0.0.1:8500` or `https://...`, at least one; the next is asked when one fails. */
  readonly endpoints: readonly string[];
  /** Read each time a watch begins, so that it may be renewed; undefined: no token is sent. */
  readonly tokenFile: string | undefined;
  readonly datacenter: string | undefined;
  readonly tls: SourceTls | undefined;
  /** How long a blocking query may be held open by the server. */
  readonly wait: Milliseconds;
};

/** nginx-upsync-module's layout: `<prefix><ip:port>` = JSON with weight, max_fails, fail_timeout, down, backup. */
export type ConsulKvSource = SourceRules & ConsulAccess & { readonly type: "consul"; readonly prefix: string };

/** Instances of a service in the catalog. */
export type ConsulServiceSource = SourceRules &
  ConsulAccess & {
    readonly type: "consulService";
    readonly service: string;
    /** An instance has all of them. */
    readonly tags: readonly string[];
    /** By Consul's own checks: only those that pass, those that warn as well, or whatever is registered. */
    readonly health: "passing" | "warning" | "any";
  };

/** The same layout in etcd: key `<prefix><ip:port>`. Version 3, by its JSON gateway. */
export type EtcdSource = SourceRules & {
  readonly type: "etcd";
  readonly endpoints: readonly string[];
  readonly prefix: string;
  readonly user: string | undefined;
  readonly passwordFile: string | undefined;
  readonly tls: SourceTls | undefined;
};

export type DnsSource = SourceRules & {
  readonly type: "dns";
  readonly name: string;
  /** `address` asks for A and AAAA, `srv` for SRV and the addresses of what it names. */
  readonly record: "address" | "srv";
  /** Of the targets; 0 for SRV records, whose own is taken. */
  readonly port: number;
  /** `10.0.0.2:53`; empty: the system's. */
  readonly servers: readonly string[];
  /** A record's time to live is kept to within these. */
  readonly refresh: { readonly least: Milliseconds; readonly most: Milliseconds };
};

export type Source = ConsulKvSource | ConsulServiceSource | EtcdSource | DnsSource;

/** In a few words for people: `consul upstreams/app/ at http://127.0.0.1:8500`. Holds no secret. */
export function describeSource(source: Source): string {
  const at = (servers: readonly string[]) => servers.join(", ");
  switch (source.type) {
    case "consul":
    case "etcd":
      return `${source.type} ${source.prefix} at ${at(source.endpoints)}`;
    case "consulService": {
      const tags = source.tags.map((tag) => ` #${tag}`).join("");
      return `consul service ${source.service}${tags} (${source.health}) at ${at(source.endpoints)}`;
    }
    case "dns": {
      const what = source.record === "srv" ? `srv ${source.name}` : `${source.name}:${source.port}`;
      return source.servers.length === 0 ? `dns ${what}` : `dns ${what} at ${at(source.servers)}`;
    }
    default:
      return source satisfies never;
  }
}

/** Bytes of one answer of a store. Ten thousand entries are about 3 MiB. */
export const sourceAnswerBytesMax = 32 * 1024 * 1024;
