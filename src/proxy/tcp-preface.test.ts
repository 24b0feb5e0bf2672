// What a connection begins with: PROXY headers in and out, and ClientHellos, each cut at every byte; who is sent where by
// them, and what becomes of a client that gets them wrong.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { HostMatch, ProxyProtocol, TcpRoute } from "../model/listener.ts";
import { JOIN_BYTES } from "./layout.ts";
import { testHello } from "./test-hello.ts";
import { scenario, target, testTcpListener, type World, type WorldOptions } from "./test-world.ts";

const { timeouts } = testTcpListener;
const V1 = "PROXY TCP4 203.0.113.9 192.0.2.80 5000 443\r\n";
const V2 = Buffer.from("0d0a0d0a000d0a515549540a2111000ccb007109c000025013880 1bb".replace(" ", ""), "hex");
const LOCAL = Buffer.from("0d0a0d0a000d0a515549540a20000000", "hex");

function proxied(changes: Partial<ProxyProtocol>, more: WorldOptions = {}): WorldOptions {
  const proxyProtocol = { ...testTcpListener.proxyProtocol, ...changes };
  return { ...more, tcp: { ...more.tcp, proxyProtocol } };
}

/** One target a pool would be nearer to life; the routes' names tell as well which one was taken. */
function routes(...hosts: readonly string[]): TcpRoute[] {
  return hosts.map((host) => ({ name: host, host: hostMatch(host), pool: "app" }));
}

function hostMatch(host: string): HostMatch {
  if (host === "any") return { kind: "any" };
  return host.startsWith(".") ? { kind: "suffix", suffix: host } : { kind: "exact", name: host };
}

const bySni = { tcp: { routes: routes("a.test", ".b.test", "b.test") } };
const withDefault = { tcp: { routes: routes("a.test", "any") } };

/** The route that a client took which said this, or how it was refused. */
function taken(world: World, bytes: string | Uint8Array): string {
  const client = world.client(bytes);
  if (client.ending === "" && !client.ended) world.target();
  client.putClose("ECONNRESET");
  world.run();
  const line = world.tunnels.at(-1);
  assert.ok(line !== undefined);
  return line.tries === 0 ? line.errorCode : line.route;
}

