// A TCP client and its target: bytes both ways, ends, breaks, slow sides and deadlines, and what the books say.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { TestWire } from "./test-engine.ts";
import { scenario, target, testTcpListener, type World } from "./test-world.ts";

const plain = { tcp: {} };
const { timeouts } = testTcpListener;

function joined(world: World): { readonly client: TestWire; readonly far: TestWire } {
  const client = world.client();
  return { client, far: world.target() };
}

describe("bytes", () => {
  test("pass both ways as they are, and either side may speak first", () => {
    scenario(plain, (world) => {
      const { client, far } = joined(world);
      assert.deepEqual([far.remoteAddress, far.remotePort], ["10.0.0.1", 8080]);
      assert.equal(world.say(far, "220 hello\r\n"), "");
      assert.equal(world.hear(client), "220 hello\r\n");
      world.say(client, "\0\xff\r\n");
      assert.equal(world.hear(far), "\0\xff\r\n");
    });
  });

  test("of a client that speaks at once wait for its target and come in one write", () => {
    scenario(plain, (world) => {
      const client = world.client("GET / HTTP/1.0\r\n");
      client.put("\r\n");
      world.run();
      const far = world.target();
      assert.equal(far.sends, 1);
      assert.equal(world.hear(far), "GET / HTTP/1.0\r\n\r\n");
    });
  });

  test("of a client that sends and sends are not read on while there is no target, and none is lost", () => {
    scenario(plain, (world) => {
      const sent = Buffer.alloc(1_000_000, "0123456789");
      const client = world.client();
      client.readMax = 10_000;
      client.put(sent);
      world.run();
      assert.equal(client.paused, true);
      assert.equal(world.counters.bytesFromClients, 40_000, "four reads are more than 32 KiB");
      const far = world.target();
      assert.equal(client.paused, false);
      assert.ok(Buffer.concat(far.taken).equals(sent));
    });
  });

  test("are not read faster than the other side takes them, each way by itself", () => {
    scenario(plain, (world) => {
      const { client, far } = joined(world);
      far.room = 0;
      client.readMax = 50_000;
      client.put(Buffer.alloc(300_000, "u"));
      world.run();
      assert.equal(client.paused, true);
      assert.equal(far.held(), 100_000, "what the engine likes to hold, and one read");
      assert.equal(world.say(far, "d"), "");
      assert.equal(world.hear(client), "d", "the other way goes on");
      far.take();
      world.run();
      assert.equal(far.takenBytes, 300_000);
      client.room = 0;
      far.put(Buffer.alloc(300_000, "d"));
      world.run();
      assert.equal(far.paused, true);
      assert.ok(client.held() < 200_000);
      client.take();
      world.run();
      assert.equal(client.takenBytes, 300_001);
    });
  });

  test("are counted while they pass, on all four ways", () => {
    scenario(plain, (world) => {
      const { client, far } = joined(world);
      world.say(client, "x".repeat(1_000));
      world.say(far, "y".repeat(70_000));
      assert.equal(world.counters.bytesFromClients, 1_000);
      assert.equal(world.counters.bytesToClients, 70_000);
      const { counters, active, health } = world.status();
      assert.equal(counters.bytesToTarget, 1_000);
      assert.equal(counters.bytesFromTarget, 70_000);
      assert.deepEqual([counters.connectionsOpened, counters.exchanges, active, health], [1, 1, 1, "healthy"]);
      assert.equal(world.counters.connectionsAccepted, 1);
      assert.equal(world.counters.connectionsOpen, 1);
      assert.equal(world.tunnels.length, 0);
    });
  });
});

