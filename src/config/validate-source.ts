// What must hold between the keys of one source: a prefix or a service, TLS where it is spoken, a secret's two halves. On the
// change's way, third stage of decoding. Whether its files are there and its servers answer is not known here.

import { storeWaitMax } from "./limits.ts";
import { isWhole, type Part } from "./part.ts";
import type { Complaint, Path } from "./problem.ts";
import type { Draft } from "./shape.ts";
import { staysHere } from "./source-leaf.ts";
import type { ConsulFile, DnsFile, EtcdFile, SourceFile } from "./source-schema.ts";

type Finding = { readonly path: Path; readonly complaint: Complaint };

export function validateSource(draft: Draft, source: Part<SourceFile>): void {
  const { path, value } = source;
  if (value === undefined) return;
  const findings = [...ofType(value, isWhole(source)), ...ofPauses(value)];
  for (const finding of findings) draft.complain([...path, ...finding.path], finding.complaint);
  warnReadable(draft, path, value);
}

/** `whole`: no key was refused, so what is missing was not written. */
function ofType(file: SourceFile, whole: boolean): Finding[] {
  switch (file.type) {
    case "consul":
      return [...ofConsul(file, whole), ...ofEndpoints(file)];
    case "etcd":
      return [...ofEtcd(file, whole), ...ofEndpoints(file)];
    case "dns":
      return ofDns(file, whole);
    default:
      return file satisfies never;
  }
}

/** About the value of a key. */
function about(key: string, message: string, expected: string): Finding {
  return { path: [key], complaint: { code: "config.source", message: `${key}: ${message}`, expected } };
}

/** About a key that should not stand there. */
function against(path: Path, message: string, expected: string): Finding {
  return { path, complaint: { code: "config.source", message, expected, atKey: true } };
}

function ofConsul(file: ConsulFile, whole: boolean): Finding[] {
  const findings: Finding[] = [];
  const { prefix, service } = file;
  if (prefix === undefined && service === undefined && whole) {
    const expected = "`prefix` for keys, or `service` for a service of the catalog";
    findings.push(against([], "a source with `type: consul` has neither `prefix` nor `service`", expected));
  }
  if (prefix !== undefined && service !== undefined) {
    findings.push(against(["service"], "`service` stands beside `prefix`", "one of the two"));
  }
  for (const key of ["tags", "health"] as const) {
    if (file[key] === undefined || prefix === undefined || service !== undefined) continue;
    findings.push(against([key], `\`${key}\` means nothing beside \`prefix\``, "it with `service`"));
  }
  if (file.wait > storeWaitMax)
    findings.push(about("wait", "is longer than Consul holds a request open", "at most 10m"));
  return findings;
}

function ofEtcd({ user, passwordFile }: EtcdFile, whole: boolean): Finding[] {
  if (!whole || (user === undefined) === (passwordFile === undefined)) return [];
  if (user === undefined) return [against(["passwordFile"], "`passwordFile` is of nobody", "it with `user`")];
  return [against(["user"], "`user` has no password", "it with `passwordFile`")];
}

function ofEndpoints({ endpoints, tls }: Pick<EtcdFile, "endpoints" | "tls">): Finding[] {
  const findings: Finding[] = [];
  if (endpoints.length === 0) findings.push(about("endpoints", "names no server", "at least one"));
  findings.push(...ofTwice("endpoints", endpoints));
  if (tls === undefined) return findings;
  if (endpoints.length > 0 && !endpoints.some((url) => url.startsWith("https:"))) {
    findings.push(
      against(["tls"], "`tls` means nothing where no endpoint begins with `https://`", "an `https://` endpoint"),
    );
  }
  if ((tls.certificate === undefined) !== (tls.key === undefined)) {
    const [there, missing] = tls.key === undefined ? ["certificate", "key"] : ["key", "certificate"];
    findings.push(against(["tls", there], `\`${there}\` alone proves nothing`, `it with \`${missing}\``));
  }
  return findings;
}

function ofTwice(key: string, list: readonly string[]): Finding[] {
  return list.flatMap((one, index) => {
    if (list.indexOf(one) === index) return [];
    const message = `${key}[${index}]: \`${one}\` stands there already`;
    return [{ path: [key, index], complaint: { code: "config.source", message, expected: "each server once" } }];
  });
}

function ofDns({ record, port, servers, refresh }: DnsFile, whole: boolean): Finding[] {
  const findings = ofTwice("servers", servers);
  if (record === "address" && port === undefined && whole) {
    const message = "a source with `type: dns` has no `port`, and an address record tells none";
    findings.push(against([], message, "`port`, or `record: srv`"));
  }
  if (record === "srv" && port !== undefined) {
    findings.push(against(["port"], "`port` means nothing beside `record: srv`, whose records tell it", "no `port`"));
  }
  if (refresh.least > refresh.most) {
    const finding = about("least", "is longer than `most`", "at most `most`");
    findings.push({ ...finding, path: ["refresh", "least"] });
  }
  return findings;
}

function ofPauses({ retry }: SourceFile): Finding[] {
  if (retry.first <= retry.most) return [];
  return [{ ...about("first", "is longer than `most`", "at most `most`"), path: ["retry", "first"] }];
}

/** A secret that leaves this machine in the clear. */
function warnReadable(draft: Draft, path: Path, file: SourceFile): void {
  if (file.type === "dns") return;
  const key = file.type === "consul" ? "tokenFile" : "passwordFile";
  const secret = file.type === "consul" ? file.tokenFile : file.passwordFile;
  const open = file.endpoints.find((url) => url.startsWith("http:") && !staysHere(url));
  if (secret === undefined || open === undefined) return;
  draft.warn([...path, key], {
    code: "config.source.clear",
    message: `${key}: what is in the file goes to \`${open}\` unencrypted`,
    expected: "`https://`, or an agent on this machine",
  });
}