describe("a PROXY header", () => {
  test("names the client, in either version, and the target never sees it", () => {
    for (const header of [Buffer.from(V1), V2]) {
      scenario(proxied({ receive: true }), (world) => {
        const client = world.client(Buffer.concat([header, Buffer.from("hello")]));
        const far = world.target();
        assert.equal(world.hear(far), "hello");
        client.putClose("ECONNRESET");
        world.run();
        const [line] = world.tunnels;
        assert.deepEqual([line?.clientAddress, line?.clientPort], ["203.0.113.9", 5000]);
        assert.deepEqual([line?.peerAddress, line?.peerPort], ["198.51.100.7", 40_000]);
        assert.equal(line?.bytesToTarget, 5);
      });
    }
  });

  test("is understood cut at every byte, alone and before a ClientHello", () => {
    for (const header of [Buffer.from(V1), V2, LOCAL]) {
      const hello = testHello("a.test");
      const all = Buffer.concat([header, hello, Buffer.from("more")]);
      for (let cut = 1; cut < all.length; cut++) {
        scenario(proxied({ receive: true }, bySni), (world) => {
          const client = world.client(all.subarray(0, cut));
          client.put(all.subarray(cut));
          world.run();
          const far = world.target();
          assert.ok(Buffer.concat(far.taken).equals(all.subarray(header.length)), `cut after ${cut} bytes`);
        });
      }
    }
  });

  test("that comes byte by byte is understood, and nothing is sent before it is whole", () => {
    scenario(proxied({ receive: true }, bySni), (world) => {
      const client = world.client();
      client.readMax = 1;
      const hello = testHello("x.b.test", 10);
      client.put(Buffer.concat([V2, hello.subarray(0, -1)]));
      world.run();
      assert.equal(world.opened, 0);
      client.put(hello.subarray(-1));
      world.run();
      assert.ok(Buffer.concat(world.target().taken).equals(hello));
    });
  });

  test("is what the hash of the client goes by", () => {
    const targets = [target(1), target(2), target(3), target(4)];
    const pool = { balance: { policy: "consistentHash", key: { kind: "clientAddress" } } } as const;
    scenario(proxied({ receive: true }, { targets, pool }), (world) => {
      const seen = new Set<string>();
      for (let number = 1; number <= 30; number++) {
        const header = `PROXY TCP4 203.0.113.${number} 192.0.2.80 5000 443\r\n`;
        const used = ["198.51.100.1", "198.51.100.2"].map((peer) => {
          world.client(header, peer);
          return world.target().remoteAddress;
        });
        assert.equal(new Set(used).size, 1);
        seen.add(used[0] ?? "");
      }
      assert.equal(seen.size, 4);
    });
  });

  test("that proxies nobody leaves the connection's own addresses", () => {
    for (const header of [LOCAL, Buffer.from("PROXY UNKNOWN\r\n")]) {
      scenario(proxied({ receive: true, send: "v1" }), (world) => {
        world.client(header);
        assert.equal(world.hear(world.target()), "PROXY TCP4 198.51.100.7 192.0.2.1 40000 80\r\n");
      });
    }
  });

  test("that is wrong or missing is a reset with its code, and no target hears of it", () => {
    for (const [bytes, code] of [
      ["GET / HTTP/1.1\r\n", "proxyProtocol.header.missing"],
      ["PROXY TCP5 ", "proxyProtocol.v1.protocol"],
      [Buffer.concat([V2.subarray(0, 12), Buffer.from([0x31])]), "proxyProtocol.v2.version"],
    ] as const) {
      scenario(proxied({ receive: true }), (world) => {
        const client = world.client(bytes);
        assert.equal(client.ending, "reset");
        assert.equal(world.opened, 0);
        assert.deepEqual([world.tunnels[0]?.errorCode, world.tunnels[0]?.status], [code, 400]);
        assert.equal(world.counters.limits[code], 1);
      });
    }
  });

  test("is read of trusted proxies alone; others' connections are taken as they come", () => {
    scenario(proxied({ receive: true, trustedProxies: ["10.1.0.0/16", "2001:db8::/32"] }), (world) => {
      world.client(V1, "198.51.100.7");
      assert.equal(world.hear(world.target()), V1, "to the target it is the client's own, and forges nothing of ours");
      world.client(`${V1}x`, "::ffff:10.1.2.3");
      assert.equal(world.hear(world.target()), "x");
      assert.equal(world.client("x", "2001:db8::1").ending, "reset");
    });
  });

  test("that does not come in time is a reset, with or without a part of it", () => {
    for (const bytes of ["", V1.slice(0, 20)]) {
      scenario(proxied({ receive: true }), (world) => {
        const client = world.client(bytes);
        world.advance(timeouts.clientHeader - 200);
        assert.equal(client.ending, "");
        world.advance(300);
        assert.equal(client.ending, "reset");
        assert.equal(world.tunnels[0]?.errorCode, "client.header.timeout");
      });
    }
  });

  test("that ends before its end is a reset; a connection that says nothing is not worth a line", () => {
    scenario(proxied({ receive: true }), (world) => {
      const client = world.client(V1.slice(0, 20));
      client.putEnd();
      world.run();
      assert.equal(client.ending, "reset");
      assert.equal(world.tunnels[0]?.errorCode, "client.header.truncated");
      const probe = world.client();
      probe.putEnd();
      world.run();
      assert.equal(probe.ending, "kill");
      const broken = world.client();
      broken.putClose("ECONNRESET");
      world.run();
      assert.equal(world.tunnels.length, 1);
      assert.equal(world.counters.connectionsAccepted, 3);
    });
  });
});

describe("a PROXY header to the target", () => {
  test("comes first, in one write with what the client has sent, and is not counted as the client's", () => {
    scenario(proxied({ send: "v1" }), (world) => {
      const client = world.client("hello");
      const far = world.target();
      const header = "PROXY TCP4 198.51.100.7 192.0.2.1 40000 80\r\n";
      assert.equal(far.sends, 1);
      assert.equal(world.hear(far), `${header}hello`);
      assert.equal(world.status().counters.bytesToTarget, header.length + 5);
      client.putClose("ECONNRESET");
      world.run();
      assert.equal(world.tunnels[0]?.bytesToTarget, 5);
    });
  });

  test("comes at once, before the client has said anything", () => {
    scenario(proxied({ send: "v2" }), (world) => {
      world.client();
      const far = world.target();
      assert.equal(
        Buffer.concat(far.taken).toString("hex"),
        "0d0a0d0a000d0a515549540a2111000cc6336407c00002019c400050",
      );
    });
  });

  test("goes to the target that takes the client, once", () => {
    scenario(proxied({ send: "v1" }, { targets: [target(1), target(2)] }), (world) => {
      world.client("x");
      world.refuse();
      assert.equal(world.hear(world.target()), "PROXY TCP4 198.51.100.7 192.0.2.1 40000 80\r\nx");
    });
  });

  test("tells on what a header to us told", () => {
    for (const [send, expected] of [
      ["v1", V1],
      ["v2", V2.toString("latin1")],
    ] as const) {
      scenario(proxied({ receive: true, send }), (world) => {
        world.client(`${V1}x`);
        assert.equal(world.hear(world.target()), `${expected}x`);
      });
    }
  });
});

