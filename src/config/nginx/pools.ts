// The pools of a file: nginx's upstreams by their names, and one for each address that proxy_pass names itself, as nginx makes
// upstreams of these too. On the change's way. Which listener uses which is not known here.

import type { ForeignPlace } from "../foreign/adapted.ts";
import { nameLengthMax } from "../limits.ts";
import type { Adaptation } from "./adaptation.ts";
import { type HostPort, parseHostPort } from "./address.ts";
import type { Directive } from "./directive.ts";
import { nameServersOf } from "./upstream-server.ts";

export type PoolUse = {
  readonly name: string;
  /** True for one target and no more: there is no next one to try. */
  readonly single: boolean;
};

/** Of http and of stream, which each have upstream names of their own. */
export type Realm = "http" | "stream";

export class PoolBook {
  private readonly adaptation: Adaptation;
  private readonly upstreams = new Map<string, PoolUse>();
  private readonly addresses = new Map<string, PoolUse>();
  private readonly taken = new Map<string, ForeignPlace>();

  constructor(adaptation: Adaptation) {
    this.adaptation = adaptation;
  }

  /** The native name of an upstream; undefined when there is one of that name already, which is told. */
  add(realm: Realm, directive: Directive): string | undefined {
    const [text = ""] = directive.args;
    const key = `${realm} ${text.toLowerCase()}`;
    if (this.upstreams.has(key)) {
      this.adaptation.wrong(directive, `duplicate upstream "${text}"`);
      return undefined;
    }
    const name = this.freeName(text, realm, directive.place);
    this.upstreams.set(key, { name, single: false });
    return name;
  }

  /** Says how many targets an upstream has. */
  setSingle(realm: Realm, directive: Directive, single: boolean): void {
    const key = `${realm} ${(directive.args[0] ?? "").toLowerCase()}`;
    const known = this.upstreams.get(key);
    if (known !== undefined) this.upstreams.set(key, { ...known, single });
  }

  upstream(realm: Realm, name: string): PoolUse | undefined {
    return this.upstreams.get(`${realm} ${name.toLowerCase()}`);
  }

  /** The pool of an address that a directive names; undefined when it is no address, which is told. */
  address(directive: Directive, text: string, options: AddressOptions): PoolUse | undefined {
    const address = parseHostPort(text, options.portDefault ?? 0);
    if (address.kind === "wrong") {
      this.adaptation.wrong(directive, `${address.why} in upstream "${text}"`);
      return undefined;
    }
    if (address.kind === "unix") {
      this.adaptation.unserved(directive, "a target behind a unix socket is not connected to", "an address and a port");
      return undefined;
    }
    const { host, port } = address;
    const key = host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`;
    const known = this.addresses.get(key);
    if (known !== undefined) return known;
    const name = this.freeName(`${host}-${port}`, "http", directive.place);
    const use = { name, single: address.kind === "address" };
    this.addresses.set(key, use);
    this.putAddress(directive, name, { address, key, resolver: options.resolver });
    return use;
  }

  private putAddress(directive: Directive, name: string, what: PutAddress): void {
    const { address, key, resolver } = what;
    const path = ["pools", name];
    if (address.kind === "address") {
      // Nobody else could take its work: nginx does not count its failures either.
      this.adaptation.put([...path, "targets", key, "maxFails"], 0, directive.place);
      return;
    }
    this.adaptation.put([...path, "source", "type"], "dns", directive.place);
    this.adaptation.put([...path, "source", "name"], address.host, directive.place);
    this.adaptation.put([...path, "source", "port"], address.port, directive.place);
    const servers = nameServersOf(resolver);
    if (resolver !== undefined && servers.length > 0) {
      this.adaptation.put([...path, "source", "servers"], servers, resolver.place);
    }
    this.adaptation.note(
      directive,
      `"${address.host}" is asked for again when its records end; nginx asks once, at its start`,
    );
  }

  /** The name as it is where ours may be so written, and nobody has it. */
  private freeName(text: string, realm: Realm, place: ForeignPlace): string {
    const clean = text.replaceAll(/[^A-Za-z0-9_.-]/g, "-").replace(/^[.-]+/, "") || "pool";
    const base = clean.slice(0, nameLengthMax - 8);
    let name = base;
    for (let count = 2; this.taken.has(name); count++) {
      name = realm === "stream" && count === 2 ? `${base}-stream` : `${base}-${count}`;
    }
    this.taken.set(name, place);
    return name;
  }
}

export type AddressOptions = {
  /** undefined: it must be written. */
  readonly portDefault: number | undefined;
  readonly resolver: Directive | undefined;
};

type PutAddress = {
  readonly address: Extract<HostPort, { kind: "address" | "name" }>;
  readonly key: string;
  readonly resolver: Directive | undefined;
};
