// A source of the file into the model's: defaults that depend on other keys, and one type of the model for each of Consul's two
// ways. On the change's way, part of build.ts. Must not find problems any more: that was validate-source.ts.

import { assert } from "../core/assert.ts";
import type { ConsulAccess, Source, SourceRules, SourceTls } from "../model/source.ts";
import type { ConsulFile, DnsFile, EtcdFile, SourceFile } from "./source-schema.ts";

export function buildSource(file: SourceFile): Source {
  switch (file.type) {
    case "consul":
      return buildConsul(file);
    case "etcd":
      return buildEtcd(file);
    case "dns":
      return buildDns(file);
    default:
      return file satisfies never;
  }
}

function rulesOf(file: SourceFile): SourceRules {
  const { required, startTimeout, requestTimeout, retry, dump } = file;
  return { required, startTimeout, requestTimeout, retry, dump: { path: dump.path, format: dump.format } };
}

/** An `https://` endpoint has TLS also when the file says no more of it. */
function tlsOf({ endpoints, tls }: Pick<EtcdFile, "endpoints" | "tls">): SourceTls | undefined {
  if (!endpoints.some((url) => url.startsWith("https:"))) return undefined;
  return {
    caFile: tls?.ca,
    certificateFile: tls?.certificate,
    keyFile: tls?.key,
    serverName: tls?.serverName,
    verify: tls?.verify ?? true,
  };
}

function buildConsul(file: ConsulFile): Source {
  const { endpoints, tokenFile, datacenter, wait, prefix, service } = file;
  const access: ConsulAccess = { endpoints, tokenFile, datacenter, tls: tlsOf(file), wait };
  if (prefix !== undefined) return { type: "consul", ...rulesOf(file), ...access, prefix };
  assert(service !== undefined, "a source of a valid draft has a prefix or a service");
  const tags = [...new Set(file.tags)];
  return { type: "consulService", ...rulesOf(file), ...access, service, tags, health: file.health ?? "passing" };
}

function buildEtcd(file: EtcdFile): Source {
  const { endpoints, prefix, user, passwordFile } = file;
  return { type: "etcd", ...rulesOf(file), endpoints, prefix, user, passwordFile, tls: tlsOf(file) };
}

function buildDns(file: DnsFile): Source {
  const { name, record, port = 0, servers, refresh } = file;
  return { type: "dns", ...rulesOf(file), name, record, port, servers, refresh };
}