describe("a ClientHello", () => {
  test("finds the route by its name: exact, below a suffix, whatever the case and with a final dot", () => {
    scenario(bySni, (world) => {
      assert.equal(taken(world, testHello("a.test")), "a.test");
      assert.equal(taken(world, testHello("A.Test.")), "a.test");
      assert.equal(taken(world, testHello("x.y.b.test")), ".b.test");
      assert.equal(taken(world, testHello("b.test")), "b.test");
      assert.equal(taken(world, testHello("xb.test")), "route.none");
    });
  });

  test("takes the first route that matches, in their order", () => {
    scenario({ tcp: { routes: routes(".test", "a.test", "any") } }, (world) => {
      assert.equal(taken(world, testHello("a.test")), ".test");
      assert.equal(taken(world, testHello("a.other")), "any");
    });
  });

  test("goes to the target byte for byte, with all that follows it, cut anywhere and into any records", () => {
    for (const recordBytes of [16_384, 17]) {
      const all = Buffer.concat([testHello("a.test", recordBytes), Buffer.from("early data")]);
      for (let cut = 1; cut < all.length; cut++) {
        scenario(bySni, (world) => {
          const client = world.client(all.subarray(0, cut));
          client.put(all.subarray(cut));
          world.run();
          assert.ok(Buffer.concat(world.target().taken).equals(all), `cut after ${cut} bytes`);
        });
      }
    }
  });

  test("stands in the log with its name", () => {
    scenario(bySni, (world) => {
      taken(world, testHello("Mail.B.test"));
      assert.equal(world.tunnels[0]?.serverName, "mail.b.test");
      assert.equal(world.tunnels[0]?.route, ".b.test");
    });
  });

  test("for a name that nobody serves is answered with the alert unrecognized_name, and with no reset that would eat it", () => {
    scenario(bySni, (world) => {
      const client = world.client(testHello("c.test"));
      assert.equal(Buffer.from(world.hear(client), "latin1").toString("hex"), "15030100020270");
      assert.equal(client.ended, true);
      assert.equal(client.ending, "");
      client.put("what was on its way");
      client.putEnd();
      world.run();
      assert.equal(client.ending, "kill");
      assert.equal(world.opened, 0);
      const [line] = world.tunnels;
      assert.deepEqual([line?.errorCode, line?.serverName, line?.route], ["route.none", "c.test", ""]);
      assert.equal(world.counters.limits["route.none"], 1);
    });
  });

  test("without a name is answered with the alert missing_extension where no route is for all", () => {
    scenario(bySni, (world) => {
      const client = world.client(testHello(undefined));
      assert.equal(Buffer.from(world.hear(client), "latin1").toString("hex"), "1503010002026d");
    });
    scenario(withDefault, (world) => assert.equal(taken(world, testHello(undefined)), "any"));
  });

  test("whose client does not go after the alert is closed in the end, and earlier when it sends on and on", () => {
    scenario(bySni, (world) => {
      const silent = world.client(testHello("c.test"));
      world.advance(5_100);
      assert.equal(silent.ending, "kill");
      const busy = world.client(testHello("c.test"));
      busy.put(Buffer.alloc(400_000));
      world.run();
      assert.equal(busy.ending, "kill");
      const broken = world.client(testHello("c.test"));
      broken.putClose("ECONNRESET");
      world.run();
      assert.equal(world.tunnels.length, 3);
    });
  });

  test("that is none: a route for all takes the client as it is, else it is reset", () => {
    scenario(withDefault, (world) => {
      const client = world.client("SSH-2.0-x\r\n");
      assert.equal(world.hear(world.target()), "SSH-2.0-x\r\n");
      assert.equal(client.ending, "");
    });
    scenario(bySni, (world) => {
      assert.equal(taken(world, "SSH-2.0-x\r\n"), "tls.record.missing");
      assert.equal(world.clients[0]?.ending, "reset");
      assert.equal(world.opened, 0);
    });
  });

  test("that is broken is reset, even where a route is for all: what the target would make of it nobody knows", () => {
    const broken = testHello("a.test");
    broken[9 + 34] = 77; // session id longer than it may be
    for (const options of [bySni, withDefault]) {
      scenario(options, (world) => assert.equal(taken(world, broken), "tls.hello.invalid"));
    }
  });

  test("that is too large, or does not come in time, is reset; what is held of it stays bounded", () => {
    scenario(bySni, (world) => {
      const large = Buffer.alloc(JOIN_BYTES, 0);
      Buffer.from("160301400001004000", "hex").copy(large);
      assert.equal(taken(world, large), "tls.hello.tooLarge");
      const slow = world.client(testHello("a.test").subarray(0, 30));
      world.advance(timeouts.clientHeader + 100);
      assert.equal(slow.ending, "reset");
      assert.equal(world.tunnels.at(-1)?.errorCode, "client.header.timeout");
    });
  });

  test("is not waited for where the first route is for all: the server may speak first", () => {
    for (const list of [routes("any"), routes("any", "a.test")]) {
      scenario({ tcp: { routes: list } }, (world) => {
        const client = world.client();
        world.say(world.target(), "220 hello");
        assert.equal(world.hear(client), "220 hello");
      });
    }
  });
});
