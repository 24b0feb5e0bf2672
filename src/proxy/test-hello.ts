// For tests: the ClientHello of a client that wants a host, as small as TLS allows. Must not be imported by anything but
// tests; src/wire/tls has the tests of what real clients send.

function u16(bytes: Uint8Array): Buffer {
  return Buffer.concat([Buffer.from([bytes.length >> 8, bytes.length & 0xff]), bytes]);
}

/** One record, or as many as pieces of `recordBytes` make; without a name there is no server_name extension. */
export function testHello(name: string | undefined, recordBytes = 16_384): Buffer {
  const list =
    name === undefined ? undefined : u16(Buffer.concat([Buffer.from([0]), u16(Buffer.from(name, "latin1"))]));
  const extensions = list === undefined ? Buffer.alloc(0) : Buffer.concat([Buffer.from([0, 0]), u16(list)]);
  const body = Buffer.concat([
    Buffer.from([3, 3]),
    Buffer.alloc(32, 7),
    Buffer.from([0]),
    u16(Buffer.from("1301", "hex")),
    Buffer.from([1, 0]),
    u16(extensions),
  ]);
  const message = Buffer.concat([Buffer.from([1, 0]), u16(body)]);
  const records: Buffer[] = [];
  for (let at = 0; at < message.length; at += recordBytes) {
    records.push(Buffer.from([22, 3, 1]), u16(message.subarray(at, at + recordBytes)));
  }
  return Buffer.concat(records);
}
