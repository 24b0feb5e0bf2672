// What a configuration asks of the machine that it is for, each with its place in the file: interfaces, addresses, programs,
// users. On the change's way, with the building of a draft; judge-machine.ts holds it against what the machine has. Must
// not judge anything itself.

import { addressOf, familyOf } from "./build-ha.ts";
import type { PlacedAddressFile, VirtualRouterFile } from "./ha-schema.ts";
import type { HaDraft, TrackPart } from "./ha-shape.ts";
import { groupOf } from "./ha-tracks.ts";
import type { NotifyFile } from "./notify-schema.ts";
import type { NamedPart } from "./part.ts";
import type { Locate, Path, Place } from "./problem.ts";
import { priorityOwner } from "./validate-virtual-router.ts";

export type MachineWant = {
  readonly place: Place;
} /** `speaks`: it must have an address of the family to speak from. */ & (
  | { readonly kind: "interface"; readonly interface: string; readonly speaks: 4 | 6 | undefined }
  /** A virtual address: of nobody, or, with priority 255, of this node. */
  | { readonly kind: "virtualAddress"; readonly address: string; readonly owner: boolean }
  | { readonly kind: "ownAddress"; readonly address: string; readonly interface: string }
  | { readonly kind: "peer"; readonly address: string }
  /** A path, or a name that is looked for in PATH. */
  | { readonly kind: "program"; readonly program: string }
  | { readonly kind: "user"; readonly user: string }
  /** Nobody but root may be able to change it where it runs as root; undefined: as our own user. */
  | {
      readonly kind: "rootOnly";
      readonly program: string;
      readonly user: string | undefined;
      readonly refused: boolean;
    }
  /** One that the program reads. */
  | { readonly kind: "file"; readonly path: string }
);

/** In the order of the file's sections; an interface that may be missing is not asked for. */
export function machineWants(ha: HaDraft | undefined, awaited: readonly string[], locate: Locate): MachineWant[] {
  if (ha === undefined) return [];
  const refused = ha.shell.value?.insecureCommands !== "warn";
  const wants = [
    ...notifyWants(ha.shell.value?.notify, ["ha", "notify"], locate),
    ...ha.tracks.flatMap((track) => trackWants(track, locate)),
    ...ha.virtualRouters.flatMap((router) => routerWants(ha, router, locate)),
    ...ha.syncGroups.flatMap(({ path, value }) => notifyWants(value?.notify, [...path, "notify"], locate)),
    ...ha.services.flatMap(({ path, value }) => runWants(value, path, locate)),
  ];
  return wants
    .map((want) => (want.kind === "rootOnly" ? { ...want, refused } : want))
    .filter((want) => want.kind !== "interface" || !awaited.includes(want.interface));
}

type Run = { readonly command: readonly string[]; readonly user?: string | undefined };

function runWants(run: Run | undefined, path: Path, locate: Locate): MachineWant[] {
  if (run === undefined) return [];
  return [...programWants(run, [...path, "command"], locate), ...userWants(run.user, path, locate)];
}

function programWants({ command: [program], user }: Run, path: Path, locate: Locate): MachineWant[] {
  if (program === undefined) return [];
  const place = locate(path);
  return [
    { kind: "program", program, place },
    { kind: "rootOnly", program, user, refused: true, place },
  ];
}

function userWants(user: string | undefined, path: Path, locate: Locate): MachineWant[] {
  return user === undefined ? [] : [{ kind: "user", user, place: locate([...path, "user"]) }];
}

function notifyWants(file: NotifyFile | undefined, path: Path, locate: Locate): MachineWant[] {
  if (file === undefined) return [];
  const keys = ["active", "backup", "fault", "stop", "any"] as const;
  const programs = keys.flatMap((key) =>
    (file[key] ?? []).flatMap((command, index) =>
      programWants({ command, user: file.user }, [...path, key, index], locate),
    ),
  );
  const reader = programWants({ command: file.fifoReader ?? [], user: file.user }, [...path, "fifoReader"], locate);
  return [...programs, ...reader, ...userWants(file.user, path, locate)];
}

function trackWants({ path, value }: TrackPart, locate: Locate): MachineWant[] {
  if (value === undefined) return [];
  if ("command" in value) return runWants(value, path, locate);
  if (!("interface" in value)) return [];
  return [{ kind: "interface", interface: value.interface, speaks: undefined, place: locate([...path, "interface"]) }];
}

function routerWants(ha: HaDraft, part: NamedPart<VirtualRouterFile>, locate: Locate): MachineWant[] {
  const { path, value: file } = part;
  const first = file?.addresses?.[0];
  if (file?.interface === undefined || first === undefined) return [];
  const at = (...keys: Path) => locate([...path, ...keys]);
  const own = file.interface;
  const speaks = file.sourceAddress === undefined ? familyOf(addressOf(first).address) : undefined;
  const wants: MachineWant[] = [{ kind: "interface", interface: own, speaks, place: at("interface") }];
  const owner = file.priority === priorityOwner;
  const look = (key: string, list: readonly PlacedAddressFile[]) => {
    for (const [index, one] of list.entries()) {
      wants.push({ kind: "virtualAddress", address: addressOf(one).address, owner, place: at(key, index) });
      if (!("interface" in one) || one.interface === undefined) continue;
      wants.push({
        kind: "interface",
        interface: one.interface,
        speaks: undefined,
        place: at(key, index, "interface"),
      });
    }
  };
  look("addresses", file.addresses ?? []);
  look("silentAddresses", file.silentAddresses);
  if (file.sourceAddress !== undefined) {
    wants.push({ kind: "ownAddress", address: file.sourceAddress, interface: own, place: at("sourceAddress") });
  }
  for (const [index, peer] of file.unicastPeers.entries()) {
    const address = typeof peer === "string" ? peer : peer.address;
    wants.push({ kind: "peer", address, place: at("unicastPeers", index) });
  }
  const group = groupOf(ha, part.name);
  for (const holder of [part, ...(group === undefined ? [] : [group])]) {
    for (const [index, entry] of (holder.value?.track ?? []).entries()) {
      const track = "form" in entry ? entry : entry.name;
      if (track.form !== "interface") continue;
      const place = locate([...holder.path, "track", index]);
      wants.push({ kind: "interface", interface: track.interface, speaks: undefined, place });
    }
  }
  return [...wants, ...notifyWants(file.notify, [...path, "notify"], locate)];
}
