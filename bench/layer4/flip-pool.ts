// The pool of the flip workloads: addresses that nobody has to answer at, since a flip moves no traffic. Pure.

/** `10.250.0.1:9000` and on, 250 addresses a network. */
export function poolOfTargets(count: number): string[] {
  return Array.from({ length: count }, (_, at) => `10.250.${Math.floor(at / 250)}.${(at % 250) + 1}:9000`);
}

/** User and system time together, in seconds. */
export function secondsOf({ user, system }: { readonly user: number; readonly system: number }): number {
  return (user + system) / 1_000_000;
}
