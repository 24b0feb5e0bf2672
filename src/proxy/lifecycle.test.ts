// What outlives an exchange: snapshots, drains, idle connections, limits of connections, and the memory that exchanges
// share.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { SLOT_COUNT } from "./layout.ts";
import { route, scenario, snapshot, target, testTimeouts, World, withoutDate } from "./test-world.ts";

const GET = "GET /a HTTP/1.1\r\nHost: h\r\n\r\n";
const OK = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
const CLOSED = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
const plain = { listener: { forwarded: false } };

describe("a connection that we close ourselves", () => {
  test("lingers, since the client's next request may be on its way and a reset would eat the response", () => {
    scenario(
      {
        listener: {
          forwarded: false,
          limits: { headerBytesMax: 8192, headerCountMax: 100, connectionsMax: 100, exchangesPerConnectionMax: 1 },
        },
      },
      (world) => {
        const client = world.client(GET);
        world.say(world.target(), OK);
        assert.equal(world.hear(client), CLOSED);
        assert.ok(client.ended);
        world.say(client, GET);
        assert.equal(client.ending, "", "what still comes is dropped");
        client.putEnd();
        world.run();
        assert.notEqual(client.ending, "");
      },
    );
  });
});

describe("a drain", () => {
  test("lets what is under way finish, says so to its clients, and is done when the last has left", () => {
    scenario(plain, (world) => {
      let done = 0;
      const busy = world.client(GET);
      const idle = world.client(GET);
      const busyTarget = world.target(0);
      world.say(world.target(1), OK);
      world.hear(idle);
      world.dataPlane.drain(30_000, () => {
        done += 1;
      });
      // A request that is on its way to an idle connection is still answered.
      world.advance(500);
      idle.put(GET);
      world.run();
      world.say(world.target(1), OK);
      assert.equal(world.hear(idle), CLOSED);
      idle.putEnd();
      world.run();
      world.advance(5_000);
      assert.equal(done, 0);
      world.say(busyTarget, OK);
      assert.equal(world.hear(busy), CLOSED);
      busy.putEnd();
      world.run();
      world.advance(200);
      assert.equal(done, 1);
      world.advance(5_000);
      assert.equal(done, 1);
    });
  });

  test("closes idle clients after a grace, and all of them at its deadline", () => {
    scenario(plain, (world) => {
      let done = 0;
      const fresh = world.client();
      const busy = world.client(GET);
      const partial = world.client(GET.slice(0, 9));
      world.target();
      world.dataPlane.drain(5_000, () => {
        done += 1;
      });
      world.advance(900);
      assert.equal(fresh.ending, "");
      world.advance(200);
      assert.equal(fresh.ending, "kill");
      assert.equal(busy.ending, "");
      assert.equal(partial.ending, "");
      world.advance(3_800);
      assert.equal(busy.ending, "");
      world.advance(200);
      assert.equal(busy.ending, "kill");
      assert.equal(partial.ending, "kill");
      assert.equal(done, 1);
    });
  });

  test("cuts off at its deadline who would take half a response for a whole one", () => {
    scenario(plain, (world) => {
      const client = world.client("GET /a HTTP/1.0\r\nHost: h\r\n\r\n");
      world.say(world.target(), "HTTP/1.0 200 OK\r\n\r\nhalf");
      const reader = world.client(GET);
      reader.room = 0;
      world.say(world.target(), `HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n${"x".repeat(500)}`);
      world.dataPlane.drain(500, () => {});
      world.advance(700);
      assert.equal(client.ending, "reset");
      assert.equal(reader.ending, "reset");
    });
  });

  test("does not stop the clocks of what is under way", () => {
    scenario(plain, (world) => {
      const busy = world.client(GET);
      const slow = world.client(GET.slice(0, 9));
      world.target();
      world.dataPlane.drain(600_000, () => {});
      world.advance(testTimeouts.clientHeader + 200);
      assert.match(world.hear(slow), /^HTTP\/1\.1 408 /);
      world.advance(testTimeouts.firstByte);
      assert.match(world.hear(busy), /^HTTP\/1\.1 504 .*\r\nConnection: close\r\n/s);
      assert.equal(slow.ending, "kill");
    });
  });
});

describe("a listener that no snapshot names any more", () => {
  test("keeps its connections for what is under way, and their clocks run", () => {
    scenario(plain, (world) => {
      const busy = world.client(GET);
      const stuck = world.client(GET);
      const idle = world.client();
      const slow = world.client(GET.slice(0, 9));
      const wire = world.target(0);
      world.target(1);
      world.applySnapshot({ ...snapshot(2, plain), listeners: [] });
      world.say(wire, OK);
      assert.equal(world.hear(busy), CLOSED);
      assert.equal(idle.ending, "");
      world.advance(1_200);
      assert.equal(idle.ending, "kill");
      world.advance(testTimeouts.clientHeader);
      assert.match(world.hear(slow), /^HTTP\/1\.1 408 /);
      world.advance(testTimeouts.firstByte);
      assert.match(world.hear(stuck), /^HTTP\/1\.1 504 /);
    });
  });
});