describe("a half-close", () => {
  test("of the client is passed on, and the answer still comes", () => {
    scenario(plain, (world) => {
      const { client, far } = joined(world);
      client.put("query");
      client.putEnd();
      world.run();
      assert.equal(world.hear(far), "query");
      assert.equal(far.ended, true);
      assert.equal(client.ended, false);
      world.say(far, "answer");
      assert.equal(world.hear(client), "answer");
      far.putEnd();
      world.run();
      assert.deepEqual([far.ending, client.ending], ["finish", "finish"]);
      const [line] = world.tunnels;
      assert.deepEqual([line?.bytesToTarget, line?.bytesToClient, line?.errorCode, line?.status], [5, 6, "", 200]);
    });
  });

  test("of the target is passed on, and the client may still send", () => {
    scenario(plain, (world) => {
      const { client, far } = joined(world);
      far.put("bye");
      far.putEnd();
      world.run();
      assert.equal(world.hear(client), "bye");
      assert.equal(client.ended, true);
      world.say(client, "more");
      assert.equal(world.hear(far), "more");
      client.putEnd();
      world.run();
      assert.deepEqual([far.ending, client.ending], ["finish", "finish"]);
    });
  });

  test("before the target is there follows what the client had sent", () => {
    scenario(plain, (world) => {
      const client = world.client("query");
      client.putEnd();
      world.run();
      const far = world.target();
      assert.equal(world.hear(far), "query");
      assert.equal(far.ended, true);
      world.say(far, "answer");
      assert.equal(world.hear(client), "answer");
    });
  });

  test("on both sides waits for whoever is slow to take the rest, and only then is the tunnel over", () => {
    scenario(plain, (world) => {
      const { client, far } = joined(world);
      client.room = 0;
      far.put("the last words");
      far.putEnd();
      client.putEnd();
      world.run();
      assert.equal(far.ending, "finish");
      assert.equal(client.ending, "");
      assert.deepEqual([world.tunnels.length, world.counters.connectionsOpen, world.status().active], [0, 1, 1]);
      client.take(5);
      world.advance(timeouts.send - 1_000);
      client.take(5);
      world.advance(timeouts.send - 1_000);
      assert.equal(client.ending, "");
      client.take();
      world.advance(100);
      assert.equal(client.ending, "finish");
      assert.equal(world.hear(client), "the last words");
      assert.deepEqual([world.tunnels.length, world.tunnels[0]?.errorCode], [1, ""]);
    });
  });

  test("on both sides ends in a reset when the slow one takes nothing more", () => {
    scenario(plain, (world) => {
      const { client, far } = joined(world);
      far.room = 0;
      client.put("the last words");
      client.putEnd();
      far.putEnd();
      world.run();
      assert.equal(client.ending, "finish");
      world.advance(timeouts.send + 200);
      assert.equal(far.ending, "reset");
      assert.equal(world.tunnels[0]?.errorCode, "target.send.timeout");
    });
  });
});

describe("a reset", () => {
  test("of the target reaches the client, which has had what had passed", () => {
    scenario(plain, (world) => {
      const { client, far } = joined(world);
      far.put("half a mess");
      far.putClose("ECONNRESET");
      world.run();
      assert.equal(world.hear(client), "half a mess");
      assert.equal(client.ending, "reset");
      const [line] = world.tunnels;
      assert.deepEqual([line?.errorCode, line?.status, line?.bytesToClient], ["target.gone", 502, 11]);
      assert.deepEqual(world.reports, [], "it had accepted, and what followed is not ours to judge");
    });
  });

  test("of the client reaches the target", () => {
    for (const ended of [false, true]) {
      scenario(plain, (world) => {
        const { client, far } = joined(world);
        client.put("half a mess");
        if (ended) client.putEnd();
        client.putClose("ECONNRESET");
        world.run();
        assert.equal(world.hear(far), "half a mess");
        assert.equal(far.ending, "reset");
        const [line] = world.tunnels;
        assert.deepEqual([line?.errorCode, line?.status, world.tunnels.length], ["client.gone", 400, 1]);
      });
    }
  });

  test("of the client while its target is connected to says nothing of the target", () => {
    scenario(plain, (world) => {
      const client = world.client("x");
      client.putClose("ECONNRESET");
      world.run();
      assert.equal(world.engine.connects[0]?.ending, "kill");
      assert.deepEqual([world.reports, world.status().counters.failures], [[], 0]);
      assert.deepEqual([world.tunnels[0]?.errorCode, world.tunnels[0]?.tries], ["client.gone", 1]);
    });
  });

  test("of a side that had closed in order is none: the other is closed in order", () => {
    for (const side of ["client", "far"] as const) {
      scenario(plain, (world) => {
        const sides = joined(world);
        sides[side].putClose("");
        world.run();
        assert.equal(sides[side === "client" ? "far" : "client"].ending, "finish");
        assert.equal(world.tunnels[0]?.errorCode, "");
      });
    }
  });
});

