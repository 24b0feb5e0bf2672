// Pools that change alone, without a snapshot: whoever holds one sees it, what is under way at a target that is wanted away or
// gone finishes and is counted to its end, and what is kept there is closed at once.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { FlowWorld } from "./test-flows.ts";
import { poolAction, route, scenario, target, type World } from "./test-world.ts";

const GET = "GET /a HTTP/1.1\r\nHost: h\r\n\r\n";
const OK = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
const UPGRADE = "GET /ws HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";
const SWITCHED = "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n";
const http = {
  listener: { forwarded: false },
  routes: [route({ action: poolAction({ upgrade: "tunnel" }) })],
};
const tcp = { tcp: {} };

/** The kinds of what is under way at a target. */
function kinds(world: World, address?: string): number[] {
  const { active, activeTunnels, activeFlows } = world.status(address);
  return [active, activeTunnels, activeFlows];
}

describe("a pool that changes alone", () => {
  test("is another one for the very next exchange, on connections that were there before", () => {
    scenario({ ...http, targets: [target(1)] }, (world) => {
      const client = world.client(GET);
      world.say(world.target(), OK);
      world.takePool({ targets: [target(2)] });
      assert.equal(world.dataPlane.generation, 2);
      world.hear(client);
      client.put(GET);
      world.run();
      assert.equal(world.target().remoteAddress, "10.0.0.2");
      world.say(world.target(), OK);
      assert.equal(world.hear(client), OK);
    });
  });

  test("is another one for the next TCP client", () => {
    scenario({ ...tcp, targets: [target(1)] }, (world) => {
      world.client();
      world.target();
      world.takePool({ targets: [target(2)] });
      world.client();
      assert.equal(world.target().remoteAddress, "10.0.0.2");
    });
  });

  test("is another one for the next flow, and for the next datagram of one whose target is gone", () => {
    const world = new FlowWorld({ targets: [target(1)] });
    world.send("one", 40_000);
    world.takePool({ targets: [target(2)] });
    world.send("two", 40_000);
    world.send("one", 40_001);
    assert.deepEqual(world.open(), ["2", "2"]);
    world.assertBooks();
  });

  test("takes targets in and out a thousand times, and the last word holds", () => {
    scenario({ ...http, targets: [target(1)] }, (world) => {
      for (let change = 0; change < 1_000; change++) world.takePool({ targets: [target(2 + (change % 100))] });
      world.client(GET);
      world.say(world.target(), OK);
      assert.equal(world.target().remoteAddress, "10.0.0.101");
      world.advance(2_000);
      assert.equal(world.context.counts.leavingTargets.size, 0, "nothing is kept of those that came and went");
    });
  });

  test("brings what the probes say of its targets, and says nothing of other pools", () => {
    scenario({ ...http, targets: [target(1), target(2)] }, (world) => {
      const out = { pool: "app", target: "10.0.0.3:8080", healthy: false, reason: "probe.timeout" };
      world.takePool({ targets: [target(1), target(3)] }, [out]);
      for (let exchange = 0; exchange < 3; exchange++) {
        world.client(GET);
        assert.equal(world.target().remoteAddress, "10.0.0.1");
        world.say(world.target(), OK);
      }
      world.takePool({ targets: [target(1), target(3)] });
      assert.equal(world.status("10.0.0.3:8080").health, "unknown");
    });
  });

  test("must be one that the worker has", () => {
    scenario(http, (world) => {
      assert.throws(() => world.takePool({ pool: { name: "other" } }), /a pool is in a snapshot before it changes/);
    });
  });

  test("tells a slow start by the weight that a target has now", () => {
    scenario({ ...http, targets: [target(1)] }, (world) => {
      world.takePool({ targets: [target(1), target(2, { slowStart: 10_000, weight: 4 })] });
      assert.equal(world.status("10.0.0.2:8080").effectiveWeight, 4 / 256);
      world.advance(5_000);
      assert.equal(world.status("10.0.0.2:8080").effectiveWeight, 2);
      world.advance(5_000);
      assert.equal(world.status("10.0.0.2:8080").effectiveWeight, 4);
    });
  });
});

describe("what is under way is counted by its kind", () => {
  test("an exchange that becomes a tunnel", () => {
    scenario(http, (world) => {
      world.client(GET);
      const client = world.client(UPGRADE);
      assert.deepEqual(kinds(world), [2, 0, 0]);
      world.say(world.target(), SWITCHED);
      assert.deepEqual(kinds(world), [2, 1, 0]);
      client.putClose("ECONNRESET");
      world.run();
      assert.deepEqual(kinds(world), [1, 0, 0]);
      world.say(world.target(0), OK);
      assert.deepEqual(kinds(world), [0, 0, 0]);
    });
  });

  test("a TCP client, from its first try on, also when that fails", () => {
    scenario({ ...tcp, targets: [target(1), target(2)] }, (world) => {
      world.client();
      assert.deepEqual(kinds(world), [1, 1, 0]);
      world.refuse();
      assert.deepEqual(
        [kinds(world), kinds(world, "10.0.0.2:8080")],
        [
          [0, 0, 0],
          [1, 1, 0],
        ],
      );
      world.target();
      assert.deepEqual(kinds(world, "10.0.0.2:8080"), [1, 1, 0]);
    });
  });

  test("a flow, wherever it goes", () => {
    const world = new FlowWorld({ targets: [target(1), target(2)] });
    for (let client = 0; client < 4; client++) world.send("one", 40_000 + client);
    world.at(0).fail();
    assert.deepEqual([world.status(1).activeFlows, world.status(2).activeFlows], [1, 3]);
    world.assertBooks();
    world.advance(200_000);
    assert.deepEqual([world.status(1).activeFlows, world.status(2).activeFlows], [0, 0]);
  });
});

