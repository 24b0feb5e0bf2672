// `POOL/ADDRESS` on the command line: one target by name. Pure.

import { bad, good, type Result } from "../core/failure.ts";

export type TargetName = { readonly pool: string; readonly address: string };

/** A pool's name has no slash, an address neither. Whether they exist the program that runs knows. Code: target.name. */
export function parseTargetName(text: string): Result<TargetName> {
  const [pool = "", address = "", more] = text.split("/");
  if (pool !== "" && address !== "" && more === undefined) return good({ pool, address });
  const detail = `${text}: expected POOL/ADDRESS, such as app/10.0.4.20:8080`;
  return bad({ code: "target.name", origin: "client", retrySafe: true, detail });
}

/** Its place in the admin API. */
export function targetPath({ pool, address }: TargetName): string {
  return `/v1/pools/${encodeURIComponent(pool)}/targets/${encodeURIComponent(address)}`;
}