describe("a deadline", () => {
  test("ends a silent tunnel in order, and bytes either way put it off", () => {
    scenario(plain, (world) => {
      const { client, far } = joined(world);
      world.advance(timeouts.tunnel - 1_000);
      world.say(client, "a");
      world.advance(timeouts.tunnel - 1_000);
      world.say(far, "b");
      world.advance(timeouts.tunnel - 1_000);
      assert.deepEqual([client.ending, far.ending], ["", ""]);
      world.advance(1_100);
      assert.deepEqual([client.ending, far.ending], ["finish", "finish"]);
      assert.deepEqual([world.tunnels[0]?.errorCode, world.tunnels[0]?.status], ["tunnel.idle.timeout", 500]);
      assert.equal(world.counters.limits["tunnel.idle.timeout"], 1);
    });
  });

  test("of silence may be switched off", () => {
    scenario({ tcp: { timeouts: { ...timeouts, tunnel: 0 } } }, (world) => {
      const { client, far } = joined(world);
      world.advance(1_000_000);
      assert.deepEqual([client.ending, far.ending], ["", ""]);
    });
  });

  test("resets both when a side takes nothing of what is held, however little that is", () => {
    for (const [side, code, bytes] of [
      ["client", "client.send.timeout", 10],
      ["client", "client.send.timeout", 500_000],
      ["far", "target.send.timeout", 10],
      ["far", "target.send.timeout", 500_000],
    ] as const) {
      scenario({ tcp: { timeouts: { ...timeouts, tunnel: 0 } } }, (world) => {
        const sides = joined(world);
        const other = sides[side === "client" ? "far" : "client"];
        sides[side].room = 0;
        other.put(Buffer.alloc(bytes));
        world.run();
        world.advance(timeouts.send - 200);
        assert.equal(sides[side].ending, "");
        world.advance(400);
        assert.deepEqual([sides.client.ending, sides.far.ending], ["reset", "reset"]);
        assert.equal(world.tunnels[0]?.errorCode, code);
        assert.equal(world.counters.limits[code], 1);
      });
    }
  });

  test("is not met by a side that is slow but takes, though nothing new can come: that is no silence", () => {
    scenario({ tcp: { timeouts: { ...timeouts, tunnel: 3_000 } } }, (world) => {
      const { client, far } = joined(world);
      client.room = 0;
      far.put(Buffer.alloc(200_000));
      world.run();
      for (let taken = 0; taken < 60; taken++) {
        world.advance(1_000);
        client.take(1_000);
      }
      assert.deepEqual([client.ending, far.ending], ["", ""]);
      client.take();
      world.run();
      assert.equal(client.takenBytes, 200_000);
    });
  });

  test("is not met by an idle tunnel that has been busy", () => {
    scenario({ tcp: { timeouts: { ...timeouts, tunnel: 0 } } }, (world) => {
      const { client, far } = joined(world);
      for (let round = 0; round < 3; round++) {
        client.room = 0;
        far.put(Buffer.alloc(1_000));
        world.run();
        world.advance(timeouts.send - 1_000);
        client.take();
        world.advance(timeouts.send * 2);
        assert.equal(client.ending, "");
      }
    });
  });
});

