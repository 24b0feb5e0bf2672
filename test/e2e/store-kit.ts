// The stores that sources read, behind one face, so that one test asks the same of each: three real servers on the loopback
// address that can be killed, held and started again, and keys that are written by way of whichever server takes them.

import { consulMissing, startConsul } from "./consul-kit.ts";
import {
  byLeader,
  type EtcdMember,
  hasLeader,
  needsEtcd,
  put as putEtcd,
  remove as removeEtcd,
  startEtcd,
} from "./etcd-kit.ts";
import { type Scope, until } from "./kit.ts";

export type StoreServer = {
  readonly name: string;
  start(): void;
  kill(): Promise<void>;
  /** It keeps its sockets and says nothing, as behind a cut network. */
  stop(): void;
  resume(): void;
};

export type Store = {
  readonly servers: readonly StoreServer[];
  /** For `source` of a pool. */
  readonly source: { readonly type: string; readonly endpoints: readonly string[] } & Readonly<Record<string, unknown>>;
  leader(): Promise<StoreServer>;
  /** Waits until every server that runs takes writes. */
  ready(): Promise<void>;
  put(key: string, value: string): Promise<void>;
  remove(key: string): Promise<void>;
};

export type StoreKind = {
  readonly name: string;
  /** Why there is none, for a test's `skip`. */
  readonly missing: string | false;
  start(scope: Scope): Promise<Store>;
};

export const storeKinds: readonly StoreKind[] = [
  { name: "Consul", missing: consulMissing, start: startConsulStore },
  { name: "etcd", missing: needsEtcd, start: startEtcdStore },
];

async function startConsulStore(scope: Scope): Promise<Store> {
  const cluster = await startConsul(scope);
  return {
    servers: cluster.servers,
    source: { type: "consul", endpoints: cluster.endpoints, wait: "2s", requestTimeout: "1s" },
    leader: () => cluster.leader(),
    ready: () => cluster.ready(),
    put: (key, value) => cluster.put(key, value),
    remove: (key) => cluster.delete(key),
  };
}

type Held = StoreServer & { readonly member: EtcdMember; isSpeaking(): boolean };

async function startEtcdStore(scope: Scope): Promise<Store> {
  const servers = (await startEtcd(scope, 3)).map(serverOf);
  const speaking = () => servers.filter((server) => server.isSpeaking()).map(({ member }) => member);
  let preferred = 0;
  const write = (what: string, order: (member: EtcdMember) => Promise<void>) =>
    until(
      what,
      async () => {
        const able = speaking();
        const member = able[preferred % able.length];
        const done = await order(member as EtcdMember).then(
          () => true,
          () => false,
        );
        if (!done) preferred++;
        return done;
      },
      { timeoutMs: 40_000, everyMs: 20 },
    );
  return {
    servers,
    source: { type: "etcd", endpoints: servers.map(({ member }) => member.endpoint), requestTimeout: "1s" },
    async leader() {
      const [first] = await byLeader(speaking());
      const found = servers.find(({ member }) => member === first);
      if (found === undefined) throw new Error("no etcd server leads");
      return found;
    },
    async ready() {
      await Promise.all(speaking().map(hasLeader));
    },
    async put(key, value) {
      await write(`etcd taking ${key}`, (member) => putEtcd(member, key, value));
    },
    async remove(key) {
      await write(`etcd removing ${key}`, (member) => removeEtcd(member, key));
    },
  };
}

function serverOf(member: EtcdMember): Held {
  let speaks = true;
  return {
    member,
    name: member.name,
    isSpeaking: () => speaks,
    start() {
      speaks = true;
      member.start();
    },
    async kill() {
      speaks = false;
      await member.kill();
    },
    stop() {
      speaks = false;
      member.signal("SIGSTOP");
    },
    resume() {
      speaks = true;
      member.signal("SIGCONT");
    },
  };
}
