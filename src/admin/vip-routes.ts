// The admin API's part about virtual routers: the list, why one is as it is, and an operator's orders. The change's way.

import { explainVip, type VipExplanation } from "../control/ha/explain-vip.ts";
import type { HaStatus } from "../control/ha/high-availability.ts";
import type { Result } from "../core/failure.ts";
import { type VrrpOrder, vrrpOrders } from "../state/vrrp-protocol.ts";
import type { AdminAnswer } from "./routes.ts";

/** What it needs of the supervisor. */
export type ControlledVips = {
  /** undefined without virtual routers. */
  vips(): Promise<HaStatus | undefined>;
  /** Codes: vip.unknown, vip.unavailable, vip.draining, vrrp.denied.*. */
  orderVip(name: string, order: VrrpOrder): Promise<Result<true>>;
};

/** `/v1/vips/{name}` and `/v1/vips/{name}:takeover`, the name percent-encoded; undefined for any other path. */
export function parseVipPath(
  path: string,
): { readonly name: string; readonly order: VrrpOrder | undefined } | undefined {
  const match = /^\/v1\/vips\/([^/:]+)(?::([a-z]+))?$/.exec(path);
  if (match === null) return undefined;
  const order = vrrpOrders.find((one) => one === match[2]);
  if (match[2] !== undefined && order === undefined) return undefined;
  try {
    return { name: decodeURIComponent(match[1] ?? ""), order };
  } catch {
    // A percent sign that encodes nothing: no name of anything here.
    return undefined;
  }
}

/** Every virtual router with why it is as it is. */
export async function listVips(controlled: ControlledVips): Promise<readonly VipExplanation[]> {
  const ha = await controlled.vips();
  return (ha?.virtualRouters ?? []).map((name) => explainVip(ha, name)).filter((one) => one !== undefined);
}

/** How an answer is written. */
export type Say = {
  readonly show: (status: number, body: unknown) => AdminAnswer;
  readonly refuse: (status: number, what: { readonly code: string; readonly detail: string }) => AdminAnswer;
};

export async function showVip(controlled: ControlledVips, name: string, say: Say): Promise<AdminAnswer> {
  const told = explainVip(await controlled.vips(), name);
  if (told !== undefined) return say.show(200, told);
  return say.refuse(404, { code: "vip.unknown", detail: `there is no virtual router ${name}` });
}

/** 200 with the order's name; 404, 503, or 409 when the state of things forbids it. */
export async function orderVip(
  controlled: ControlledVips,
  what: { readonly name: string; readonly order: VrrpOrder },
  say: Say,
): Promise<AdminAnswer> {
  const taken = await controlled.orderVip(what.name, what.order);
  if (taken.ok) return say.show(200, { virtualRouter: what.name, order: what.order });
  const { code, detail } = taken.failure;
  const status = code === "vip.unknown" ? 404 : code.startsWith("vip.") ? 503 : 409;
  return say.refuse(status, { code, detail });
}
