// How an exchange hands its client's connection back. On the request's way; a number, decided by the exchange and carried
// out by the connection.

/** What becomes of the connection when an exchange is over. */
export const AfterExchange = {
  /** It may carry another. */
  next: 0,
  /** The client has said all it had to say, and said so: it can be closed at once. */
  finish: 1,
  /** We close it, and more of the client may be on its way (RFC 9112 section 9.6). */
  linger: 2,
} as const;
export type AfterExchange = (typeof AfterExchange)[keyof typeof AfterExchange];
