// Time as the machines see it: a number somebody hands them. Only the edges read a real clock.

declare const unit: unique symbol;
/** A span, or a point on the monotonic clock, in milliseconds. Fractions are allowed. */
export type Milliseconds = number & { readonly [unit]?: "ms" };

/** Monotonic milliseconds since an arbitrary start; never goes back. */
export type Clock = () => Milliseconds;
