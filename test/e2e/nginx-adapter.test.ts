// One nginx.conf, two programs: real nginx and `evenkeel run -c nginx.conf`. The same requests to both, and the same answers:
// status, Location, headers that matter, body, the target that was picked and what it was asked.

import assert from "node:assert/strict";
import { before, describe, test } from "node:test";
import { fileScope, isInstalled } from "./http-kit.ts";
import { type Answer, ask, freePort } from "./kit.ts";
import { answers, nginxSays, startAdapted, startNginxWith, startTelling, weSay } from "./nginx-adapter-kit.ts";

const scope = fileScope();
const skip = isInstalled("nginx") ? false : "nginx is not installed (tools/setup.sh --tests installs it)";

/** `GET /path`, with the Host behind it when it is not `localhost`, and further lines. */
type Ask =
  | string
  | { readonly ask: string; readonly headers?: Readonly<Record<string, string>>; readonly body?: string };

type Case = {
  /** Inside of a server, or whole servers when it holds `server {`. */
  readonly config: string;
  readonly asks: readonly Ask[];
  /** Header lines of the response that must be equal, besides Location. */
  readonly headers?: readonly string[];
};

const cases: Readonly<Record<string, Case>> = {
  "a prefix, a longer prefix, an exact path": {
    config: `location / { return 200 root; } location /a { return 200 a; } location /a/b { return 200 ab; } location = /a/b { return 200 exact; }`,
    asks: [
      "GET /",
      "GET /x",
      "GET /a",
      "GET /abc",
      "GET /a/bc",
      "GET /a/b",
      "GET /a/b?x=1",
      "GET //a//b",
      "GET /x/../a/b",
      "GET /%61",
    ],
  },
  "expressions against prefixes, with and without ^~": {
    config: `location / { return 200 root; } location /img/ { return 200 img; } location ^~ /static/ { return 200 static; }
      location ~ \\.(png|gif)$ { return 200 picture; } location ~* \\.CSS$ { return 200 css; } location ~ ^/img/special { return 200 special; }`,
    asks: [
      "GET /a.png",
      "GET /a.PNG",
      "GET /img/a.png",
      "GET /img/a.txt",
      "GET /static/a.png",
      "GET /a.css",
      "GET /a.cSs",
      "GET /img/special",
      "GET /img/special.gif",
    ],
  },
  "nested locations": {
    config: `location /app/ { location ~ \\.php$ { return 200 inner; } location /app/deep/ { return 200 deep; } location = /app/deep/x { return 200 x; } return 200 app; }
      location ~ \\.php$ { return 200 outer; } location / { return 200 root; }`,
    asks: ["GET /app/a", "GET /app/a.php", "GET /app/deep/a.php", "GET /app/deep/a", "GET /a.php", "GET /a"],
  },
  "a nested exact location": {
    config: `location /app/ { location = /app/x { return 200 x; } proxy_pass http://one; } location ~ x$ { return 200 regex; }`,
    asks: ["GET /app/x", "GET /app/xx", "GET /app/y"],
  },
  "an expression below a longer prefix within ^~": {
    config: `location ^~ /a/ { return 200 a; } location /a/b/ { return 200 ab; } location ~ x { return 200 x; } location / { return 200 root; }`,
    asks: ["GET /a/x", "GET /a/b/x", "GET /a/b/y", "GET /x", "GET /y"],
  },
  "no location at all": { config: `location /a { return 200 a; }`, asks: ["GET /b", "GET /a"] },
  "proxy_pass without a path sends it as it came": {
    config: `location / { proxy_pass http://one; }`,
    asks: [
      "GET /",
      "GET /a%20b?c=%20d",
      "GET //a/./b/../c",
      "GET /%7Euser?",
      { ask: "POST /p", body: "hello" },
      "HEAD /h",
    ],
    headers: ["x-target", "x-powered-by", "content-type"],
  },
  "proxy_pass with a path replaces the prefix": {
    config: `location /api/ { proxy_pass http://one/; } location /v1 { proxy_pass http://one/v2; } location /e/ { proxy_pass http://one/f; }`,
    asks: [
      "GET /api/x?y=z",
      "GET /api/a%20b",
      "GET /api/../api/x",
      "GET /v1/x",
      "GET /v1x",
      "GET /e/x",
      "GET /api/%2Fx",
    ],
  },
  "a location with a slash redirects the path without it": {
    config: `location /app/ { proxy_pass http://one; } location / { return 404; }`,
    asks: ["GET /app", "GET /app?a=b", "GET /app/", "GET /ap", "GET /app Example.COM"],
  },
  "Host as nginx sends it when nobody says": {
    config: `location /a { proxy_pass http://one; } location /b { proxy_pass http://127.0.0.1:@ONE@; }`,
    asks: ["GET /a example.com", "GET /b example.com:8080"],
  },
  "header lines to the target, inherited and not": {
    config: `proxy_set_header Host $host; proxy_set_header X-Real-IP $remote_addr; proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
      location /a { proxy_pass http://one; } location /b { proxy_set_header X-B "b $scheme $request_method $request_uri"; proxy_pass http://one; }`,
    asks: [
      "GET /a Example.com:99",
      { ask: "GET /a example.com.", headers: { "x-forwarded-for": "192.0.2.1, 192.0.2.2", "x-real-ip": "192.0.2.9" } },
      "GET /b?c=d example.com",
    ],
  },
  "lines that are taken away, passed and replaced": {
    config: `location / { proxy_set_header Host $http_host; proxy_set_header Accept-Encoding ""; proxy_set_header Cookie $http_cookie;
      proxy_set_header X-Name "\${server_name}:$args"; proxy_http_version 1.1; proxy_set_header Connection ""; proxy_pass http://one; }`,
    asks: [{ ask: "GET /?q=1 a.b:1", headers: { "accept-encoding": "gzip", cookie: "a=b", "x-name": "client" } }],
  },
  "return in all its forms": {
    config: `location = /text { return 200 "a text\\n"; } location = /json { default_type application/json; return 200 '{"a":"b"}'; }
      location /301 { return 301 /new; } location /302 { return 302 https://example.com$request_uri; } location /303 { return 303 http://$host/x; }
      location /307 { return 307 $scheme://$http_host/y; } location /308 { return 308 /z?$args; } location /url { return https://example.org/; }
      location /204 { return 204; } location /403 { return 403; } location /410 { return 410; } location /503 { return 503; } location /teapot { return 418 short; }`,
    asks: [
      "GET /text",
      "GET /json",
      "GET /301",
      "GET /302/a?b=c",
      "GET /303 A.example:77",
      "GET /307 a.example",
      "GET /308?a=b",
      "GET /url",
      "GET /204",
      "GET /403",
      "GET /410",
      "GET /503",
      "GET /teapot",
      "POST /text",
      "HEAD /text",
    ],
    headers: ["content-type"],
  },
  "redirects without host, and without port": {
    config: `location /a { absolute_redirect off; return 301 /b; } location /c { port_in_redirect off; return 301 /d; }`,
    asks: ["GET /a", "GET /c example.com"],
  },
  "rewrites that redirect": {
    config: `rewrite ^/old\\.html$ /new.html permanent; rewrite ^/blog/ https://blog.example.com/ redirect; location / { return 200 root; }
      location /x/ { rewrite ^(.*)$ https://x.example.com$1 permanent; }`,
    asks: ["GET /old.html?a=b", "GET /old.htmlx", "GET /blog/a?b", "GET /x/y?z=1", "GET /"],
  },
  "rewrites of the prefix": {
    config: `location /api/ { rewrite ^/api/(.*)$ /$1 break; proxy_pass http://one; } location /v1 { rewrite ^/v1/(.*) /v2/$1 break; proxy_pass http://one; }
      location / { rewrite ^/(.*)$ /base/$1 break; proxy_pass http://one; }`,
    asks: ["GET /api/a?b=c", "GET /v1/x", "GET /v1x", "GET /y", "GET /"],
  },
  "the redirect to TLS, with its condition": {
    config: `if ($host = www.example.com) { return 301 https://$host$request_uri; } location / { return 200 here; }`,
    asks: ["GET /a?b www.example.com", "GET /a WWW.example.com:81", "GET / example.com"],
  },
  "header lines to the client": {
    config: `add_header X-A a; location / { proxy_pass http://one; } location /b { add_header X-B "b $host" always; add_header X-B c always; proxy_hide_header X-Powered-By; proxy_pass http://one; }
      location /c { add_header X-C c; return 404; } location /d { add_header X-D d always; return 404; } location /e { add_header X-E e; return 301 /x; }`,
    asks: ["GET /", "GET /b example.com", "GET /c", "GET /d", "GET /e"],
    headers: ["x-a", "x-b", "x-c", "x-d", "x-e", "x-powered-by"],
  },
  "the size of a body": {
    config: `client_max_body_size 10; location / { proxy_pass http://one; } location /more { client_max_body_size 20; proxy_pass http://one; }`,
    asks: [
      { ask: "POST /", body: "0123456789" },
      { ask: "POST /", body: "0123456789x" },
      { ask: "POST /more", body: "0123456789x" },
      { ask: "POST /more", body: "0123456789".repeat(3) },
    ],
  },
  "round robin by weight": {
    config: `location / { proxy_pass http://weighted; }`,
    asks: Array.from({ length: 14 }, (_, index) => `GET /${index}`),
  },
  "one after the other": {
    config: `location / { proxy_pass http://both; }`,
    asks: Array.from({ length: 6 }, (_, index) => `GET /${index}`),
  },
  "a server that is down, a backup, one that refuses": {
    config: `location / { proxy_pass http://broken; }`,
    asks: Array.from({ length: 5 }, (_, index) => `GET /${index}`),
  },
  "the client's address by hash": {
    config: `location / { proxy_pass http://byip; }`,
    asks: Array.from({ length: 4 }, (_, index) => `GET /${index}`),
  },
  "a status that sends it on to the next": {
    config: `location / { proxy_next_upstream error timeout http_503; proxy_pass http://both; } location /off/ { proxy_next_upstream off; proxy_pass http://both/; }`,
    asks: ["GET /status/404", "GET /status/503", "GET /off/status/503"],
  },
  "places that let nobody in": {
    config: `location /secret { deny all; } location ~ /\\.ht { deny all; } location /inside { internal; return 200 x; } location / { allow all; return 200 open; }`,
    asks: ["GET /secret/a", "GET /a/.htaccess", "GET /.hta", "GET /"],
  },
  "a constant behind a variable": {
    config: `set $to one; location / { proxy_pass http://$to; }`,
    asks: ["GET /a?b"],
  },
  "servers by name": {
    config: `server { listen 127.0.0.1:@PORT@ default_server; server_name _; return 200 default; }
      server { listen 127.0.0.1:@PORT@; server_name *.example.com; return 200 wild; }
      server { listen 127.0.0.1:@PORT@; server_name www.example.com example.com; return 200 exact; }
      server { listen 127.0.0.1:@PORT@; server_name *.deep.example.com; return 200 deep; }
      server { listen 127.0.0.1:@PORT@; server_name .example.org; location /only { return 200 dot; } }`,
    asks: [
      "GET / example.com",
      "GET / www.example.com",
      "GET / a.example.com",
      "GET / a.b.example.com",
      "GET / x.deep.example.com",
      "GET / deep.example.com",
      "GET / example.org",
      "GET /only example.org",
      "GET /only a.example.org:1",
      "GET / other",
      "GET / WWW.Example.Com.",
      "GET / 127.0.0.1",
    ],
  },
  "the first server is the default one": {
    config: `server { listen 127.0.0.1:@PORT@; server_name a.example.com; location /x { return 200 ax; } }
      server { listen 127.0.0.1:@PORT@; server_name *.example.com; return 200 wild; }`,
    asks: ["GET /x a.example.com", "GET /y a.example.com", "GET /x b.example.com", "GET /x other", "GET /y other"],
  },
  "a trusted proxy says who the client is": {
    config: `set_real_ip_from 127.0.0.0/8; real_ip_header X-Forwarded-For; real_ip_recursive on;
      location / { proxy_set_header X-Client $remote_addr; proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for; proxy_pass http://one; }`,
    asks: [{ ask: "GET /", headers: { "x-forwarded-for": "198.51.100.7, 127.0.0.9" } }, "GET /"],
  },
};

