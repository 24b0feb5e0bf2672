import assert from "node:assert/strict";
import { test } from "node:test";
import { routerOf } from "../../ha/test-network.ts";
import { haNone, type Service } from "../../model/ha.ts";
import type { TrackStanding } from "../../state/vrrp-protocol.ts";
import { handoverGrace, RoleServices } from "./role-services.ts";
import { testTime } from "./test-time.ts";

const service: Service = {
  name: "pump",
  command: ["/bin/pump"],
  follow: { kind: "virtualRouter", name: "VI_1" },
  user: undefined,
  directory: undefined,
  environment: [],
  stopTimeout: 1000,
  restartDelay: 1000,
  restartDelayMax: 1000,
};

function world(follow: Service["follow"] = service.follow) {
  const time = testTime();
  const said: string[] = [];
  const ends: (() => void)[] = [];
  const roles = new RoleServices({
    alarm: time.alarm,
    createServices: () => ({
      apply: () => {},
      follow: ({ kind, name, active }) => {
        said.push(`${kind} ${name} ${active ? "here" : "away"}`);
        return undefined;
      },
      release: ({ kind, name }) => {
        said.push(`${kind} ${name} released`);
        return new Promise((resolve) => ends.push(() => resolve("ended")));
      },
      status: () => [],
      stop: () => Promise.resolve(),
    }),
    passOn: (name: string, standing: TrackStanding) => said.push(`${name} ${standing}`),
  });
  const tracks = [
    { name: "chk", weight: 0, reverse: false },
    { name: "load", weight: -20, reverse: false },
  ];
  const syncGroup = follow.kind === "syncGroup" ? follow.name : undefined;
  const virtualRouters = [routerOf({ tracks, syncGroup }), routerOf({ name: "VI_2", syncGroup })];
  const syncGroups = syncGroup === undefined ? [] : [{ name: syncGroup, members: ["VI_1", "VI_2"] }];
  roles.apply({ ...haNone, virtualRouters, syncGroups, services: [{ ...service, follow }] });
  const settled = async () => {
    for (const end of ends.splice(0)) end();
    await new Promise((resolve) => setImmediate(resolve));
  };
  return { roles, time, settled, take: () => said.splice(0) };
}

const change = (to: "active" | "backup", heardLately: boolean, router = "VI_1") => ({ router, to, heardLately });

test("where silence decided services start at once, after a live predecessor when it has had time to hear us", () => {
  const { roles, time, take } = world();
  roles.modeChanged(change("active", false));
  assert.deepEqual(take(), ["virtualRouter VI_1 here"]);
  roles.modeChanged(change("backup", true));
  assert.deepEqual(take(), ["virtualRouter VI_1 away"]);
  roles.modeChanged(change("active", true));
  time.pass(handoverGrace - 1);
  assert.deepEqual(take(), []);
  time.pass(1);
  assert.deepEqual(take(), ["virtualRouter VI_1 here"]);
});

test("a role that goes within the grace starts nothing", () => {
  const { roles, time, take } = world();
  roles.modeChanged(change("active", true));
  roles.modeChanged(change("backup", true));
  time.pass(1_000);
  assert.deepEqual(take(), ["virtualRouter VI_1 away"]);
});

test("a group waits for the grace of its last member", () => {
  const { roles, time, take } = world({ kind: "syncGroup", name: "G" });
  roles.modeChanged(change("active", false));
  roles.modeChanged(change("active", true, "VI_2"));
  assert.ok(!take().includes("syncGroup G here"));
  time.pass(handoverGrace);
  assert.ok(take().includes("syncGroup G here"));
});

test("a track that costs the role is passed on when the services have ended, any other at once", async () => {
  const { roles, settled, take } = world();
  roles.track("chk", "down");
  assert.deepEqual(take(), ["chk down"], "nothing runs here");
  roles.track("chk", "up");
  roles.modeChanged(change("active", false));
  take();
  roles.track("load", "down");
  assert.deepEqual(take(), ["load down"]);
  roles.track("chk", "down");
  assert.deepEqual(take(), ["virtualRouter VI_1 released"]);
  await settled();
  assert.deepEqual(take(), ["chk down"]);
});

test("a track that is up again when they have ended costs nothing, and they are started anew", async () => {
  const { roles, settled, take } = world();
  roles.modeChanged(change("active", false));
  roles.track("chk", "down");
  roles.track("chk", "up");
  take();
  await settled();
  assert.deepEqual(take(), ["chk up", "virtualRouter VI_1 here"]);
});
