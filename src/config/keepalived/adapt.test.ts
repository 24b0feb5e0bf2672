// What the adapted configuration comes to once it is decoded: words that only the whole way shows.

import assert from "node:assert/strict";
import { test } from "node:test";
import { good } from "../../core/failure.ts";
import { decodeConfig } from "../decode.ts";
import { nativeYaml } from "../foreign/native-text.ts";
import { adaptKeepalived } from "./adapt.ts";

const machine = { hostname: "lb-1", cores: 1 };

function configOf(lines: readonly string[]) {
  const text = [
    "vrrp_instance VI_1 {",
    "interface eth0",
    "virtual_router_id 51",
    ...lines,
    "virtual_ipaddress {",
    "10.0.4.99",
    "}",
    "}",
  ];
  const adapted = adaptKeepalived({ path: "k.conf", text: text.join("\n") }, () => good([]), { hostname: "lb-1" });
  assert.deepEqual(adapted.problems, []);
  const options = { file: "native", environment: {}, machine };
  const decoded = decodeConfig(nativeYaml(adapted.value), options);
  assert(decoded.ok);
  return decoded.config;
}

test("notify gets keepalived's four words, a command for one change gets none", () => {
  const { ha } = configOf(['notify_master "/bin/up now"', "notify /bin/any"]);
  const [rule] = ha.notify;
  const commands = rule?.commands.active.map(({ command, appendState }) => ({ command, appendState }));
  assert.deepEqual(commands, [
    { command: ["/bin/up", "now"], appendState: false },
    { command: ["/bin/any"], appendState: true },
  ]);
  assert.deepEqual(
    rule?.commands.backup.map(({ command }) => command),
    [["/bin/any"]],
  );
});

test("a dollar and a brace in a script are text, here as there", () => {
  const { ha } = configOf([`notify_master "/bin/up \${HOME} $x"`]);
  assert.deepEqual(ha.notify[0]?.commands.active[0]?.command, ["/bin/up", `\${HOME}`, "$x"]);
});

test("a password of digits stays text, with its leading zeros", () => {
  const { ha } = configOf(["authentication {", "auth_type PASS", "auth_pass 0012", "}"]);
  assert.equal(ha.virtualRouters[0]?.password, "0012");
});
