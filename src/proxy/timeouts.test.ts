// Every deadline by virtual time: when it bites, whom it blames, what the client is told, and that nothing puts it off
// that should not.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { TestWire } from "./test-engine.ts";
import { route, scenario, target, testTimeouts, type World, type WorldOptions } from "./test-world.ts";

const GET = "GET /a HTTP/1.1\r\nHost: h\r\n\r\n";
const OK = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
const plain: WorldOptions = { listener: { forwarded: false } };
/** A sweep looks this often. */
const LATE = 100;

/** Asserts that the client is answered so, not before `span` has passed and at most one sweep later. */
function answeredAfter(world: World, client: TestWire, span: number, answer: RegExp): void {
  world.advance(span - LATE);
  assert.equal(world.hear(client), "", "not before its time");
  world.advance(2 * LATE);
  assert.match(world.hear(client), answer);
}

describe("the client's side", () => {
  test("a first head that is not complete in time is a 408, however often bytes come", () => {
    scenario(plain, (world) => {
      const client = world.client("GET / HTTP/1.1\r\n");
      for (let lines = 0; lines < 9; lines++) {
        world.advance(1_000);
        client.put(`X-${lines}: 1\r\n`);
      }
      answeredAfter(world, client, 1_000, /^HTTP\/1\.1 408 .*client\.header\.timeout/s);
      assert.equal(client.ended, true);
    });
  });

  test("a later head has as long from its first byte, however often bytes come", () => {
    scenario(plain, (world) => {
      const client = world.client(GET);
      world.say(world.target(), OK);
      world.hear(client);
      world.advance(30_000);
      client.put("GET / HTTP/1.1\r\n");
      world.run();
      for (let lines = 0; lines < 9; lines++) {
        world.advance(1_000);
        client.put(`X-${lines}: 1\r\n`);
      }
      answeredAfter(world, client, 1_000, /^HTTP\/1\.1 408 /);
    });
  });

  test("the head behind a slow head has its own time", () => {
    scenario(plain, (world) => {
      const client = world.client(GET.slice(0, 9));
      world.advance(9_000);
      client.put(`${GET.slice(9)}GET`);
      world.run();
      world.say(world.target(), OK);
      assert.equal(world.hear(client), OK);
      answeredAfter(world, client, testTimeouts.clientHeader, /^HTTP\/1\.1 408 /);
    });
  });

  test("an idle connection is closed without a word after keepAlive, which each exchange begins anew", () => {
    scenario(plain, (world) => {
      const client = world.client(GET);
      const wire = world.target();
      world.say(wire, OK);
      world.advance(testTimeouts.keepAlive - 1_000);
      world.say(client, GET);
      world.say(world.target(), OK);
      world.hear(client);
      world.advance(testTimeouts.keepAlive - 1_000);
      assert.equal(client.ending, "");
      world.advance(1_100);
      assert.equal(client.ending, "kill");
      assert.equal(world.hear(client), "");
    });
  });

  test("blank lines behind a POST are not the first of a head: the connection stays idle", () => {
    // RFC 9112 section 2.2. In one piece with the body, behind it, and cut within.
    for (const blanks of [["\r\n"], ["", "\r\n"], ["", "\r", "\n"], ["\r\n", "\r\n"], ["", "\r"]]) {
      scenario(plain, (world) => {
        const [first = "", ...later] = blanks;
        const client = world.client(`POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\n\r\na${first}`);
        world.say(world.target(), OK);
        assert.equal(world.hear(client), OK);
        for (const bytes of later) world.say(client, bytes);
        world.advance(testTimeouts.keepAlive - LATE);
        assert.equal(client.ending, "", "no 408 after clientHeader");
        world.advance(2 * LATE);
        assert.equal(client.ending, "kill");
        assert.equal(world.hear(client), "");
        assert.equal(world.records.length, 1);
      });
    }
  });

  test("the head behind blank lines has its time from its own first byte", () => {
    for (const pieces of [["G"], ["\r\nG"], ["\r", "\nG"], ["\r\n", "G"]]) {
      scenario(plain, (world) => {
        const client = world.client("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\n\r\na\r\n");
        world.say(world.target(), OK);
        assert.equal(world.hear(client), OK);
        for (const piece of pieces) {
          world.advance(20_000);
          assert.equal(client.ending, "");
          world.say(client, piece);
        }
        world.advance(testTimeouts.clientHeader - 1_000);
        world.say(client, "ET /");
        answeredAfter(world, client, 1_000, /^HTTP\/1\.1 408 .*client\.header\.timeout/s);
      });
    }
  });

  test("a request behind blank lines is read, however it is cut", () => {
    for (const cut of [0, 1, 2, 3, 4, 5, 9]) {
      scenario(plain, (world) => {
        const client = world.client(GET);
        world.say(world.target(), OK);
        world.hear(client);
        const bytes = `\r\n\r\n${GET}`;
        world.say(client, bytes.slice(0, cut));
        world.advance(1_000);
        world.say(client, bytes.slice(cut));
        world.say(world.target(), OK);
        assert.equal(world.hear(client), OK);
        assert.equal(world.records.length, 2);
      });
    }
  });

  test("blank lines alone, on a new connection, are answered with nothing", () => {
    scenario(plain, (world) => {
      const client = world.client("\r\n");
      world.advance(testTimeouts.clientHeader + LATE);
      assert.equal(client.ending, "kill");
      assert.equal(world.hear(client), "");
      assert.equal(world.records.length, 0);
    });
  });

  test("a stream of blank lines is refused, and never puts a deadline off", () => {
    scenario(plain, (world) => {
      const client = world.client(GET);
      world.say(world.target(), OK);
      world.hear(client);
      for (let lines = 0; lines < 4; lines++) assert.equal(world.say(client, "\r\n"), "");
      assert.match(world.say(client, "\r\n"), /^HTTP\/1\.1 400 /);
    });
    scenario(plain, (world) => {
      const client = world.client(GET);
      world.say(world.target(), OK);
      world.hear(client);
      for (let lines = 0; lines < 3; lines++) {
        world.advance(testTimeouts.keepAlive / 4);
        world.say(client, "\r\n");
      }
      world.advance(testTimeouts.keepAlive / 4 + LATE);
      assert.equal(client.ending, "kill");
      assert.equal(world.hear(client), "");
    });
  });

  test("a drain closes a connection that has sent blank lines as it closes any idle one", () => {
    scenario(plain, (world) => {
      const client = world.client(GET);
      world.say(world.target(), OK);
      world.say(client, "\r\n");
      world.hear(client);
      world.dataPlane.drain(30_000, () => {});
      world.advance(1_500);
      assert.equal(client.ending, "kill");
      assert.equal(world.hear(client), "");
    });
  });

  test("keepAlive 0 is no limit", () => {
    scenario({ listener: { forwarded: false, timeouts: { ...testTimeouts, keepAlive: 0 } } }, (world) => {
      const client = world.client(GET);
      world.say(world.target(), OK);
      world.advance(600_000);
      assert.equal(client.ending, "");
    });
  });

  test("silence within a request body is a 408, and every byte begins it anew", () => {
    scenario(plain, (world) => {
      const client = world.client("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\n\r\na");
      const wire = world.target();
      for (let bytes = 0; bytes < 3; bytes++) {
        world.advance(testTimeouts.clientBody - 1_000);
        client.put("b");
        world.run();
      }
      answeredAfter(world, client, testTimeouts.clientBody, /^HTTP\/1\.1 408 .*client\.body\.timeout/s);
      assert.equal(wire.ending, "kill");
      assert.equal(world.status().health, "healthy");
    });
  });

  test("a client is not blamed for silence while it is not read", () => {
    scenario({ ...plain, routes: [route({ timeouts: { ...testTimeouts, send: 60_000 } })] }, (world) => {
      const client = world.client("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\n\r\na");
      const wire = world.target();
      wire.room = 0;
      wire.heldMax = 1;
      client.put("b");
      world.run();
      assert.equal(client.paused, true);
      world.advance(testTimeouts.clientBody * 2);
      assert.equal(world.hear(client), "");
      wire.take();
      world.run();
      assert.equal(client.paused, false);
      answeredAfter(world, client, testTimeouts.clientBody, /^HTTP\/1\.1 408 /);
    });
  });

  test("a client that takes nothing is reset after send, one that takes a little is not", () => {
    scenario(plain, (world) => {
      const client = world.client(GET);
      client.room = 0;
      client.heldMax = 10;
      const wire = world.target();
      wire.put(`HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n${"x".repeat(50)}`);
      world.run();
      assert.equal(wire.paused, true);
      for (let steps = 0; steps < 4; steps++) {
        world.advance(testTimeouts.send - 1_000);
        client.take(1);
        client.room = 0;
      }
      assert.equal(client.ending, "");
      world.advance(testTimeouts.send + LATE * 2);
      assert.equal(client.ending, "reset");
      assert.equal(wire.ending, "kill");
      assert.equal(world.records[0]?.errorCode, "client.send.timeout");
      assert.equal(world.status().health, "healthy");
    });
  });
});

