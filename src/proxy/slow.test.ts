// Clients and targets that do not take what they are sent, or send what nobody asked for: the pace is the slower side's,
// what is held stays bounded, and nothing that is held is forgotten.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { PIPELINED_BYTES_MAX } from "./client-connection.ts";
import { READ } from "./layout.ts";
import type { TestWire } from "./test-engine.ts";
import { route, scenario, testTimeouts } from "./test-world.ts";

const GET = "GET /a HTTP/1.1\r\nHost: h\r\n\r\n";
const plain = { listener: { forwarded: false } };
const respond = {
  ...plain,
  routes: [route({ action: { kind: "respond", status: 200, contentType: "text/plain", body: "hello" } })],
};

function ok(length: number): string {
  return `HTTP/1.1 200 OK\r\nContent-Length: ${length}\r\n\r\n${"x".repeat(length)}`;
}

function slow(wire: TestWire): TestWire {
  wire.room = 0;
  wire.heldMax = 1;
  return wire;
}

describe("a client that reads slowly", () => {
  test("stops its target from being read, and starts it again", () => {
    scenario(plain, (world) => {
      const client = slow(world.client(GET));
      const target = world.target();
      for (let pieces = 0; pieces < 5; pieces++)
        target.put("HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n".slice(pieces * 9, pieces * 9 + 9));
      target.put("x".repeat(500));
      target.readMax = 100;
      world.run();
      assert.equal(target.paused, true);
      assert.ok(client.held() <= 200);
      client.take();
      world.run();
      assert.ok(world.hear(client).endsWith("x".repeat(500)));
      assert.equal(target.paused, false, "an idle connection is read");
    });
  });

  test("and asks on is not answered on: its next request waits until it has taken its responses", () => {
    scenario(respond, (world) => {
      const client = slow(world.client());
      const requests = 1_500;
      client.put(GET.repeat(requests));
      world.run();
      assert.equal(client.paused, true);
      assert.ok(client.held() < 1_000, `${client.held()} bytes are held`);
      for (let taken = 0; world.counters.exchanges < requests && taken < 20_000; taken++) {
        client.take(client.held());
        client.room = 0;
        world.run();
        assert.ok(client.held() < 1_000, `${client.held()} bytes are held`);
      }
      assert.equal(world.counters.exchanges, requests);
      client.take();
      world.run();
      assert.equal(client.paused, false);
    });
  });

  test("and asks on is not asked for at the target either", () => {
    scenario(plain, (world) => {
      const client = slow(world.client(GET + GET));
      const target = world.target();
      world.hear(target);
      world.say(target, ok(5));
      assert.equal(world.hear(target), "");
      client.take(20);
      client.room = 0;
      world.run();
      assert.equal(world.hear(target), "");
      client.take();
      world.run();
      assert.equal(world.hear(target), GET);
      world.say(target, ok(6));
      assert.equal(world.hear(client), ok(5) + ok(6));
    });
  });

  test("and half-closes gets all its responses, and then the end", () => {
    scenario(respond, (world) => {
      const client = slow(world.client());
      client.put(GET + GET);
      world.run();
      client.paused = false; // an engine may tell of the end of a client that is not read
      client.putEnd();
      world.run();
      assert.equal(world.counters.exchanges, 1);
      for (let turns = 0; turns < 10 && client.ending === ""; turns++) {
        client.take(client.held());
        client.room = 0;
        world.run();
      }
      assert.equal(world.counters.exchanges, 2);
      assert.equal(client.ending, "finish");
    });
  });

  test("is not left to itself after the last byte was sent: it is counted and watched until it has it", () => {
    scenario(plain, (world) => {
      const client = world.client("GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
      client.room = 0; // held, but not so much that send says false
      world.say(world.target(), ok(5_000));
      assert.equal(client.ending, "");
      assert.equal(client.ended, true);
      assert.equal(world.counters.connectionsOpen, 1);
      world.advance(testTimeouts.send - 1_000);
      client.take(1);
      client.room = 0;
      world.advance(testTimeouts.send - 1_000);
      assert.equal(client.ending, "");
      world.advance(2_000);
      assert.equal(client.ending, "reset");
      assert.equal(world.counters.connectionsOpen, 0);
      assert.equal(world.counters.limits["client.send.timeout"], 1);
    });
  });

  test("that takes the rest in time is closed then", () => {
    scenario(plain, (world) => {
      const client = world.client("GET / HTTP/1.0\r\nHost: h\r\n\r\n");
      client.room = 0;
      world.say(world.target(), ok(5_000));
      world.advance(10_000);
      client.take();
      client.putEnd();
      world.run();
      assert.ok(world.hear(client).endsWith("x".repeat(5_000)));
      assert.notEqual(client.ending, "");
    });
  });

  test("keeps what is held for it when its idle time is over, or the worker drains", () => {
    for (const drains of [true, false]) {
      scenario(plain, (world) => {
        const client = world.client(GET);
        client.room = 0;
        world.say(world.target(), ok(5_000));
        assert.equal(client.ending, "");
        if (drains) world.dataPlane.drain(600_000, () => {});
        for (let spent = 0; spent < testTimeouts.keepAlive + 5_000; spent += 5_000) {
          world.advance(5_000);
          client.take(10);
          client.room = 0;
          assert.equal(client.ending, "");
        }
        assert.equal(client.ended, true);
        client.take();
        world.advance(6_000);
        assert.equal(world.hear(client), ok(5_000));
        assert.equal(client.ending, "kill");
      });
    }
  });

  test("may take its time for an answer it waits for: nothing held is no send timeout", () => {
    const patient = { ...testTimeouts, firstByte: 600_000 };
    scenario({ ...plain, routes: [route({ timeouts: patient })] }, (world) => {
      const client = slow(world.client(GET + GET));
      const target = world.target();
      world.say(target, ok(5));
      client.take();
      world.run();
      world.advance(testTimeouts.send * 3);
      assert.equal(client.ending, "");
      world.say(target, ok(6));
      assert.equal(world.hear(client), ok(5) + ok(6));
    });
  });
});

describe("a client that sends ahead", () => {
  test("is read until enough waits, and no further, exchange after exchange", () => {
    scenario(plain, (world) => {
      const client = world.client();
      const requests = 9_000;
      for (let part = 0; part < 12; part++) client.put(GET.repeat(requests / 12));
      world.run();
      const target = world.target();
      for (let answered = 0; answered < 2_000; answered++) {
        target.put(ok(1));
        world.run();
        const unread = client.incoming.reduce((sum, part) => sum + (Buffer.isBuffer(part) ? part.length : 0), 0);
        const waits = (requests - answered - 1) * GET.length - unread;
        assert.ok(waits <= PIPELINED_BYTES_MAX + READ.size + GET.length, `${waits} bytes wait`);
      }
      assert.equal(world.counters.exchanges, 2_000);
      assert.equal(world.hear(client), ok(1).repeat(2_000));
    });
  });

  test("byte by byte is answered all the same", () => {
    scenario(plain, (world) => {
      const client = world.client();
      client.readMax = 1;
      const post = "POST /p HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n";
      client.put(GET + post + GET);
      world.run();
      const target = world.target();
      for (let answered = 0; answered < 3; answered++) world.say(target, ok(answered));
      assert.equal(world.hear(client), ok(0) + ok(1) + ok(2));
    });
  });
});

describe("a target that reads slowly", () => {
  test("stops its client from being read, and starts it again", () => {
    scenario(plain, (world) => {
      const client = world.client("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 300\r\n\r\n");
      client.readMax = 100;
      const target = slow(world.target());
      client.put("x".repeat(300));
      world.run();
      assert.equal(client.paused, true);
      assert.equal(target.held(), 100);
      target.take(100);
      target.room = 0;
      world.run();
      assert.equal(target.held(), 100);
      target.take();
      world.run();
      assert.ok(world.hear(target).endsWith("x".repeat(300)));
      assert.equal(client.paused, false);
      world.say(target, ok(1));
      assert.equal(world.hear(client), ok(1));
    });
  });

  test("and answers before it has read all is not used again", () => {
    scenario(plain, (world) => {
      const client = world.client("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 300\r\n\r\n");
      const target = world.target();
      target.room = 0;
      client.put("x".repeat(300));
      world.run();
      world.say(target, ok(1));
      assert.equal(world.hear(client), ok(1));
      assert.equal(target.ending, "kill");
    });
  });
});

describe("lingering", () => {
  const garbage = "GET / HTTP/1.1\nHost: h\r\n\r\n";

  test("drops what still comes and closes when the client does", () => {
    scenario(plain, (world) => {
      const client = world.client(garbage);
      assert.equal(client.ended, true);
      world.say(client, GET);
      assert.equal(world.counters.exchanges, 1);
      client.putEnd();
      world.run();
      assert.equal(client.ending, "kill");
    });
  });

  test("ends after its time, and after so many bytes", () => {
    scenario(plain, (world) => {
      const client = world.client(garbage);
      world.advance(4_900);
      assert.equal(client.ending, "");
      world.advance(200);
      assert.equal(client.ending, "kill");
      const sender = world.client(garbage);
      for (let reads = 0; reads < 17 && sender.ending === ""; reads++) world.say(sender, "x".repeat(64 * 1024));
      assert.equal(sender.ending, "kill");
    });
  });

  test("of a client that takes nothing ends as well", () => {
    scenario(plain, (world) => {
      const client = world.client();
      client.room = 0;
      world.say(client, garbage);
      world.advance(testTimeouts.send + 5_300);
      assert.equal(client.ending, "reset");
    });
  });
});