describe("a target that cannot be connected to", () => {
  const three = { tcp: {}, targets: [target(1), target(2), target(3)] };

  test("is reported, and the next one gets what the client has sent meanwhile", () => {
    scenario(three, (world) => {
      const client = world.client("first ");
      world.refuse();
      world.say(client, "second ");
      world.refuse("EHOSTUNREACH");
      client.putEnd();
      world.run();
      const far = world.target();
      assert.equal(far.remoteAddress, "10.0.0.3");
      assert.equal(world.hear(far), "first second ");
      assert.equal(far.ended, true);
      assert.deepEqual(world.reports, [
        "app 10.0.0.1:8080 target.connect.refused",
        "app 10.0.0.2:8080 target.connect.failed",
      ]);
      assert.equal(world.status("10.0.0.1:8080").health, "unhealthy");
      assert.equal(world.status("10.0.0.3:8080").counters.retries, 1);
      far.putEnd();
      world.run();
      assert.deepEqual([world.tunnels[0]?.tries, world.tunnels[0]?.errorCode], [3, ""]);
      assert.equal(world.tunnels[0]?.targetAddress, "10.0.0.3:8080");
    });
  });

  test("in time is given up, and its late answer is nobody's", () => {
    scenario(three, (world) => {
      world.client("x");
      const [first] = world.engine.connects;
      world.advance(timeouts.connect - 100);
      assert.equal(world.opened, 1);
      world.advance(200);
      assert.equal(first?.ending, "kill");
      assert.deepEqual(world.reports, ["app 10.0.0.1:8080 target.connect.timeout"]);
      assert.equal(world.hear(world.target(1)), "x");
    });
  });

  test("is tried no more than so often, then the client is reset with the last reason", () => {
    const retry = { triesMax: 2, timeMax: 0 };
    scenario({ ...three, tcp: { retry } }, (world) => {
      const client = world.client();
      world.refuse();
      world.refuse();
      assert.equal(client.ending, "reset");
      assert.equal(world.opened, 2);
      const [line] = world.tunnels;
      assert.deepEqual([line?.errorCode, line?.tries, line?.status], ["target.connect.refused", 2, 502]);
      assert.equal(line?.connectMs, -1);
      assert.equal(world.counters.limits["target.connect.refused"], 1);
    });
  });

  test("is not followed by another one after so much time", () => {
    const retry = { triesMax: 3, timeMax: 1_000 };
    scenario({ ...three, tcp: { retry } }, (world) => {
      const client = world.client();
      world.advance(timeouts.connect + 100);
      assert.equal(client.ending, "reset");
      assert.equal(world.opened, 1);
      assert.equal(world.tunnels[0]?.errorCode, "target.connect.timeout");
    });
  });

  test("for want of a port of ours is not to blame, but another one may do", () => {
    scenario(three, (world) => {
      world.client();
      world.refuse("EADDRNOTAVAIL");
      world.target(1);
      assert.deepEqual(world.reports, []);
      assert.equal(world.status("10.0.0.1:8080").counters.failures, 0);
      assert.equal(world.status("10.0.0.1:8080").active, 0);
    });
  });

  test("comes back by one client that tries it when its time is over", () => {
    scenario({ tcp: {}, targets: [target(1, { failTimeout: 5_000 }), target(2)] }, (world) => {
      world.client();
      world.refuse();
      assert.equal(world.target().remoteAddress, "10.0.0.2");
      for (let index = 0; index < 3; index++) {
        world.client();
        assert.equal(world.target().remoteAddress, "10.0.0.2");
      }
      world.advance(5_100);
      const first = world.opened;
      for (let index = 0; index < 5; index++) world.client();
      const tried = world.engine.connects.slice(first).map((wire) => wire.remoteAddress);
      assert.equal(tried.filter((address) => address === "10.0.0.1").length, 1, String(tried));
      for (let index = first; index < world.opened; index++) world.target(index);
      assert.equal(world.status("10.0.0.1:8080").health, "healthy");
      const again = world.opened;
      for (let index = 0; index < 6; index++) world.client();
      const shared = world.engine.connects.slice(again).map((wire) => wire.remoteAddress);
      assert.ok(shared.filter((address) => address === "10.0.0.1").length >= 2, String(shared));
    });
  });

  test("is not tried again for the same client, also where nothing takes it out", () => {
    scenario({ tcp: {}, targets: [target(1, { maxFails: 0, weight: 100 }), target(2)] }, (world) => {
      world.client("x");
      world.refuse();
      assert.equal(world.hear(world.target()), "x");
      assert.equal(world.engine.connects.at(-1)?.remoteAddress, "10.0.0.2");
      assert.equal(world.status("10.0.0.1:8080").counters.failures, 1);
    });
  });
});

