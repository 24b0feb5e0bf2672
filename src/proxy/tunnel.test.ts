// Upgrade and CONNECT: who may, what the other side is told, and that bytes pass untouched both ways until both have
// ended.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { TestWire } from "./test-engine.ts";
import { poolAction, route, scenario, target, testTimeouts, type World } from "./test-world.ts";

const UPGRADE = "GET /ws HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";
const SWITCHED = "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n";
const CONNECT = "CONNECT db:5432 HTTP/1.1\r\nHost: db:5432\r\n\r\n";
const ESTABLISHED = "HTTP/1.1 200 OK\r\n\r\n";
const tunnels = {
  listener: { forwarded: false },
  routes: [route({ action: poolAction({ upgrade: "tunnel", connect: "tunnel" }) })],
};
const refuses = { listener: { forwarded: false } };

function tunnel(world: World): { readonly client: TestWire; readonly wire: TestWire } {
  const client = world.client(UPGRADE);
  const wire = world.target();
  world.hear(wire);
  world.say(wire, SWITCHED);
  world.hear(client);
  return { client, wire };
}

describe("Upgrade", () => {
  test("passes to the target with its two lines, and 101 comes back", () => {
    scenario(tunnels, (world) => {
      const client = world.client(UPGRADE);
      const wire = world.target();
      assert.equal(
        world.hear(wire),
        "GET /ws HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n",
      );
      world.say(wire, SWITCHED);
      assert.equal(
        world.hear(client),
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n",
      );
      world.say(client, "\x00\xffraw");
      assert.equal(world.hear(wire), "\x00\xffraw");
      world.say(wire, "GET / HTTP/1.1\r\n\r\n");
      assert.equal(world.hear(client), "GET / HTTP/1.1\r\n\r\n");
    });
  });

  test("to HTTP/2 is not passed on: what came through it would have passed no route", () => {
    scenario(tunnels, (world) => {
      const h2c = "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAARAAAAA\r\n";
      const client = world.client(`GET / HTTP/1.1\r\nHost: h\r\n${h2c}\r\n`);
      const wire = world.target();
      assert.equal(world.hear(wire), "GET / HTTP/1.1\r\nHost: h\r\n\r\n");
      world.say(wire, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
      assert.match(world.hear(client), /^HTTP\/1\.1 200 /);
    });
  });

  test("that the route does not let through is an ordinary request", () => {
    scenario(refuses, (world) => {
      const client = world.client(UPGRADE);
      const wire = world.target();
      assert.equal(world.hear(wire), "GET /ws HTTP/1.1\r\nHost: h\r\n\r\n");
      world.say(wire, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nno");
      assert.equal(world.hear(client), "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nno");
      assert.equal(wire.ending, "");
    });
  });

  test("that the target declines is an ordinary exchange, and the next request follows it", () => {
    scenario(tunnels, (world) => {
      const next = "GET /2 HTTP/1.1\r\nHost: h\r\n\r\n";
      const client = world.client(UPGRADE + next);
      const wire = world.target();
      world.hear(wire);
      assert.equal(world.say(wire, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nno"), next);
      world.say(wire, "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n2");
      assert.ok(world.hear(client).endsWith("2"));
    });
  });

  test("101 that nobody asked for is the target's fault", () => {
    for (const options of [refuses, tunnels]) {
      scenario(options, (world) => {
        const request = options === tunnels ? "POST / HTTP/1.1\r\nHost: h\r\n\r\n" : UPGRADE.replace("GET", "POST");
        const client = world.client(request);
        const wire = world.target();
        world.say(wire, SWITCHED);
        assert.match(world.hear(client), /^HTTP\/1\.1 502 .*target\.response\.upgrade/s);
        assert.equal(wire.ending, "kill");
      });
    }
  });

  test("101 within the request's body is the target's fault: the rest of the body must not pass as something else", () => {
    for (const framing of ["Content-Length: 9", "Transfer-Encoding: chunked"]) {
      scenario(tunnels, (world) => {
        const client = world.client(UPGRADE.replace("GET", "POST").replace("\r\n\r\n", `\r\n${framing}\r\n\r\n`));
        const wire = world.target();
        client.put("1\r\na\r\n");
        world.run();
        world.say(wire, SWITCHED);
        assert.match(world.hear(client), /^HTTP\/1\.1 502 /);
        assert.equal(client.ended, true);
        assert.equal(wire.ending, "kill");
      });
    }
  });

  test("bytes that came with the heads, on either side, are the first of the tunnel", () => {
    scenario(tunnels, (world) => {
      const client = world.client(`${UPGRADE}early`);
      const wire = world.target();
      client.put(" bird");
      world.run();
      world.hear(wire);
      wire.put(`${SWITCHED}hello`);
      world.run();
      assert.ok(world.hear(client).endsWith("\r\n\r\nhello"));
      assert.equal(world.hear(wire), "early bird");
      assert.equal(client.paused, false);
    });
  });
});

describe("CONNECT", () => {
  test("is refused with 405 unless the route tunnels it", () => {
    scenario(refuses, (world) => {
      assert.match(world.hear(world.client(CONNECT)), /^HTTP\/1\.1 405 .*route\.connect\.refused/s);
      assert.equal(world.opened, 0);
    });
  });

  test("makes a tunnel of a 2xx, whose framing means nothing", () => {
    scenario(tunnels, (world) => {
      const client = world.client("CONNECT db:5432 HTTP/1.1\r\nHost: other\r\n\r\n");
      const wire = world.target();
      assert.equal(world.hear(wire), CONNECT);
      world.say(wire, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nabc");
      assert.equal(world.hear(client), "HTTP/1.1 200 OK\r\n\r\nabc");
      world.say(wire, "defgh");
      assert.equal(world.hear(client), "defgh");
      assert.equal(world.say(wire, "x"), "");
      world.say(client, "y");
      assert.equal(world.hear(wire), "y");
    });
  });

  test("that fails is an ordinary response", () => {
    scenario(tunnels, (world) => {
      const client = world.client(CONNECT);
      world.say(world.target(), "HTTP/1.1 403 No\r\nContent-Length: 2\r\n\r\nno");
      assert.equal(world.hear(client), "HTTP/1.1 403 No\r\nContent-Length: 2\r\n\r\nno");
      assert.equal(client.ending, "");
    });
  });
});

describe("a tunnel", () => {
  test("keeps a half-close: the other way goes on", () => {
    scenario(tunnels, (world) => {
      const { client, wire } = tunnel(world);
      client.put("bye");
      client.putEnd();
      world.run();
      assert.equal(world.hear(wire), "bye");
      assert.equal(wire.ended, true);
      assert.equal(wire.ending, "");
      world.say(wire, "still here");
      assert.equal(world.hear(client), "still here");
      wire.putEnd();
      world.run();
      assert.equal(wire.ending, "finish");
      assert.equal(client.over, true);
      const [record] = world.records;
      assert.equal(record?.status, 101);
      assert.equal(record?.requestBodyBytes, 3);
      assert.equal(record?.responseBodyBytes, 10);
      assert.equal(record?.errorCode, "");
    });
  });

  test("keeps a half-close of the target too", () => {
    scenario(tunnels, (world) => {
      const { client, wire } = tunnel(world);
      wire.putEnd();
      world.run();
      assert.equal(client.ended, true);
      world.say(client, "more");
      assert.equal(world.hear(wire), "more");
      client.putEnd();
      world.run();
      assert.equal(wire.ending, "finish");
      assert.notEqual(client.ending, "");
    });
  });

  test("tells the target of a client that had half-closed before it began", () => {
    scenario(tunnels, (world) => {
      const client = world.client(`${CONNECT}query`);
      client.putEnd();
      const wire = world.target();
      world.hear(wire);
      wire.put(ESTABLISHED);
      world.run();
      assert.equal(world.hear(wire), "query");
      assert.equal(wire.ended, true);
      wire.put("answer");
      wire.putEnd();
      world.run();
      assert.ok(world.hear(client).endsWith("answer"));
      assert.equal(wire.ending, "finish");
    });
  });

  test("reads each side at the pace of the other", () => {
    scenario(tunnels, (world) => {
      const { client, wire } = tunnel(world);
      wire.room = 0;
      wire.heldMax = 1;
      client.put("a");
      client.put("b");
      world.run();
      assert.equal(client.paused, true);
      assert.equal(wire.held(), 1);
      world.say(wire, "other way");
      assert.equal(world.hear(client), "other way");
      wire.take();
      world.run();
      assert.equal(world.hear(wire), "ab");
      client.room = 0;
      client.heldMax = 1;
      wire.put("c");
      wire.put("d");
      world.run();
      assert.equal(wire.paused, true);
      client.take();
      world.run();
      assert.equal(world.hear(client), "cd");
    });
  });

  test("ends after silence, with what is held for either side", () => {
    scenario(tunnels, (world) => {
      const { client, wire } = tunnel(world);
      world.advance(testTimeouts.tunnel - 1_000);
      world.say(client, "a");
      world.advance(testTimeouts.tunnel - 1_000);
      assert.equal(wire.ending, "");
      client.room = 0;
      world.say(wire, "b");
      world.advance(testTimeouts.tunnel + 100);
      assert.equal(wire.ending, "finish");
      assert.equal(client.ended, true);
      client.take();
      world.run();
      assert.equal(world.hear(client), "b");
      assert.equal(world.records[0]?.errorCode, "tunnel.idle.timeout");
      world.advance(6_000);
      assert.equal(client.ending, "kill");
    });
  });

  test("is not limited by the times of an exchange, but by its own, which 0 switches off", () => {
    const timeouts = { ...testTimeouts, tunnel: 0, exchange: 0 };
    const routes = [route({ action: poolAction({ upgrade: "tunnel" }), timeouts })];
    scenario({ ...tunnels, routes }, (world) => {
      const { client, wire } = tunnel(world);
      world.advance(500_000);
      assert.equal(client.ending, "");
      assert.equal(wire.ending, "");
    });
  });

  test("that breaks on one side is reset on the other, which had what had passed", () => {
    scenario(tunnels, (world) => {
      const { client, wire } = tunnel(world);
      wire.put("last words");
      wire.putClose("ECONNRESET");
      world.run();
      assert.equal(world.hear(client), "last words");
      assert.equal(client.ending, "reset");
      assert.equal(world.records[0]?.errorCode, "target.response.truncated");
      assert.equal(world.records[0]?.responseBodyBytes, 10);
      assert.deepEqual(world.reports, [], "its response was good, and what followed is not ours to judge");
    });
    scenario(tunnels, (world) => {
      const { client, wire } = tunnel(world);
      client.put("last words");
      client.putClose("ECONNRESET");
      world.run();
      assert.equal(world.hear(wire), "last words");
      assert.equal(wire.ending, "reset");
      assert.equal(world.records[0]?.errorCode, "client.gone");
      assert.equal(world.records[0]?.requestBodyBytes, 10);
    });
  });

  test("that breaks after a half-close is reset too: the way that was still open is cut", () => {
    for (const errorCode of ["ECONNRESET", "EPIPE", "ETIMEDOUT"]) {
      scenario(tunnels, (world) => {
        const { client, wire } = tunnel(world);
        wire.putEnd();
        world.run();
        assert.equal(client.ended, true);
        wire.putClose(errorCode);
        world.run();
        assert.equal(client.ending, "reset");
      });
      scenario(tunnels, (world) => {
        const { client, wire } = tunnel(world);
        client.putEnd();
        world.run();
        assert.equal(wire.ended, true);
        client.putClose(errorCode);
        world.run();
        assert.equal(wire.ending, "reset");
        assert.equal(world.records.length, 1);
      });
    }
  });

  test("whose one side has closed both ways ends on the other in order", () => {
    scenario(tunnels, (world) => {
      const { client, wire } = tunnel(world);
      client.putClose("");
      world.run();
      assert.equal(wire.ending, "finish");
      assert.equal(world.records[0]?.errorCode, "");
    });
    scenario(tunnels, (world) => {
      const { client, wire } = tunnel(world);
      wire.putClose("");
      world.run();
      assert.equal(client.over, true);
      assert.notEqual(client.ending, "reset");
      assert.equal(world.records[0]?.errorCode, "");
    });
  });

  test("to a client that takes nothing of the response head is reset on both sides after the send timeout", () => {
    scenario(tunnels, (world) => {
      const client = world.client(UPGRADE);
      client.room = 0;
      client.heldMax = 1;
      const wire = world.target();
      world.say(wire, SWITCHED);
      world.advance(testTimeouts.send + 200);
      assert.equal(client.ending, "reset");
      assert.equal(wire.ending, "reset");
      assert.equal(world.records[0]?.errorCode, "client.send.timeout");
    });
  });

  test("is counted while it lasts, on all four ways, and logged once it is over", () => {
    scenario(tunnels, (world) => {
      const client = world.client(`${UPGRADE}early`);
      const wire = world.target();
      const asked = world.hear(wire).length;
      world.say(wire, `${SWITCHED}first`);
      const answered = world.hear(client).length - "first".length;
      const seen = () => {
        const { bytesFromClients, bytesToClients } = world.counters;
        const { bytesToTarget, bytesFromTarget } = world.status().counters;
        return { bytesFromClients, bytesToTarget, bytesFromTarget, bytesToClients };
      };
      const heads = {
        bytesFromClients: UPGRADE.length,
        bytesToTarget: asked,
        bytesFromTarget: SWITCHED.length,
        bytesToClients: answered,
      };
      const passed = (up: number, down: number) => ({
        bytesFromClients: heads.bytesFromClients + up,
        bytesToTarget: heads.bytesToTarget + up,
        bytesFromTarget: heads.bytesFromTarget + down,
        bytesToClients: heads.bytesToClients + down,
      });
      assert.deepEqual(seen(), passed(5, 5));
      world.say(client, "x".repeat(1_000));
      assert.deepEqual(seen(), passed(1_005, 5));
      world.say(wire, "y".repeat(70_000));
      assert.deepEqual(seen(), passed(1_005, 70_005));
      assert.equal(world.records.length, 0);
      client.putEnd();
      world.run();
      world.say(wire, "z");
      wire.putEnd();
      world.run();
      assert.deepEqual(seen(), passed(1_005, 70_006));
      const [record] = world.records;
      assert.deepEqual([record?.requestBodyBytes, record?.responseBodyBytes], [1_005, 70_006]);
    });
  });

  test("counts as an exchange under way at its target, and as no idle connection after", () => {
    scenario({ ...tunnels, targets: [target(1, { connectionsMax: 1 })] }, (world) => {
      const { client } = tunnel(world);
      assert.equal(world.status().active, 1);
      assert.match(world.hear(world.client(UPGRADE)), /^HTTP\/1\.1 503 /);
      client.putClose("");
      world.run();
      assert.equal(world.status().active, 0);
      assert.equal(world.status().counters.connectionsIdle, 0);
    });
  });

  test("goes on after the listener is gone, and ends with the worker's drain", () => {
    scenario(tunnels, (world) => {
      const { client, wire } = tunnel(world);
      world.dataPlane.drain(30_000, () => {});
      world.advance(29_000);
      world.say(client, "a");
      assert.equal(world.hear(wire), "a");
      world.advance(2_000);
      assert.equal(client.ending, "reset");
      assert.equal(wire.ending, "reset");
    });
  });
});
