// What a target is told of a request and a client of a response: lines that go, stay, are set; paths; our own responses.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { poolAction, route, scenario, type WorldOptions, withoutDate } from "./test-world.ts";

const OK = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
const plain = { listener: { forwarded: false } };

/** What the target gets of one request, which is then answered. */
function forwarded(options: WorldOptions, request: string, address?: string): string {
  let heard = "";
  scenario(options, (world) => {
    const client = world.client(request, address);
    const target = world.target();
    heard = world.hear(target);
    world.say(target, OK);
    assert.ok(world.hear(client).startsWith("HTTP/1.1 200 OK\r\n"));
  });
  return heard;
}

/** What the client gets of one response. */
function answered(options: WorldOptions, response: string): string {
  let heard = "";
  scenario(options, (world) => {
    const client = world.client("GET /a?b HTTP/1.1\r\nHost: h\r\n\r\n");
    world.say(world.target(), response);
    heard = world.hear(client);
  });
  return heard;
}

describe("request lines", () => {
  test("hop-by-hop lines go, also those that Connection names", () => {
    assert.equal(
      forwarded(
        plain,
        "GET / HTTP/1.1\r\nHost: h\r\nX-A: 1\r\nConnection: x-hop, keep-alive\r\nKeep-Alive: 5\r\nTE: trailers\r\nx-Hop: 1\r\nProxy-Connection: x\r\nUpgrade: h2c\r\nX-B: 2\r\n\r\n",
      ),
      "GET / HTTP/1.1\r\nHost: h\r\nX-A: 1\r\nX-B: 2\r\n\r\n",
    );
  });

  test("who the client is, is ours to say", () => {
    assert.equal(
      forwarded(
        { listener: { forwarded: true } },
        "GET / HTTP/1.1\r\nHost: h:81\r\nX-Forwarded-For: 1.1.1.1\r\nX-Real-IP: 1.1.1.1\r\nForwarded: for=1.1.1.1\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Host: evil\r\nX-Forwarded-Port: 1\r\n\r\n",
      ),
      "GET / HTTP/1.1\r\nHost: h:81\r\nX-Forwarded-For: 198.51.100.7\r\nX-Forwarded-Proto: http\r\nX-Forwarded-Host: h:81\r\nX-Real-IP: 198.51.100.7\r\n\r\n",
    );
  });

  test("nor may a name say it that a CGI target cannot tell from ours", () => {
    const heard = forwarded(
      { listener: { forwarded: true } },
      "GET / HTTP/1.1\r\nHost: h\r\nX_Forwarded_For: 1.1.1.1\r\nx-forwarded_proto: https\r\nX_REAL-IP: 1.1.1.1\r\nX_Other: 1\r\n\r\n",
    );
    assert.doesNotMatch(heard, /x_forwarded|forwarded_proto|x_real|1\.1\.1\.1/i);
    assert.match(heard, /\r\nX_Other: 1\r\n/);
  });

  test("a trusted proxy says it, and we add ourselves", () => {
    assert.equal(
      forwarded(
        { listener: { forwarded: true, trustedProxies: ["10.1.0.0/16"] } },
        "GET / HTTP/1.1\r\nHost: h\r\nX-Forwarded-For: 6.6.6.6, 203.0.113.5\r\nX-Forwarded-For: 10.1.2.3\r\nX-Forwarded-Proto: https\r\n\r\n",
        "10.1.0.9",
      ),
      "GET / HTTP/1.1\r\nHost: h\r\nX-Forwarded-Proto: https\r\nX-Forwarded-For: 6.6.6.6, 203.0.113.5, 10.1.2.3, 10.1.0.9\r\nX-Forwarded-Host: h\r\nX-Real-IP: 203.0.113.5\r\n\r\n",
    );
  });

  test("the authority of an absolute target replaces Host", () => {
    assert.equal(
      forwarded(plain, "GET http://a.example:8080/x?y HTTP/1.1\r\nA: 1\r\nHost: b\r\nB: 2\r\n\r\n"),
      "GET /x?y HTTP/1.1\r\nA: 1\r\nB: 2\r\nHost: a.example:8080\r\n\r\n",
    );
    assert.equal(forwarded(plain, "GET http://a HTTP/1.1\r\nHost: a\r\n\r\n"), "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    assert.equal(forwarded(plain, "GET http://a?q HTTP/1.1\r\nHost: a\r\n\r\n"), "GET /?q HTTP/1.1\r\nHost: a\r\n\r\n");
    assert.equal(forwarded(plain, "GET http://a/ HTTP/1.0\r\n\r\n"), "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
  });

  test("OPTIONS of the server itself stays that, in either form", () => {
    const heard = "OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n";
    assert.equal(forwarded(plain, "OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n"), heard);
    assert.equal(forwarded(plain, "OPTIONS http://a HTTP/1.1\r\nHost: a\r\n\r\n"), heard);
    assert.equal(
      forwarded(plain, "OPTIONS http://a/ HTTP/1.1\r\nHost: a\r\n\r\n"),
      "OPTIONS / HTTP/1.1\r\nHost: a\r\n\r\n",
    );
  });

  test("blank lines before a request are not forwarded", () => {
    assert.equal(forwarded(plain, "\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n"), "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
  });

  test("rules set, add and remove, with what the request says", () => {
    const requestHeaders = {
      set: [
        { name: "X-Client", value: "$clientAddress:$clientPort" },
        { name: "X-Empty", value: "$query" },
        { name: "x-old", value: "$method $path $scheme $host" },
      ],
      add: [{ name: "X-Tag", value: "b" }],
      remove: ["cookie"],
    };
    assert.equal(
      forwarded(
        { ...plain, routes: [route({ requestHeaders })] },
        "GET /p%20q HTTP/1.1\r\nHost: H\r\nCookie: 1\r\nX-Old: 1\r\nX-Tag: a\r\nX-OLD: 2\r\nX-Empty: 3\r\ncookie: 2\r\n\r\n",
      ),
      "GET /p%20q HTTP/1.1\r\nHost: H\r\nX-Tag: a\r\nX-Client: 198.51.100.7:40000\r\nx-old: GET /p%20q http H\r\nX-Tag: b\r\n\r\n",
    );
  });

  test("a rule for Host is the only Host", () => {
    const requestHeaders = { set: [{ name: "Host", value: "inside" }], add: [], remove: [] };
    const options = { ...plain, routes: [route({ requestHeaders })] };
    for (const request of [
      "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
      "GET http://a/ HTTP/1.1\r\nHost: a\r\n\r\n",
      "GET / HTTP/1.0\r\n\r\n",
    ]) {
      assert.equal(forwarded(options, request), "GET / HTTP/1.1\r\nHost: inside\r\n\r\n");
    }
  });

  test("a prefix is replaced in the normalized path, the query stays as it came", () => {
    const action = poolAction({ rewritePrefix: "/v1/" });
    const routes = [route({ path: { kind: "prefix", path: "/api/" }, action })];
    const heard = (target: string): string =>
      forwarded({ ...plain, routes }, `GET ${target} HTTP/1.1\r\nHost: h\r\n\r\n`).split(" ")[1] ?? "";
    assert.equal(heard("/api/x?a=%2e%2e/"), "/v1/x?a=%2e%2e/");
    assert.equal(heard("/api/a%20b/./c/../d"), "/v1/a%20b/d");
    assert.equal(heard("/x/..//api/%41"), "/v1/A");
    assert.equal(heard("http://h/api/x?"), "/v1/x?");
  });

  test("the path a route is chosen by is the normalized one, the path that is sent is the client's", () => {
    const routes = [
      route({
        path: { kind: "prefix", path: "/admin" },
        action: { kind: "respond", status: 403, contentType: "text/plain", body: "no" },
      }),
      route(),
    ];
    scenario({ ...plain, routes }, (world) => {
      const client = world.client();
      for (const path of ["/admin", "/a/../admin", "/%61dmin", "//admin", "/x/%2e%2e/admin", "/./admin/x"]) {
        assert.match(world.say(client, `GET ${path} HTTP/1.1\r\nHost: h\r\n\r\n`), /^HTTP\/1\.1 403 /, path);
      }
      world.say(client, "GET /public/%2e/x HTTP/1.1\r\nHost: h\r\n\r\n");
      assert.ok(world.hear(world.target()).startsWith("GET /public/%2e/x HTTP/1.1\r\n"));
    });
  });

  test("a head that rules have grown beyond what may be sent is refused", () => {
    const requestHeaders = {
      set: Array.from({ length: 8 }, (_, n) => ({ name: `X-${n}`, value: "$path" })),
      add: [],
      remove: [],
    };
    scenario({ ...plain, routes: [route({ requestHeaders })] }, (world) => {
      const client = world.client(`GET /${"a".repeat(15_000)} HTTP/1.1\r\nHost: h\r\n\r\n`);
      assert.match(world.hear(client), /^HTTP\/1\.1 431 .*request\.tooLarge/s);
      assert.equal(client.ending, "");
    });
  });

  test("heads larger than a slot go whole, up to the limit", () => {
    for (const size of [3_900, 4_090, 4_100, 9_000, 60_000]) {
      const request = `GET / HTTP/1.1\r\nHost: h\r\nX-Big: ${"x".repeat(size)}\r\nLast: 1\r\n\r\n`;
      assert.equal(forwarded({ ...plain, limits: { headerBytesMax: 61_000 } }, request), request);
    }
  });
});

describe("response lines", () => {
  test("a minor version that we do not speak is not passed on", () => {
    assert.equal(
      answered(plain, "HTTP/1.9 200 OK\r\nContent-Length: 1\r\n\r\nx"),
      "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx",
    );
  });

  test("hop-by-hop lines go, the rest stays as it is", () => {
    assert.equal(
      answered(
        plain,
        "HTTP/1.1 200 Fine\r\nA: 1\r\nConnection: x, close\r\nX: 1\r\nKeep-Alive: 1\r\nB:  2 \r\nContent-Length: 0\r\n\r\n",
      ),
      "HTTP/1.1 200 Fine\r\nA: 1\r\nB:  2 \r\nContent-Length: 0\r\n\r\n",
    );
  });

  test("rules set, add and remove", () => {
    const responseHeaders = {
      set: [{ name: "Server", value: "evenkeel" }],
      add: [{ name: "Via", value: "$host to $targetAddress" }],
      remove: ["x-powered-by"],
    };
    assert.equal(
      answered(
        { ...plain, routes: [route({ responseHeaders })] },
        "HTTP/1.1 200 OK\r\nServer: old\r\nX-Powered-By: y\r\nVia: 1\r\nContent-Length: 1\r\n\r\nx",
      ),
      "HTTP/1.1 200 OK\r\nVia: 1\r\nContent-Length: 1\r\nServer: evenkeel\r\nVia: h to 10.0.0.1:8080\r\n\r\nx",
    );
  });

  test("a large head that is rewritten arrives whole, with its body", () => {
    const responseHeaders = { set: [{ name: "Server", value: "evenkeel" }], add: [], remove: [] };
    const big = "x".repeat(50_000);
    const body = "b".repeat(30_000);
    assert.equal(
      answered(
        { ...plain, routes: [route({ responseHeaders })], limits: { headerBytesMax: 61_000 } },
        `HTTP/1.1 200 OK\r\nX: ${big}\r\nContent-Length: ${body.length}\r\n\r\n${body}`,
      ),
      `HTTP/1.1 200 OK\r\nX: ${big}\r\nContent-Length: ${body.length}\r\nServer: evenkeel\r\n\r\n${body}`,
    );
  });

  test("a head that rules have grown beyond its room is a 502", () => {
    const responseHeaders = {
      set: Array.from({ length: 8 }, (_, n) => ({ name: `X-${n}`, value: "$path" })),
      add: [],
      remove: [],
    };
    scenario({ ...plain, routes: [route({ responseHeaders })] }, (world) => {
      const client = world.client(`GET /${"a".repeat(15_000)} HTTP/1.1\r\nHost: h\r\n\r\n`);
      const target = world.target();
      world.say(target, OK);
      assert.match(world.hear(client), /^HTTP\/1\.1 502 .*target\.response\.tooLarge/s);
      assert.equal(target.ending, "kill");
      assert.deepEqual(world.reports, [], "that is not the target's fault");
    });
  });

  test("a head above the limit is the target's fault", () => {
    scenario({ ...plain, limits: { headerBytesMax: 1024 } }, (world) => {
      const client = world.client("POST / HTTP/1.1\r\nHost: h\r\n\r\n");
      world.say(world.target(), `HTTP/1.1 200 OK\r\nX: ${"x".repeat(2000)}`);
      assert.match(world.hear(client), /^HTTP\/1\.1 502 /);
      assert.equal(world.reports.length, 1);
    });
  });
});

describe("responses of our own", () => {
  const respond = route({ action: { kind: "respond", status: 200, contentType: "text/html", body: "grüße" } });

  test("a fixed response, with its length in bytes and the route's rules", () => {
    const responseHeaders = { set: [{ name: "X-Who", value: "$host" }], add: [], remove: [] };
    scenario({ ...plain, routes: [{ ...respond, responseHeaders }] }, (world) => {
      const client = world.client("GET / HTTP/1.1\r\nHost: h\r\n\r\nHEAD / HTTP/1.1\r\nHost: h\r\n\r\n");
      const head = "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 7\r\nX-Who: h\r\n\r\n";
      const body = Buffer.from("grüße", "utf8").toString("latin1");
      assert.equal(withoutDate(world.hear(client)), head + body + head);
      assert.equal(world.counters.exchanges, 2);
    });
  });

  test("a redirect with variables, from the path as it came", () => {
    const redirect = route({ action: { kind: "redirect", status: 308, location: "https://$host$path" } });
    scenario({ ...plain, routes: [redirect] }, (world) => {
      const client = world.client("GET /a%0d%0ab?c=d HTTP/1.1\r\nHost: h\r\n\r\n");
      assert.equal(
        withoutDate(world.hear(client)),
        "HTTP/1.1 308 Permanent Redirect\r\nContent-Length: 0\r\nLocation: https://h/a%0d%0ab?c=d\r\n\r\n",
      );
    });
  });

  test("a response that rules have grown beyond what may be sent is a 500, whole and well framed", () => {
    const responseHeaders = {
      set: Array.from({ length: 8 }, (_, n) => ({ name: `X-${n}`, value: "$path" })),
      add: [],
      remove: [],
    };
    scenario({ ...plain, routes: [{ ...respond, responseHeaders }], limits: { headerBytesMax: 61_000 } }, (world) => {
      const client = world.client(`GET /${"a".repeat(40_000)} HTTP/1.1\r\nHost: h\r\n\r\n`);
      const heard = world.hear(client);
      assert.match(heard, /^HTTP\/1\.1 500 .*response\.tooLarge/s);
      const [head = "", body = ""] = heard.split("\r\n\r\n");
      assert.equal(Number(/Content-Length: (\d+)/.exec(head)?.[1]), body.length);
      assert.equal(world.counters.exchanges, 1);
    });
  });

  test("a request body that is all here is passed over, one that is not ends the connection", () => {
    scenario({ ...plain, routes: [respond] }, (world) => {
      const client = world.client();
      const post = "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\n";
      assert.ok(world.say(client, `${post}abc${post}abc`).lastIndexOf("HTTP/1.1 200") > 0);
      assert.match(world.say(client, `${post}ab`), /^HTTP\/1\.1 200 OK\r\n.*Connection: close\r\n/s);
      assert.equal(client.ended, true);
      world.say(client, "cGET / HTTP/1.1\r\nHost: h\r\n\r\n");
      assert.equal(world.counters.exchanges, 3);
    });
  });
});
