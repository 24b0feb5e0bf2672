// The shape of a pool's source as an operator writes it: one mapping for each type of store, with the keys of that type alone,
// and what all types share. On the change's way, part of pool-schema.ts; what it becomes is build-source.ts, what must
// hold between its keys is validate-source.ts.

import * as z from "zod";
import { serverName } from "./health-check-leaf.ts";
import { absolutePath, duration, fixedWord, flag, integer, oneOf } from "./leaf.ts";
import { endpointsMax, filePathBytesMax, nameServersMax, serviceTagsMax } from "./limits.ts";
import { datacenter, dnsName, endpoint, keyPrefix, nameServer, storeName } from "./source-leaf.ts";

const positive = duration({ off: false });
const filePath = () => absolutePath(filePathBytesMax);

export const sourceTypes = ["consul", "etcd", "dns"] as const;
export type SourceType = (typeof sourceTypes)[number];

const commonFields = {
  required: flag()
    .prefault(false)
    .describe(
      "Refuses to start when the source has not answered within startTimeout; else the last good list is used.",
    ),
  startTimeout: positive.prefault("10s").describe("How long a start waits for the first answer."),
  requestTimeout: positive
    .prefault("5s")
    .describe("Of one request; the time that a server may hold it open is not counted."),
  retry: z
    .strictObject({
      first: positive.prefault("100ms").describe("After the first failure."),
      most: positive.prefault("5s").describe("Each further failure doubles the pause, up to this."),
    })
    .prefault({})
    .describe("Pauses between a failed request and the next one to the same server."),
  dump: z
    .strictObject({
      path: filePath().optional().describe("A file of its own for each pool; by default below `stateDirectory`."),
      format: oneOf(["json", "upsync"])
        .prefault("json")
        .describe("`upsync` keeps `server ...;` lines, as nginx includes them, in the file beside ours."),
    })
    .prefault({})
    .describe("The last good list, which is used while the source does not answer."),
};

const tlsField = {
  tls: z
    .strictObject({
      ca: filePath().optional().describe("PEM file of the roots that are trusted instead of the system's."),
      certificate: filePath().optional().describe("PEM file of our own certificate, with `key`."),
      key: filePath().optional().describe("PEM file of our certificate's key."),
      serverName: serverName()
        .optional()
        .describe("The name asked for in the handshake (SNI) and verified; by default the endpoint's host."),
      verify: flag()
        .prefault(true)
        .describe("Refuse servers whose certificate is not vouched for, is outdated or has another name."),
    })
    .optional()
    .describe("Of `https://` endpoints."),
};

function endpointsField(options: Parameters<typeof endpoint>[0]) {
  return z
    .array(endpoint(options))
    .max(endpointsMax)
    .describe(
      "Servers of the store, `127.0.0.1:8500` or `https://consul.example.com:8501`; the next one when one fails.",
    );
}

const shapes = {
  consul: z
    .strictObject({
      type: fixedWord("consul").describe(
        "Keys of Consul, as nginx-upsync-module has them, or a service of its catalog.",
      ),
      endpoints: endpointsField({ usualPort: 8500, secrets: "the token in `tokenFile`" }),
      prefix: keyPrefix("consul")
        .optional()
        .describe(
          "A target is a key: prefix, address and port. Its value may hold weight, max_fails, fail_timeout, down, backup.",
        ),
      service: storeName("the name of a service").optional().describe("A target is an instance of this service."),
      tags: z
        .array(storeName("a tag"))
        .max(serviceTagsMax)
        .optional()
        .describe("Only instances that have all of these; with `service`."),
      health: oneOf(["passing", "warning", "any"])
        .optional()
        .describe(
          "By Consul's own checks: instances that pass (the default), those that warn as well, or all; with `service`.",
        ),
      wait: positive
        .prefault("10s")
        .describe("How long a server may hold a request open until something changes; at most 10m."),
      tokenFile: filePath().optional().describe("File with the ACL token; read anew when a watch begins."),
      datacenter: datacenter().optional().describe("By default the one of the server that is asked."),
      ...tlsField,
      ...commonFields,
    })
    .meta({ oneOf: [{ required: ["prefix"] }, { required: ["service"] }] }),
  etcd: z.strictObject({
    type: fixedWord("etcd").describe("Keys of etcd (version 3), laid out as in Consul."),
    endpoints: endpointsField({ usualPort: 2379, secrets: "`user` and `passwordFile` beside it" }),
    prefix: keyPrefix("etcd").describe("A target is a key: prefix, address and port; its value as in Consul."),
    user: storeName("the name of a user").optional().describe("Who we are for etcd, with `passwordFile`."),
    passwordFile: filePath().optional().describe("File with the password of `user`."),
    ...tlsField,
    ...commonFields,
  }),
  dns: z.strictObject({
    type: fixedWord("dns").describe("Addresses of a name, asked for again when their time to live ends."),
    name: dnsName().describe("The name that is asked for, whole: no domain is searched."),
    record: oneOf(["address", "srv"])
      .prefault("address")
      .describe("A and AAAA records, or SRV records with the addresses of the names in them."),
    port: integer(1, 65_535).optional().describe("Of the targets; SRV records have their own."),
    servers: z
      .array(nameServer())
      .max(nameServersMax)
      .prefault([])
      .describe("Name servers, `10.0.0.2` or `10.0.0.2:53`; by default those of the system."),
    refresh: z
      .strictObject({
        least: positive.prefault("1s").describe("Not sooner, however short the records live."),
        most: positive.prefault("5m").describe("Not later, however long they live."),
      })
      .prefault({})
      .describe("When the records are asked for again: at the end of their time to live, within these bounds."),
    ...commonFields,
  }),
} satisfies Record<SourceType, z.ZodType>;

/** By type, to read one source by itself. */
export const sourceShapes: Readonly<Record<SourceType, z.ZodType<SourceFile>>> = shapes;

/** Of a source whose type nobody knows no more is read. */
export const unknownSource = z.looseObject({ type: oneOf(sourceTypes) });

/** Any of them, for the schema of the whole file. */
export const sourceFile = z.xor([shapes.consul, shapes.etcd, shapes.dns]);

export type SourceFile = { [Type in SourceType]: z.output<(typeof shapes)[Type]> }[SourceType];
export type ConsulFile = z.output<typeof shapes.consul>;
export type EtcdFile = z.output<typeof shapes.etcd>;
export type DnsFile = z.output<typeof shapes.dns>;
