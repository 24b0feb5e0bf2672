// What the end-to-end tests of the DNS source share: a real authoritative server (NSD) on loopback whose zone can be
// changed while it runs. Everything is bound to a scope.

import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { askDns } from "../../src/sources/dns-client.ts";
import { freePort, type Program, type Scope, startProgram, temporaryDirectory, until } from "./kit.ts";
import { noProgram } from "./netns-kit.ts";

export const needsNsd: string | false = noProgram("nsd", "nsd");

export type NameServer = {
  /** `127.0.0.1:5300`. */
  readonly address: string;
  readonly port: number;
  /** Records of `example.test`, one a line, names relative to it; waits until they are served. */
  serve(records: readonly string[]): Promise<void>;
  /** Ends it and waits for that. */
  stop(): Promise<void>;
  start(): Promise<void>;
};

/** Serves the zone `example.test`, whose negative answers hold for one second. */
export async function startNameServer(scope: Scope, records: readonly string[]): Promise<NameServer> {
  const folder = temporaryDirectory(scope);
  const port = await freePort();
  const file = (name: string) => join(folder, name);
  let serial = 0;
  const writeZone = (lines: readonly string[]) => {
    serial++;
    const soa = `@ 1 IN SOA ns root ${serial} 3600 600 86400 1`;
    writeFileSync(
      file("zone"),
      `$ORIGIN example.test.\n$TTL 1\n${soa}\n@ NS ns\nns A 127.0.0.1\n${lines.join("\n")}\n`,
    );
  };
  writeFileSync(file("nsd.conf"), configuration(folder, port));
  let program: Program | undefined;
  /** True once the zone is served as it was written last: its serial is the sign that the tests themselves don't look at. */
  const isServed = async () => {
    const server = { host: "127.0.0.1", port };
    const question = { name: `serial-${serial}.example.test`, type: "A" } as const;
    const answer = await askDns(question, { server, timeout: 500, signal: new AbortController().signal });
    return answer.ok && answer.value.answers.length === 1;
  };
  const withSign = (lines: readonly string[]) => [...lines, `serial-${serial + 1} A 127.0.0.1`];
  const start = async () => {
    program = startProgram(scope, "nsd", ["-d", "-c", file("nsd.conf")], { cwd: folder });
    await until("the name server", isServed, { onTimeout: program.stderr });
  };
  writeZone(withSign(records));
  await start();
  return {
    address: `127.0.0.1:${port}`,
    port,
    async serve(lines) {
      writeZone(withSign(lines));
      program?.signal("SIGHUP");
      await until("the new zone", isServed);
    },
    async stop() {
      program?.signal("SIGTERM");
      await program?.exited();
    },
    start,
  };
}

function configuration(folder: string, port: number): string {
  return `server:
  ip-address: 127.0.0.1@${port}
  server-count: 1
  username: ""
  database: ""
  zonesdir: "${folder}"
  pidfile: "${join(folder, "pid")}"
  xfrdfile: "${join(folder, "xfrd")}"
  xfrdir: "${folder}"
  zonelistfile: "${join(folder, "zones")}"
  logfile: "${join(folder, "log")}"
  rrl-ratelimit: 0
remote-control:
  control-enable: no
zone:
  name: example.test
  zonefile: zone
`;
}
