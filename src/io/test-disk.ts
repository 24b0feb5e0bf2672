// A disk that can lose its power, for the tests of what must outlive that. It keeps what POSIX and a journalling file system
// promise and no more: a file's bytes are there once it was synced, else any first part of them or zeros; names change in
// the order in which they were changed, and how far that is on disk is known only when their directory was synced. The
// process can be stopped at any of its system calls. One directory, whose path is ignored.

import { basename } from "node:path";
import { assert } from "../core/assert.ts";
import type { Random } from "../core/random.ts";
import type { KeptFileCalls, KeptFileHandle } from "./kept-file.ts";

type Inode = { readonly ino: number; bytes: Buffer; synced: boolean };
type Names = ReadonlyMap<string, Inode>;

/** What a call rejects with once the process is stopped: nobody is there to see it. */
class Stopped extends Error {}

function refusal(code: string, name: string): Error {
  return Object.assign(new Error(`${code}: ${name}`), { code });
}

export class TestDisk {
  /** The call before which the process is stopped; counts down. */
  stopAfter = Number.POSITIVE_INFINITY;
  #names: Names = new Map();
  /** What may be on disk: the state as it was synced, then each one that followed. */
  #possible: Names[] = [this.#names];
  #inodes = 0;

  /** What is found when the power is back. */
  restart(random: Random): void {
    const survived = this.#possible[Math.floor(random() * this.#possible.length)];
    assert(survived !== undefined, "there is at least the synced state");
    const copies = new Map<Inode, Inode>();
    for (const inode of survived.values()) {
      if (inode.synced || copies.has(inode)) continue;
      const bytes = Buffer.from(inode.bytes.subarray(0, Math.floor(random() * (inode.bytes.length + 1))));
      if (random() < 0.3) bytes.fill(0, Math.floor(random() * bytes.length));
      copies.set(inode, { ino: inode.ino, bytes, synced: true });
    }
    this.#names = new Map([...survived].map(([name, inode]) => [name, copies.get(inode) ?? inode]));
    this.#possible = [this.#names];
    this.stopAfter = Number.POSITIVE_INFINITY;
  }

  list(): readonly string[] {
    return [...this.#names.keys()].sort();
  }

  readonly calls: KeptFileCalls = {
    mkdir: () => this.#call(() => undefined),
    open: (path, flags) =>
      this.#call(() => {
        const name = basename(path);
        if (name === "state") return this.#directoryHandle();
        const isNew = (flags & 0o300) !== 0; // O_CREAT | O_EXCL
        if (!isNew) return this.#fileHandle(this.#find(name));
        if (this.#names.has(name)) throw refusal("EEXIST", name);
        const inode = { ino: ++this.#inodes, bytes: Buffer.alloc(0), synced: false };
        this.#rename((names) => names.set(name, inode));
        return this.#fileHandle(inode);
      }),
    readFile: (path) => this.#call(() => Buffer.from(this.#find(basename(path)).bytes)),
    readdir: () => this.#call(() => [...this.#names.keys()]),
    stat: (path) =>
      this.#call(() => {
        const { ino, bytes } = this.#find(basename(path));
        return { dev: 1, ino, size: bytes.length };
      }),
    link: (from, to) =>
      this.#call(() => {
        const inode = this.#find(basename(from));
        if (this.#names.has(basename(to))) throw refusal("EEXIST", to);
        this.#rename((names) => names.set(basename(to), inode));
      }),
    copyFile: (from) => this.#call(() => Promise.reject(refusal("ENOSYS", from))),
    rename: (from, to) =>
      this.#call(() => {
        const inode = this.#find(basename(from));
        // rename(2): two names of one file stay both.
        if (this.#names.get(basename(to)) === inode) return;
        this.#rename((names) => {
          names.delete(basename(from));
          names.set(basename(to), inode);
        });
      }),
    unlink: (path) =>
      this.#call(() => {
        this.#find(basename(path));
        this.#rename((names) => names.delete(basename(path)));
      }),
  };

  async #call<T>(act: () => T | Promise<T>): Promise<T> {
    if (this.stopAfter <= 0) throw new Stopped();
    this.stopAfter--;
    return await act();
  }

  #find(name: string): Inode {
    const inode = this.#names.get(name);
    if (inode === undefined) throw refusal("ENOENT", name);
    return inode;
  }

  #rename(change: (names: Map<string, Inode>) => void): void {
    const names = new Map(this.#names);
    change(names);
    this.#names = names;
    this.#possible.push(names);
  }

  #fileHandle(inode: Inode): KeptFileHandle {
    return {
      writeFile: (bytes) =>
        this.#call(() => {
          inode.bytes = Buffer.from(bytes);
          inode.synced = false;
        }),
      sync: () =>
        this.#call(() => {
          inode.synced = true;
        }),
      close: () => this.#call(() => undefined),
    };
  }

  #directoryHandle(): KeptFileHandle {
    return {
      writeFile: () => this.#call(() => Promise.reject(refusal("EISDIR", "state"))),
      sync: () =>
        this.#call(() => {
          this.#possible = [this.#names];
        }),
      close: () => this.#call(() => undefined),
    };
  }
}
