import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { type TestContext, test } from "node:test";
import { bad, good } from "../core/failure.ts";
import { type CapabilitySources, hasNetAdmin, readKernelCapabilities } from "./kernel-capabilities.ts";

const effectiveAll = "CapInh:\t0000000000000000\nCapEff:\t000001ffffffffff\n";
const effectiveNone = "CapEff:\t0000000000000000\n";

/** A /proc of the test's own. */
function proc(t: TestContext, files: Readonly<Record<string, string>>): string {
  const folder = mkdtempSync(join(tmpdir(), "evenkeel-proc-"));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  for (const [path, text] of Object.entries(files)) {
    mkdirSync(dirname(join(folder, path)), { recursive: true });
    writeFileSync(join(folder, path), text);
  }
  return folder;
}

function sources(procPath: string, other: Partial<CapabilitySources> = {}): CapabilitySources {
  const yes = () => good(true as const);
  return { procPath, nftVersion: () => good("1.0.6"), tryTable: yes, tryConnectionTracking: yes, ...other };
}

function failing(code: string) {
  return () => bad({ code, origin: "self", retrySafe: false, detail: code });
}

test("the right is the 13th bit of the effective set", () => {
  assert.equal(hasNetAdmin("CapEff:\t0000000000001000\n"), true);
  assert.equal(hasNetAdmin("CapEff:\tffffffffffffefff\n"), false);
  assert.equal(hasNetAdmin("CapPrm:\t0000000000001000\nCapEff:\t0000000000000000\n"), false);
  assert.equal(hasNetAdmin(""), false);
});

test("a machine that has everything has no obstacles, and its sysctls are read", (t) => {
  const procPath = proc(t, {
    "self/status": effectiveAll,
    "sys/net/ipv4/ip_forward": "1\n",
    "sys/net/ipv6/conf/all/forwarding": "0\n",
    "sys/net/netfilter/nf_conntrack_max": "262144\n",
    "sys/net/netfilter/nf_conntrack_tcp_loose": "1\n",
    "sys/net/ipv4/conf/eth0/route_localnet": "1\n",
    "sys/net/ipv4/conf/eth0/rp_filter": "2\n",
    "sys/net/ipv4/conf/all/rp_filter": "0\n",
  });
  const read = readKernelCapabilities(sources(procPath));
  assert.deepEqual(read.obstacles, []);
  assert.deepEqual(read.sysctls, {
    ipv4Forwarding: 1,
    ipv6Forwarding: 0,
    conntrackMax: 262144,
    conntrackTcpLoose: 1,
    conntrackTcpBeLiberal: undefined,
    routeLocalnet: new Map([["eth0", 1]]),
    reversePathFilter: new Map([
      ["all", 0],
      ["eth0", 2],
    ]),
  });
});

test("a missing right is one obstacle, not three", (t) => {
  const denied = failing("netfilter.denied");
  const procPath = proc(t, { "self/status": effectiveNone });
  const read = readKernelCapabilities(sources(procPath, { tryTable: denied, tryConnectionTracking: denied }));
  assert.equal(read.netAdmin, false);
  assert.deepEqual(
    read.obstacles.map(({ code }) => code),
    ["kernel.netAdmin"],
  );
  assert.ok(read.obstacles[0]?.detail.includes("CAP_NET_ADMIN"));
});

test("each thing that is missing is told", (t) => {
  const procPath = proc(t, { "self/status": effectiveAll });
  const read = readKernelCapabilities(
    sources(procPath, {
      nftVersion: failing("nft.missing"),
      tryTable: failing("netfilter.unsupported"),
      tryConnectionTracking: failing("netfilter.denied"),
    }),
  );
  assert.deepEqual(
    read.obstacles.map(({ code }) => code),
    ["nft.missing", "netfilter.unsupported", "netfilter.denied"],
  );
});

test("a /proc that says nothing gives no right and no values", (t) => {
  const read = readKernelCapabilities(sources(proc(t, {})));
  assert.equal(read.netAdmin, false);
  assert.equal(read.sysctls.ipv4Forwarding, undefined);
  assert.equal(read.sysctls.routeLocalnet.size, 0);
});
