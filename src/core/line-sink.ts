// Where finished log lines go: the seam between the request's way, which makes them, and the edge that owns the file.

/** Takes lines without blocking, throwing or answering; what cannot be kept is dropped and counted by the sink. */
export type LineSink = {
  /** One or more whole lines, each with its line feed. One byte a character (latin1): the bytes that are to be written. */
  append(line: string): void;
  /** The same as bytes, the first `length` of `line`; they are copied. */
  appendBytes(line: Uint8Array, length: number): void;
  /** Write what is buffered soon, rather than when the buffer is full or its time has come. */
  flush(): void;
};