describe("no target", () => {
  test("that takes work: the client is reset at once, and the log says why", () => {
    for (const [targets, code] of [
      [[], "pool.empty"],
      [[target(1, { intent: "drain" }), target(2, { weight: 0 })], "pool.allOut"],
    ] as const) {
      scenario({ tcp: {}, targets }, (world) => {
        const client = world.client("x");
        assert.equal(client.ending, "reset");
        assert.deepEqual([world.tunnels[0]?.errorCode, world.tunnels[0]?.tries], [code, 0]);
        assert.equal(world.tunnels[0]?.pool, "app");
        assert.equal(world.counters.limits[code], 1);
      });
    }
  });

  test("is left after all have failed: reset at once, without a try", () => {
    scenario({ tcp: {}, targets: [target(1), target(2)] }, (world) => {
      world.client();
      world.refuse();
      world.refuse();
      const opened = world.opened;
      const client = world.client();
      assert.equal(client.ending, "reset");
      assert.equal(world.opened, opened);
      assert.equal(world.tunnels[1]?.errorCode, "pool.allOut");
    });
  });

  test("has room: as many clients as connectionsMax says, shared among the workers, and the rest are reset", () => {
    scenario({ tcp: {}, targets: [target(1, { connectionsMax: 4 })], workerCount: 2 }, (world) => {
      const first = joined(world);
      joined(world);
      assert.equal(world.client().ending, "reset");
      assert.equal(world.tunnels[0]?.errorCode, "pool.allFull");
      first.client.putClose("ECONNRESET");
      world.run();
      assert.equal(joined(world).client.ending, "");
    });
  });
});

describe("the balancer", () => {
  function share(world: World, clients: number): number[] {
    for (let index = 0; index < clients; index++) {
      world.client();
      world.target();
    }
    return [1, 2, 3].map((number) => world.status(`10.0.0.${number}:8080`).counters.exchanges);
  }

  test("holds the weights exactly", () => {
    const targets = [target(1, { weight: 40 }), target(2, { weight: 30 }), target(3, { weight: 30 })];
    scenario({ tcp: {}, targets }, (world) => {
      assert.deepEqual(share(world, 100), [40, 30, 30]);
      assert.deepEqual(share(world, 100), [80, 60, 60]);
    });
  });

  test("of fewest connections counts tunnels that last", () => {
    const targets = [target(1), target(2), target(3)];
    scenario({ tcp: {}, targets, pool: { balance: { policy: "leastConnections" } } }, (world) => {
      assert.deepEqual(share(world, 9), [3, 3, 3]);
      for (const wire of world.engine.connects) {
        if (wire.remoteAddress === "10.0.0.2") wire.putClose("ECONNRESET");
      }
      world.run();
      assert.deepEqual(share(world, 3), [3, 6, 3]);
    });
  });

  test("by the client's address keeps a client at its target, whatever its port", () => {
    const targets = [target(1), target(2), target(3)];
    for (const balance of [
      { policy: "ipHash" },
      { policy: "consistentHash", key: { kind: "clientAddress" } },
    ] as const) {
      scenario({ tcp: {}, targets, pool: { balance } }, (world) => {
        const seen = new Set<string>();
        for (let number = 1; number <= 40; number++) {
          const address = `198.51.${number}.7`;
          const used = [0, 1, 2].map(() => {
            world.client("", address);
            return world.target().remoteAddress;
          });
          assert.equal(new Set(used).size, 1, address);
          seen.add(used[0] ?? "");
        }
        assert.equal(seen.size, 3);
      });
    }
  });
});
