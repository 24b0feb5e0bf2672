// `evenkeel adapt`, `validate` and `run` with nginx.conf: what is printed where, exit codes, several files as one configuration,
// a reload, and nginx's stream block beside real nginx.

import assert from "node:assert/strict";
import { existsSync, mkdirSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import { test } from "node:test";
import { decodeLines, startEcho } from "./http-kit.ts";
import {
  ask,
  atEnd,
  evenkeel,
  freePort,
  rawClient,
  runProgram,
  type Scope,
  startProgram,
  temporaryDirectory,
  until,
} from "./kit.ts";
import { answers, nginxPath, startAdapted, startNginxWith, streamModule } from "./nginx-adapter-kit.ts";

const good = `worker_processes 1;
events { worker_connections 100; }
http {
  include servers/*.conf;
}
`;

function write(directory: string, files: Readonly<Record<string, string>>): void {
  mkdirSync(join(directory, "servers"), { recursive: true });
  for (const [name, text] of Object.entries(files)) writeFileSync(join(directory, name), text);
}

test("adapt prints YAML on stdout and what it has to say on stderr, and what it printed stays the same", async (t) => {
  const directory = temporaryDirectory(t);
  write(directory, {
    "nginx.conf": good,
    "servers/b.conf": "server { listen 81; return 204; }",
    "servers/a.conf": "server { listen 80; location / { proxy_pass http://127.0.0.1:8080; } }",
    "servers/.hidden.conf": "nonsense;",
  });
  const first = await runProgram(t, evenkeel, ["adapt", join(directory, "nginx.conf")]);
  assert.equal(first.code, 0, first.stderr);
  assert.match(first.stdout, /^workers: 1\nlisteners:\n {2}http-80:\n/);
  assert.match(first.stdout, /http-81:/);
  assert.match(first.stderr, /^no effect: .*nginx\.conf:2:10: worker_connections: /m);
  assert.match(first.stderr, /^note: .*servers\/a\.conf:1:34: proxy_pass: /m);
  const yaml = join(directory, "lb.yaml");
  writeFileSync(yaml, first.stdout);
  const second = await runProgram(t, evenkeel, ["adapt", yaml]);
  assert.deepEqual(
    { code: second.code, stdout: second.stdout, stderr: second.stderr },
    { code: 0, stdout: first.stdout, stderr: "" },
  );
  const valid = await runProgram(t, evenkeel, ["validate", "-c", yaml]);
  assert.equal(valid.code, 0, valid.stderr);
});

test("adapt prints nothing that has holes", async (t) => {
  const directory = temporaryDirectory(t);
  write(directory, { "nginx.conf": "events {}\nhttp { server { listen 80; location / { root /srv; } gzip on; } }\n" });
  const ran = await runProgram(t, evenkeel, ["adapt", "nginx.conf"], { cwd: directory });
  assert.equal(ran.code, 1);
  assert.equal(ran.stdout, "");
  assert.match(ran.stderr, /^nginx\.conf:2:28: location \/ serves files; expected /m);
  assert.match(ran.stderr, /^nginx\.conf:2:54: "gzip" is not served; /m);
});

test("validate reads any file as what --adapter says, and a missing one is told", async (t) => {
  const directory = temporaryDirectory(t);
  write(directory, { "lb.conf": good, "servers/a.conf": "server { listen 80; return 204; }" });
  const file = join(directory, "lb.conf");
  assert.equal((await runProgram(t, evenkeel, ["validate", "-c", file, "--adapter", "nginx"])).code, 0);
  assert.equal((await runProgram(t, evenkeel, ["validate", "-c", file])).code, 1);
  const missing = await runProgram(t, evenkeel, [
    "validate",
    "-c",
    file,
    "-c",
    join(directory, "nginx.conf"),
    "--adapter",
    "nginx",
  ]);
  assert.equal(missing.code, 1);
  assert.match(missing.stderr, /nginx\.conf: there is no such file/);
});

test("what two files say of the same thing is refused with both places", async (t) => {
  const directory = temporaryDirectory(t);
  write(directory, {
    "nginx.conf": "worker_processes 2;\nevents {}\nhttp { server { listen 80; return 204; } }\n",
    "lb.yaml": "workers: 4\nlisteners:\n  http-80: { bind: 0.0.0.0:81, routes: [] }\n",
  });
  const ran = await runProgram(t, evenkeel, ["validate", "-c", "nginx.conf", "-c", "lb.yaml"], { cwd: directory });
  assert.equal(ran.code, 1);
  assert.match(ran.stderr, /^lb\.yaml:1:1: `workers` is said here and in nginx\.conf:1; /m);
  assert.match(ran.stderr, /^lb\.yaml:3:3: `listeners\.http-80` is said here and in nginx\.conf:3; /m);
});

test("nginx.conf and keepalived.conf are one configuration", async (t) => {
  const directory = temporaryDirectory(t);
  write(directory, {
    "nginx.conf": "events {}\nhttp { server { listen 80; return 204; } }\n",
    "keepalived.conf":
      "vrrp_instance VI_1 {\n  interface eth7\n  virtual_router_id 51\n  priority 100\n  virtual_ipaddress {\n    10.9.9.9\n  }\n}\n",
  });
  const ran = await runProgram(t, evenkeel, ["adapt", "nginx.conf", "keepalived.conf"], { cwd: directory });
  assert.equal(ran.code, 0, ran.stderr);
  assert.match(ran.stdout, /listeners:\n {2}http-80:/);
  assert.match(ran.stdout, /^ha:$/m);
});

test("a reload reads nginx.conf and its includes anew, and keeps the old one when it is refused", async (t) => {
  const directory = temporaryDirectory(t);
  const echo = await startEcho(t, "one");
  const port = await freePort();
  const server = (inner: string) => `server { listen 127.0.0.1:${port}; ${inner} }`;
  const node = { admin: { socket: join(directory, "admin.sock") }, stateDirectory: join(directory, "state") };
  write(directory, {
    "nginx.conf": good,
    "node.json": JSON.stringify(node),
    "servers/a.conf": server("location / { return 200 before; }"),
  });
  const args = ["run", "-c", join(directory, "nginx.conf"), "-c", join(directory, "node.json")];
  const program = startProgram(t, evenkeel, args);
  const logged = (message: string) => () => decodeLines(program.stderr()).some((line) => line["message"] === message);
  await until("the balancer", logged("ready"), { onTimeout: program.stderr });
  assert.equal((await ask({ port })).body, "before");
  write(directory, { "servers/a.conf": server("location / { proxy_passs http://x; }") });
  program.signal("SIGHUP");
  await until("the refusal", logged("reload refused"), { onTimeout: program.stderr });
  assert.match(
    program.stderr(),
    /servers\/a\.conf:1:\d+: unknown directive \\"proxy_passs\\"; did you mean `proxy_pass`/,
  );
  assert.equal((await ask({ port })).body, "before");
  write(directory, { "servers/a.conf": server(`location / { proxy_pass http://127.0.0.1:${echo.port}; }`) });
  program.signal("SIGHUP");
  await until("the new targets", async () => (await ask({ port })).body === "one\n", { onTimeout: program.stderr });
});

/** A TCP target that says its name and what came first, once something came. */
async function startTcp(scope: Scope, name: string): Promise<number> {
  const port = await freePort();
  const server = createServer((socket) => {
    socket.on("error", () => socket.destroy());
    socket.once("data", (bytes) => socket.end(`${name} ${bytes.toString("latin1")}`));
  });
  await new Promise<void>((resolve) => server.listen(port, "127.0.0.1", resolve));
  atEnd(scope, () => {
    server.close();
  });
  return port;
}

const skipStream = existsSync(nginxPath) && existsSync(streamModule) ? false : "nginx's stream module is not installed";

test("TCP by weight, the next target after one that refuses, and the PROXY header, as nginx does", {
  skip: skipStream,
}, async (t) => {
  const [one, two, free] = [await startTcp(t, "one"), await startTcp(t, "two"), await freePort()];
  const file = (ports: readonly number[]) => `stream {
    upstream weighted { server 127.0.0.1:${one} weight=3; server 127.0.0.1:${two}; }
    upstream broken { server 127.0.0.1:${free}; server 127.0.0.1:${two}; }
    server { listen 127.0.0.1:${ports[0]}; proxy_pass weighted; }
    server { listen 127.0.0.1:${ports[1]}; proxy_pass broken; }
    server { listen 127.0.0.1:${ports[2]}; proxy_pass 127.0.0.1:${one}; proxy_protocol on; }
    server { listen 127.0.0.1:${ports[3]} proxy_protocol; proxy_pass 127.0.0.1:${one}; }
  }
  http { server { listen 127.0.0.1:${ports[4]}; return 204; } }\n`;
  const pick = () => Promise.all(Array.from({ length: 5 }, () => freePort()));
  const [nginx, ours] = [await pick(), await pick()];
  await startNginxWith(t, file(nginx), answers(nginx[4] ?? 0));
  await startAdapted(t, file(ours));
  const say = async (port: number, text: string): Promise<string> => {
    const client = await rawClient(t, port);
    client.write(text);
    const heard = await client.closed();
    return heard.replaceAll(/127\.0\.0\.1 127\.0\.0\.1 \d+ \d+/g, "ADDRESSES");
  };
  const texts: readonly (readonly [index: number, text: string])[] = [
    ...Array.from({ length: 8 }, () => [0, "hello"] as const),
    ...Array.from({ length: 3 }, () => [1, "hello"] as const),
    [2, "hello"],
    [3, "PROXY TCP4 192.0.2.1 192.0.2.2 1000 2000\r\nhello"],
  ];
  for (const [index, text] of texts) {
    const expected = await say(nginx[index] ?? 0, text);
    assert.notEqual(expected, "");
    assert.equal(await say(ours[index] ?? 0, text), expected, `server ${index}`);
  }
});

test("the file of the field report is valid, and says what it means here", async (t) => {
  const directory = temporaryDirectory(t);
  const [port, consul] = [await freePort(), await freePort()];
  write(directory, {
    "app.conf": `server 127.0.0.1:9000 weight=1 fail_timeout=10 max_fails=3;\n`,
    "node.json": JSON.stringify({
      admin: { socket: join(directory, "admin.sock") },
      stateDirectory: join(directory, "state"),
    }),
    "nginx.conf": `events {}
http {
  upstream app {
    upsync 127.0.0.1:${consul}/v1/kv/upstreams/app/ upsync_timeout=6m upsync_interval=500ms upsync_type=consul strong_dependency=off;
    upsync_dump_path ${directory}/app.conf;
    include ${directory}/app.conf;
    check interval=1000 rise=2 fall=2 timeout=3000 type=http default_down=false;
    check_http_send "HEAD / HTTP/1.0\\r\\n\\r\\n";
    check_http_expect_alive http_2xx http_3xx;
  }
  server {
    listen 127.0.0.1:${port};
    server_name localhost;
    location / { proxy_pass http://app; }
    location /upstream_list { upstream_show; }
  }
}
`,
  });
  const validated = await runProgram(t, evenkeel, [
    "validate",
    "-c",
    join(directory, "nginx.conf"),
    "-c",
    join(directory, "node.json"),
  ]);
  assert.equal(validated.code, 0, validated.stderr);
  assert.match(validated.stderr, /upstream_show/);
  const yaml = await runProgram(t, evenkeel, ["adapt", join(directory, "nginx.conf")]);
  assert.match(yaml.stdout, /prefix: upstreams\/app\//);
  assert.doesNotMatch(yaml.stdout, /127\.0\.0\.1:9000/);
});
