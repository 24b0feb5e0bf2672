// What the end-to-end tests of the etcd source share: real etcd servers on loopback that can be killed, stopped, wiped and
// started again, and their gateway as an operator's scripts use it. Everything is bound to a scope.

import { rmSync } from "node:fs";
import { Agent, request } from "node:http";
import { request as requestTls } from "node:https";
import { join } from "node:path";
import { freePort, type Program, type Scope, startProgram, temporaryDirectory, until } from "./kit.ts";
import { noProgram } from "./netns-kit.ts";

export const needsEtcd: string | false = noProgram("etcd", "etcd-server");

export type EtcdMember = {
  readonly name: string;
  readonly port: number;
  readonly endpoint: string;
  /** The certificate that it made for itself, if it speaks TLS. */
  readonly certificateFile: string;
  /** Starts it, or starts it again with what its directory holds. */
  start(): void;
  /** SIGKILL, and waits for its end. */
  kill(): Promise<void>;
  signal(signal: "SIGSTOP" | "SIGCONT"): void;
  /** Forgets all it knew; it must not run. */
  wipe(): void;
};

/** Members of one new cluster, started and with a leader. Elections take about half a second. */
export async function startEtcd(
  scope: Scope,
  count: number,
  { secure = false }: { readonly secure?: boolean } = {},
): Promise<readonly EtcdMember[]> {
  const folder = temporaryDirectory(scope);
  const places: { readonly name: string; readonly port: number; readonly peer: number }[] = [];
  for (let index = 0; index < count; index++) {
    places.push({ name: `etcd-${index}`, port: await freePort(), peer: await freePort() });
  }
  const cluster = places.map(({ name, peer }) => `${name}=http://127.0.0.1:${peer}`).join(",");
  const members = places.map((place) =>
    memberOf(scope, { ...place, folder: join(folder, place.name), cluster, secure }),
  );
  for (const member of members) member.start();
  await Promise.all(members.map(hasLeader));
  return members;
}

type Place = {
  readonly name: string;
  readonly port: number;
  readonly peer: number;
  readonly folder: string;
  readonly cluster: string;
  readonly secure: boolean;
};

function memberOf(scope: Scope, { name, port, peer, folder, cluster, secure }: Place): EtcdMember {
  const clients = `${secure ? "https" : "http"}://127.0.0.1:${port}`;
  const peers = `http://127.0.0.1:${peer}`;
  const options = {
    name,
    "data-dir": folder,
    "listen-client-urls": clients,
    "advertise-client-urls": clients,
    "listen-peer-urls": peers,
    "initial-advertise-peer-urls": peers,
    "initial-cluster": cluster,
    "heartbeat-interval": "50",
    "election-timeout": "500",
    "log-level": "error",
    "auto-tls": String(secure),
  };
  const args = Object.entries(options).map(([option, value]) => `--${option}=${value}`);
  let program: Program | undefined;
  return {
    name,
    port,
    endpoint: clients,
    certificateFile: join(folder, "fixtures/client/cert.pem"),
    start() {
      program = startProgram(scope, "etcd", args, { graceMs: 100, env: { GOMAXPROCS: "1" } });
    },
    async kill() {
      program?.signal("SIGKILL");
      await program?.exited();
    },
    signal(signal) {
      program?.signal(signal);
    },
    wipe() {
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

/** Waits until the member knows a leader. */
export async function hasLeader(member: EtcdMember): Promise<void> {
  await until(`a leader of ${member.name}`, async () => {
    const status = await tell(member, "/maintenance/status", {});
    return typeof status["leader"] === "string" && status["leader"] !== "0";
  });
}

/** The leader first, then the others. */
export async function byLeader(members: readonly EtcdMember[]): Promise<readonly EtcdMember[]> {
  const ranked = await Promise.all(
    members.map(async (member) => {
      const status = await tell(member, "/maintenance/status", {});
      const header = status["header"];
      const id = typeof header === "object" && header !== null && "member_id" in header ? header.member_id : undefined;
      return { member, rank: id === status["leader"] ? 0 : 1 };
    }),
  );
  return ranked.sort((one, other) => one.rank - other.rank).map(({ member }) => member);
}

const agent = new Agent({ keepAlive: true });

/** A question to the gateway; rejects when it is not answered with 200. */
export function tell(
  member: EtcdMember,
  path: string,
  body: object,
  token?: string,
): Promise<Readonly<Record<string, unknown>>> {
  return new Promise((resolve, reject) => {
    const headers = token === undefined ? {} : { authorization: token };
    const options = { method: "POST", headers, signal: AbortSignal.timeout(5_000) };
    const url = `${member.endpoint}/v3${path}`;
    const ask = url.startsWith("https:")
      ? requestTls(url, { ...options, rejectUnauthorized: false })
      : request(url, { ...options, agent });
    ask.on("response", (incoming) => {
      let text = "";
      incoming.setEncoding("utf8");
      incoming.on("data", (part: string) => {
        text += part;
      });
      incoming.on("error", reject);
      incoming.on("end", () => {
        if (incoming.statusCode === 200) resolve(JSON.parse(text));
        else reject(new Error(`${path}: ${incoming.statusCode} ${text}`));
      });
    });
    ask.on("error", reject);
    ask.end(JSON.stringify(body));
  });
}

const base64 = (text: string) => Buffer.from(text).toString("base64");

export async function put(member: EtcdMember, key: string, value = "", token?: string): Promise<void> {
  await tell(member, "/kv/put", { key: base64(key), value: base64(value) }, token);
}

export async function remove(member: EtcdMember, key: string, token?: string): Promise<void> {
  await tell(member, "/kv/deleterange", { key: base64(key) }, token);
}
