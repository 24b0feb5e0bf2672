// The admin API's virtual routers: the list, why one is as it is, and an operator's orders. The change's way.

import { explainVip, type VipExplanation } from "../control/ha/explain-vip.ts";
import { type VrrpOrder, vrrpOrders } from "../state/vrrp-protocol.ts";
import { type AdminAnswer, failed, json } from "./answer.ts";
import type { ControlledVips } from "./controlled.ts";
import type { Call, Route } from "./route-table.ts";

const problem = "application/problem+json";

const meanings: Readonly<Record<VrrpOrder, string>> = {
  takeover: "Brings the addresses to this node, whatever the priorities say",
  release: "Gives the addresses to another node, as soon as there is one that can have them",
  resume: "Lets the node compete by its own priority again",
};

export const vipRoutes: readonly Route[] = [
  {
    path: "/v1/vips",
    operations: {
      GET: {
        endpoint: async ({ controlled }) => json(200, await listVips(controlled)),
        summary: "Every virtual router with why it is as it is",
        answers: { 200: ["a list of virtual routers", "application/json"] },
      },
    },
  },
  // Before the router itself, whose name would take the order in.
  ...vrrpOrders.map(
    (order): Route => ({
      path: `/v1/vips/{name}:${order}`,
      operations: {
        POST: {
          endpoint: (call) => giveOrder(call, order),
          summary: meanings[order],
          answers: {
            200: ["the order was taken", "application/json"],
            404: ["there is no such virtual router", problem],
            409: ["the state of things forbids it", problem],
            503: ["the process that speaks VRRP does not answer, or the node drains", problem],
          },
        },
      },
    }),
  ),
  {
    path: "/v1/vips/{name}",
    operations: {
      GET: {
        endpoint: showVip,
        summary: "A virtual router with why it is as it is",
        answers: {
          200: ["the virtual router", "application/json"],
          404: ["there is no such virtual router", problem],
        },
      },
    },
  },
];

async function listVips(controlled: ControlledVips): Promise<readonly VipExplanation[]> {
  const ha = await controlled.vips();
  return (ha?.virtualRouters ?? []).map((name) => explainVip(ha, name)).filter((one) => one !== undefined);
}

async function showVip({ controlled, params }: Call): Promise<AdminAnswer> {
  const name = params["name"] ?? "";
  const told = explainVip(await controlled.vips(), name);
  if (told !== undefined) return json(200, told);
  return failed(404, { code: "vip.unknown", detail: `there is no virtual router ${name}` });
}

async function giveOrder({ controlled, params }: Call, order: VrrpOrder): Promise<AdminAnswer> {
  const name = params["name"] ?? "";
  const taken = await controlled.orderVip(name, order);
  if (taken.ok) return json(200, { virtualRouter: name, order });
  const { code, detail } = taken.failure;
  return failed(code === "vip.unknown" ? 404 : code.startsWith("vip.") ? 503 : 409, { code, detail });
}