describe("a target that is wanted away", () => {
  for (const intent of ["drain", "down"] as const) {
    test(`${intent}: loses its idle connections at once, and none is kept there any more`, () => {
      scenario({ ...http, targets: [target(1)] }, (world) => {
        const [idle, busy] = [world.client(GET), world.client(GET)];
        world.say(world.target(0), OK);
        assert.equal(world.status().counters.connectionsIdle, 1);
        world.takePool({ targets: [target(1, { intent })] });
        assert.equal(world.target(0).ending, "kill");
        assert.deepEqual([world.target(1).ending, kinds(world)[0]], ["", 1]);
        world.say(world.target(1), OK);
        assert.deepEqual([world.hear(busy), world.target(1).ending], [OK, "kill"]);
        assert.deepEqual([kinds(world)[0], world.status().counters.connectionsIdle], [0, 0]);
        world.hear(idle);
        assert.match(world.say(idle, GET), /^HTTP\/1\.1 503 /);
      });
    });

    test(`${intent}: its tunnels go on`, () => {
      scenario({ ...tcp, targets: [target(1)] }, (world) => {
        const client = world.client();
        const far = world.target();
        world.takePool({ targets: [target(1, { intent })] });
        world.advance(50_000);
        assert.equal(world.say(client, "on") + world.hear(far), "on");
        assert.deepEqual(kinds(world), [1, 1, 0]);
      });
    });
  }

  test("by the client's key: its clients go to others, and come back with it", () => {
    const balance = { policy: "consistentHash", key: { kind: "clientAddress" } } as const;
    const targets = [target(1), target(2), target(3)];
    const whom = (world: World): string[] =>
      Array.from({ length: 40 }, (_, number) => {
        const client = world.client(GET, `198.51.100.${number}`);
        const { remoteAddress } = world.target();
        world.say(world.target(), OK);
        client.putClose("");
        world.run();
        return remoteAddress;
      });
    const pool = { balance, idleConnectionsMax: 0 };
    scenario({ ...http, targets, pool }, (world) => {
      const before = whom(world);
      world.takePool({ targets: [target(1, { intent: "drain" }), ...targets.slice(1)], pool });
      const during = whom(world);
      for (const [index, host] of before.entries()) {
        if (host === "10.0.0.1") assert.notEqual(during[index], host);
        else assert.equal(during[index], host);
      }
      world.takePool({ targets, pool });
      assert.deepEqual(whom(world), before);
    });
  });

  test("drain: its flows go on until they fall silent, and no new one comes", () => {
    const world = new FlowWorld({ targets: [target(1), target(2)] });
    world.send("one", 40_000);
    world.takePool({ targets: [target(1, { intent: "drain" }), target(2)] });
    for (let round = 0; round < 5; round++) {
      world.advance(50_000);
      world.send("more", 40_000);
      world.send("new", 41_000 + round);
    }
    assert.deepEqual([world.status(1).activeFlows, world.at(0).got.length], [1, 6]);
    world.advance(61_000);
    assert.deepEqual([world.status(1).activeFlows, world.at(0).closed], [0, true]);
    world.assertBooks();
  });
});

describe("a target that is gone", () => {
  test("has its exchanges and tunnels to their end, and all are counted out", () => {
    scenario({ ...http, targets: [target(1)] }, (world) => {
      const [plain, upgraded] = [world.client(GET), world.client(UPGRADE)];
      world.target(0);
      world.say(world.target(1), SWITCHED);
      const { leavingTargets } = world.context.counts;
      world.takePool({ targets: [target(2)] });
      const [gone] = leavingTargets;
      assert.deepEqual([gone?.active, gone?.activeTunnels], [2, 1]);
      world.hear(upgraded);
      world.advance(5_000);
      assert.equal(world.say(upgraded, "raw") + world.hear(world.target(1)).slice(-3), "raw");
      world.say(world.target(0), OK);
      assert.deepEqual([world.hear(plain), world.target(0).ending], [OK, "kill"]);
      assert.deepEqual([gone?.active, gone?.activeTunnels], [1, 1]);
      upgraded.putClose("ECONNRESET");
      world.run();
      assert.deepEqual([gone?.active, gone?.activeTunnels], [0, 0]);
      world.advance(2_000);
      assert.equal(leavingTargets.size, 0);
    });
  });

  test("and comes back is a new one: what is left of the old one is counted there and nowhere else", () => {
    scenario({ ...tcp, targets: [target(1)] }, (world) => {
      world.client();
      const far = world.target();
      world.takePool({ targets: [] });
      assert.equal(world.client().ending, "reset");
      world.takePool({ targets: [target(1, { connectionsMax: 1 })] });
      assert.deepEqual(kinds(world), [0, 0, 0]);
      world.client();
      assert.deepEqual(kinds(world), [1, 1, 0]);
      far.putClose("ECONNRESET");
      world.run();
      assert.deepEqual(kinds(world), [1, 1, 0]);
    });
  });

  test("and fails what it still had: the next try goes to a target that came meanwhile", () => {
    scenario({ ...http, targets: [target(1)] }, (world) => {
      const client = world.client(GET);
      world.takePool({ targets: [target(2)] });
      world.refuse();
      world.say(world.target(), OK);
      assert.deepEqual([world.hear(client), world.target().remoteAddress], [OK, "10.0.0.2"]);
      assert.deepEqual(world.passive, [], "what it fails is nobody's news");
    });
  });
});
