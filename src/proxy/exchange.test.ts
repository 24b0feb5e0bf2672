// Exchanges one after the other: where requests and responses begin and end, and what becomes of both connections.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { route, scenario, testTimeouts, withoutDate } from "./test-world.ts";

/** Without lines about the client, so that what is forwarded can be compared byte by byte. */
const plain = { listener: { forwarded: false } };

function get(path: string): string {
  return `GET ${path} HTTP/1.1\r\nHost: h\r\n\r\n`;
}

function ok(body: string): string {
  return `HTTP/1.1 200 OK\r\nContent-Length: ${body.length}\r\n\r\n${body}`;
}

describe("keep-alive and pipelining", () => {
  test("a request goes to a target and its response comes back, both untouched", () => {
    scenario(plain, (world) => {
      const client = world.client(get("/a"));
      const target = world.target();
      assert.equal(world.hear(target), get("/a"));
      world.say(target, ok("yes"));
      assert.equal(world.hear(client), ok("yes"));
      assert.equal(client.ending, "");
      const [record] = world.records;
      assert.equal(record?.status, 200);
      assert.equal(record?.targetAddress, "10.0.0.1:8080");
      assert.equal(record?.responseBodyBytes, 3);
    });
  });

  test("the second request of a client, and one of another client, use the idle connection of the first", () => {
    scenario(plain, (world) => {
      const client = world.client(get("/1"));
      const target = world.target();
      world.say(target, ok("1"));
      client.put(get("/2"));
      world.run();
      assert.equal(world.hear(target), get("/2"));
      world.say(target, ok("2"));
      const other = world.client(get("/3"));
      assert.equal(world.hear(target), get("/3"));
      world.say(target, ok("3"));
      assert.equal(world.hear(client), ok("1") + ok("2"));
      assert.equal(world.hear(other), ok("3"));
      assert.equal(world.opened, 1);
      assert.equal(world.status().counters.connectionsIdle, 1);
    });
  });

  test("requests at the same time each have a connection of their own", () => {
    scenario(plain, (world) => {
      const clients = ["/1", "/2", "/3"].map((path) => world.client(get(path)));
      assert.equal(world.opened, 3);
      // Answered in another order than asked.
      for (const index of [2, 0, 1]) world.say(world.target(index), ok(`for ${index}`));
      assert.deepEqual(
        clients.map((client) => world.hear(client)),
        [ok("for 0"), ok("for 1"), ok("for 2")],
      );
    });
  });

  test("pipelined requests of one read are answered one after the other", () => {
    scenario(plain, (world) => {
      const client = world.client(get("/1") + get("/2") + get("/3"));
      const target = world.target();
      for (const path of ["/1", "/2", "/3"]) {
        assert.equal(world.hear(target), get(path));
        target.put(ok(path));
        world.run();
        assert.equal(world.hear(client), ok(path));
      }
      assert.equal(world.opened, 1);
    });
  });

  test("a request pipelined behind a body with a length is the next request", () => {
    scenario(plain, (world) => {
      const post = "POST /p HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhello";
      const client = world.client(post + get("/2"));
      const target = world.target();
      assert.equal(world.hear(target), post);
      target.put(ok("1"));
      world.run();
      assert.equal(world.hear(target), get("/2"));
      target.put(ok("2"));
      world.run();
      assert.equal(world.hear(client), ok("1") + ok("2"));
    });
  });

  test("a chunked body whose last byte comes with the next request ends there", () => {
    scenario(plain, (world) => {
      const head = "POST /p HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n";
      const client = world.client(`${head}3\r\nabc\r\n0\r\n\r`);
      const target = world.target();
      client.put(`\n${get("/2")}`);
      world.run();
      assert.equal(world.hear(target), `${head}3\r\nabc\r\n0\r\n\r\n`);
      target.put(ok("1"));
      world.run();
      assert.equal(world.hear(target), get("/2"));
      target.put(ok("2"));
      world.run();
      assert.equal(world.hear(client), ok("1") + ok("2"));
    });
  });

  test("a client that half-closes gets the responses to all that it had asked", () => {
    scenario(plain, (world) => {
      const client = world.client(get("/1") + get("/2"));
      client.putEnd();
      const target = world.target();
      world.say(target, ok("1"));
      assert.equal(client.ending, "");
      world.say(target, ok("2"));
      const heard = world.hear(client);
      assert.ok(heard.startsWith(ok("1")), heard);
      assert.ok(heard.endsWith("\r\n\r\n2"), heard);
      assert.equal(client.ending, "finish");
    });
  });

  test("a client that half-closes within its pipelined head is left alone after its last whole request", () => {
    scenario(plain, (world) => {
      const client = world.client(`${get("/1")}GET /2 HT`);
      client.putEnd();
      world.say(world.target(), ok("1"));
      assert.equal(client.ending, "finish");
      assert.equal(world.opened, 1);
    });
  });

  test("a client that half-closes within a request body is gone, and so is its request", () => {
    scenario(plain, (world) => {
      const client = world.client("POST /p HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhel");
      const target = world.target();
      client.putEnd();
      world.run();
      assert.equal(client.ending, "kill");
      assert.equal(target.ending, "kill");
      assert.equal(world.records[0]?.errorCode, "client.body.truncated");
    });
  });

  test("a client that leaves while a target works takes the exchange with it", () => {
    scenario(plain, (world) => {
      const client = world.client(get("/1") + get("/2"));
      const target = world.target();
      client.putClose("ECONNRESET");
      world.run();
      assert.equal(target.ending, "kill");
      assert.equal(world.records.length, 1);
      assert.equal(world.records[0]?.errorCode, "client.gone");
      assert.equal(world.records[0]?.status, 499);
      assert.equal(world.status().health, "healthy");
    });
  });

  test("a client that leaves within its response ends the target's connection", () => {
    scenario(plain, (world) => {
      const client = world.client(get("/1"));
      const target = world.target();
      world.say(target, "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc");
      client.putClose("ECONNRESET");
      world.run();
      assert.equal(target.ending, "kill");
      assert.equal(world.records[0]?.status, 200);
      assert.equal(world.records[0]?.errorCode, "client.gone");
    });
  });

  test("Connection: close of the client ends the connection after the response, which says so", () => {
    scenario(plain, (world) => {
      const client = world.client("GET /1 HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
      const target = world.target();
      assert.equal(world.hear(target), get("/1"));
      world.say(target, ok("1"));
      assert.equal(world.hear(client), "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nConnection: close\r\n\r\n1");
      assert.equal(client.ending, "finish");
      assert.equal(target.ending, "", "the target's connection is none of the client's business");
    });
  });

  test("the connection ends after as many exchanges as it may carry", () => {
    scenario({ ...plain, limits: { exchangesPerConnectionMax: 2 } }, (world) => {
      const client = world.client(get("/1") + get("/2") + get("/3"));
      const target = world.target();
      world.say(target, ok("1"));
      world.say(target, ok("2"));
      assert.match(world.hear(client), /\r\nConnection: close\r\n\r\n2$/);
      assert.equal(client.over, true);
      assert.equal(world.records.length, 2);
      world.advance(6_000);
      assert.equal(client.ending, "kill");
    });
  });

  test("Connection: close of the target is not the client's", () => {
    scenario(plain, (world) => {
      const client = world.client(get("/1"));
      const target = world.target();
      world.say(target, "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 1\r\n\r\n1");
      assert.equal(world.hear(client), ok("1"));
      assert.equal(target.ending, "kill");
      client.put(get("/2"));
      world.run();
      assert.equal(world.opened, 2);
    });
  });
});

describe("HTTP/1.0 clients", () => {
  test("without keep-alive get one response and the end", () => {
    scenario(plain, (world) => {
      const client = world.client("GET /1 HTTP/1.0\r\n\r\n");
      const target = world.target();
      assert.equal(world.hear(target), "GET /1 HTTP/1.1\r\nHost: 192.0.2.1:80\r\n\r\n");
      world.say(target, ok("1"));
      assert.equal(world.hear(client), "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nConnection: close\r\n\r\n1");
      assert.equal(client.ending, "finish");
    });
  });

  test("with keep-alive are told that they have it", () => {
    scenario(plain, (world) => {
      const client = world.client("GET /1 HTTP/1.0\r\nHost: h\r\nConnection: keep-alive\r\n\r\n");
      const target = world.target();
      assert.equal(world.hear(target), get("/1"));
      world.say(target, ok("1"));
      assert.equal(world.hear(client), "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nConnection: keep-alive\r\n\r\n1");
      client.put("GET /2 HTTP/1.0\r\nHost: h\r\n\r\n");
      world.run();
      assert.equal(world.hear(target), get("/2"));
      world.say(target, ok("2"));
      assert.equal(client.ending, "finish");
    });
  });

  test("get a chunked response without its chunks, ended by the connection", () => {
    scenario(plain, (world) => {
      const client = world.client("GET /1 HTTP/1.0\r\nHost: h\r\nConnection: keep-alive\r\n\r\n");
      const target = world.target();
      world.say(
        target,
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\nX: y\r\n\r\n",
      );
      assert.equal(world.hear(client), "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nabcde");
      assert.ok(client.ended, "the end of the response is told by a half-close, since more may be on its way");
      client.putEnd();
      world.run();
      assert.equal(target.ending, "");
    });
  });

  test("never see a 1xx", () => {
    scenario(plain, (world) => {
      const client = world.client("GET /1 HTTP/1.0\r\nHost: h\r\n\r\n");
      world.say(world.target(), `HTTP/1.1 103 Early Hints\r\nLink: </s>\r\n\r\n${ok("1")}`);
      assert.ok(world.hear(client).startsWith("HTTP/1.1 200 OK\r\n"));
    });
  });

  test("that are cut off while the end of the connection ends the response get a reset, not a clean end", () => {
    scenario(plain, (world) => {
      const client = world.client("GET /1 HTTP/1.0\r\nHost: h\r\n\r\n");
      const target = world.target();
      world.say(target, "HTTP/1.1 200 OK\r\n\r\nhalf");
      target.putClose("ECONNRESET");
      world.run();
      assert.equal(client.ending, "reset");
      assert.equal(world.records[0]?.errorCode, "target.response.truncated");
    });
  });
});

describe("request bodies", () => {
  test("chunks are ours: extensions go, sizes are written anew, trailers that may stay", () => {
    scenario(plain, (world) => {
      const head = "POST /p HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n";
      const client = world.client(
        `${head}0003;ext=1\r\nabc\r\n2;q="a;b"\r\nde\r\n0;z\r\nX-Sum:  7 \r\nHost: evil\r\n\r\n`,
      );
      const target = world.target();
      assert.equal(world.hear(target), `${head}5\r\nabcde\r\n0\r\nX-Sum: 7\r\n\r\n`);
      world.say(target, ok("1"));
      assert.equal(world.hear(client), ok("1"));
      assert.equal(target.ending, "", "the connection is kept");
    });
  });

  test("a body that comes while the target is connected to is not lost, and not read further", () => {
    scenario(plain, (world) => {
      const client = world.client("POST /p HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\n\r\n");
      client.put("abc");
      world.run();
      assert.equal(client.paused, true);
      client.put("def");
      world.run();
      const target = world.target();
      assert.equal(client.paused, false);
      client.put("ghi");
      world.run();
      assert.ok(world.hear(target).endsWith("\r\n\r\nabcdefghi"));
      world.say(target, ok("1"));
      assert.equal(world.hear(client), ok("1"));
    });
  });

  test("a body above the limit is refused by its length before a target hears of it", () => {
    scenario({ ...plain, routes: [route({ bodyBytesMax: 4 })] }, (world) => {
      const client = world.client("POST /p HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhel");
      assert.match(world.hear(client), /^HTTP\/1\.1 413 .*\r\nConnection: close\r\n\r\n.*request\.body\.tooLarge/s);
      assert.equal(world.opened, 0);
      assert.equal(client.ended, true);
      client.put("lo");
      world.advance(5_100);
      assert.equal(client.ending, "kill");
    });
  });

  test("a chunked body is refused by the chunk that grows it beyond the limit, and the target never sees its end", () => {
    scenario({ ...plain, routes: [route({ bodyBytesMax: 4 })] }, (world) => {
      const client = world.client("POST /p HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n");
      const target = world.target();
      client.put("2\r\nde\r\n");
      world.run();
      assert.match(world.hear(client), /^HTTP\/1\.1 413 /);
      assert.ok(!world.hear(target).includes("0\r\n\r\n"));
      assert.equal(target.ending, "kill");
      assert.equal(world.status().health, "healthy");
    });
  });

  test("a body refused with its last byte leaves the next request where it is", () => {
    scenario({ ...plain, routes: [route({ bodyBytesMax: 4 })] }, (world) => {
      const client = world.client("POST /p HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n");
      world.target();
      client.put(`5\r\nabcde\r\n0\r\n\r\n${get("/2").slice(0, 10)}`);
      client.put(get("/2").slice(10));
      world.run();
      assert.match(world.hear(client), /^HTTP\/1\.1 413 /);
      const target = world.target();
      assert.equal(world.hear(target), get("/2"));
      world.say(target, ok("2"));
      assert.equal(world.hear(client), ok("2"));
    });
  });

  test("a malformed chunk ends both connections: the client with a 400, the target without an end of the body", () => {
    scenario(plain, (world) => {
      const client = world.client("POST /p HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n");
      const target = world.target();
      client.put("zz\r\n");
      world.run();
      assert.match(world.hear(client), /^HTTP\/1\.1 400 .*http1\.chunk\.size\.invalid/s);
      assert.equal(client.ended, true);
      assert.equal(target.ending, "kill");
      assert.ok(world.hear(target).endsWith("3\r\nabc\r\n"));
    });
  });

  test("a malformed first chunk reaches no target", () => {
    scenario(plain, (world) => {
      const client = world.client("POST /p HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n");
      assert.match(world.hear(client), /^HTTP\/1\.1 400 /);
      assert.equal(world.opened, 0);
    });
  });

  test("100-continue is between client and target, and is not sent to who did not ask", () => {
    scenario(plain, (world) => {
      const head = "PUT /p HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n";
      const client = world.client(head);
      const target = world.target();
      assert.equal(world.hear(target), head);
      world.say(target, "HTTP/1.1 100 Continue\r\n\r\n");
      assert.equal(world.hear(client), "HTTP/1.1 100 Continue\r\n\r\n");
      client.put("hi");
      world.run();
      assert.equal(world.hear(target), "hi");
      world.say(target, ok("1"));
      assert.equal(world.hear(client), ok("1"));
      client.put(get("/2"));
      world.run();
      world.say(target, `HTTP/1.1 100 Continue\r\n\r\n${ok("2")}`);
      assert.equal(world.hear(client), ok("2"));
    });
  });

  test("a target that answers early: the response goes on, the connections of both end after it", () => {
    scenario(plain, (world) => {
      const client = world.client("POST /p HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\n\r\nabc");
      const target = world.target();
      world.say(target, "HTTP/1.1 403 No\r\nContent-Length: 4\r\n\r\n");
      assert.equal(world.hear(client), "HTTP/1.1 403 No\r\nContent-Length: 4\r\nConnection: close\r\n\r\n");
      client.put("def");
      world.run();
      assert.equal(world.hear(target), "def", "who answers may still read");
      world.say(target, "stop");
      assert.equal(world.hear(client), "stop");
      assert.equal(target.ending, "kill");
      assert.equal(client.ended, true);
      client.put("ghi");
      client.putEnd();
      world.run();
      assert.equal(client.ending, "kill");
      assert.equal(world.counters.exchanges, 1, "the rest of the body is no request");
    });
  });
});

describe("response bodies", () => {
  test("a chunked response is framed anew", () => {
    scenario(plain, (world) => {
      const client = world.client(get("/1"));
      const target = world.target();
      const head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
      world.say(target, `${head}003;a=b\r\nabc\r\n1\r\nd\r\n`);
      world.say(target, "2\r\nef\r\n0\r\nX-Sum: 1\r\nSet-Cookie: a=b\r\n\r\n");
      assert.equal(world.hear(client), `${head}4\r\nabcd\r\n2\r\nef\r\n0\r\nX-Sum: 1\r\n\r\n`);
      assert.equal(target.ending, "");
      assert.equal(world.records[0]?.responseBodyBytes, 6);
    });
  });

  test("a response that ends with its connection becomes chunked", () => {
    scenario(plain, (world) => {
      const client = world.client(get("/1"));
      const target = world.target();
      world.say(target, "HTTP/1.0 200 OK\r\nServer: old\r\n\r\nabc");
      target.put("de");
      target.putEnd();
      world.run();
      assert.equal(
        world.hear(client),
        "HTTP/1.1 200 OK\r\nServer: old\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n",
      );
      assert.equal(client.ending, "");
      assert.equal(target.ending, "kill");
    });
  });

  test("a reset within such a response is no end: the client is cut off", () => {
    scenario(plain, (world) => {
      const client = world.client(get("/1") + get("/2"));
      const target = world.target();
      world.say(target, "HTTP/1.1 200 OK\r\n\r\nabc");
      target.putClose("ECONNRESET");
      world.run();
      assert.ok(!world.hear(client).includes("0\r\n\r\n"));
      assert.equal(client.ending, "reset");
      assert.equal(world.records.length, 1, "the request behind it is not begun");
      assert.equal(world.opened, 1);
    });
  });

  test("a response shorter than its length is cut off, never ended cleanly, and no request follows it", () => {
    scenario(plain, (world) => {
      const client = world.client(get("/1") + get("/2"));
      const target = world.target();
      world.say(target, "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc");
      target.putEnd();
      world.run();
      assert.equal(client.ending, "reset");
      assert.equal(world.opened, 1);
      assert.equal(world.records[0]?.errorCode, "target.response.truncated");
      assert.equal(world.status().counters.failures, 1);
    });
  });

  test("bytes behind a response are not the client's, and the connection they came on is not used again", () => {
    scenario(plain, (world) => {
      const client = world.client(get("/1"));
      const target = world.target();
      world.say(target, `${ok("1")}HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil`);
      assert.equal(world.hear(client), ok("1"));
      assert.equal(target.ending, "kill");
      client.put(get("/2"));
      world.run();
      assert.equal(world.opened, 2);
    });
  });

  test("bytes on an idle connection close it", () => {
    scenario(plain, (world) => {
      const client = world.client(get("/1"));
      const target = world.target();
      world.say(target, ok("1"));
      world.say(target, ok("poison"));
      assert.equal(target.ending, "kill");
      assert.equal(world.hear(client), ok("1"));
    });
  });

  test("a response without a body has none, whatever its lines say", () => {
    for (const [method, response] of [
      ["HEAD", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n"],
      ["GET", "HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n"],
      ["GET", "HTTP/1.1 204 No Content\r\n\r\n"],
    ]) {
      scenario(plain, (world) => {
        const client = world.client(`${method} /1 HTTP/1.1\r\nHost: h\r\n\r\n`);
        const target = world.target();
        world.say(target, response ?? "");
        assert.equal(world.hear(client), response);
        assert.equal(target.ending, "");
        client.put(get("/2"));
        world.run();
        assert.equal(world.hear(target), get("/2"));
      });
    }
  });

  test("a 204 has no length and a HEAD response no chunks", () => {
    scenario(plain, (world) => {
      const client = world.client(get("/1"));
      world.say(world.target(), "HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n");
      assert.equal(world.hear(client), "HTTP/1.1 204 No Content\r\n\r\n");
      client.put("HEAD /2 HTTP/1.1\r\nHost: h\r\n\r\n");
      world.run();
      world.say(world.target(), "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
      assert.equal(world.hear(client), "HTTP/1.1 200 OK\r\n\r\n");
      assert.equal(client.ending, "");
    });
  });

  test("interim responses go on before the final one, without their hop-by-hop lines", () => {
    scenario(plain, (world) => {
      const client = world.client(get("/1"));
      const target = world.target();
      world.say(target, "HTTP/1.1 103 Early Hints\r\nLink: </s>\r\nConnection: x\r\nX: 1\r\n\r\nHTTP/1.1 10");
      world.say(target, `2 Processing\r\n\r\n${ok("1")}`);
      assert.equal(
        world.hear(client),
        `HTTP/1.1 103 Early Hints\r\nLink: </s>\r\n\r\nHTTP/1.1 102 Processing\r\n\r\n${ok("1")}`,
      );
    });
  });

  test("a target that never stops with interim responses is broken", () => {
    scenario(plain, (world) => {
      const client = world.client("POST /1 HTTP/1.1\r\nHost: h\r\n\r\n");
      world.say(world.target(), "HTTP/1.1 102 Processing\r\n\r\n".repeat(17));
      assert.match(world.hear(client), /HTTP\/1\.1 502 .*target\.response\.interim/s);
    });
  });

  test("garbage instead of a head is answered 502, logged, and the connection closed", () => {
    scenario(plain, (world) => {
      const client = world.client("POST /1 HTTP/1.1\r\nHost: h\r\n\r\n");
      const target = world.target();
      world.say(target, "SSH-2.0-OpenSSH_9.2\r\n");
      assert.match(world.hear(client), /^HTTP\/1\.1 502 .*target\.response\.invalid/s);
      assert.equal(target.ending, "kill");
      assert.equal(client.ending, "", "our response was whole");
      assert.equal(world.warnings.length, 1);
      assert.deepEqual(world.reports, ["app 10.0.0.1:8080 target.response.invalid"]);
    });
  });

  test("garbage within the chunks of a response cuts the client off", () => {
    scenario(plain, (world) => {
      const client = world.client(get("/1"));
      const target = world.target();
      world.say(target, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n");
      world.say(target, "what?\r\n");
      assert.equal(client.ending, "reset");
      assert.equal(target.ending, "kill");
      assert.equal(world.records[0]?.errorCode, "target.response.invalid");
    });
  });

  test("a response with length and chunks at once is garbage", () => {
    scenario(plain, (world) => {
      const client = world.client("POST /1 HTTP/1.1\r\nHost: h\r\n\r\n");
      world.say(world.target(), "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n");
      assert.match(world.hear(client), /^HTTP\/1\.1 502 /);
    });
  });
});

describe("requests that cannot be read", () => {
  test("are answered by their fault, and the connection ends", () => {
    for (const [bytes, status, code] of [
      ["GET / HTTP/1.1\r\n\r\n", 400, "http1.host.missing"],
      ["GET / HTTP/2.0\r\n\r\n", 505, "http1.version.unsupported"],
      ["GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", 400, "http1.host.double"],
      [
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
        400,
        "http1.framing.both",
      ],
      ["GET / HTTP/1.1\nHost: a\n\n", 400, "http1.line.bareLf"],
      [`GET /${"a".repeat(20_000)} HTTP/1.1\r\n`, 414, "http1.target.tooLong"],
      [`GET / HTTP/1.1\r\nHost: h\r\nX: ${"a".repeat(20_000)}`, 431, "http1.header.tooLarge"],
      [`GET / HTTP/1.1\r\nHost: h\r\n${"X: 1\r\n".repeat(100)}\r\n`, 431, "http1.header.tooMany"],
    ] as const) {
      scenario(plain, (world) => {
        const client = world.client(bytes + get("/next"));
        const heard = world.hear(client);
        assert.ok(heard.startsWith(`HTTP/1.1 ${status} `), heard);
        assert.ok(heard.includes(code), heard);
        assert.ok(heard.includes("\r\nConnection: close\r\n"), heard);
        assert.equal(client.ended, true);
        assert.equal(world.opened, 0);
        assert.equal(world.counters.limits[code], 1);
      });
    }
  });

  test("a path that climbs above the root, and a route that there is not", () => {
    const only = [route({ path: { kind: "prefix", path: "/only" } })];
    scenario({ ...plain, routes: only }, (world) => {
      const client = world.client(get("/../etc"));
      assert.match(world.hear(client), /^HTTP\/1\.1 400 .*request\.path\.invalid/s);
      assert.match(world.say(client, get("/other")), /^HTTP\/1\.1 404 .*route\.none/s);
      assert.match(world.say(client, "TRACE /only HTTP/1.1\r\nHost: h\r\n\r\n"), /^HTTP\/1\.1 405 .*\r\nAllow: /s);
      assert.equal(client.ending, "", "their framing is in no doubt");
    });
  });

  test("an error response to HEAD has a length but no body", () => {
    scenario({ ...plain, routes: [] }, (world) => {
      const client = world.client("HEAD / HTTP/1.1\r\nHost: h\r\n\r\n");
      const heard = withoutDate(world.hear(client));
      assert.match(
        heard,
        /^HTTP\/1\.1 404 Not Found\r\nContent-Type: text\/plain\r\nContent-Length: [1-9]\d*\r\n\r\n$/,
      );
    });
  });
});

test("a client that never sends a byte has no exchange", () => {
  scenario(plain, (world) => {
    const client = world.client();
    world.advance(testTimeouts.clientHeader + 100);
    assert.equal(client.ending, "kill");
    assert.equal(world.hear(client), "");
    assert.equal(world.counters.exchanges, 0);
  });
});
