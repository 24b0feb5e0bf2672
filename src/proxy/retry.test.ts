// When a request goes to another target, when it must not, and what is remembered of a target that failed.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { poolAction, route, scenario, target, testRetry, testTimeouts, type World } from "./test-world.ts";

const GET = "GET /a HTTP/1.1\r\nHost: h\r\n\r\n";
const POST = "POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc";
const OK = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
const plain = { listener: { forwarded: false } };
const two = { ...plain, targets: [target(1), target(2)] };
const three = { ...plain, targets: [target(1), target(2), target(3)] };

function hosts(world: World): string[] {
  return world.engine.connects.map((wire) => wire.remoteAddress);
}

describe("a connect that fails", () => {
  test("is no failure of the request, whatever its method: the next target gets all of it", () => {
    for (const request of [GET, POST]) {
      scenario(two, (world) => {
        const client = world.client(request);
        world.refuse();
        assert.deepEqual(hosts(world), ["10.0.0.1", "10.0.0.2"]);
        const second = world.target();
        assert.equal(world.hear(second), request);
        world.say(second, OK);
        assert.equal(world.hear(client), OK);
        assert.equal(world.records[0]?.tries, 2);
        assert.equal(world.records[0]?.targetAddress, "10.0.0.2:8080");
        assert.deepEqual(world.reports, ["app 10.0.0.1:8080 target.connect.refused"]);
        assert.equal(world.status("10.0.0.2:8080").counters.retries, 1);
      });
    }
  });

  test("is answered by its kind when no target is left", () => {
    for (const [errorCode, status, code] of [
      ["ECONNREFUSED", 502, "target.connect.refused"],
      ["EHOSTUNREACH", 502, "target.connect.failed"],
      ["ETIMEDOUT", 504, "target.connect.timeout"],
    ] as const) {
      scenario(plain, (world) => {
        const client = world.client(GET);
        world.refuse(errorCode);
        const heard = world.hear(client);
        assert.ok(heard.startsWith(`HTTP/1.1 ${status} `) && heard.includes(code), heard);
        assert.equal(client.ending, "");
      });
    }
  });

  test("with a body that is still coming: what has come is sent again, the rest follows", () => {
    scenario(two, (world) => {
      const client = world.client("PUT /a HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n");
      world.refuse();
      const second = world.target();
      client.put("2\r\nde\r\n0\r\n\r\n");
      world.run();
      assert.ok(world.hear(second).endsWith("\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"));
      world.say(second, OK);
      assert.equal(world.hear(client), OK);
    });
  });

  test("by time goes to the next target", () => {
    scenario(two, (world) => {
      const client = world.client(POST);
      const [first] = world.engine.connects;
      world.advance(testTimeouts.connect + 100);
      assert.equal(first?.ending, "kill");
      const second = world.target();
      world.say(second, OK);
      assert.equal(world.hear(client), OK);
    });
  });
});

