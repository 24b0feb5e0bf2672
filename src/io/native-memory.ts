// Memory that the garbage collector never moves, for calls that take structures with pointers in them (msghdr, sock_fprog):
// an address written into a structure must still be true when the kernel follows it. Used by the sockets of the change's
// way, a few blocks a process that live as long as it does. Must not be asked for memory per packet or per socket: nothing gives it back.

import koffi from "koffi";

export type NativeMemory = {
  readonly bytes: Uint8Array;
  readonly view: DataView;
  /** Where the first byte lies. */
  readonly address: bigint;
};

/** Zeroed memory of that many bytes, for the rest of the process's life. */
export function allocateForever(length: number): NativeMemory {
  const block: unknown = koffi.alloc("uint8_t", length);
  const bytes = new Uint8Array(koffi.view(block, length));
  bytes.fill(0);
  return { bytes, view: new DataView(bytes.buffer, bytes.byteOffset, length), address: koffi.address(block) };
}