describe("a snapshot", () => {
  test("keeps client connections, idle target connections and what is known of the targets that stay", () => {
    scenario(plain, (world) => {
      const client = world.client(GET);
      world.say(world.target(), OK);
      world.apply({
        ...plain,
        routes: [route({ path: { kind: "prefix", path: "/b" } })],
        targets: [target(1, { weight: 5 })],
      });
      world.hear(client);
      assert.match(world.say(client, GET), /^HTTP\/1\.1 404 /);
      client.put(GET.replace("/a", "/b"));
      world.run();
      assert.equal(world.opened, 1);
      world.say(world.target(), OK);
      assert.equal(world.hear(client), OK);
      assert.equal(world.status().counters.exchanges, 2);
      assert.equal(world.dataPlane.generation, 2);
    });
  });

  test("that drops a target closes its idle connections; what is under way there finishes, and is not kept", () => {
    scenario({ ...plain, targets: [target(1), target(2)] }, (world) => {
      const done = world.client(GET);
      world.say(world.target(0), OK);
      world.client(GET); // at the second target
      const busy = world.client();
      busy.put(GET);
      world.run();
      const idle = world.target(0);
      world.say(idle, OK);
      const third = world.client(GET);
      world.apply({ ...plain, targets: [target(3)] });
      assert.equal(world.hear(done), OK);
      for (const wire of world.engine.connects) {
        if (wire.remoteAddress === "10.0.0.1") assert.equal(wire.ending === "kill" || wire.owner !== undefined, true);
      }
      for (let index = 0; index < world.opened; index++) {
        const wire = world.target(index);
        if (wire.ending === "") world.say(wire, OK);
      }
      assert.equal(world.hear(third), OK);
      for (const wire of world.engine.connects) assert.equal(wire.ending, "kill");
      world.say(third, GET);
      assert.equal(world.target().remoteAddress, "10.0.0.3");
    });
  });

  test("that drops the pool of an exchange under way, and its route, lets it finish", () => {
    scenario(plain, (world) => {
      const client = world.client(GET);
      const wire = world.target();
      world.applySnapshot({ ...snapshot(2, { ...plain, routes: [] }), pools: [] });
      world.say(wire, OK);
      assert.equal(world.hear(client), OK);
      assert.equal(wire.ending, "kill");
      assert.match(world.say(client, GET), /^HTTP\/1\.1 404 /);
    });
  });

  test("changes what the next try may pick, also of an exchange that began before it, and not what the try under way does", () => {
    scenario({ ...plain, targets: [target(1)] }, (world) => {
      const client = world.client(GET);
      world.apply({ ...plain, targets: [target(1), target(2)] });
      assert.equal(world.opened, 1);
      world.refuse();
      world.say(world.target(), OK);
      assert.deepEqual([world.hear(client), world.target().remoteAddress], [OK, "10.0.0.2"]);
    });
  });
});

describe("idle connections", () => {
  test("are kept up to the pool's limit, the one used last is used first", () => {
    scenario({ ...plain, pool: { idleConnectionsMax: 2 } }, (world) => {
      const clients = [world.client(GET), world.client(GET), world.client(GET)];
      for (let index = 0; index < 3; index++) world.say(world.target(index), OK);
      assert.deepEqual(
        world.engine.connects.map((wire) => wire.ending),
        ["", "", "kill"],
      );
      for (const wire of world.engine.connects) world.hear(wire);
      clients[0]?.put(GET);
      world.run();
      assert.equal(world.hear(world.target(1)), GET);
      assert.equal(world.status().counters.connectionsIdle, 1);
    });
  });

  test("that end, break or speak are forgotten, from wherever in the list", () => {
    scenario(plain, (world) => {
      for (let clients = 0; clients < 4; clients++) world.client(GET);
      for (let index = 0; index < 4; index++) world.say(world.target(index), OK);
      world.target(1).putEnd();
      world.target(3).put("!");
      world.target(0).putClose("ECONNRESET");
      world.run();
      assert.equal(world.status().counters.connectionsIdle, 1);
      for (const wire of world.engine.connects) world.hear(wire);
      const client = world.client(GET);
      assert.equal(world.hear(world.target(2)), GET);
      world.say(world.target(2), OK);
      assert.equal(world.hear(client), OK);
    });
  });
});

