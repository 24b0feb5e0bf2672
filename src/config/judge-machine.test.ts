import assert from "node:assert/strict";
import { test } from "node:test";
import { decodeConfig } from "./decode.ts";
import { judgeMachine, type MachineFacts } from "./judge-machine.ts";
import { describeProblems } from "./problem.ts";

const facts: MachineFacts = {
  interfaces: new Map([
    ["lo", ["127.0.0.1", "::1"]],
    ["eth0", ["10.0.4.2", "fe80::2", "2001:db8::2"]],
    ["eth1", []],
  ]),
  programs: new Map([
    ["/bin/fine", "fine"],
    ["/bin/gone", "missing"],
    ["gone", "missing"],
    ["/etc", "directory"],
    ["/etc/passwd", "notExecutable"],
    ["/root/x", "forbidden"],
  ]),
  users: new Map([
    ["nobody", true],
    ["ghost", false],
  ]),
  insecure: new Map([
    [" /bin/loose", { path: "/bin/loose", why: "others" }],
    [" /srv/bob/run", { path: "/srv/bob", why: "owner" }],
    ["admin /bin/fine", { path: "/bin", why: "group" }],
  ]),
  files: new Map([
    ["/etc/token", "fine"],
    ["/etc/none", "missing"],
    ["/etc/folder", "directory"],
    ["/etc/shut", "forbidden"],
  ]),
};

function judged(ha: string): { problems: string; warnings: string } {
  return judgedFile(`ha:\n${ha}`);
}

function judgedFile(text: string): { problems: string; warnings: string } {
  const decoded = decodeConfig(text, {
    file: "lb.yaml",
    environment: {},
    machine: { hostname: "lb-1", cores: 1 },
  });
  assert(decoded.ok, decoded.ok ? "" : describeProblems(decoded.problems));
  const { problems, warnings } = judgeMachine(decoded.wants, facts);
  return { problems: describeProblems(problems), warnings: describeProblems(warnings) };
}

const router = (rest: string) => `  virtualRouters: { VI_1: { vrid: 1, track: [balancer], ${rest} } }`;

test("a machine that has everything is not complained of", () => {
  const told = judged(`
  tracks: { chk: { command: [/bin/fine], user: nobody }, up: { interface: eth1 } }
  notify: { any: [/bin/fine] }
  virtualRouters: { VI_1: { interface: eth0, vrid: 1, priority: 100, addresses: [10.0.4.99], track: [chk, up, interface:lo] } }
  services: { s: { command: [/bin/fine], follow: VI_1 } }`);
  assert.deepEqual(told, { problems: "", warnings: "" });
});

test("an interface that is not there is a problem with its place, the nearest name and the way to wait for it", () => {
  const { problems } = judged(`  virtualRouters:
    VI_1: { interface: eth00, vrid: 1, priority: 1, addresses: [{ address: 10.0.4.9, interface: eth7 }], track: [interface:wan] }`);
  const there = "expected one of `lo`, `eth0`, `eth1`, or `waitForInterface: true`";
  assert.equal(
    problems,
    [
      `lb.yaml:3:24: there is no interface \`eth00\` on this machine; ${there}; did you mean \`eth0\`?`,
      `lb.yaml:3:97: there is no interface \`eth7\` on this machine; ${there}; did you mean \`eth0\`?`,
      `lb.yaml:3:114: there is no interface \`wan\` on this machine; ${there}`,
      "",
    ].join("\n"),
  );
});

test("an interface that may be missing is not asked for", () => {
  const { problems } = judged(`
  tracks: { up: { interface: eth8, waitForInterface: true } }
  virtualRouters:
    VI_1: { interface: eth9, waitForInterface: true, vrid: 1, priority: 1, addresses: [10.0.4.9], track: [up, interface:eth7] }`);
  assert.equal(problems, "");
});