describe("the target's side", () => {
  test("no connect in time", () => {
    scenario(plain, (world) => {
      const client = world.client(GET);
      answeredAfter(world, client, testTimeouts.connect, /^HTTP\/1\.1 504 .*target\.connect\.timeout/s);
      assert.equal(world.engine.connects[0]?.ending, "kill");
    });
  });

  test("no first byte in time, counted from the end of the request", () => {
    scenario(plain, (world) => {
      const client = world.client("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\na");
      world.target();
      world.advance(10_000);
      client.put("b");
      world.run();
      answeredAfter(world, client, testTimeouts.firstByte, /^HTTP\/1\.1 504 .*target\.firstByte\.timeout/s);
      assert.equal(client.ending, "", "the request was whole, so the connection goes on");
    });
  });

  test("a target that does not take the request, with what it takes beginning the time anew", () => {
    scenario({ ...plain, targets: [target(1), target(2)] }, (world) => {
      const client = world.client();
      world.engine.onConnect = (wire) => {
        wire.room = 5;
        wire.heldMax = 1;
      };
      world.say(client, "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n");
      const wire = world.target();
      for (let steps = 0; steps < 3; steps++) {
        world.advance(testTimeouts.send - 1_000);
        wire.take(1);
        wire.room = 0;
      }
      // The sweep that saw the last step of it comes up to one interval later.
      world.advance(testTimeouts.send - 2 * LATE);
      assert.equal(world.hear(client), "");
      world.advance(4 * LATE);
      assert.match(world.hear(client), /^HTTP\/1\.1 504 .*target\.send\.timeout/s);
      assert.equal(world.opened, 1, "some of the POST was taken");
    });
  });

  test("silence within a response cuts the client off", () => {
    scenario(plain, (world) => {
      const client = world.client(GET);
      const wire = world.target();
      world.say(wire, "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\na");
      for (let bytes = 0; bytes < 3; bytes++) {
        world.advance(testTimeouts.idle - 1_000);
        world.say(wire, "b");
      }
      world.advance(testTimeouts.idle - LATE);
      assert.equal(client.ending, "");
      world.advance(2 * LATE);
      assert.equal(client.ending, "reset");
      assert.equal(wire.ending, "kill");
      assert.equal(world.records[0]?.errorCode, "target.idle.timeout");
      assert.deepEqual(world.reports, ["app 10.0.0.1:8080 target.idle.timeout"]);
    });
  });

  test("a target is not blamed for silence while it is not read", () => {
    const slow = { ...testTimeouts, send: 600_000 };
    scenario(
      { ...plain, routes: [route({ timeouts: slow })], listener: { forwarded: false, timeouts: slow } },
      (world) => {
        const client = world.client(GET);
        client.room = 0;
        client.heldMax = 1;
        const wire = world.target();
        world.say(wire, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\na");
        world.advance(testTimeouts.idle * 3);
        assert.equal(wire.ending, "");
        client.take();
        world.run();
        assert.equal(wire.paused, false);
        world.say(wire, "b");
        assert.ok(world.hear(client).endsWith("\r\n\r\nab"));
      },
    );
  });

  test("nor while it takes the rest of a request that it has answered early", () => {
    const slow = { ...testTimeouts, send: 600_000 };
    scenario(
      { ...plain, routes: [route({ timeouts: slow })], listener: { forwarded: false, timeouts: slow } },
      (world) => {
        const client = world.client("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\n\r\na");
        const wire = world.target();
        client.room = 0;
        client.heldMax = 1;
        wire.room = 0;
        wire.heldMax = 1;
        client.put("b");
        world.run();
        world.say(wire, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\na");
        wire.take();
        world.run();
        world.advance(testTimeouts.idle * 3 > testTimeouts.clientBody ? testTimeouts.clientBody - LATE : 0);
        client.put("cd");
        world.run();
        world.advance(testTimeouts.idle * 3);
        assert.equal(client.ending, "", "the target is paused, its silence is ours");
        client.take();
        world.run();
        world.say(wire, "b");
        assert.ok(world.hear(client).endsWith("\r\n\r\nab"));
      },
    );
  });

  test("an interim response that the client is slow to take does not stop the exchange", () => {
    scenario(plain, (world) => {
      const client = world.client(GET);
      client.room = 0;
      client.heldMax = 1;
      const wire = world.target();
      world.say(wire, "HTTP/1.1 103 Early Hints\r\n\r\n");
      client.take();
      world.run();
      assert.equal(wire.paused, false);
      world.say(wire, OK);
      assert.ok(world.hear(client).endsWith(OK));
    });
  });

  test("an idle connection to a target is closed after the pool's idleTimeout", () => {
    scenario({ ...plain, pool: { idleTimeout: 5_000 } }, (world) => {
      const client = world.client(GET);
      const wire = world.target();
      world.say(wire, OK);
      world.advance(4_000);
      assert.equal(wire.ending, "");
      world.advance(2_100);
      assert.equal(wire.ending, "kill");
      assert.equal(world.status().counters.connectionsIdle, 0);
      world.say(client, GET);
      assert.equal(world.opened, 2);
    });
  });
});

describe("the whole exchange", () => {
  const options = { ...plain, routes: [route({ timeouts: { ...testTimeouts, exchange: 5_000 } })] };

  test("has its time, all tries together", () => {
    scenario({ ...options, targets: [target(1), target(2), target(3), target(4)] }, (world) => {
      const client = world.client(GET);
      answeredAfter(world, client, 5_000, /^HTTP\/1\.1 504 .*exchange\.timeout/s);
      assert.equal(world.opened, 3);
      for (const { active } of world.dataPlane.status(1).targets) assert.equal(active, 0);
    });
  });

  test("is cut off within its response, and the request behind it is not begun", () => {
    scenario(options, (world) => {
      const client = world.client(GET + GET);
      world.say(world.target(), "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\na");
      world.advance(5_200);
      assert.equal(client.ending, "reset");
      assert.equal(world.records.length, 1);
      assert.equal(world.opened, 1);
    });
  });
});