const names = Object.keys(cases);
const ports = { nginx: new Map<string, number>(), ours: new Map<string, number>() };

/** All cases in one file: a port for each. */
function fileFor(which: ReadonlyMap<string, number>, targets: readonly number[], free: number): string {
  const [one, two] = targets;
  const servers = names.map((name) => {
    const port = which.get(name);
    const { config } = cases[name]!;
    const whole = config.includes("server {")
      ? config
      : `server { listen 127.0.0.1:${port}; server_name localhost; ${config} }`;
    return whole.replaceAll("@PORT@", String(port)).replaceAll("@ONE@", String(one));
  });
  return `http {
    upstream one { server 127.0.0.1:${one}; }
    upstream both { server 127.0.0.1:${one}; server 127.0.0.1:${two}; }
    upstream weighted { server 127.0.0.1:${one} weight=5; server 127.0.0.1:${two} weight=2; }
    upstream broken { server 127.0.0.1:${one} down; server 127.0.0.1:${free}; server 127.0.0.1:${two} backup; }
    upstream byip { ip_hash; server 127.0.0.1:${one}; server 127.0.0.1:${two}; }
    ${servers.join("\n")}
  }\n`;
}

async function askOne(port: number, what: Ask): Promise<Answer> {
  const { ask: line, headers = {}, body } = typeof what === "string" ? { ask: what } : what;
  const [method = "GET", path = "/", host = "localhost"] = line.split(" ");
  return ask({ port, method, path, headers: { host, ...headers }, ...(body === undefined ? {} : { body }) });
}