test("the machine's own address cannot move, unless priority 255 says that it is the owner", () => {
  const own = judged(router("interface: eth0, priority: 254, addresses: [10.0.4.2/24]"));
  assert.match(own.problems, /^lb\.yaml:2:.*`10\.0\.4\.2` is this machine's own address on eth0, so it would not move/);
  const elsewhere = judged(
    router("interface: eth1, priority: 1, addresses: [10.0.4.98], silentAddresses: [2001:db8::2]"),
  );
  assert.match(elsewhere.problems, /`2001:db8::2` is this machine's own address on eth0/);
  const owner = judged(router("interface: eth0, priority: 255, addresses: [10.0.4.2/24]"));
  assert.deepEqual(owner, { problems: "", warnings: "" });
  const pretender = judged(router("interface: eth0, priority: 255, addresses: [10.0.4.99]"));
  assert.match(pretender.warnings, /`10\.0\.4\.99` is on no interface of this machine, and `priority: 255` says/);
});

test("a node that has no address to speak from is warned, and told which it could name", () => {
  assert.match(
    judged(router("interface: eth1, priority: 1, addresses: [10.0.4.99]")).warnings,
    /interface `eth1` has no IPv4 address to speak from/,
  );
  assert.match(
    judged(router("interface: lo, priority: 1, addresses: [fe80::9]").replace("lo,", "eth1,")).warnings,
    /interface `eth1` has no link-local address to speak from/,
  );
  const wrong = judged(router("interface: eth0, priority: 1, addresses: [10.0.4.99], sourceAddress: 10.0.4.3"));
  assert.match(
    wrong.problems,
    /`eth0` has no address `10\.0\.4\.3`; expected one of `10\.0\.4\.2`; did you mean `10\.0\.4\.2`\?/,
  );
  assert.equal(wrong.warnings, "");
});

test("a peer is another machine", () => {
  const { problems } = judged(
    router("interface: eth0, priority: 1, addresses: [10.0.4.99], unicastPeers: [10.0.4.2, 10.0.4.3]"),
  );
  assert.match(
    problems,
    /^lb\.yaml:2:\d+: `10\.0\.4\.2` is an address of this machine, on eth0; expected the other nodes only\n$/,
  );
});

test("a program that cannot run is told with its place, wherever it stands", () => {
  const { problems } = judged(`  tracks:
    a: { command: [/bin/gone, -q] }
    b: { command: [gone], user: ghost }
  notify:
    active: [[/bin/fine], [/etc]]
    any: [/etc/passwd]
  virtualRouters:
    VI_1: { interface: eth0, vrid: 1, priority: 1, addresses: [10.0.4.99], track: [a, b], notify: { stop: [/root/x] } }
  services:
    s: { command: [/bin/gone], follow: VI_1 }`);
  assert.equal(
    problems,
    [
      "lb.yaml:6:27: `/etc` is a directory; expected a program",
      "lb.yaml:7:11: `/etc/passwd` is not executable; expected a program: chmod +x /etc/passwd",
      "lb.yaml:3:19: there is no program `/bin/gone`; expected a program that exists",
      "lb.yaml:4:19: there is no program `gone` in PATH; expected a program that exists",
      "lb.yaml:4:33: there is no user `ghost` on this machine; expected a user that exists",
      "lb.yaml:9:108: this user may not look at `/root/x`; expected a program that can be run",
      "lb.yaml:11:19: there is no program `/bin/gone`; expected a program that exists",
      "",
    ].join("\n"),
  );
});

test("a file that cannot be read is told with its place, whoever needs it", () => {
  const source = (rest: string) =>
    `{ source: { type: consul, endpoints: ["https://[::1]:8501"], service: a, ${rest} } }`;
  const { problems } = judgedFile(`admin: { http: 127.0.0.1:9911, tokenFile: /etc/none }
pools:
  a: ${source("tokenFile: /etc/token, tls: { ca: /etc/folder, certificate: /etc/token, key: /etc/shut }")}
  b: ${source("tokenFile: /etc/shut")}
  c: { source: { type: etcd, endpoints: ["127.0.0.1:2379"], prefix: c/, user: x, passwordFile: /etc/none } }
  d: { source: { type: dns, name: a.example, port: 80 } }
`);
  assert.equal(
    problems,
    [
      "lb.yaml:1:43: there is no file `/etc/none`; expected a file that exists",
      "lb.yaml:3:113: `/etc/folder` is a directory; expected a file",
      "lb.yaml:3:156: this user may not read `/etc/shut`; expected a file that can be read",
      "lb.yaml:4:90: this user may not read `/etc/shut`; expected a file that can be read",
      "lb.yaml:5:96: there is no file `/etc/none`; expected a file that exists",
      "",
    ].join("\n"),
  );
});

test("what would run as root though others can change it is refused, or warned of where that is wanted", () => {
  const ha = (more: string) => `${more}
  tracks: { chk: { command: [/bin/loose] }, fine: { command: [/bin/fine] } }
  notify: { any: [/srv/bob/run, x], user: admin, stop: [/bin/fine] }
  virtualRouters: { VI_1: { interface: eth0, vrid: 1, priority: 100, addresses: [10.0.4.99], track: [chk, fine] } }
  services: { s: { command: [/srv/bob/run], follow: VI_1 } }`;
  const { problems } = judged(ha(""));
  assert.match(
    problems,
    /:3:\d+: `\/bin\/loose` would run as root, which may be changed by everybody; expected `chown root`/,
  );
  assert.match(problems, /:4:\d+: `\/bin\/fine` would run as root, and `\/bin` may be changed by its group/);
  assert.match(problems, /:6:\d+: `\/srv\/bob\/run` would run as root, and `\/srv\/bob` belongs to another user/);
  assert.equal(problems.trim().split("\n").length, 3);
  const warned = judged(ha("  insecureCommands: warn"));
  assert.equal(warned.problems, "");
  assert.equal(warned.warnings.trim().split("\n").length, 3);
});