describe("limits of connections", () => {
  test("a full listener says so once, and once when it has room again", () => {
    scenario({ ...plain, limits: { connectionsMax: 40 }, workerCount: 2 }, (world) => {
      const clients = Array.from({ length: 21 }, () => world.client());
      assert.deepEqual(world.full, ["web true"]);
      assert.equal(world.counters.limits["listener.connections"], 1);
      for (const client of clients.slice(0, 2)) client.putClose("");
      world.run();
      assert.deepEqual(world.full, ["web true"]);
      clients[2]?.putClose("");
      world.run();
      assert.deepEqual(world.full, ["web true", "web false"]);
    });
  });

  test("a limit that a snapshot moves holds at once", () => {
    scenario({ ...plain, limits: { connectionsMax: 4 } }, (world) => {
      for (let clients = 0; clients < 4; clients++) world.client();
      assert.deepEqual(world.full, ["web true"]);
      world.apply({ ...plain, limits: { connectionsMax: 8 } });
      assert.deepEqual(world.full, ["web true", "web false"]);
      world.apply({ ...plain, limits: { connectionsMax: 3 } });
      assert.deepEqual(world.full, ["web true", "web false", "web true"]);
      world.apply({ ...plain, limits: { connectionsMax: 3 } });
      assert.equal(world.full.length, 3, "told once");
    });
  });

  test("a full listener that gets another socket tells that it is full with the next connection", () => {
    scenario({ ...plain, limits: { connectionsMax: 2 } }, (world) => {
      for (let clients = 0; clients < 2; clients++) world.client();
      assert.deepEqual(world.full, ["web true"]);
      const accept = world.dataPlane.acceptor("web");
      assert.ok(accept !== undefined);
      world.clients.push(world.engine.accept(accept, "198.51.100.8", 1));
      assert.deepEqual(world.full, ["web true", "web true"]);
      world.clients.push(world.engine.accept(accept, "198.51.100.8", 2));
      assert.deepEqual(world.full, ["web true", "web true"]);
    });
  });

  test("a listener that is gone has no room to tell of, and does not speak for one of its name", () => {
    scenario({ ...plain, limits: { connectionsMax: 2 } }, (world) => {
      const [first] = [world.client(GET), world.client(GET)];
      assert.deepEqual(world.full, ["web true"]);
      const { listeners, ...rest } = snapshot(2, plain);
      world.applySnapshot({ ...rest, listeners: [] });
      world.applySnapshot({ ...rest, generation: 3, listeners });
      first.putClose("");
      world.run();
      assert.deepEqual(world.full, ["web true"]);
    });
  });
});

describe("slots", () => {
  test("hold a head and the first of a body up to their size, and nothing of a neighbour's", () => {
    for (const [padding, body] of [
      [3_900, 100],
      [3_900, 300],
      [3_990, 60],
      [4_000, 4_000],
      [100, 4_096],
      [5_000, 50],
    ] as const) {
      scenario(plain, (world) => {
        const head = (name: string): string =>
          `PUT /${name} HTTP/1.1\r\nHost: h\r\nX: ${name.repeat(padding)}\r\nContent-Length: ${body}\r\n\r\n`;
        const names = ["a", "b", "c"];
        const clients = names.map((name) => world.client(head(name)));
        // The bodies come while the targets are connected to, the neighbours' heads are already there.
        for (const [index, client] of clients.entries()) client.put((names[index] ?? "").repeat(body));
        world.run();
        for (const [index, name] of names.entries()) {
          const wire = world.target(index);
          assert.equal(world.hear(wire), head(name) + name.repeat(body), `${padding} and ${body}`);
          world.say(wire, OK);
        }
        for (const client of clients) assert.equal(world.hear(client), OK);
      });
    }
  });
});

describe("more exchanges than slots", () => {
  test("are served from the heap, and every slot comes back", () => {
    scenario({ ...plain, limits: { connectionsMax: 100_000 } }, (world) => {
      const count = SLOT_COUNT + 100;
      const request = (index: number): string => `PUT /${index} HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc`;
      const clients = Array.from({ length: count }, (_, index) => {
        const wire = world.engine.accept(world.dataPlane.acceptor("web")!, "198.51.100.7", index);
        world.clients.push(wire);
        wire.put(request(index));
        return wire;
      });
      world.run();
      assert.equal(world.freeSlots(), 0);
      for (const wire of world.engine.connects) wire.putConnect();
      world.run();
      const heard = new Set(world.engine.connects.map((wire) => world.hear(wire)));
      assert.deepEqual(heard, new Set(clients.map((_, index) => request(index))));
      for (const wire of world.engine.connects) wire.put(OK);
      world.run();
      for (const client of clients) assert.equal(world.hear(client), OK);
      assert.equal(world.freeSlots(), SLOT_COUNT);
    });
  });
});

test("the books are kept: what is counted is what went through", () => {
  scenario(plain, (world) => {
    const client = world.client(GET);
    world.say(world.target(), OK);
    assert.match(withoutDate(world.say(client, "GET /../ HTTP/1.1\r\nHost: h\r\n\r\n")), /400 Bad Request/);
    const { counters } = world;
    assert.equal(counters.connectionsAccepted, 1);
    assert.equal(counters.exchanges, 2);
    assert.deepEqual(counters.statusClasses, [0, 0, 1, 0, 1, 0]);
    assert.equal(counters.bytesFromClients, GET.length + "GET /../ HTTP/1.1\r\nHost: h\r\n\r\n".length);
    const status = world.status();
    assert.equal(status.counters.bytesToTarget, GET.length);
    assert.equal(status.counters.bytesFromTarget, OK.length);
    assert.equal(status.counters.connectionsOpened, 1);
    assert.equal(new World(plain).status().health, "unknown");
  });
});