/** What must be the same. The page of an error is each program's own, unless the configuration gives its text. */
function seen(answer: Answer, headers: readonly string[], port: number): unknown {
  const location = answer.headers.location?.replace(`:${port}`, ":PORT");
  const lines = headers.map((name) => `${name}: ${answer.headers[name]}`);
  const told = answer.status < 300 || answer.status === 418;
  // A path that was redirected has a page of its own, too.
  return {
    status: answer.status,
    location,
    headers: told ? lines : lines.filter((line) => !line.startsWith("content-type")),
    body: told ? answer.body : undefined,
  };
}

describe("the same nginx.conf in nginx and here", { skip }, () => {
  before(async () => {
    const targets = [await startTelling(scope, "one"), await startTelling(scope, "two")];
    const free = await freePort();
    for (const name of names) {
      ports.nginx.set(name, await freePort());
      ports.ours.set(name, await freePort());
    }
    const last = names.at(-1) ?? "";
    await startNginxWith(scope, fileFor(ports.nginx, targets, free), answers(ports.nginx.get(last) ?? 0));
    await startAdapted(scope, fileFor(ports.ours, targets, free));
  });

  for (const name of names) {
    test(name, async () => {
      const { asks, headers = [] } = cases[name]!;
      const [nginx, ours] = [ports.nginx.get(name) ?? 0, ports.ours.get(name) ?? 0];
      for (const what of asks) {
        const expected = seen(await askOne(nginx, what), headers, nginx);
        const actual = seen(await askOne(ours, what), headers, ours);
        assert.deepEqual(actual, expected, JSON.stringify(what));
      }
    });
  }
});