describe("a target that closes instead of answering", () => {
  test("has an idempotent request taken over by the next", () => {
    scenario(two, (world) => {
      const client = world.client(GET);
      world.target().putEnd();
      world.run();
      const second = world.target();
      assert.equal(world.hear(second), GET);
      world.say(second, OK);
      assert.equal(world.hear(client), OK);
      assert.deepEqual(world.reports, ["app 10.0.0.1:8080 target.closed"]);
    });
  });

  test("never has a POST repeated: a byte of it may have been acted on", () => {
    for (const breaks of ["end", "reset", "garbage", "late"] as const) {
      scenario(two, (world) => {
        const client = world.client(POST);
        const first = world.target();
        if (breaks === "end") first.putEnd();
        else if (breaks === "reset") first.putClose("ECONNRESET");
        else if (breaks === "garbage") first.put("what?\r\n\r\n");
        else world.advance(testTimeouts.firstByte + 100);
        world.run();
        assert.equal(world.opened, 1, breaks);
        assert.match(world.hear(client), breaks === "late" ? /^HTTP\/1\.1 504 / : /^HTTP\/1\.1 502 /);
      });
    }
  });

  test("has no request repeated whose body went past us", () => {
    scenario(two, (world) => {
      const client = world.client("PUT /a HTTP/1.1\r\nHost: h\r\nContent-Length: 6\r\n\r\nabc");
      const first = world.target();
      client.put("def");
      world.run();
      first.putClose("ECONNRESET");
      world.run();
      assert.equal(world.opened, 1);
      assert.match(world.hear(client), /^HTTP\/1\.1 502 /);
    });
  });

  test("after the head of a partial response has a GET repeated, none of whose response was sent", () => {
    scenario(two, (world) => {
      const client = world.client(GET);
      const first = world.target();
      world.say(first, "HTTP/1.1 200 OK\r\nContent-Le");
      first.putClose("ECONNRESET");
      world.run();
      world.say(world.target(), OK);
      assert.equal(world.hear(client), OK);
    });
  });

  test("within its response has nothing repeated: the client is cut off", () => {
    scenario(two, (world) => {
      const client = world.client(GET);
      const first = world.target();
      world.say(first, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nab");
      first.putClose("ECONNRESET");
      world.run();
      assert.equal(world.opened, 1);
      assert.equal(client.ending, "reset");
    });
  });
});

describe("an idle connection that had been closed", () => {
  function withIdle(world: World): ReturnType<World["client"]> {
    const client = world.client(GET);
    world.say(world.target(), OK);
    world.hear(client);
    return client;
  }

  test("costs a GET no try and the target no failure: a new connection to the same target", () => {
    scenario(two, (world) => {
      const client = withIdle(world);
      // Round robin: the other target, then the first again.
      world.say(client, GET);
      world.say(world.target(), OK);
      world.hear(client);
      client.put(GET);
      world.run();
      const stale = world.target(0);
      assert.equal(world.hear(stale), GET);
      stale.putClose("ECONNRESET");
      world.run();
      assert.deepEqual(hosts(world), ["10.0.0.1", "10.0.0.2", "10.0.0.1"]);
      const fresh = world.target();
      assert.equal(world.hear(fresh), GET);
      world.say(fresh, OK);
      assert.equal(world.hear(client), OK);
      assert.deepEqual(world.reports, []);
      assert.equal(world.records.at(-1)?.tries, 1);
      assert.equal(world.status().counters.exchanges, 2);
    });
  });

  test("fails a POST: the target may have read it, and that counts against the target", () => {
    scenario(plain, (world) => {
      const client = withIdle(world);
      client.put(POST);
      world.run();
      world.target(0).putEnd();
      world.run();
      assert.equal(world.opened, 1);
      assert.match(world.hear(client), /^HTTP\/1\.1 502 .*target\.closed/s);
      assert.equal(world.status().counters.failures, 1);
    });
  });

  test("is forgotten when it closes in time", () => {
    scenario(plain, (world) => {
      const client = withIdle(world);
      world.target(0).putEnd();
      world.run();
      assert.equal(world.target(0).ending, "kill");
      client.put(POST);
      world.run();
      assert.equal(world.opened, 2);
      world.say(world.target(), OK);
      assert.equal(world.hear(client), OK);
    });
  });

  test("that answers and then breaks is a failure as any other", () => {
    scenario(plain, (world) => {
      const client = withIdle(world);
      client.put(GET);
      world.run();
      const wire = world.target(0);
      wire.put("HTTP/1.1 200");
      wire.putClose("ECONNRESET");
      world.run();
      assert.match(world.hear(client), /^HTTP\/1\.1 502 /);
      assert.equal(world.reports.length, 1);
    });
  });
});

describe("limits of tries", () => {
  test("by number", () => {
    const action = poolAction({ retry: { ...testRetry, triesMax: 2 } });
    scenario({ ...three, routes: [route({ action })] }, (world) => {
      const client = world.client(GET);
      world.refuse();
      world.refuse();
      assert.equal(world.opened, 2);
      assert.match(world.hear(client), /^HTTP\/1\.1 502 /);
    });
  });

  test("by time", () => {
    const action = poolAction({ retry: { ...testRetry, timeMax: 1_500 } });
    scenario({ ...three, routes: [route({ action })] }, (world) => {
      const client = world.client(GET);
      world.advance(1_000);
      world.refuse();
      assert.equal(world.opened, 2);
      world.advance(600);
      world.refuse();
      assert.equal(world.opened, 2);
      assert.match(world.hear(client), /^HTTP\/1\.1 502 /);
    });
  });

  test("no target is tried twice", () => {
    scenario(two, (world) => {
      const client = world.client(GET);
      world.refuse();
      world.refuse();
      assert.equal(world.opened, 2);
      assert.match(world.hear(client), /^HTTP\/1\.1 502 /);
    });
  });
});

describe("statuses that count as failures", () => {
  const action = poolAction({ retry: { ...testRetry, statuses: [503] } });
  const options = { ...two, routes: [route({ action })] };
  const UNAVAILABLE = "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 4\r\n\r\nbusy";

  test("of an idempotent request go to the next target, and the client sees none of it", () => {
    scenario(options, (world) => {
      const client = world.client(GET);
      world.say(world.target(), UNAVAILABLE);
      world.say(world.target(), OK);
      assert.equal(world.hear(client), OK);
      assert.deepEqual(world.reports, ["app 10.0.0.1:8080 target.status"]);
    });
  });

  test("of a POST, and of the last target, are the response", () => {
    scenario(options, (world) => {
      const client = world.client(POST);
      world.say(world.target(), UNAVAILABLE);
      assert.equal(world.hear(client), UNAVAILABLE);
    });
    scenario(options, (world) => {
      const client = world.client(GET);
      world.say(world.target(), UNAVAILABLE);
      world.say(world.target(), UNAVAILABLE);
      assert.equal(world.hear(client), UNAVAILABLE);
      assert.equal(world.opened, 2);
    });
  });
});

describe("passive health", () => {
  test("a target that failed maxFails times gets nothing until failTimeout has passed, then one exchange decides", () => {
    scenario({ ...plain, targets: [target(1, { maxFails: 2 }), target(2, { maxFails: 0 })] }, (world) => {
      for (let failures = 0; failures < 2; failures++) {
        const client = world.client(GET);
        while (hosts(world).at(-1) !== "10.0.0.1") {
          world.say(world.target(), OK);
          world.say(client, GET);
        }
        world.refuse();
        world.say(world.target(), OK);
        client.putClose("");
        world.run();
      }
      assert.equal(world.status().health, "unhealthy");
      const before = world.status().counters.exchanges;
      const client = world.client();
      for (let asked = 0; asked < 5; asked++) {
        world.say(client, GET);
        world.say(world.target(), OK);
      }
      assert.equal(world.status().counters.exchanges, before);
      world.advance(10_000);
      // On trial: one exchange at a time.
      const asking = [world.client(GET), world.client(GET), world.client(GET)];
      assert.equal(world.status().counters.exchanges, before + 1);
      assert.equal(asking.length, 3);
      for (const wire of world.engine.connects) {
        if (wire.ending === "" && wire.remoteAddress === "10.0.0.1")
          world.say(world.target(world.engine.connects.indexOf(wire)), OK);
      }
      assert.equal(world.status().health, "healthy");
    });
  });

  test("a client that leaves during the trial leaves it to the next", () => {
    scenario(two, (world) => {
      const first = world.client(GET);
      world.refuse();
      world.say(world.target(), OK);
      first.putClose("");
      world.advance(10_000);
      for (let clients = 0; clients < 4 && world.status().active === 0; clients++) world.client(GET);
      assert.equal(world.status().active, 1);
      const { exchanges } = world.status().counters;
      for (const wire of world.clients) wire.putClose("ECONNRESET");
      world.run();
      assert.equal(world.status().active, 0);
      for (let clients = 0; clients < 2; clients++) world.client(GET);
      assert.equal(world.status().counters.exchanges, exchanges + 1);
    });
  });

  test("all out gives 503 at once, with the reason", () => {
    scenario(two, (world) => {
      const client = world.client(GET);
      world.refuse();
      world.refuse();
      world.hear(client);
      assert.match(world.say(client, GET), /^HTTP\/1\.1 503 .*pool\.allOut/s);
      assert.equal(world.opened, 2);
    });
  });

  test("the only target of a pool is never taken out", () => {
    scenario(plain, (world) => {
      const client = world.client(GET);
      world.refuse();
      world.say(client, GET);
      assert.equal(world.opened, 2);
      world.refuse();
    });
  });

  test("another worker's report counts as our own", () => {
    scenario(two, (world) => {
      world.dataPlane.report("app", "10.0.0.1:8080");
      world.dataPlane.report("app", "10.9.9.9:1");
      world.dataPlane.report("none", "10.0.0.1:8080");
      world.client(GET);
      world.client(GET);
      assert.deepEqual(hosts(world), ["10.0.0.2", "10.0.0.2"]);
    });
  });
});

describe("who may take work", () => {
  test("a full target is passed over, and when all are full the answer is 503 at once", () => {
    scenario({ ...plain, targets: [target(1, { connectionsMax: 1 }), target(2, { connectionsMax: 2 })] }, (world) => {
      for (let clients = 0; clients < 3; clients++) world.client(GET);
      assert.equal(world.opened, 3);
      assert.match(world.hear(world.client(GET)), /^HTTP\/1\.1 503 .*pool\.allFull/s);
      world.say(world.target(0), OK);
      world.client(GET);
      assert.equal(world.status().active + world.status("10.0.0.2:8080").active, 3);
    });
  });

  test("a backup takes work only while no other does", () => {
    scenario({ ...plain, targets: [target(1), target(2, { backup: true })] }, (world) => {
      world.client(GET);
      assert.deepEqual(hosts(world), ["10.0.0.1"]);
      world.refuse();
      assert.deepEqual(hosts(world), ["10.0.0.1", "10.0.0.2"]);
    });
  });

  test("a pool without targets, of weight 0 or drained answers 503 with its reason", () => {
    for (const [targets, code] of [
      [[], "pool.empty"],
      [[target(1, { weight: 0 })], "pool.allOut"],
      [[target(1, { intent: "drain" })], "pool.allOut"],
    ] as const) {
      scenario({ ...plain, targets }, (world) => {
        const heard = world.hear(world.client(GET));
        assert.ok(heard.startsWith("HTTP/1.1 503 ") && heard.includes(code), heard);
      });
    }
  });
});