const broken: readonly string[] = [
  "events {}\nhttp {\n  sever { listen 80; }\n}\n",
  "events {}\nhttp {\n  server { listen 80 }\n}\n",
  "events {}\nhttp {\n  server { listen 80; }\n",
  "events {}\nhttp { server { listen 80; } } }\n",
  "events {}\nlisten 80;\n",
  "events {}\nhttp { server; }\n",
  "events {}\nhttp { server { listen 80 { } } }\n",
  "events {}\nhttp { sendfile; }\n",
  "events {}\nhttp { sendfile maybe; }\n",
  "events {}\nhttp { server { return 200 'a'b; } }\n",
  "events {}\nhttp { ; }\n",
  "events {}\nhttp { server { location /a { return 200; } location /a { } } }\n",
  "events {}\nhttp { server { location = /a { return 200; location /a/b { } } } }\n",
  "events {}\nhttp { server { location /a { return 200; location /b { } } } }\n",
  "events {}\nhttp { server { location ! /a { } } }\n",
  "events {}\nhttp { server { location / { proxy_pass app; } } }\n",
  "events {}\nhttp { server { location ~ x { proxy_pass http://127.0.0.1/y; } } }\n",
  "events {}\nhttp { upstream a { server 127.0.0.1:80 wieght=3; } }\n",
  "events {}\nhttp { upstream a { server 127.0.0.1:80; } upstream a { server 127.0.0.1:80; } }\n",
  "events {}\nhttp { upstream a { } }\n",
  "events {}\nhttp { server { listen 99999; } }\n",
  "events {}\nhttp { server { listen 8081 nonsense; } }\n",
  "events {}\nhttp { keepalive_timeout 5x; }\n",
  "events {}\nhttp { client_max_body_size 5q; }\n",
  "events {}\nhttp { client_max_body_size 1m; client_max_body_size 1m; }\n",
  "events {}\nhttp { server { return abc; } }\n",
  "events {}\nhttp { include gone.conf; }\n",
  `events {}\nhttp { ${"x".repeat(5000)}; }\n`,
  `events {}\nhttp { server_name "${"x".repeat(5000)}; }\n`,
  `events {}\n# ${"x".repeat(5000)}\nhttp { }\n`,
  "events {}\nhttp { keepalive_requests x; }\n",
  "events {}\nhttp { server { location / { return 200; proxy_read_timeout 1s1m; } } }\n",
];

test("what nginx refuses is refused in its words", { skip }, async (t) => {
  const expected: Record<string, string> = {};
  const actual: Record<string, string> = {};
  for (const text of broken) {
    expected[text.slice(0, 120)] = await nginxSays(t, text);
    actual[text.slice(0, 120)] = weSay(t, text);
  }
  assert.deepEqual(actual, expected);
});
